//! `spillway validate`: every problem of a configuration at once, and what a change of it changes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spillway_core::diff::{Side, diff};
use spillway_core::entry::Kind;
use spillway_core::load::Config;
use spillway_core::name::TrustDomain;
use spillway_core::problem::{Problem, Severity};
use spillway_proxy::process::Inputs;

use super::Failure;
use super::config::Strictness;
use crate::output;

/// Check a configuration directory: print every problem, or a summary when there is no error
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                  spillway validate /etc/spillway\n  \
                  spillway validate --diff /etc/spillway ./spillway.new\n\n\
                  Errors end with status 1. Warnings name what is legal but wrong, such as a route that never matches. \
                  What has errors has no behaviour: --diff lists those of either side instead, and ends with status 1.")]
pub(super) struct Args {
    /// Configuration directories that are read together
    #[arg(value_name = "DIR", required_unless_present = "diff", conflicts_with = "diff")]
    dirs: Vec<PathBuf>,
    /// Show what changes in behaviour between two directories, service by service
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    diff: Option<Vec<PathBuf>>,
    /// With --diff: end with status 1 when behaviour changes
    #[arg(long, requires = "diff", conflicts_with = "dirs")]
    exit_code: bool,
    /// How it is printed; json is a list of all problems, or with --diff of all changes, on stdout
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// End with status 1 when there are warnings
    #[arg(long, conflicts_with = "diff")]
    deny_warnings: bool,
    #[command(flatten)]
    strictness: Strictness,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Prints warnings, then fails with the errors or prints a summary; or compares two configurations.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match args.diff.as_deref() {
        Some([old, new]) => compare(args, old, new),
        _ => validate(args),
    }
}

fn validate(args: &Args) -> Result<(), Failure> {
    let trust_domain = super::chain::trust_domain(&args.dirs)?;
    let (inputs, problems) = match Inputs::read_with(&args.dirs, &trust_domain, args.strictness.options()) {
        Ok(inputs) => {
            let problems = inputs.lint();
            (Some(inputs), problems)
        }
        Err(problems) => (None, problems),
    };
    let refused = inputs.is_none() || args.deny_warnings && !problems.is_empty();
    match (args.format, inputs) {
        (Format::Json, _) => super::print(format!("{:#}", to_json(&problems)))?,
        (Format::Text, None) => return Err(Failure::Problems(problems)),
        (Format::Text, Some(inputs)) => {
            for warning in &problems {
                output::complain(warning);
            }
            if !refused {
                super::print(summary(&inputs.config, inputs.files.len(), problems.len()))?;
            }
        }
    }
    if refused { Err(Failure::Shown) } else { Ok(()) }
}

/// Prints what changes in behaviour. Warnings are left to the plain command.
fn compare(args: &Args, old: &Path, new: &Path) -> Result<(), Failure> {
    // A copy of a directory, as from version control, need not have its CA: the names are one cluster's.
    let trust_domain = super::chain::trust_domain(&[new.to_path_buf(), old.to_path_buf()])?;
    let (before, after) = match (args.read(old, &trust_domain), args.read(new, &trust_domain)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            let problems: Vec<Problem> =
                [before, after].into_iter().filter_map(Result::err).flatten().collect();
            if args.format == Format::Text {
                return Err(Failure::Problems(problems));
            }
            super::print(format!("{:#}", json!({ "problems": to_json(&problems) })))?;
            return Err(Failure::Shown);
        }
    };
    let [before, after] = [&before, &after].map(|it| Side { config: &it.config, catalog: &it.catalog });
    let found = diff(&before, &after, &trust_domain);
    match args.format {
        Format::Text => super::print(&found)?,
        Format::Json => super::print(format!("{:#}", found.to_json()))?,
    }
    if args.exit_code && !found.groups.is_empty() { Err(Failure::Shown) } else { Ok(()) }
}

impl Args {
    /// One side of a comparison, or its errors alone.
    fn read(&self, dir: &Path, trust_domain: &TrustDomain) -> Result<Inputs, Vec<Problem>> {
        let read = Inputs::read_with(&[dir.to_path_buf()], trust_domain, self.strictness.options());
        read.map_err(|mut problems| {
            problems.retain(|problem| problem.severity == Severity::Error);
            problems
        })
    }
}

/// One object a problem; line and column are null where a file as a whole is meant.
fn to_json(problems: &[Problem]) -> Value {
    let number = |n: u32| (n > 0).then_some(n);
    let one = |problem: &Problem| {
        json!({
            "file": problem.place.file.display().to_string(),
            "line": number(problem.place.line),
            "column": number(problem.place.column),
            "severity": match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "field": problem.field,
            "message": problem.message,
        })
    };
    problems.iter().map(one).collect()
}

fn summary(config: &Config, files: usize, warnings: usize) -> String {
    let Config { entries, registrations, .. } = config;
    let of_kind = |kind: Kind| registrations.iter().filter(|it| it.kind == kind).count();
    format!(
        "{} is valid: {files} files, {} config entries, {} instances, {} sidecars, {} gateways, {warnings} warnings",
        config.agent.datacenter,
        entries.count(),
        of_kind(Kind::Typical),
        of_kind(Kind::ConnectProxy),
        of_kind(Kind::MeshGateway),
    )
}

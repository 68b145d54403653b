//! `spillway validate`: every problem of a configuration at once.

use std::path::PathBuf;

use spillway_core::entry::Kind;
use spillway_core::load::Config;
use spillway_proxy::process::Inputs;

use super::Failure;
use crate::output;

/// Check a configuration directory: print every problem, or a summary when there is none
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spillway validate /etc/spillway")]
pub(super) struct Args {
    /// Configuration directories that are read together
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
}

/// Prints warnings, then fails with the errors or prints a summary.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let trust_domain = super::chain::trust_domain(&args.dirs)?;
    let inputs = Inputs::read(&args.dirs, &trust_domain).map_err(Failure::Problems)?;
    for warning in &inputs.warnings {
        output::complain(warning);
    }
    super::print(summary(&inputs.config, inputs.files.len(), inputs.warnings.len()))
}

fn summary(config: &Config, files: usize, warnings: usize) -> String {
    let Config { entries, registrations, .. } = config;
    let count = entries.routers.len()
        + entries.splitters.len()
        + entries.resolvers.len()
        + entries.defaults.len()
        + entries.intentions.len()
        + usize::from(entries.proxy_defaults.is_some())
        + usize::from(entries.mesh.is_some())
        + usize::from(entries.exported.is_some());
    let of_kind = |kind: Kind| registrations.iter().filter(|it| it.kind == kind).count();
    format!(
        "{} is valid: {files} files, {count} config entries, {} instances, {} sidecars, {} gateways, {warnings} warnings",
        config.agent.datacenter,
        of_kind(Kind::Typical),
        of_kind(Kind::ConnectProxy),
        of_kind(Kind::MeshGateway),
    )
}

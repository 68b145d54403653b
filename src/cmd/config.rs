//! Configuration directories as commands take them.

use std::path::{Path, PathBuf};

use spillway_core::load::{self, Config};
use spillway_core::problem::Severity;
use spillway_proxy::source::files;

use super::Failure;

/// Names a configuration directory where `--config-dir` does not.
pub(crate) const CONFIG_DIR_VARIABLE: &str = "SPILLWAY_CONFIG_DIR";

/// `--config-dir`, for commands that read several.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigDirs {
    /// Configuration directory; may be repeated
    #[arg(long = "config-dir", value_name = "DIR", required = true, env = CONFIG_DIR_VARIABLE)]
    pub(super) dirs: Vec<PathBuf>,
    #[command(flatten)]
    strictness: Strictness,
}

/// `--strict-consul`, for every command that reads a configuration.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Strictness {
    /// Refuse fields that Consul does not know
    #[arg(long)]
    strict_consul: bool,
}

impl Strictness {
    /// How files are read then.
    pub(super) fn options(self) -> load::Options {
        load::Options { strict_consul: self.strict_consul }
    }
}

impl ConfigDirs {
    /// How they are read.
    pub(super) fn options(&self) -> load::Options {
        self.strictness.options()
    }

    /// Reads what stands in them. Warnings are left to `spillway validate`.
    pub(super) fn read(&self) -> Result<Config, Failure> {
        read_with(&self.dirs, self.options())
    }

    /// The one that holds `ca/` and `peers/`.
    pub(super) fn first(&self) -> &Path {
        self.dirs.first().map_or(Path::new("."), PathBuf::as_path)
    }
}

/// `--config-dir`, for commands that write to one.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigDir {
    /// Configuration directory
    #[arg(long = "config-dir", value_name = "DIR", env = CONFIG_DIR_VARIABLE)]
    pub(super) dir: PathBuf,
}

/// Reads what stands in `dirs`, with everything that Spillway knows beyond Consul.
pub(super) fn read(dirs: &[PathBuf]) -> Result<Config, Failure> {
    read_with(dirs, load::Options::default())
}

fn read_with(dirs: &[PathBuf], options: load::Options) -> Result<Config, Failure> {
    let contents = files::read(dirs).map_err(Failure::Problems)?;
    let (config, mut problems) = load::load_with(&contents.files, options);
    problems.retain(|problem| problem.severity == Severity::Error);
    if problems.is_empty() { Ok(config) } else { Err(Failure::Problems(problems)) }
}

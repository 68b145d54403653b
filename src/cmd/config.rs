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
}

impl ConfigDirs {
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

/// Reads what stands in `dirs`. Warnings are left to `spillway validate`.
pub(super) fn read(dirs: &[PathBuf]) -> Result<Config, Failure> {
    let contents = files::read(dirs).map_err(Failure::Problems)?;
    let (config, mut problems) = load::load(&contents.files);
    problems.retain(|problem| problem.severity == Severity::Error);
    if problems.is_empty() { Ok(config) } else { Err(Failure::Problems(problems)) }
}

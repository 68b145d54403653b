//! `spillway sidecar`: beside one instance of a service.

use spillway_proxy::sidecar::Sidecar;

use super::Failure;
use super::long_running::{self, Flags};

/// Run the sidecar of one registered service instance
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spillway sidecar --config-dir /etc/spillway --sidecar-for web-1")]
pub(super) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// The instance: its registered id, which is its name unless it has another
    #[arg(long, value_name = "ID")]
    sidecar_for: String,
}

/// Serves until it is told to stop.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { flags, sidecar_for: id } = args;
    let config_dir = flags.config.first().to_owned();
    long_running::serve(flags, Sidecar::new(id, config_dir))
}

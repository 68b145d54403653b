//! `spillway gateway`: at the edge of a cluster.

use spillway_gateway::Gateway;

use super::Failure;
use super::long_running::{self, Flags};

/// Run a mesh gateway
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spillway gateway --config-dir /etc/spillway --admin-bind 127.0.0.1:19001"
)]
pub(super) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// The gateway's registered id [default: the only gateway that is registered]
    #[arg(long, value_name = "ID")]
    service: Option<String>,
}

/// Serves until it is told to stop.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { flags, service } = args;
    let gateway = Gateway::new(service, flags.config.first().to_owned());
    long_running::serve(flags, gateway)
}

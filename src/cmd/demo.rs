//! `spillway demo`: see [`crate::demo`].

use super::Failure;
use crate::demo::{self, Format, GatewayMode, Options};

/// Run two peered clusters on this machine, under live traffic, and watch them fail over
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  spillway demo\n  spillway demo --script --format yaml --mesh-gateway-mode local"
)]
pub(super) struct Args {
    /// The syntax that the clusters' configuration is written in
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// How a cluster's sidecars reach the other cluster
    #[arg(long, value_enum, default_value_t)]
    mesh_gateway_mode: GatewayMode,
    /// Play the story once, as text, and fail unless all went as told
    #[arg(long)]
    script: bool,
    /// Leave configuration, certificates and logs behind, and say where
    #[arg(long)]
    keep: bool,
}

/// Runs it to its end.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Args { format, mesh_gateway_mode: mode, script, keep } = *args;
    Ok(super::runtime()?.block_on(demo::run(Options { format, mode, script, keep }))?)
}

//! The commands: one module each, which reads its flags, calls the library and prints what came of it.
//!
//! Exit status: 0 done, 1 failed or invalid configuration, 2 wrong usage. A failure is one line on stderr, or one
//! for each problem of a configuration: `file:line:column: field: message`.

mod ca;
mod chain;
mod config;
mod demo;
mod explain;
mod gateway;
mod long_running;
mod peering;
mod sidecar;
mod validate;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use http::StatusCode;
use spillway_core::problem::Problem;
use spillway_gateway::peering::PeeringError;

pub(crate) use self::config::CONFIG_DIR_VARIABLE;
use crate::call::CallError;
use crate::demo::{DemoError, app};
use crate::output;

/// Native L7 data plane for Consul-style service meshes: mTLS sidecar and mesh gateway in one binary
#[derive(Debug, Parser)]
#[command(name = "spillway", version, arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  spillway demo            see it work: two peered clusters on this machine"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Sidecar(sidecar::Args),
    Gateway(gateway::Args),
    Validate(validate::Args),
    Chain(chain::Args),
    Explain(explain::Args),
    Ca(ca::Args),
    Peering(peering::Args),
    /// One application of the demo
    #[command(
        hide = true,
        after_help = "Example:\n  spillway demo-app --name frontend --cluster cluster-01 --instance frontend-1 --listen 127.0.1.20:8080"
    )]
    DemoApp {
        #[command(flatten)]
        identity: app::Identity,
        /// Where to listen
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The configuration is wrong: every problem, each with its place.
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    /// What is wrong has been printed.
    #[error("")]
    Shown,
    /// No application could send such a request.
    #[error("the request is malformed: {0}")]
    Request(spillway_proxy::http1::Malformed),
    /// The CA's part.
    #[error(transparent)]
    Ca(#[from] spillway_certs::CaError),
    /// A certificate or key cannot be written.
    #[error(transparent)]
    Store(#[from] spillway_certs::store::StoreError),
    /// A sidecar or gateway could not start, or go on.
    #[error(transparent)]
    Process(#[from] spillway_proxy::process::StartError),
    /// The peering's part.
    #[error(transparent)]
    Peering(#[from] PeeringError),
    /// A gateway that was asked could not be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A gateway that was asked said no.
    #[error("{gateway} answered {status}: {said}")]
    Gateway { gateway: String, status: StatusCode, said: String },
    /// The demo's part.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Sidecar(args) => sidecar::run(args),
        Command::Gateway(args) => gateway::run(args),
        Command::Validate(args) => validate::run(&args),
        Command::Chain(args) => chain::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Ca(args) => ca::run(args),
        Command::Peering(args) => peering::run(args),
        Command::DemoApp { identity, listen } => serve_app(identity, listen),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Shown) => ExitCode::FAILURE,
        Err(failure) => {
            output::complain(failure);
            ExitCode::FAILURE
        }
    }
}

fn serve_app(identity: app::Identity, listen: SocketAddr) -> Result<(), Failure> {
    let failed = |source| Failure::Io { what: format!("serve on {listen}"), source };
    runtime()?.block_on(app::serve(identity, listen)).map_err(failed)
}

/// Prints what a command has to say.
fn print(text: impl fmt::Display) -> Result<(), Failure> {
    output::print(text).map_err(|source| Failure::Io { what: "print".into(), source })
}

/// The runtime of a command: all of it on this thread.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Io { what: "start".into(), source })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{} has none", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}

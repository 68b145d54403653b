//! Benchmarks of Spillway. `cargo run --release -p spillway-bench -- pair` runs the pair of sidecars beside other
//! proxies at the same job, in the same run, and prints one table of ratios; `soak` lets everything around a sidecar
//! fail and judges what became of every request.
//!
//! Here: the command line. `pair` starts a run, `measure` takes it through its rounds; `peers` says how each proxy is
//! set up for the job; `load` asks, `backend` answers, `proc` and `calls` read what it cost; `table` and `record` say
//! it. [`soak`] stands by itself.
//! Micro-benchmarks are in `benches/`. Kept out: anything that a mesh needs to run.

mod backend;
mod calls;
mod error;
mod group;
mod load;
mod measure;
mod pair;
mod peers;
mod proc;
mod record;
pub mod soak;
mod table;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use spillway_core::duration;

pub use crate::error::BenchError;
use crate::load::{Load, Target, builtin};

/// Benchmarks of Spillway beside other proxies, in the same run
#[derive(Debug, Parser)]
#[command(name = "spillway-bench", arg_required_else_help = true)]
#[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- pair --save")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pair(pair::Args),
    Soak(soak::Args),
    /// Ask one URL over and over, each connection again as soon as it has its answer
    #[command(after_help = "Example:\n  spillway-bench load http://127.0.0.1:8080/api -c 64 -d 5s")]
    Load {
        /// What to ask for
        url: Target,
        /// How many connections ask at once
        #[arg(short, long, value_name = "N", default_value = "64")]
        connections: NonZeroUsize,
        /// For how long
        #[arg(short, long, default_value = "5s", value_parser = parse_duration)]
        duration: Duration,
    },
    /// Answer every request with the same body
    #[command(after_help = "Example:\n  spillway-bench backend --listen 127.0.0.1:8080")]
    Backend {
        /// Where to listen; port 0 takes a free one, and says which
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// The body's bytes
        #[arg(long, value_name = "BYTES", default_value_t = backend::BODY)]
        size: usize,
    },
    /// Become another program, which ends with the benchmark
    #[command(hide = true, after_help = "Example:\n  spillway-bench exec 4711 nginx -c nginx.conf")]
    Exec {
        /// The process that it must not outlive
        parent: i32,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Pair(args) => pair::run(args),
        Command::Soak(args) => soak::command(&args),
        Command::Load { url, connections, duration } => {
            let load = Load { target: url, connections: connections.get(), duration };
            builtin::run(&load)
                .map(|answered| println!("{answered}"))
                .map_err(|source| BenchError::io(format!("ask {}", load.target), source))
        }
        Command::Backend { listen, size } => {
            backend::run(listen, size).map_err(|source| BenchError::io(format!("serve on {listen}"), source))
        }
        Command::Exec { parent, command } => group::become_program(parent, &command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A Go duration that is not negative.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed = duration::parse(text).map_err(|error| error.to_string())?;
    signed.to_duration().ok_or_else(|| "is negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_help_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{} has none", command.get_name());
            command.get_subcommands().for_each(check);
        }
        Cli::command().debug_assert();
        check(&Cli::command());
    }
}

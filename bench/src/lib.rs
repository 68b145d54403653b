//! Benchmarks of Spillway. `cargo run --release -p spillway-bench -- pair` runs the pair of sidecars beside other
//! proxies at the same job, in the same run, and prints one table of ratios; other shapes of work have commands of
//! their own, and `all` runs every one. `soak` lets everything around a sidecar fail and judges what became of every
//! request.
//!
//! Here: the command line. `shape` says what is compared, `compare` who takes part; a `stage` is what runs for it, and
//! `measure` takes it through its rounds; `peers` says how each proxy is set up; `load` asks, `backend` answers, `plain`
//! is the engine without TLS, `floor` the copier below all, `proc` and `calls` read what it cost; `table`, `targets` and `record` say it. `idle` counts
//! memory. [`soak`] stands by itself.
//! Micro-benchmarks are in `benches/`. Kept out: anything that a mesh needs to run.

mod backend;
mod calls;
mod compare;
mod error;
mod floor;
mod group;
mod idle;
mod load;
mod measure;
mod peers;
mod plain;
mod proc;
mod record;
mod shape;
pub mod soak;
mod stage;
mod table;
mod targets;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use spillway_core::duration;

pub use crate::error::BenchError;
use crate::load::{How, Load, Target, builtin};
use crate::peers::Protocol;
use crate::shape::Shape;

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
    /// Run the pair of sidecars beside other proxies at the same job, and compare what requests cost
    ///
    /// The job: plaintext HTTP/1.1 -> client sidecar -> mTLS (TLS 1.3, P-256, verified both ways) -> server sidecar ->
    /// plaintext backend; 1 KiB answers, connections kept, four prefix rules, a 90/10 split, two workers a side, no
    /// access log. nginx and HAProxy do the same when they are on PATH. Ratios are to the first of them, each within
    /// one round, medians over rounds; take at least five rounds for a claim.
    #[command(
        after_help = "Example:\n  cargo run --release -p spillway-bench -- pair --connections 64 --rounds 3 --seconds 2"
    )]
    Pair {
        /// What the service speaks: it decides what runs between the sidecars
        #[arg(long, value_name = "PROTOCOL", default_value = "http")]
        hop: Protocol,
        #[command(flatten)]
        args: compare::Args,
    },
    /// One plaintext hop, and Spillway's engine at it without TLS
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- hop")]
    Hop(compare::Args),
    /// A new mTLS connection for each GET, full and resumed
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- handshake --connections 8")]
    Handshake(compare::Args),
    /// 64 MiB bodies through the pair
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- bulk")]
    Bulk(compare::Args),
    /// gRPC through the pair, HTTP/2 all the way
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- h2 --connections 64")]
    H2(compare::Args),
    /// TLS that a gateway passes on by its server name: connections, and 64 MiB bodies
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- sni")]
    Sni(compare::Args),
    /// The last of 10, 1,000 and 10,000 prefix rules, in one plaintext hop
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- routes")]
    Routes(compare::Args),
    /// Memory of an idle proxy, and of each idle mTLS connection to its server side
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- idle --idle 10000")]
    Idle {
        /// How many connections idle
        #[arg(long, value_name = "N", default_value_t = targets::IDLE)]
        idle: usize,
        #[command(flatten)]
        args: compare::Args,
    },
    /// Every shape, and what came of each target: must, goal, measured, reached
    #[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- all --save")]
    All(compare::Args),
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
    Backend(BackendArgs),
    /// Serve a configuration directory's upstream `backend` without TLS
    #[command(hide = true, after_help = "Example:\n  spillway-bench plain --listen 127.0.0.1:8080 mesh")]
    Plain {
        /// Where to listen
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
        /// The configuration directory
        dir: PathBuf,
    },
    /// Copy bytes between who connects and another address
    #[command(
        hide = true,
        after_help = "Example:\n  spillway-bench floor --listen 127.0.0.1:8080 --to 127.0.0.1:80"
    )]
    Floor {
        /// Where to listen
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
        /// Where the bytes go
        #[arg(long, value_name = "ADDR")]
        to: SocketAddr,
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

/// Answer every request with the same body
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spillway-bench backend --listen 127.0.0.1:8080")]
struct BackendArgs {
    /// Where to listen; port 0 takes a free one, and says which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The body's bytes
    #[arg(long, value_name = "BYTES", default_value_t = backend::BODY)]
    size: usize,
    /// Where to listen with mTLS as well
    #[arg(long, value_name = "ADDR", requires_all = ["certificate", "key", "root"])]
    tls_listen: Option<SocketAddr>,
    /// The certificate for that
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The root that callers' certificates end at
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), BenchError> {
    match command {
        Command::Pair { hop, args } => compare::run(args, Shape::Pair(hop)),
        Command::Hop(args) => compare::run(args, Shape::Hop),
        Command::Handshake(args) => compare::run(args, Shape::Handshake),
        Command::Bulk(args) => compare::run(args, Shape::Bulk),
        Command::H2(args) => compare::run(args, Shape::H2),
        Command::Sni(args) => compare::run(args, Shape::Sni),
        Command::Routes(args) => compare::run(args, Shape::Routes),
        Command::Idle { idle, args } => compare::with(args, async |comparison| {
            let held = idle::held(&comparison.contenders, idle).await?;
            comparison.publish("idle", &idle::report(comparison, &held))
        }),
        Command::All(args) => compare::with(args, targets::run),
        Command::Soak(args) => soak::command(&args),
        Command::Load { url, connections, duration } => {
            let load = Load { target: url, how: How::Plain, connections: connections.get(), duration };
            builtin::run(&load)
                .map(|answered| println!("{answered}"))
                .map_err(|source| BenchError::io(format!("ask {}", load.target), source))
        }
        Command::Backend(args) => args.run(),
        Command::Plain { listen, dir } => plain::run(listen, dir),
        Command::Floor { listen, to } => {
            floor::run(listen, to).map_err(|source| BenchError::io(format!("copy to {to}"), source))
        }
        Command::Exec { parent, command } => group::become_program(parent, &command),
    }
}

impl BackendArgs {
    fn run(self) -> Result<(), BenchError> {
        let Self { listen, size, tls_listen, certificate, key, root } = self;
        let tls = match (tls_listen, certificate, key, root) {
            (Some(listen), Some(certificate), Some(key), Some(root)) => {
                let acceptor = load::tls::acceptor(&certificate, &key, &root)?;
                Some(backend::Tls { listen, acceptor })
            }
            _ => None,
        };
        backend::run(listen, size, tls).map_err(|source| BenchError::io(format!("serve on {listen}"), source))
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

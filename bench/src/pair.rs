//! `pair`: the pair of sidecars beside other proxies at the same job.
//!
//! All pairs and one backend run for the whole time; [`crate::measure`] takes them through their rounds. Here: the
//! flags, who takes part, what is started and in which order it ends, and what stands over the table.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fmt};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::backend::LISTENING;
use crate::error::BenchError;
use crate::group::Group;
use crate::load::Tool;
use crate::measure::{self, Run};
use crate::peers::{Peer, Site};
use crate::table::render;
use crate::{backend, record};

/// Run the pair of sidecars beside other proxies at the same job, and compare what requests cost
///
/// The job: plaintext HTTP/1.1 -> client sidecar -> mTLS (TLS 1.3, P-256, verified both ways) -> server sidecar ->
/// plaintext backend; 1 KiB answers, connections kept, four prefix rules, a 90/10 split, two workers a side, no
/// access log. nginx and HAProxy do the same when they are on PATH. Ratios are to the first of them, each within one
/// round, medians over rounds; take at least five rounds for a claim.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cargo run --release -p spillway-bench -- pair --connections 64 --rounds 3 --seconds 2"
)]
pub(crate) struct Args {
    /// How many connections ask at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,64,512")]
    connections: Vec<NonZeroUsize>,
    /// How often each proxy is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroUsize,
    /// For how long each time, a second of settling apart
    #[arg(long, value_name = "SECONDS", default_value = "3")]
    seconds: NonZeroU64,
    /// Who asks [default: wrk or oha when on PATH, else our own]
    #[arg(long)]
    load: Option<Tool>,
    /// Who else does the job, where on PATH; ratios are to the first
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy")]
    peers: Vec<Peer>,
    /// Keep the table under bench/results
    #[arg(long)]
    save: bool,
    /// The binary to measure [default: the one beside this program, built when it is missing]
    #[arg(long, value_name = "FILE")]
    spillway: Option<PathBuf>,
}

/// How long the backend may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it all, until it is done or interrupted; nothing is left behind either way.
pub(crate) fn run(args: Args) -> Result<(), BenchError> {
    let contenders = contenders(&args)?;
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::io("start", source))?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = compare(&args, &contenders) => done,
            interrupted = interruption() => interrupted,
        }
    });
    // A load generator of our own may not have heard of an interruption.
    runtime.shutdown_background();
    done
}

/// Lets every process of the run hold as many connections as the system allows: 512 on either side are more than the
/// 1,024 files that a shell usually starts with.
pub(crate) fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, a run with few connections still goes well, and any other says what failed.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Ends with Ctrl-C or SIGTERM.
async fn interruption() -> Result<(), BenchError> {
    let watch = |kind| signal(kind).map_err(|source| BenchError::io("watch for signals", source));
    let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Err(BenchError::Interrupted)
}

/// Who takes part, with their programs: we, and those that are there.
fn contenders(args: &Args) -> Result<Vec<(Peer, PathBuf)>, BenchError> {
    let mut found = vec![(Peer::Spillway, own_binary(args.spillway.as_deref())?)];
    for peer in &args.peers {
        match peer.find() {
            Some(_) if found.iter().any(|(there, _)| there == peer) => {}
            Some(program) => found.push((*peer, program)),
            None => eprintln!("{peer} is not on PATH: left out"),
        }
    }
    Ok(found)
}

/// The binary to measure: the one beside this program, built by Cargo when there is none.
pub(crate) fn own_binary(named: Option<&Path>) -> Result<PathBuf, BenchError> {
    let own = env::current_exe().map_err(|source| BenchError::io("find this program's own file", source))?;
    let binary = named.map_or_else(|| own.with_file_name("spillway"), Path::to_owned);
    if cfg!(debug_assertions) && named.is_none() {
        eprintln!("this is no release build: its figures say nothing");
    }
    if !binary.is_file() && named.is_none() {
        eprintln!("building {} with cargo, as it is not there", binary.display());
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let built = Command::new(cargo).args(["build", "--profile", profile, "-p", "spillway"]).status();
        built.map_err(|source| BenchError::io("run cargo", source))?;
    }
    if !binary.is_file() {
        return Err(BenchError::NotBuilt(binary));
    }
    if record::is_older_than_commit(&binary) {
        eprintln!("{} is older than the sources: `cargo build --release` makes it anew", binary.display());
    }
    Ok(binary)
}

async fn compare(args: &Args, contenders: &[(Peer, PathBuf)]) -> Result<(), BenchError> {
    let tool = args.load.unwrap_or_else(Tool::find);
    let most = args.connections.iter().max().map_or(1, |most| most.get());
    let dir = tempfile::Builder::new().prefix("spillway-bench-").tempdir();
    let dir = dir.map_err(|source| BenchError::io("make a directory", source))?;
    let backend = start_backend(dir.path())?;
    let address = listening(&backend).await?;
    let site = Site::prepare(dir.path(), address, most)?;
    let mut pairs = Vec::new();
    for (peer, program) in contenders {
        pairs.push(peer.start(program, &site)?);
    }
    for pair in &pairs {
        measure::ready(pair).await?;
    }
    let (rounds, time) = (args.rounds.get(), Duration::from_secs(args.seconds.get()));
    let run = Run { rounds, time, tool, pairs: &pairs, backend: &backend, address, dir: dir.path() };
    let mut rows = Vec::new();
    for connections in &args.connections {
        rows.extend(run.rows(connections.get()).await?);
    }
    let base = contenders.get(1).map_or(Peer::Spillway, |(peer, _)| *peer);
    let report = format!("{}\n{}", Heading { args, tool, contenders, base }, render(&rows, base));
    println!("{report}");
    if args.save {
        eprintln!("kept as {}", record::save("pair", &report)?.display());
    }
    Ok(())
}

fn start_backend(dir: &Path) -> Result<Group, BenchError> {
    let own = env::current_exe().map_err(|source| BenchError::io("find this program's own file", source))?;
    Group::start("backend", own, &["backend".into(), "--listen".into(), "127.0.0.1:0".into()], dir)
}

/// Where the backend says that it listens.
async fn listening(backend: &Group) -> Result<SocketAddr, BenchError> {
    let begin = Instant::now();
    loop {
        let said = backend.said();
        let line = said.lines().find_map(|line| line.strip_prefix(LISTENING));
        if let Some(address) = line.and_then(|it| it.parse().ok()) {
            return Ok(address);
        }
        backend.check_runs()?;
        if begin.elapsed() > PATIENCE {
            return Err(BenchError::NotReady { name: "the backend".to_owned(), found: said });
        }
        sleep(LOOK).await;
    }
}

/// What stands over a table, for it to mean something later.
struct Heading<'a> {
    args: &'a Args,
    tool: Tool,
    contenders: &'a [(Peer, PathBuf)],
    base: Peer,
}

impl fmt::Display for Heading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, tool, contenders, base } = self;
        writeln!(f, "# The pair: plaintext HTTP/1.1 -> client side -> mTLS -> server side -> backend\n")?;
        writeln!(f, "- machine: {}", record::machine())?;
        writeln!(f, "- commit: {}", record::commit().unwrap_or_else(|| "unknown".to_owned()))?;
        for (peer, program) in *contenders {
            let old = *peer == Peer::Spillway && record::is_older_than_commit(program);
            let remark = if old { ", built before that commit" } else { "" };
            writeln!(f, "- {peer}: {}{remark}", record::version(*peer, program))?;
        }
        writeln!(
            f,
            "- rounds: {} of {} s, taking turns, load by {}; medians; ratios to {base} in the same round; RSS summed over \
             a side's processes",
            args.rounds,
            args.seconds,
            tool.name()
        )?;
        writeln!(
            f,
            "- TLS 1.3, P-256, verified both ways; kept connections, {} byte answers, four prefix rules, 90/10 split, \
             two workers a side, access log off; Spillway's metrics, request ids, XFCC, timeouts and health on",
            backend::BODY
        )
    }
}

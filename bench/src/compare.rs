//! A comparison: every proxy that is there at the cases of a shape, in the same run.
//!
//! Cases of one job share a stage; [`crate::measure`] takes each through its rounds. Here: the flags, who takes part,
//! and what stands over the table.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fmt};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::error::BenchError;
use crate::load::Tool;
use crate::measure::{Rounds, Run};
use crate::peers::Peer;
use crate::record;
use crate::shape::{Case, Shape};
use crate::stage::Stage;
use crate::table::{Row, render};

/// How every comparison can be told to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many connections ask at once [default: what suits the shape]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    connections: Vec<NonZeroUsize>,
    /// How often each proxy is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroUsize,
    /// For how long each time, a second of settling apart
    #[arg(long, value_name = "SECONDS", default_value = "3")]
    seconds: NonZeroU64,
    /// Who asks for HTTP/1.1 without TLS [default: wrk or oha when on PATH, else our own, which asks for all else]
    #[arg(long)]
    load: Option<Tool>,
    /// Who else does the job, where on PATH; ratios are to the first
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy,floor")]
    peers: Vec<Peer>,
    /// Keep the table under bench/results
    #[arg(long)]
    save: bool,
    /// The binary to measure [default: the one beside this program, built when it is missing]
    #[arg(long, value_name = "FILE")]
    spillway: Option<PathBuf>,
}

/// A comparison that is under way.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) args: Args,
    pub(crate) contenders: Vec<(Peer, PathBuf)>,
}

/// Compares at one shape, and prints the table.
pub(crate) fn run(args: Args, shape: Shape) -> Result<(), BenchError> {
    with(args, async |comparison| {
        let rows = comparison.rows(shape).await?;
        let report = comparison.report(shape, &rows);
        comparison.publish(shape.name(), &report)
    })
}

/// Runs a comparison until it is done or interrupted; nothing is left behind either way.
pub(crate) fn with(
    args: Args,
    compare: impl AsyncFnOnce(&Comparison) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    let contenders = contenders(&args)?;
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::io("start", source))?;
    let comparison = Comparison { args, contenders };
    let done = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            done = compare(&comparison) => done,
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

impl Comparison {
    /// Every contender at every case of a shape.
    pub(crate) async fn rows(&self, shape: Shape) -> Result<Vec<Row>, BenchError> {
        let connections: Vec<usize> = self.args.connections.iter().map(|it| it.get()).collect();
        let cases = shape.cases(&connections);
        let mut rows = Vec::new();
        for cases in cases.chunk_by(|one, other| (one.job, one.body) == (other.job, other.body)) {
            let Case { job, body, .. } = cases[0];
            let most = cases.iter().map(|case| case.connections).max().unwrap_or(1);
            let stage = Stage::start(job, body, &self.contenders, most).await?;
            for case in cases {
                rows.extend(Run::new(&stage, case, self.rounds())?.rows().await?);
            }
        }
        Ok(rows)
    }

    fn rounds(&self) -> Rounds {
        let Args { rounds, seconds, load, .. } = &self.args;
        let (time, tool) = (Duration::from_secs(seconds.get()), load.unwrap_or_else(Tool::find));
        Rounds { rounds: rounds.get(), time, tool }
    }

    /// Whom ratios are to.
    pub(crate) fn base(&self) -> Peer {
        self.contenders.get(1).map_or(Peer::Spillway, |(peer, _)| *peer)
    }

    /// A shape's table, and what it has to say about itself.
    pub(crate) fn report(&self, shape: Shape, rows: &[Row]) -> String {
        let base = self.base();
        let Rounds { rounds, time, tool } = self.rounds();
        let case = &shape.cases(&[])[0];
        let unit = case.unit;
        let table = render(rows, base);
        format!(
            "# {shape}\n\n{self}- rounds: {rounds} of {time:?}, taking turns, load by {tool}; medians; ratios to {base} in the \
             same round; costs are of a {unit}; of a pair, client side / server side\n- {conditions}\n\n{table}",
            tool = tool.name(),
            conditions = CONDITIONS,
        )
    }

    /// Prints a report, and keeps it when that is wanted.
    pub(crate) fn publish(&self, name: &str, report: &str) -> Result<(), BenchError> {
        println!("{report}");
        if self.args.save {
            eprintln!("kept as {}", record::save(name, report)?.display());
        }
        Ok(())
    }
}

/// What is the same for all.
const CONDITIONS: &str = "TLS 1.3, P-256, verified both ways; kept connections, 1 KiB answers, four prefix rules, 90/10 split, two \
                          workers a side, access log off, unless the shape is another; Spillway's metrics, request ids, \
                          XFCC, timeouts and health on";

/// Machine, commit and programs.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- machine: {}", record::machine())?;
        writeln!(f, "- commit: {}", record::commit().unwrap_or_else(|| "unknown".to_owned()))?;
        for (peer, program) in &self.contenders {
            let old = *peer == Peer::Spillway && record::is_older_than_commit(program);
            let remark = if old { ", built before that commit" } else { "" };
            writeln!(f, "- {peer}: {}{remark}", record::version(*peer, program))?;
        }
        Ok(())
    }
}

//! `soak`: random kills, resets, refusals and stalls under traffic, and what became of every request.
//!
//! One client sidecar, several server sidecars behind links that fail (`link`), applications that write down what they
//! execute (`app`), callers that write down what they were told (`caller`). `chaos` says who fails when, `weather` who
//! fails now; `ledger` judges. Here: the command, what runs on which thread, and the report.

mod app;
mod caller;
mod chaos;
mod ledger;
mod link;
mod mesh;
mod weather;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::sleep;

use self::app::Application;
use self::caller::Task;
use self::chaos::{Event, Fault};
pub use self::ledger::Judgement;
use self::ledger::Ledger;
use self::link::Relay;
use self::mesh::Mesh;
use self::weather::Weather;
use crate::error::BenchError;
use crate::{compare, record};

/// Let everything around a sidecar fail at random, and judge what became of every request
///
/// A client sidecar calls a service of several instances. All but one are killed (sidecar or application), reset,
/// refuse connections, stall or misbehave as the seed says; now and then all refuse at once. In the end no POST was
/// executed twice, every one that was answered was executed once, none that was told "not sent" was executed, no
/// request failed unsent while an instance could serve it, GETs were repeated at most as their route allows, and every
/// answer is an application's to that very request, or one of the contract's. Status 1 when anything is not so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cargo run --release -p spillway-bench -- soak --requests 1000000 --save")]
pub struct Args {
    /// How many requests are sent, half of them POSTs
    #[arg(long, value_name = "N", default_value = "100000")]
    requests: NonZeroU32,
    /// How many connections ask at once
    #[arg(long, value_name = "N", default_value = "32")]
    connections: NonZeroUsize,
    /// How many instances the service has; the first fails only with all others
    #[arg(long, value_name = "N", default_value = "4")]
    instances: NonZeroUsize,
    /// Who fails when
    #[arg(long, value_name = "SEED", default_value = "1")]
    seed: u64,
    /// Leave configuration and logs behind
    #[arg(long)]
    keep: bool,
    /// Keep the report under bench/results
    #[arg(long)]
    save: bool,
    /// The binary to run [default: the one beside this program, built when it is missing]
    #[arg(long, value_name = "FILE")]
    spillway: Option<PathBuf>,
}

/// A soak as it is to be.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How many requests are sent.
    pub requests: u32,
    /// How many connections ask at once.
    pub connections: usize,
    /// How many instances the service has, at least one.
    pub instances: usize,
    /// Who fails when.
    pub seed: u64,
    /// The binary.
    pub spillway: PathBuf,
    /// Whether configuration and logs are left behind.
    pub keep: bool,
}

/// How long the mesh may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);

/// After so long without a request, applications have nothing left in their sockets.
const QUIET: Duration = Duration::from_millis(500);

/// How often something is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) fn command(args: &Args) -> Result<(), BenchError> {
    let soak = Soak {
        requests: args.requests.get(),
        connections: args.connections.get(),
        instances: args.instances.get(),
        seed: args.seed,
        spillway: compare::own_binary(args.spillway.as_deref())?,
        keep: args.keep,
    };
    compare::allow_open_files();
    let begin = Instant::now();
    let judgement = soak.run()?;
    let report = Report { soak: &soak, judgement: &judgement, elapsed: begin.elapsed() }.to_string();
    println!("{report}");
    if args.save {
        eprintln!("kept as {}", record::save("soak", &report)?.display());
    }
    match judgement.violations {
        0 => Ok(()),
        violations => Err(BenchError::Violations(violations)),
    }
}

impl Soak {
    /// Runs it all; nothing is left behind. To be called from a thread that lives as long as the run: with it the
    /// sidecars end.
    ///
    /// # Errors
    /// When the mesh does not come to serve, or the system refuses something.
    pub fn run(&self) -> Result<Judgement, BenchError> {
        let dir = tempfile::Builder::new().prefix("spillway-soak-").tempdir();
        let dir = dir.map_err(|source| BenchError::io("make a directory", source))?;
        let kept;
        let dir = if self.keep {
            kept = dir.keep();
            eprintln!("configuration and logs are in {}", kept.display());
            kept.as_path()
        } else {
            dir.path()
        };
        let mut mesh = Mesh::start(dir, &self.spillway, self.instances)?;
        let task = Task {
            entry: mesh.entry,
            requests: self.requests,
            next: Arc::default(),
            ledger: Arc::new(Ledger::new(self.requests)),
            weather: Arc::new(Weather::new(self.instances)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| BenchError::io("start", source))?;
        LocalSet::new().block_on(&runtime, self.under_traffic(&mut mesh, &task))?;
        mesh.faults().into_iter().for_each(|fault| task.ledger.wrong(fault));
        Ok(task.ledger.judge())
    }

    async fn under_traffic(&self, mesh: &mut Mesh, task: &Task) -> Result<(), BenchError> {
        let failed = |source| BenchError::io("keep the soak going", source);
        self.serve(mesh, task);
        listening(mesh).await?;
        let callers = {
            let (task, connections) = (task.clone(), self.connections);
            tokio::task::spawn_blocking(move || caller::run(&task, connections))
        };
        let begun = || task.next.load(Ordering::Relaxed).min(self.requests);
        let plan = chaos::plan(self.seed, self.requests, self.instances);
        chaos::play(&plan, self.requests, begun, &task.weather, mesh).await.map_err(failed)?;
        callers.await.map_err(io::Error::other).flatten().map_err(failed)?;
        // What was held up on the way may still be executed.
        sleep(QUIET).await;
        Ok(())
    }

    /// Starts every link and application.
    fn serve(&self, mesh: &Mesh, task: &Task) {
        for (instance, place) in mesh.places.iter().enumerate() {
            let relay = Relay { instance, listen: place.link, to: place.public };
            let (ledger, listen) = (Arc::clone(&task.ledger), place.app);
            let app = Application { instance, listen, ledger: Arc::clone(&ledger), seed: self.seed };
            let (sky, own_sky) = (task.weather.watch(), task.weather.watch());
            tokio::task::spawn_local(async move {
                let ended = tokio::try_join!(relay.run(sky), app.run(own_sky));
                if let Err(error) = ended {
                    ledger.wrong(format!("instance {instance} of the soak itself ended: {error}"));
                }
            });
        }
    }
}

/// Waits until every sidecar listens.
async fn listening(mesh: &Mesh) -> Result<(), BenchError> {
    let begin = Instant::now();
    let addresses = mesh.places.iter().map(|place| place.public).chain([mesh.entry]);
    for (at, address) in addresses.enumerate() {
        while let Err(error) = TcpStream::connect(address).await {
            if begin.elapsed() > PATIENCE {
                let found = format!("{error}\n{}", mesh.log_of(at));
                return Err(BenchError::NotReady { name: "the mesh".to_owned(), found });
            }
            sleep(LOOK).await;
        }
    }
    Ok(())
}

/// What is printed and kept.
struct Report<'a> {
    soak: &'a Soak,
    judgement: &'a Judgement,
    elapsed: Duration,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { soak: Soak { requests, connections, instances, seed, .. }, judgement, elapsed } = self;
        writeln!(f, "# Soak: random kills and resets of endpoints under traffic\n")?;
        writeln!(f, "- machine: {}", record::machine())?;
        writeln!(f, "- commit: {}", record::commit().unwrap_or_else(|| "unknown".to_owned()))?;
        writeln!(
            f,
            "- {requests} requests on {connections} connections to {instances} instances in {:.0} s, seed {seed}",
            elapsed.as_secs_f64()
        )?;
        let served = judgement.served() as f64 / f64::from(*requests) * 100.0;
        writeln!(f, "- {served:.3} % served")?;
        let mut faults: BTreeMap<Fault, u32> = BTreeMap::new();
        let plan = chaos::plan(*seed, *requests, *instances);
        plan.iter().for_each(|Event { fault, .. }| *faults.entry(*fault).or_default() += 1);
        writeln!(f, "\n| fault | times |\n|---|--:|")?;
        faults.iter().try_for_each(|(fault, times)| writeln!(f, "| {} | {times} |", fault.name()))?;
        write!(f, "\n{judgement}")
    }
}

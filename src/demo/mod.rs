//! `spillway demo`: two peered clusters on loopback addresses, under traffic, and a story told with them.
//!
//! Every application, sidecar and gateway is a process of its own, set up with this program's own commands, so
//! the demo shows what an operator would see and knows nothing of the libraries behind it. Kept out: any wait
//! without a deadline. One thread runs all: the processes die with it (see [`crate::lifeline`]).

pub(crate) mod app;

mod admin;
mod fleet;
mod mesh;
mod plain;
mod record;
mod setup;
mod stage;
mod story;
mod traffic;
mod view;

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Instant;

pub(crate) use mesh::{Format, GatewayMode};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use self::fleet::{Fleet, Loss};
use self::mesh::{Mesh, Port, WEB};
use self::record::Record;
use self::stage::{Stage, Telling};
use self::traffic::Traffic;

/// What the demo is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The syntax of its configuration.
    pub(crate) format: Format,
    /// How clusters reach each other.
    pub(crate) mode: GatewayMode,
    /// Play the story once and end.
    pub(crate) script: bool,
    /// Leave its files behind.
    pub(crate) keep: bool,
}

/// Why the demo did not go as told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
    /// A command of the set-up failed.
    #[error("spillway {command} failed ({status}): {said}")]
    Command { command: String, status: ExitStatus, said: String },
    /// Processes ended that should not have.
    #[error("{}", .0.iter().map(Loss::to_string).collect::<Vec<_>>().join("; "))]
    Lost(Vec<Loss>),
    /// Something did not come about in time.
    #[error("waited too long for {what}")]
    Late { what: String },
    /// A call of the story had no answer.
    #[error(transparent)]
    Call(#[from] crate::call::CallError),
    /// A request went elsewhere.
    #[error("GET {request} was answered by {found}, not by {expected}")]
    Misrouted { request: String, found: String, expected: &'static str },
    /// A cluster had too many or too few of the requests.
    #[error("{of} served {found:.1} % of the requests, not {expected:.1} %")]
    Share { of: &'static str, found: f64, expected: f64 },
    /// Requests failed.
    #[error("{count} requests failed, the first with: {first}")]
    Failed { count: u64, first: String },
    /// The story was cut short by a signal.
    #[error("interrupted")]
    Interrupted,
}

/// Runs the demo to its end and leaves nothing behind.
pub(crate) async fn run(options: Options) -> Result<(), DemoError> {
    let mut directory = tempfile::Builder::new()
        .prefix("spillway-demo-")
        .tempdir()
        .map_err(|source| DemoError::Io { what: "make a temporary directory".into(), source })?;
    directory.disable_cleanup(options.keep);
    let mesh = Mesh::lay_out(directory.path(), options.format, options.mode)?;
    let stage = Stage {
        mesh,
        fleet: RefCell::new(Fleet::new(directory.path().join("logs"))?),
        record: Rc::new(RefCell::new(Record::new(Instant::now()))),
        telling: RefCell::new(Telling::default()),
        endpoints: RefCell::default(),
    };
    if options.keep {
        stage.say(format!("Files: {}", directory.path().display()));
    }
    let mut ended =
        signals().map_err(|source| DemoError::Io { what: "listen for signals".into(), source })?;
    let performance = async {
        tokio::select! {
            outcome = perform(&stage, options.script) => outcome,
            // A performance without an end can only be ended so.
            () = ended.next() => if options.script { Err(DemoError::Interrupted) } else { Ok(()) },
        }
    };
    let outcome = LocalSet::new().run_until(performance).await;
    stage.fleet.into_inner().stop().await;
    outcome
}

async fn perform(stage: &Stage, script: bool) -> Result<(), DemoError> {
    setup::set_up(stage).await?;
    *stage.record.borrow_mut() = Record::new(Instant::now());
    let _traffic = Traffic::start(stage.mesh.address(&WEB, Port::Upstream), &stage.record);
    if script {
        story::play(stage).await
    } else if io::stdout().is_terminal() && io::stdin().is_terminal() {
        view::show(stage).await
    } else {
        plain::show(stage).await
    }
}

/// What there is to try, once the story is told.
fn suggestions(stage: &Stage) -> Vec<String> {
    let web = stage.mesh.address(&WEB, Port::Upstream);
    let admin = stage.mesh.address(&WEB, Port::Admin);
    let directory = stage.mesh.config_dir(mesh::Cluster::One);
    let directory = directory.display();
    let commands = [
        (format!("curl http://{web}/"), "half from each cluster"),
        (format!("curl http://{web}/admin"), "by path, from admin"),
        (format!("curl -H 'x-cluster: cluster-02' http://{web}/"), "by header, from the peer"),
        (format!("curl http://{admin}/clusters"), "what web's sidecar sees"),
    ];
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let mut lines: Vec<_> =
        commands.iter().map(|(command, what)| format!("{command:width$}  # {what}")).collect();
    lines.push(format!("spillway chain frontend --config-dir {directory}"));
    lines.push(format!("edit {directory}/*frontend* and watch it take effect"));
    lines
}

/// The signals that end a process: Ctrl-C, a polite kill, a terminal that is gone.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Listens for [`Signals`].
fn signals() -> io::Result<Signals> {
    Ok(Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hang_up: signal(SignalKind::hangup())?,
    })
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

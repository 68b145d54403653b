//! A sidecar or gateway: the real process, on a thread that stands for it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use spillway_certs::IdentitySource;
use spillway_core::breaker::Load;
use spillway_core::endpoint::{Address, Endpoint};
use spillway_core::entry::CaConfig;
use spillway_core::name::Locus;
use spillway_gateway::Gateway;
use spillway_proxy::admin;
use spillway_proxy::http1::Reason;
use spillway_proxy::listener::Bound;
use spillway_proxy::process::{Plane, Process, ProcessOptions};
use spillway_proxy::refusal::Refusal;
use spillway_proxy::sidecar::Sidecar;
use spillway_proxy::stats::{Counter, Reloads, ServiceCounters};
use spillway_proxy::worker::Shared;
use tokio::sync::oneshot;

use crate::config::ConfigDir;
use crate::wait::eventually;

/// Sockets that stand ready to be listened on, by address.
pub(crate) type Sockets = Vec<(SocketAddr, Bound)>;

/// Whose proxy a process is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// That of the instance with this id.
    Sidecar(String),
    /// The cluster's.
    Gateway,
}

/// A sidecar or gateway: it runs, or it is dead and can be started again.
pub struct Proxy {
    name: String,
    dir: ConfigDir,
    kind: Kind,
    drain_time: Duration,
    workers: usize,
    node: Mutex<Option<Node>>,
}

impl Proxy {
    /// One that does not run yet.
    pub(crate) fn new(name: &str, dir: &ConfigDir, kind: Kind, drain_time: Duration) -> Self {
        Self { name: name.to_owned(), dir: dir.clone(), kind, drain_time, workers: 1, node: Mutex::default() }
    }

    /// The same with so many workers.
    pub(crate) fn with_workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    fn node(&self) -> MutexGuard<'_, Option<Node>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) {
        self.start_with(Sockets::new()).await;
    }

    /// Starts it on sockets that are bound already.
    pub(crate) async fn start_with(&self, sockets: Sockets) {
        let dir = self.dir.path.clone();
        let options = ProcessOptions {
            config_dirs: vec![dir.clone()],
            load: Default::default(),
            admin_bind: None,
            workers: self.workers,
            drain_time: self.drain_time,
            identity: IdentitySource::Ca { config_dir: dir.clone(), config: CaConfig::default() },
            inherited: sockets.into_iter().map(|(addr, bound)| (Address::Ip(addr), bound)).collect(),
        };
        let plane: Box<dyn Plane> = match &self.kind {
            Kind::Sidecar(id) => Box::new(Sidecar::new(id.clone(), dir)),
            Kind::Gateway => Box::new(Gateway::new(None, dir)),
        };
        let node = Node::start(&self.name, options, plane).await;
        *self.node() = Some(node.unwrap_or_else(|error| panic!("{}: {error}", self.name)));
    }

    /// Ends it as SIGKILL would: its connections end, new ones are refused.
    pub fn kill(&self) {
        let node = self.node().take();
        drop(node);
    }

    /// Tells it to end, as SIGTERM does, and does not wait for it.
    pub fn stop(&self) {
        if let Some(node) = &mut *self.node() {
            drop(node.stop.take());
        }
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&self) {
        let ended = || self.node().as_ref().is_none_or(Node::is_finished);
        eventually(&format!("{} ends", self.name), ended).await;
        self.kill();
    }

    /// What can be seen of it; None while it is dead.
    pub(crate) fn running(&self) -> Option<Observed> {
        let is_gateway = self.kind == Kind::Gateway;
        self.node().as_ref().map(|node| {
            let Shown { shared, reloads } = node.shown.clone();
            Observed { shared, reloads, is_gateway }
        })
    }

    fn observed(&self) -> Observed {
        self.running().unwrap_or_else(|| panic!("{} is dead", self.name))
    }

    /// How many answers of its own it has given with this flag.
    ///
    /// # Panics
    /// When there is no such flag, or it is dead.
    pub fn refusals(&self, flag: &str) -> u64 {
        let index = Refusal::FLAG_NAMES.iter().position(|name| *name == flag);
        let index = index.unwrap_or_else(|| panic!("no flag {flag}"));
        self.sum(move |counters| &counters.refusals[index])
    }

    /// Reads what its `/stats` answers, also while it ends.
    ///
    /// # Panics
    /// When it is dead.
    pub fn stats(&self) -> impl Fn() -> String + use<> {
        let Observed { shared, reloads, .. } = self.observed();
        move || admin::stats_text(&shared, &reloads)
    }

    /// How many messages of this side, `downstream` or `upstream`, it found to break HTTP for this reason.
    ///
    /// # Panics
    /// When it is dead.
    pub fn malformed(&self, side: &str, reason: Reason) -> u64 {
        let observed = self.observed();
        let counts = observed.shared.stats.malformed.counts();
        counts.filter(|(at, it, _)| *at == side && *it == reason).map(|(_, _, count)| count).sum()
    }

    /// The sum of a counter over all its services, upstreams and public listener alike.
    ///
    /// # Panics
    /// When it is dead.
    pub fn sum(&self, counter: impl Fn(&ServiceCounters) -> &Counter) -> u64 {
        let snapshot = self.observed().shared.published.load();
        snapshot.services().map(|service| service.stats.sum(&counter)).sum()
    }

    /// How many requests found a splitter's leg to this target without an endpoint.
    ///
    /// # Panics
    /// When it is dead.
    pub fn empty_legs(&self, target: &str) -> u64 {
        let snapshot = self.observed().shared.published.load();
        snapshot.services().map(|service| service.stats.empty_legs(target)).sum()
    }

    /// The endpoint that it dials at `address`.
    ///
    /// # Panics
    /// When it dials nobody there, or is dead.
    pub fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        let snapshot = self.observed().shared.published.load();
        let resolvers = snapshot.services().flat_map(|service| &service.table.resolvers);
        let mut endpoints = resolvers.flat_map(|it| &it.targets).flat_map(|target| &target.endpoints);
        let found = endpoints.find(|endpoint| endpoint.address == Address::Ip(address));
        Arc::clone(found.unwrap_or_else(|| panic!("{} has no endpoint {address}", self.name)))
    }

    /// What it has in flight to a service.
    ///
    /// # Panics
    /// When it does not call that service, or is dead.
    pub fn load(&self, service: &str) -> Arc<Load> {
        let snapshot = self.observed().shared.published.load();
        let resolvers = snapshot.services().flat_map(|service| &service.table.resolvers);
        let mut targets = resolvers.flat_map(|it| &it.targets);
        let found = targets.find(|target| target.id.service.as_str() == service);
        Arc::clone(&found.unwrap_or_else(|| panic!("{} does not call {service}", self.name)).breaker.load)
    }

    /// How many connections its public listener has refused because there were as many as may be.
    ///
    /// # Panics
    /// When it is dead.
    pub fn refused_connections(&self) -> u64 {
        let snapshot = self.observed().shared.published.load();
        let limits = snapshot.services().filter_map(|service| service.intake.connections.as_ref());
        limits.map(|it| it.load.connection_overflows()).sum()
    }

    /// Something that lives for as long as its threads do.
    ///
    /// # Panics
    /// When it is dead.
    pub fn life(&self) -> Weak<impl Sized + use<>> {
        Arc::downgrade(&self.observed().shared)
    }
}

/// A process that runs. Dropping it is SIGKILL.
struct Node {
    shown: Shown,
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Node {
    /// Starts a process; returns when it serves, or what is wrong with its configuration.
    async fn start(name: &str, options: ProcessOptions, plane: Box<dyn Plane>) -> Result<Self, String> {
        let (started, starting) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        let control = thread::Builder::new().name(name.to_owned());
        let thread = control.spawn(move || run(options, plane, started, stopped, killed));
        let thread = thread.unwrap_or_else(|error| panic!("{error}"));
        let shown = starting.await.unwrap_or_else(|_| Err("its thread panicked".to_owned()))?;
        Ok(Self { shown, stop: Some(stop), kill: Some(kill), thread: Some(thread) })
    }

    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.kill.take());
        if let Some(thread) = self.thread.take() {
            // A process that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

/// What a process lets its test look at.
#[derive(Clone)]
struct Shown {
    shared: Arc<Shared>,
    reloads: Arc<Reloads>,
}

fn run(
    options: ProcessOptions,
    plane: Box<dyn Plane>,
    started: oneshot::Sender<Result<Shown, String>>,
    stopped: oneshot::Receiver<()>,
    killed: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let process = match Process::start(options, plane) {
            Ok(process) => process,
            // Whoever started it may have given up waiting.
            Err(error) => return drop(started.send(Err(error.to_string()))),
        };
        let _ = started.send(Ok(Shown { shared: process.shared(), reloads: process.reloads() }));
        let stop = async {
            // Whether told or dropped: it stops.
            let _ = stopped.await;
        };
        tokio::select! {
            result = process.run(stop) => result.unwrap_or_else(|error| panic!("{error}")),
            // What is left of the process is dropped, in whatever state it is.
            _ = killed => {}
        }
    });
}

/// What can be seen of a process from inside.
#[derive(Clone)]
pub(crate) struct Observed {
    shared: Arc<Shared>,
    reloads: Arc<Reloads>,
    is_gateway: bool,
}

impl Observed {
    /// Configuration changes that it took, and those that it refused.
    pub(crate) fn reloads(&self) -> (u64, u64) {
        (self.reloads.accepted.load(Ordering::Relaxed), self.reloads.rejected.load(Ordering::Relaxed))
    }

    /// Whether it knows where to send requests for `service` of `peer`, if it has any; a gateway always may.
    pub(crate) fn reaches(&self, service: &str, peer: &str) -> bool {
        let snapshot = self.shared.published.load();
        let is_it = |locus: &Locus| matches!(locus, Locus::Peer(name) if name.as_str() == peer);
        let resolvers = snapshot.services().flat_map(|it| &it.table.resolvers);
        let targets = resolvers.flat_map(|it| &it.targets);
        let wanted = targets.filter(|it| it.id.service.as_str() == service && is_it(&it.id.locus));
        let known: Vec<bool> = wanted.map(|target| !target.endpoints.is_empty()).collect();
        known.iter().all(|known| *known) && !(self.is_gateway && known.is_empty())
    }

    /// Whether it is a gateway that lets a peer in to `service`.
    pub(crate) fn exports(&self, service: &str) -> bool {
        let name = format!("mesh_gateway_local_peered.{service}.");
        self.shared.published.load().services().any(|it| it.stats.name.starts_with(&name))
    }

    /// Whether it lets workloads of this peer's trust domain connect.
    pub(crate) fn lets_in(&self, trust_domain: &str) -> bool {
        let snapshot = self.shared.published.load();
        snapshot.services().any(|it| it.intake.peers.iter().any(|peer| peer.to_string() == trust_domain))
    }
}

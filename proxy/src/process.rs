//! A long-running process of the data plane: what sidecar and gateway have in common.
//!
//! One thread, the control thread, owns the inputs: it reads and watches the configuration, assembles generations,
//! renews certificates, binds listeners, runs checks, the admin API and the drain. Workers only ever see what it
//! publishes. A configuration is taken whole or not at all: the last good one stays.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use spillway_certs::{IdentitySource, SourceError, TlsContexts, TlsPolicy};
use spillway_core::catalog::{Catalog, PeerRecord};
use spillway_core::chain::{Chains, Conflict};
use spillway_core::endpoint::Address;
use spillway_core::lint::lint;
use spillway_core::load::{self, Config, File, check_references};
use spillway_core::name::{SpiffeId, TrustDomain};
use spillway_core::problem::{Problem, Severity};
use tokio::signal::unix::{SignalKind, signal};

use crate::access_log::Logs;
use crate::admin::{self, Admin, PlaneApi};
pub use crate::assembly::Assembly;
use crate::checks;
use crate::draw::Dice;
use crate::generation::Published;
use crate::listener::{BindError, Bound, Listener, Serve, bind};
use crate::registered;
use crate::source::files::{self, Contents, Watch};
use crate::stats::{Reloads, Stats};
use crate::worker::{Shared, Workers};

/// What every long-running command can be told.
#[derive(Debug)]
pub struct ProcessOptions {
    /// Read in this order; the first holds `ca/` and `peers/`.
    pub config_dirs: Vec<PathBuf>,
    /// How they are read.
    pub load: load::Options,
    /// Where the admin API listens; None for none.
    pub admin_bind: Option<SocketAddr>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// How long requests in flight may take to finish after SIGTERM.
    pub drain_time: Duration,
    /// Where the certificate comes from.
    pub identity: IdentitySource,
    /// Sockets that are bound already, by the address that they stand for.
    pub inherited: HashMap<Address, Bound>,
}

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong: every problem.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] SourceError),
    /// The certificate and bundles make no TLS.
    #[error(transparent)]
    Tls(#[from] spillway_certs::TlsError),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A thread, runtime or signal handler cannot be made.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// Everything that a plane assembles from.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Entries, registrations and settings.
    pub config: Config,
    /// Instances, gateways and peers.
    pub catalog: Catalog,
    /// Peerings as their files say.
    pub peers: Vec<PeerRecord>,
    /// Our own.
    pub trust_domain: TrustDomain,
    /// What is not wrong enough to refuse.
    pub warnings: Vec<Problem>,
    /// The files as they were read.
    pub files: Vec<File>,
}

impl Inputs {
    /// Reads the directories as a whole, with everything that Spillway knows beyond Consul.
    ///
    /// # Errors
    /// See [`Self::read_with`].
    pub fn read(dirs: &[PathBuf], trust_domain: &TrustDomain) -> Result<Self, Vec<Problem>> {
        Self::read_with(dirs, trust_domain, load::Options::default())
    }

    /// Reads the directories as a whole.
    ///
    /// # Errors
    /// Every problem at once, warnings included, when one of them is an error.
    pub fn read_with(
        dirs: &[PathBuf],
        trust_domain: &TrustDomain,
        options: load::Options,
    ) -> Result<Self, Vec<Problem>> {
        Self::from_contents(files::read(dirs)?, trust_domain, options, &mut Chains::default())
    }

    /// The same from what was read; `chains` are those compiled before.
    fn from_contents(
        contents: Contents,
        trust_domain: &TrustDomain,
        options: load::Options,
        chains: &mut Chains,
    ) -> Result<Self, Vec<Problem>> {
        let (config, mut problems) = load::load_with(&contents.files, options);
        let (catalog, more) =
            Catalog::from_registrations(&config.registrations, &config.agent, &contents.peers);
        // What one file says of another is judged only when there is no file that could not be read.
        if config.complete {
            problems.extend(more);
            problems.extend(conflicts(&config, trust_domain, chains));
            problems.extend(check_references(&config.entries));
        }
        problems.extend(unenforced(&config));
        problems.sort();
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        Ok(Self {
            config,
            catalog,
            peers: contents.peers,
            trust_domain: trust_domain.clone(),
            warnings: problems,
            files: contents.files,
        })
    }

    /// All warnings: those of reading, and what is legal but wrong. Only who asks waits for that: a process that
    /// takes a change does not.
    pub fn lint(&self) -> Vec<Problem> {
        let mut warnings = self.warnings.clone();
        warnings.extend(lint(&self.config, &self.catalog, &self.files));
        warnings.sort();
        warnings.dedup();
        warnings
    }

    /// Whether they are made of the same files.
    fn are_of(&self, contents: &Contents) -> bool {
        self.files == contents.files && self.peers == contents.peers
    }
}

/// What entries say against each other, as Consul finds on a write: refused although nobody uses it yet.
fn conflicts(config: &Config, trust_domain: &TrustDomain, chains: &mut Chains) -> Vec<Problem> {
    chains.adopt(&config.entries);
    let conflicts = chains.check_all(&config.agent.datacenter, trust_domain);
    let problem = |conflict: Conflict| {
        let place = conflict.entry.place(&config.entries).cloned().unwrap_or_default();
        Problem::error(&place, conflict.entry.to_string(), conflict.error.to_string())
    };
    conflicts.into_iter().map(problem).collect()
}

/// What an operator relies on and this version does not do: intentions are read and checked, not enforced.
fn unenforced(config: &Config) -> Vec<Problem> {
    let message = "intentions are not enforced yet: whoever the mesh vouches for may call";
    let written =
        config.entries.intentions.values().map(|it| Problem::warning(&it.place, "Sources", message));
    written.collect()
}

/// A listener that should be there.
pub struct ListenerPlan {
    /// The name in the admin API and metrics.
    pub name: String,
    /// Where.
    pub address: Address,
    /// A Unix socket's permissions.
    pub mode: Option<u32>,
    /// What serves its connections.
    pub serve: Arc<dyn Serve>,
}

/// What a sidecar or a gateway is on top of a process.
pub trait Plane: Send + 'static {
    /// Who it is.
    ///
    /// # Errors
    /// When its registration is not there.
    fn identity(&self, inputs: &Inputs) -> Result<SpiffeId, Vec<Problem>>;

    /// Builds every service into `assembly` and says which listeners should be there.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    fn assemble(
        &mut self,
        inputs: &Inputs,
        assembly: &mut Assembly,
    ) -> Result<Vec<ListenerPlan>, Vec<Problem>>;

    /// Called once, when everything is listening: the place to start tasks of its own.
    fn started(&mut self, _shared: &Arc<Shared>) {}

    /// What it adds to the admin API. Asked once, after [`Self::started`].
    fn api(&self) -> Option<Arc<dyn PlaneApi>> {
        None
    }
}

/// How long connections may take to say that they end when the drain time is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long until an address is tried again that could not be bound.
const REBIND: Duration = Duration::from_secs(1);

/// A process that has started: it serves until it is told to stop.
pub struct Process {
    options: ProcessOptions,
    plane: Box<dyn Plane>,
    assembly: Assembly,
    shared: Arc<Shared>,
    workers: Workers,
    listeners: HashMap<Address, (String, Listener)>,
    inputs: Arc<Inputs>,
    identity: SpiffeId,
    renew_at: SystemTime,
    reloads: Arc<Reloads>,
    /// What was wrong with the configuration when it was last read; empty when it was taken.
    refused: Vec<Problem>,
    /// The files that this was said of.
    refused_contents: Option<Contents>,
    /// Where it should listen and cannot.
    unbound: Vec<Address>,
    next_hint: usize,
    logs: Logs,
}

impl Process {
    /// Reads the configuration, loads the certificate, binds every listener and serves. Needs a runtime with time
    /// and I/O: the control thread's.
    ///
    /// # Errors
    /// When anything is wrong: nothing is served then.
    pub fn start(mut options: ProcessOptions, mut plane: Box<dyn Plane>) -> Result<Self, StartError> {
        let trust_domain = options.identity.trust_domain()?;
        let shared = Arc::new(Shared::new(Published::default(), Stats::default()));
        let mut assembly = Assembly::new(options.workers.max(1), Arc::clone(&shared.registered));
        let contents = files::read(&options.config_dirs).map_err(StartError::Config)?;
        let inputs = Inputs::from_contents(contents, &trust_domain, options.load, &mut assembly.chains)
            .map_err(StartError::Config)?;
        inputs.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let identity = plane.identity(&inputs).map_err(StartError::Config)?;
        let mut logs = Logs::new(options.workers.max(1), &shared.stats.access_log_dropped);
        let log = logs.open(inputs.config.entries.proxy_defaults.as_ref());
        let log = log.map_err(|problem| StartError::Config(vec![problem]))?;
        logs.adopt(log.clone());
        assembly.begin(&inputs, None, log);
        let plans = plane.assemble(&inputs, &mut assembly).map_err(StartError::Config)?;
        let renew_at = publish_identity(&options.identity, &identity, &inputs, &shared)?;
        shared.published.publish(assembly.finish());
        let mut bound = Vec::new();
        for plan in plans {
            let inherited = options.inherited.remove(&plan.address);
            let socket = inherited.map_or_else(|| bind(&plan.address, plan.mode), Ok)?;
            bound.push((plan, socket));
        }
        // A socket that nobody accepts from would keep callers waiting.
        options.inherited.clear();
        let workers = Workers::start(options.workers, &shared)?;
        let inputs = Arc::new(inputs);
        let mut process = Self {
            options,
            plane,
            assembly,
            shared,
            workers,
            listeners: HashMap::new(),
            inputs,
            identity,
            renew_at,
            reloads: Arc::default(),
            refused: Vec::new(),
            refused_contents: None,
            unbound: Vec::new(),
            next_hint: 0,
            logs,
        };
        for (plan, socket) in bound {
            process.listen(plan, socket)?;
        }
        process.shared.inputs.store(Some(Arc::clone(&process.inputs)));
        process.reloads.note(&process.assembly);
        process.plane.started(&process.shared);
        Ok(process)
    }

    fn listen(&mut self, plan: ListenerPlan, socket: Bound) -> std::io::Result<()> {
        let listener = Listener::start(socket, &self.workers, self.next_hint, plan.serve)?;
        self.next_hint += 1;
        tracing::info!(name = plan.name, address = %listener.local, "listening");
        self.listeners.insert(plan.address, (plan.name, listener));
        Ok(())
    }

    /// What workers and the control thread share: tables, counters, the clock.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// How configuration changes went.
    pub fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.reloads)
    }

    /// What the admin API shows.
    pub fn admin(&self) -> Admin {
        let listeners = self.listeners.values().map(|(name, it)| (name.clone(), it.local.clone())).collect();
        Admin::new(
            Arc::clone(&self.shared),
            self.workers.clone(),
            Arc::clone(&self.reloads),
            self.identity.to_string(),
            listeners,
            self.plane.api(),
        )
    }

    /// Serves until `stop`, or until the admin API is told to quit; then drains.
    ///
    /// # Errors
    /// When the admin API cannot listen, or signals cannot be watched.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let admin = self.admin();
        let quit = admin.quit();
        let server = match self.options.admin_bind {
            Some(addr) => Some(admin::listen(addr, admin).await?),
            None => None,
        };
        let checks = tokio::task::spawn_local(checks::run(Arc::clone(&self.shared)));
        let registered = Arc::clone(&self.shared.registered);
        let running = tokio::task::spawn_local(registered::run(Arc::clone(&registered)));
        let watch = Watch::start(&self.options.config_dirs);
        let mut stop = std::pin::pin!(stop);
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            let renewal = self.renew_at.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = watch.changed() => self.reload(),
                _ = hangup.recv() => {
                    self.logs.reopen();
                    self.reload();
                }
                () = tokio::time::sleep(renewal) => self.renew(),
                () = registered.turned() => self.reassemble(),
                () = tokio::time::sleep(REBIND), if !self.unbound.is_empty() => self.reassemble(),
                () = &mut stop => break,
                () = quit.notified() => break,
            }
        }
        checks.abort();
        running.abort();
        self.drain().await;
        drop(server);
        Ok(())
    }

    /// Takes a change of configuration, whole or not at all.
    pub fn reload(&mut self) {
        match self.try_reload() {
            Ok(false) => self.refused.clear(),
            Ok(true) => {
                self.refused.clear();
                self.reloads.accepted.fetch_add(1, Ordering::Relaxed);
                tracing::info!("the new configuration is in force");
            }
            // Read again and still wrong in the same ways: that was said and counted before.
            Err(problems) if problems == self.refused => {}
            Err(problems) => {
                self.reloads.rejected.fetch_add(1, Ordering::Relaxed);
                for problem in &problems {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration was not taken: the last good one stays");
                self.refused = problems;
                self.take_peers();
            }
        }
    }

    fn try_reload(&mut self) -> Result<bool, Vec<Problem>> {
        let contents = files::read(&self.options.config_dirs)?;
        if self.inputs.are_of(&contents) {
            return Ok(false);
        }
        if self.refused_contents.as_ref() == Some(&contents) {
            return Err(self.refused.clone());
        }
        self.refused_contents = Some(contents.clone());
        let chains = &mut self.assembly.chains;
        let trust_domain = &self.inputs.trust_domain;
        let inputs = Inputs::from_contents(contents, trust_domain, self.options.load, chains)?;
        self.adopt(inputs)?;
        self.refused_contents = None;
        Ok(true)
    }

    /// Peerings are not the operator's words: what is deleted ends although a configuration is refused meanwhile.
    fn take_peers(&mut self) {
        let Ok(peers) = files::read_peers(&self.options.config_dirs) else { return };
        if peers == self.inputs.peers {
            return;
        }
        let config = &self.inputs.config;
        let (catalog, _) = Catalog::from_registrations(&config.registrations, &config.agent, &peers);
        if self.adopt(Inputs { catalog, peers, ..Inputs::clone(&self.inputs) }).is_ok() {
            tracing::info!("the peerings have changed");
        }
    }

    /// Puts inputs in force, whole or not at all.
    fn adopt(&mut self, inputs: Inputs) -> Result<(), Vec<Problem>> {
        self.put_in_force(Arc::new(inputs))
    }

    /// Assembles anew from the same inputs: what the plane makes of them has changed.
    fn reassemble(&mut self) {
        if let Err(problems) = self.put_in_force(Arc::clone(&self.inputs)) {
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
    }

    fn put_in_force(&mut self, inputs: Arc<Inputs>) -> Result<(), Vec<Problem>> {
        let log = self.logs.open(inputs.config.entries.proxy_defaults.as_ref());
        let log = log.map_err(|problem| vec![problem])?;
        self.assembly.begin(&inputs, Some(&self.inputs), log.clone());
        let plans = self.plane.assemble(&inputs, &mut self.assembly)?;
        let peers_changed = inputs.peers != self.inputs.peers;
        self.inputs = inputs;
        self.shared.inputs.store(Some(Arc::clone(&self.inputs)));
        if peers_changed {
            self.renew();
        }
        self.logs.adopt(log);
        self.shared.published.publish(self.assembly.finish());
        self.reloads.note(&self.assembly);
        self.reconcile(plans);
        Ok(())
    }

    /// Listeners that are new are bound, those that are gone stop accepting; the others are not touched. What cannot be
    /// bound is tried again in a while.
    fn reconcile(&mut self, plans: Vec<ListenerPlan>) {
        self.listeners.retain(|address, (name, _)| {
            let stays = plans.iter().any(|plan| plan.address == *address && plan.name == *name);
            if !stays {
                tracing::info!(name, %address, "no longer listening");
            }
            stays
        });
        let failed_before = std::mem::take(&mut self.unbound);
        for plan in plans {
            if self.listeners.contains_key(&plan.address) {
                continue;
            }
            let (name, address) = (plan.name.clone(), plan.address.clone());
            let listening = bind(&plan.address, plan.mode)
                .map_err(|error| error.to_string())
                .and_then(|socket| self.listen(plan, socket).map_err(|error| error.to_string()));
            if let Err(error) = listening {
                if !failed_before.contains(&address) {
                    tracing::error!(name, %address, "{error}; trying again until it can be bound");
                }
                self.unbound.push(address);
            }
        }
    }

    /// Loads the certificate and the bundles anew; the old ones stay when that fails.
    fn renew(&mut self) {
        match publish_identity(&self.options.identity, &self.identity, &self.inputs, &self.shared) {
            Ok(renew_at) => self.renew_at = renew_at,
            Err(error) => {
                tracing::error!("{error}; the certificate in use stays");
                self.renew_at = SystemTime::now() + Duration::from_secs(10);
            }
        }
    }

    /// Stops accepting, closes what is idle and waits for what is in flight, up to the drain time.
    async fn drain(&mut self) {
        tracing::info!(connections = self.workers.connections(), "draining");
        self.listeners.clear();
        self.workers.drain();
        if !self.drained_within(self.options.drain_time).await {
            let connections = self.workers.connections();
            tracing::warn!(connections, "the drain time is over; closing the rest");
            self.workers.end_drain();
            self.drained_within(LAST_WORDS).await;
        }
    }

    /// Whether all connections have ended within this time.
    async fn drained_within(&self, time: Duration) -> bool {
        let drained = async {
            while self.workers.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(time, drained).await.is_ok()
    }
}

/// The workers end with the process: what is still served then is cut off.
impl Drop for Process {
    fn drop(&mut self) {
        self.workers.end();
        self.logs.finish();
    }
}

/// Runs a whole process on the calling thread, which becomes the control thread, until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub fn run(options: ProcessOptions, plane: Box<dyn Plane>) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let process = Process::start(options, plane)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        process.run(stop).await
    })
}

/// Loads the leaf and the bundles and puts them in force; says when to do so again.
fn publish_identity(
    source: &IdentitySource,
    identity: &SpiffeId,
    inputs: &Inputs,
    shared: &Shared,
) -> Result<SystemTime, StartError> {
    let (leaf, bundles) = source.load(identity, &inputs.peers)?;
    let jitter =
        f64::from(u32::try_from(Dice::new().draw().0 >> 32).unwrap_or_default()) / f64::from(u32::MAX);
    let renew_at = leaf.renew_at(SystemTime::now(), jitter);
    let policy = TlsPolicy::from_mesh(inputs.config.entries.mesh.as_ref())?;
    let contexts = TlsContexts::new(Arc::new(leaf), bundles, policy)?;
    shared.published.publish_tls(Arc::new(contexts));
    Ok(renew_at)
}

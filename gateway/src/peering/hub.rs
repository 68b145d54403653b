//! What all streams of a gateway share: the store, our own side, identity, and who was heard when.
//!
//! The hub decides which peerings have a dialer and which have been silent too long; streams decide nothing but
//! their own end. Everything here runs on the control thread, so files are read and written in place.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use spillway_certs::TlsContexts;
use spillway_certs::peering::{PeerStore, State};
use spillway_core::catalog::PeerRecord;
use spillway_core::name::PeerName;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dialer;
use super::local::Local;

/// Silence after which a peering is failing, and a stream is given up: Consul's `IncomingHeartbeatTimeout`.
pub const DEAD_AFTER: Duration = Duration::from_secs(120);

/// How often silence is looked for.
const LOOK: Duration = Duration::from_secs(5);

/// Gives the identity and bundles in force; None while there are none.
pub type Contexts = Arc<dyn Fn() -> Option<Arc<TlsContexts>> + Send + Sync>;

/// What the streams of a gateway share.
pub struct Hub {
    /// The files.
    pub store: PeerStore,
    /// Our own side, as it stands.
    pub local: watch::Receiver<Arc<Local>>,
    /// Identity and bundles in force.
    pub contexts: Contexts,
    live: Mutex<HashMap<PeerName, Live>>,
    started: Instant,
}

/// What a peering's streams have seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Live {
    /// Streams that are up, in either direction.
    pub streams: usize,
    /// When a heartbeat last came.
    pub last_heartbeat: Option<SystemTime>,
    /// When anything last came.
    pub last_receive: Option<SystemTime>,
    /// When anything was last sent.
    pub last_send: Option<SystemTime>,
    pub(super) heard: Option<Instant>,
}

/// A stream's place among those that are up; it counts until it is dropped.
pub struct Up {
    hub: Arc<Hub>,
    peer: PeerName,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub over the peerings of a configuration directory.
    pub fn new(store: PeerStore, local: watch::Receiver<Arc<Local>>, contexts: Contexts) -> Arc<Self> {
        Arc::new(Self { store, local, contexts, live: Mutex::default(), started: Instant::now() })
    }

    /// Keeps a dialer for each peering that wants one and marks those that have fallen silent, until our side's
    /// view has no sender left.
    pub async fn run(self: Arc<Self>) {
        let mut local = self.local.clone();
        let mut running: BTreeSet<(PeerName, String)> = BTreeSet::new();
        // A dialer ends by itself when its peering does, having said goodbye; all end with the hub.
        let mut dialers: JoinSet<(PeerName, String)> = JoinSet::new();
        loop {
            for (name, id) in wanted(&local.borrow_and_update()) {
                if running.insert((name.clone(), id.clone())) {
                    let hub = self.clone();
                    dialers.spawn(async move {
                        dialer::keep(&hub, &name, &id).await;
                        (name, id)
                    });
                }
            }
            self.live().retain(|name, _| local.borrow().records.contains_key(name));
            self.mark_silent();
            tokio::select! {
                changed = local.changed() => if changed.is_err() { return },
                Some(ended) = dialers.join_next() => match ended {
                    Ok(peering) => drop(running.remove(&peering)),
                    Err(error) => {
                        // Which one it was went down with it: those that still run are not doubled for long.
                        tracing::error!(%error, "a dialer failed");
                        running.clear();
                        dialers.shutdown().await;
                    }
                },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// What the streams of a peering have seen.
    pub fn status(&self, peer: &PeerName) -> Live {
        self.live().get(peer).copied().unwrap_or_default()
    }

    /// The record of a peering, as our side's view has it.
    pub(super) fn record(&self, name: &PeerName, id: &str) -> Option<PeerRecord> {
        self.local.borrow().record(name, id).cloned()
    }

    /// Counts a stream in.
    pub(super) fn up(self: &Arc<Self>, peer: &PeerName) -> Up {
        self.note(peer, |live| live.streams += 1);
        Up { hub: self.clone(), peer: peer.clone() }
    }

    /// Notes that the peer said something: it is active, whatever it was before.
    pub(super) fn heard(&self, name: &PeerName, id: &str, heartbeat: bool) {
        self.note(name, |live| {
            let now = SystemTime::now();
            live.heard = Some(Instant::now());
            live.last_receive = Some(now);
            if heartbeat {
                live.last_heartbeat = Some(now);
            }
        });
        if self.record(name, id).is_some_and(|record| record.state == State::Failing.as_str()) {
            self.set_state(name, id, State::Active);
        }
    }

    /// Notes that the peer was told something.
    pub(super) fn sent(&self, name: &PeerName) {
        self.note(name, |live| live.last_send = Some(SystemTime::now()));
    }

    fn mark_silent(&self) {
        let local = self.local.borrow().clone();
        for (name, record) in &local.records {
            let heard = self.live().get(name).and_then(|live| live.heard).unwrap_or(self.started);
            if heard.elapsed() >= DEAD_AFTER && record.state == State::Active.as_str() {
                self.set_state(name, &record.id, State::Failing);
            }
        }
    }

    fn set_state(&self, name: &PeerName, id: &str, state: State) {
        match self.store.update(name, id, |record| record.state = state.to_string()) {
            Ok(true) => tracing::info!(peer = %name, %state, "the peering changed its state"),
            Ok(false) => {}
            Err(error) => tracing::error!(peer = %name, %error, "cannot write the peering's state"),
        }
    }

    fn note(&self, peer: &PeerName, what: impl FnOnce(&mut Live)) {
        what(self.live().entry(peer.clone()).or_default());
    }

    /// Never held over an await; what a panic left behind is counters, good enough to go on with.
    fn live(&self) -> MutexGuard<'_, HashMap<PeerName, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peerings that have a dialer.
fn wanted(local: &Local) -> Vec<(PeerName, String)> {
    let records = local.records.iter().filter(|(_, record)| is_dialed(record));
    records.map(|(name, record)| (name.clone(), record.id.clone())).collect()
}

/// Whether we dial a peer: when the peering stands, and to tell it that it is deleted.
pub(super) fn is_dialed(record: &PeerRecord) -> bool {
    matches!(record.state.parse(), Ok(State::Active | State::Failing | State::Deleting))
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(live) = self.hub.live().get_mut(&self.peer) {
            live.streams = live.streams.saturating_sub(1);
        }
    }
}

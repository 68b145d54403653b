//! What is in force: the tables of every service that this process serves, published as one generation.
//!
//! The assembler alone publishes. A worker looks at one atomic number a request and fetches the generation only
//! when it has changed; a request keeps the snapshot it began with, so none sees half of a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use spillway_certs::TlsContexts;
use spillway_core::breaker::Breaker;
use spillway_core::name::TrustDomain;
use spillway_core::rate::RateLimiter;
use spillway_core::table::ServiceTable;

use crate::access_log::AccessLog;
use crate::stats::ServiceStats;

/// Where a listener's service stands in every generation. A listener keeps its slot for life.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceSlot(pub usize);

/// On which side of an application a service is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The application calls an upstream.
    Outbound,
    /// The mesh calls our application.
    Inbound,
    /// A peer calls an exported service.
    Gateway,
}

/// One service as it is served: its table and its counters.
#[derive(Debug)]
pub struct Service {
    /// Where requests may go.
    pub table: ServiceTable,
    /// On which side of an application.
    pub role: Role,
    /// Counted by every worker for itself.
    pub stats: Arc<ServiceStats>,
    /// Whom and how much it lets in.
    pub intake: Intake,
    /// Where its requests are logged.
    pub log: Option<Arc<AccessLog>>,
}

/// Whom and how much a listener lets in. The default: whoever is of our own trust domain, and as much as may come.
#[derive(Debug, Default)]
pub struct Intake {
    /// Whose workloads may connect besides those of our own trust domain.
    pub peers: Box<[TrustDomain]>,
    /// How many connections at once.
    pub connections: Option<Breaker>,
    /// How many requests a second.
    pub rates: Option<Arc<RateLimiter>>,
}

/// Everything in force, as one.
#[derive(Debug, Default)]
pub struct Generation {
    /// By [`ServiceSlot`].
    pub services: Vec<Option<Arc<Service>>>,
    /// Where connections are logged, and requests that no service takes.
    pub log: Option<Arc<AccessLog>>,
}

/// Where the assembler publishes and workers look.
#[derive(Debug, Default)]
pub struct Published {
    generation: ArcSwap<Generation>,
    number: AtomicU64,
    tls: ArcSwapOption<TlsContexts>,
}

impl Published {
    /// Puts a generation in force for the next request of every worker.
    pub fn publish(&self, generation: Generation) {
        self.generation.store(Arc::new(generation));
        // Release, paired with the Acquire in `number`: who sees the number sees the generation behind it.
        self.number.fetch_add(1, Ordering::Release);
    }

    /// How many generations have been published.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The generation in force. The number is read first: a snapshot may be newer than its number, never older,
    /// and is then fetched once more.
    pub fn load(&self) -> Snapshot {
        let number = self.number();
        Snapshot { number, generation: self.generation.load_full() }
    }

    /// Puts an identity and trust bundles in force for the next handshake.
    pub fn publish_tls(&self, tls: Arc<TlsContexts>) {
        self.tls.store(Some(tls));
    }

    /// The identity and trust bundles in force; None until the first are loaded, and then TLS fails closed.
    pub fn tls(&self) -> Option<Arc<TlsContexts>> {
        self.tls.load_full()
    }
}

/// A generation that somebody holds on to.
#[derive(Clone, Debug)]
pub struct Snapshot {
    number: u64,
    generation: Arc<Generation>,
}

impl Snapshot {
    /// Which generation it is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The service in a slot; None when configuration took it away.
    pub fn service(&self, slot: ServiceSlot) -> Option<&Arc<Service>> {
        self.generation.services.get(slot.0)?.as_ref()
    }

    /// The access log, if there is one.
    pub fn log(&self) -> Option<&Arc<AccessLog>> {
        self.generation.log.as_ref()
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.generation.services.iter().flatten()
    }
}

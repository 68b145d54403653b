//! What a plane assembles: a service a key, built anew only where something that it is built from has changed.
//!
//! Slots, counters and endpoint health outlive every generation. A service whose chain, settings and instances are as
//! they were outlives one as a whole: its table with the turns of its splits, and so the pools behind it. Kept out:
//! which services there are (the planes), and when to publish (`process`).

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use spillway_core::breaker::Thresholds;
use spillway_core::catalog::{Catalog, CatalogChange};
use spillway_core::chain::{Chain, Chains, Overrides};
use spillway_core::endpoint::Endpoints;
use spillway_core::name::{Datacenter, Locus, PeerName, ServiceName, TargetId, TrustDomain};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::table::{self, BuildSettings, ServiceTable};

use crate::access_log::AccessLog;
use crate::generation::{Generation, Intake, Role, Service, ServiceSlot};
use crate::process::Inputs;
use crate::registered::RegisteredChecks;
use crate::sidecar::resolve;
use crate::stats::ServiceStats;

/// Where a plane puts its services. Owned by the control thread.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Endpoints with their health.
    pub endpoints: Endpoints,
    /// The chains of the configuration in the making.
    pub chains: Chains,
    /// Where the registered checks of our own instance stand.
    pub registered: Arc<RegisteredChecks>,
    workers: usize,
    slots: HashMap<String, (ServiceSlot, Arc<ServiceStats>)>,
    /// What is in force, by slot.
    in_force: Vec<Option<Built>>,
    /// What comes next.
    next: Vec<Option<Built>>,
    /// What differs from the catalog in force; None before there is one.
    change: Option<CatalogChange>,
    /// The access log of what is in the making.
    log: Option<Arc<AccessLog>>,
    tables_built: u64,
}

/// A service and what it was built from.
#[derive(Clone, Debug)]
struct Built {
    service: Arc<Service>,
    /// None for what is built anew each time.
    recipe: Option<Recipe>,
}

/// What a table is built from, besides the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Where requests may go.
    pub source: Source,
    /// Our own datacenter.
    pub datacenter: Datacenter,
    /// Our own trust domain.
    pub trust_domain: TrustDomain,
    /// When endpoints are ejected.
    pub outlier: OutlierPolicy,
    /// How much each target may have at once.
    pub thresholds: Thresholds,
    /// Whether a gateway serves an exported service by it.
    pub exported: bool,
}

/// Where the requests of a [`Recipe`] may go.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Where a chain leads.
    Chain(Arc<Chain>),
    /// To one service of a peer.
    Peer {
        /// As the peer calls it.
        service: ServiceName,
        /// Ours for it.
        peer: PeerName,
        /// What the caller wants otherwise than the peer says.
        overrides: Overrides,
    },
}

impl Recipe {
    /// Builds the table. Host names are asked of `resolve`.
    pub fn table(
        &self,
        catalog: &Catalog,
        resolve: &dyn Fn(&str) -> Vec<std::net::SocketAddr>,
        endpoints: &mut Endpoints,
    ) -> ServiceTable {
        // Every setting is a part of the recipe: a table stands as long as its recipe does.
        let settings = BuildSettings {
            datacenter: &self.datacenter,
            trust_domain: &self.trust_domain,
            outlier: self.outlier,
            thresholds: self.thresholds,
            exported: self.exported,
            resolve,
        };
        match &self.source {
            Source::Chain(chain) => table::build(chain, catalog, &settings, endpoints),
            Source::Peer { service, peer, overrides } => {
                table::peer_upstream(service, peer, overrides, catalog, &settings, endpoints)
            }
        }
    }

    /// The chain; None of an upstream at a peer.
    pub fn chain(&self) -> Option<&Chain> {
        match &self.source {
            Source::Chain(chain) => Some(chain),
            Source::Peer { .. } => None,
        }
    }

    /// Whether a table of this recipe may be another one after `change`.
    fn is_touched_by(&self, change: &CatalogChange) -> bool {
        let touched = |target: &TargetId| change.concerns(target, &self.datacenter);
        match &self.source {
            Source::Chain(chain) => chain.targets.keys().any(touched),
            Source::Peer { service, peer, .. } => {
                let (service, locus) = (service.clone(), Locus::Peer(peer.clone()));
                touched(&TargetId { service, subset: None, locus, tenancy: None })
            }
        }
    }
}

impl Assembly {
    pub(crate) fn new(workers: usize, registered: Arc<RegisteredChecks>) -> Self {
        Self { workers, registered, ..Self::default() }
    }

    /// Begins to assemble from `inputs`, which are to take the place of those in force, and are logged to `log`.
    pub(crate) fn begin(&mut self, inputs: &Inputs, in_force: Option<&Inputs>, log: Option<Arc<AccessLog>>) {
        self.next.clear();
        self.log = log;
        self.chains.adopt(&inputs.config.entries);
        self.change = in_force.map(|in_force| CatalogChange::between(&in_force.catalog, &inputs.catalog));
    }

    /// What was assembled, which is then in force.
    pub(crate) fn finish(&mut self) -> Generation {
        self.in_force = std::mem::take(&mut self.next);
        self.endpoints.sweep();
        let service = |built: &Option<Built>| built.as_ref().map(|built| Arc::clone(&built.service));
        Generation { services: self.in_force.iter().map(service).collect(), log: self.log.clone() }
    }

    /// How many tables were built so far.
    pub fn tables_built(&self) -> u64 {
        self.tables_built
    }

    /// Where the service of this key stands, now and in later generations. `stats` names it in metrics.
    pub fn slot(&mut self, key: &str, stats: &str) -> ServiceSlot {
        if let Some((slot, _)) = self.slots.get(key) {
            return *slot;
        }
        let slot = ServiceSlot(self.slots.len());
        self.slots.insert(key.to_owned(), (slot, Arc::new(ServiceStats::new(stats, self.workers))));
        slot
    }

    /// Puts the service that `recipe` gives into the next generation: the one in force, if that would be the same.
    pub fn serve(
        &mut self,
        key: &str,
        stats: &str,
        role: Role,
        recipe: Recipe,
        catalog: &Catalog,
    ) -> ServiceSlot {
        let slot = self.slot(key, stats);
        if let Some(built) = self.standing(slot, role, &recipe) {
            return self.put(slot, built);
        }
        let asked = Cell::new(false);
        let resolve = |name: &str| {
            asked.set(true);
            resolve(name)
        };
        let table = recipe.table(catalog, &resolve, &mut self.endpoints);
        // What a name stands for may change without a word in the configuration.
        let recipe = Some(recipe).filter(|_| !asked.get());
        self.build(key, slot, role, table, Intake::default(), recipe)
    }

    /// Puts a service into the next generation that workloads of our own trust domain alone may connect to.
    pub fn insert(&mut self, key: &str, stats: &str, role: Role, table: ServiceTable) -> ServiceSlot {
        self.insert_for(key, stats, role, table, Intake::default())
    }

    /// The same, where what may come in is said. Rate limits that are as they were go on from where they are.
    pub fn insert_for(
        &mut self,
        key: &str,
        stats: &str,
        role: Role,
        table: ServiceTable,
        mut intake: Intake,
    ) -> ServiceSlot {
        let slot = self.slot(key, stats);
        let in_force = self.in_force.get(slot.0).and_then(Option::as_ref);
        if let Some(before) = in_force.and_then(|built| built.service.intake.rates.as_ref())
            && intake.rates.as_ref().is_some_and(|rates| rates.written() == before.written())
        {
            intake.rates = Some(Arc::clone(before));
        }
        self.build(key, slot, role, table, intake, None)
    }

    /// What is in force in `slot`, if `recipe` would give the same.
    fn standing(&self, slot: ServiceSlot, role: Role, recipe: &Recipe) -> Option<Built> {
        let built = self.in_force.get(slot.0)?.as_ref()?;
        let change = self.change.as_ref()?;
        let stands = built.service.role == role
            && built.service.log.as_ref().map(Arc::as_ptr) == self.log.as_ref().map(Arc::as_ptr)
            && built.recipe.as_ref() == Some(recipe)
            && !recipe.is_touched_by(change);
        stands.then(|| built.clone())
    }

    fn build(
        &mut self,
        key: &str,
        slot: ServiceSlot,
        role: Role,
        table: ServiceTable,
        intake: Intake,
        recipe: Option<Recipe>,
    ) -> ServiceSlot {
        self.tables_built += 1;
        let stats = Arc::clone(&self.slots[key].1);
        let log = self.log.clone();
        self.put(slot, Built { service: Arc::new(Service { table, role, stats, intake, log }), recipe })
    }

    fn put(&mut self, slot: ServiceSlot, built: Built) -> ServiceSlot {
        if self.next.len() <= slot.0 {
            self.next.resize_with(slot.0 + 1, || None);
        }
        self.next[slot.0] = Some(built);
        slot
    }
}

#[cfg(test)]
mod tests;

//! What the directory tells of its mesh: which services it has, and whether anybody can answer at a target.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::reach::failover_of;
use crate::catalog::Catalog;
use crate::chain::{Named, Rule};
use crate::entry::{EntrySet, Kind, Registration};
use crate::load::Config;
use crate::name::{Datacenter, Locus, PeerName, ServiceName, TargetId};
use crate::syntax::nearest;

/// The configuration and its catalog, as checks ask of them. What many ask for is found once.
pub(super) struct World<'a> {
    pub(super) entries: &'a EntrySet,
    pub(super) catalog: &'a Catalog,
    pub(super) registrations: &'a [Registration],
    /// Our own datacenter.
    pub(super) home: &'a Datacenter,
    /// Every service that can be asked for: those with instances or with an entry of their own.
    pub(super) services: BTreeSet<&'a ServiceName>,
    /// Applications, whether or not they have a sidecar, and gateways.
    registered: BTreeSet<&'a ServiceName>,
    /// Whether no other datacenter is known, so that who is not registered is nowhere.
    alone: bool,
    /// A hint costs a comparison with many names, and of many warnings few are read.
    hints_left: Cell<usize>,
}

impl<'a> World<'a> {
    pub(super) fn new(config: &'a Config, catalog: &'a Catalog) -> Self {
        let home = &config.agent.datacenter;
        let applications = config.registrations.iter().filter(|it| it.kind != Kind::ConnectProxy);
        let registered: BTreeSet<_> = applications.map(|it| &it.name).collect();
        let EntrySet { routers, splitters, resolvers, defaults, .. } = &*config.entries;
        let written = routers.keys().chain(splitters.keys()).chain(resolvers.keys()).chain(defaults.keys());
        let Catalog { instances, gateways, .. } = catalog;
        Self {
            entries: &config.entries,
            catalog,
            registrations: &config.registrations,
            home,
            services: written.chain(instances.keys()).chain(registered.iter().copied()).collect(),
            registered,
            alone: gateways.keys().all(|datacenter| datacenter == home)
                && instances.values().flatten().all(|it| it.datacenter == *home),
            hints_left: Cell::new(1_000),
        }
    }

    /// Every sidecar, with the datacenter that its chains are compiled in.
    pub(super) fn sidecars(&self) -> impl Iterator<Item = (&'a Registration, &'a Datacenter)> {
        let home = self.home;
        let sidecars = self.registrations.iter().filter(|it| it.kind == Kind::ConnectProxy);
        sidecars.map(move |it| (it, it.datacenter.as_ref().unwrap_or(home)))
    }

    /// Whether an instance is registered, with a sidecar or without, wherever it runs.
    pub(super) fn is_registered(&self, service: &ServiceName) -> bool {
        self.registered.contains(service) || self.catalog.instances.contains_key(service)
    }

    /// Whether no instance of it can be anywhere: other datacenters have theirs, which need not be registered here.
    pub(super) fn is_nowhere(&self, service: &ServiceName) -> bool {
        !self.is_registered(service) && self.alone
    }

    /// Whether a router, splitter or resolver says where requests for it go.
    pub(super) fn is_routed(&self, service: &ServiceName) -> bool {
        let EntrySet { routers, splitters, resolvers, .. } = self.entries;
        routers.contains_key(service) || splitters.contains_key(service) || resolvers.contains_key(service)
    }

    /// What is lost where an entry of `own` leads to a service that has a router: a router is used only where its own
    /// service is asked for.
    pub(super) fn bypassed_router(&self, named: Named<'_>, own: &ServiceName) -> Option<String> {
        let bypassed =
            named.is_bare() && named.service != own && self.entries.routers.contains_key(named.service);
        let message = || {
            format!(
                "the routes of service-router {:?} do not hold for these requests: a router is used only where its own \
                 service is asked for",
                named.service.as_str()
            )
        };
        bypassed.then(message)
    }

    /// Why nobody can answer what an entry sends to `named`. Where its splitter, a redirect or failover decides, that
    /// is for their own places to say.
    pub(super) fn unanswered(&self, named: Named<'_>) -> Option<String> {
        let split = named.is_bare() && self.entries.splitters.contains_key(named.service);
        if split { None } else { self.unresolved(named.target(self.home)) }
    }

    /// The same of a target, whose resolver is asked.
    pub(super) fn unresolved(&self, target: TargetId) -> Option<String> {
        let Some(entry) = self.entries.resolvers.get(&target.service) else { return self.absence(&target) };
        let target = TargetId { subset: target.subset.or_else(|| entry.default_subset.clone()), ..target };
        if failover_of(entry, &target).is_some() { None } else { self.unanswered_at(&target) }
    }

    /// Why nobody can answer at a target that has no failover of its own; for a redirect, its own place says.
    pub(super) fn unanswered_at(&self, target: &TargetId) -> Option<String> {
        let redirect = self.entries.resolvers.get(&target.service).and_then(|it| it.redirect.as_ref());
        if redirect.is_some_and(|it| Rule::redirect(it).apply(target, self.home) != *target) {
            return None;
        }
        self.absence(target)
    }

    /// Why nobody can answer at `target` as things stand; None when somebody can, or nobody can tell.
    pub(super) fn absence(&self, target: &TargetId) -> Option<String> {
        let service = &target.service;
        let external = self.entries.defaults.get(service).is_some_and(|it| it.external_sni.is_some());
        match &target.locus {
            Locus::Peer(peer) => self.absence_at_peer(service, peer),
            // Of a service outside the mesh nothing need be registered.
            Locus::Datacenter(_) if external => None,
            Locus::Datacenter(datacenter) => self.absence_in_datacenter(service, datacenter),
        }
    }

    fn absence_at_peer(&self, service: &ServiceName, peer: &PeerName) -> Option<String> {
        if let Some(known) = self.catalog.peers.get(peer) {
            let exported = known.imported.contains_key(service);
            return (!exported).then(|| format!("peer {peer} does not export {service} to us"));
        }
        Some(self.unknown_peer(peer))
    }

    /// Why a peer that is not among those established is not.
    pub(super) fn unknown_peer(&self, peer: &PeerName) -> String {
        if let Some(state) = self.catalog.unknown_peers.get(peer) {
            return format!("the peering {peer} is {state}: it has not been established");
        }
        let known = self.catalog.peers.keys().chain(self.catalog.unknown_peers.keys());
        format!("there is no peering {peer} yet{}", self.nearest(peer.as_str(), known))
    }

    /// Whether a peering of this name is there, in whatever state.
    pub(super) fn has_peer(&self, peer: &PeerName) -> bool {
        self.catalog.peers.contains_key(peer) || self.catalog.unknown_peers.contains_key(peer)
    }

    fn absence_in_datacenter(&self, service: &ServiceName, datacenter: &Datacenter) -> Option<String> {
        let all = self.catalog.instances.get(service).map_or(&[][..], Vec::as_slice);
        if all.iter().any(|it| it.datacenter == *datacenter) {
            return None;
        }
        if datacenter != self.home {
            let gateway = self.catalog.gateways.get(datacenter).is_some_and(|it| !it.is_empty());
            let neither = || {
                format!("neither an instance of {service} nor a mesh gateway is registered in {datacenter}")
            };
            return (!gateway).then(neither);
        }
        // Callers of the datacenters that have instances may be meant.
        if !all.is_empty() {
            return None;
        }
        if self.registered.contains(service) {
            return Some(format!("no instance of {service} has a sidecar"));
        }
        Some(format!("no instance of {service} is registered in {datacenter}{}", self.hint(service)))
    }

    /// Which service was meant, if one of nearly that name is there.
    pub(super) fn hint(&self, service: &ServiceName) -> String {
        if self.is_registered(service) || self.is_routed(service) {
            return String::new();
        }
        self.nearest(service.as_str(), self.services.iter().copied())
    }

    fn nearest<'n, N: AsRef<str> + 'n>(&self, name: &str, known: impl IntoIterator<Item = &'n N>) -> String {
        let Some(left) = self.hints_left.get().checked_sub(1) else { return String::new() };
        self.hints_left.set(left);
        let others = known.into_iter().map(AsRef::as_ref).filter(|it| *it != name);
        nearest(name, others).map(|it| format!(", did you mean {it:?}?")).unwrap_or_default()
    }
}

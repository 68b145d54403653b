//! What the chains of all services together lead to, each stage walked once.
//!
//! Any service may be asked for, so each is a start. Whatever may be reached counts as reached: a stage that is not
//! here is reached by nobody. Shadowed routes lead nowhere; legs of weight 0 count.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::routes::Shadows;
use super::world::World;
use crate::chain::{Named, Rule, UpstreamSettings};
use crate::entry::{Failover, ServiceResolver};
use crate::name::{Datacenter, ServiceName, SubsetName, TargetId};

/// What is reached.
#[derive(Default)]
pub(super) struct Reach {
    /// Splitters that some chain passes.
    pub(super) splitters: BTreeSet<ServiceName>,
    /// Services whose resolvers are asked, redirects included.
    pub(super) asked: HashSet<ServiceName>,
    /// Where requests end, other than by failover, by service.
    pub(super) primary: BTreeMap<ServiceName, BTreeSet<TargetId>>,
    /// Where requests end by failover, by service.
    pub(super) failover: BTreeMap<ServiceName, BTreeSet<TargetId>>,
    /// Services whose resolvers a chain starts at.
    pub(super) starts: BTreeSet<ServiceName>,
    /// Where each target ends that was followed.
    ends: HashMap<TargetId, TargetId>,
    /// Splitters and where their chains are compiled, each walked once.
    walked: HashSet<(ServiceName, Datacenter)>,
}

impl Reach {
    pub(super) fn new(world: &World<'_>, shadows: &Shadows) -> Self {
        let mut reach = Self::default();
        let mut walk = Walk { world, here: world.home, reach: &mut reach };
        for service in &world.services {
            walk.service(service, shadows);
        }
        walk.upstreams(shadows);
        reach.follow_failover(world);
        reach
    }

    /// Whether anything leads to a subset.
    pub(super) fn reaches(&self, service: &ServiceName, subset: &SubsetName) -> bool {
        self.targets(service).any(|target| target.subset.as_ref() == Some(subset))
    }

    /// Where requests of a service end, by failover or not.
    pub(super) fn targets(&self, service: &ServiceName) -> impl Iterator<Item = &TargetId> {
        self.primary(service).chain(self.failover.get(service).into_iter().flatten())
    }

    /// Where requests of a service end, other than by failover.
    pub(super) fn primary(&self, service: &ServiceName) -> impl Iterator<Item = &TargetId> {
        self.primary.get(service).into_iter().flatten()
    }

    fn follow_failover(&mut self, world: &World<'_>) {
        let mut candidates = Vec::new();
        for target in self.primary.values().flatten() {
            let Some(entry) = world.entries.resolvers.get(&target.service) else { continue };
            let Some((_, failover)) = failover_of(entry, target) else { continue };
            let rules = Rule::all_of(failover).into_iter();
            candidates.extend(rules.map(|rule| rule.apply(target, world.home)).filter(|to| to != target));
        }
        for candidate in candidates {
            let end = self.end(world, world.home, candidate);
            self.failover.entry(end.service.clone()).or_default().insert(end);
        }
    }

    /// Where redirects and default subsets lead from a target.
    pub(super) fn end(&mut self, world: &World<'_>, here: &Datacenter, from: TargetId) -> TargetId {
        let mut path = HashSet::new();
        let mut at = from;
        let end = loop {
            if let Some(end) = self.ends.get(&at) {
                break end.clone();
            }
            self.asked.insert(at.service.clone());
            path.insert(at.clone());
            match onward(world, here, &at).filter(|to| !path.contains(to)) {
                Some(to) => at = to,
                None => break at,
            }
        };
        self.ends.extend(path.into_iter().map(|target| (target, end.clone())));
        end
    }
}

/// The entry of `Failover` that takes over from a target, with its key.
pub(super) fn failover_of<'e>(
    entry: &'e ServiceResolver,
    target: &TargetId,
) -> Option<(&'e str, &'e Failover)> {
    let own = target.subset.as_ref().and_then(|subset| entry.failover.get_key_value(subset.as_str()));
    own.or_else(|| entry.failover.get_key_value("*")).map(|(key, failover)| (key.as_str(), failover))
}

/// The next target on the way, if the resolver of this one's service sends requests on.
pub(super) fn onward(world: &World<'_>, here: &Datacenter, at: &TargetId) -> Option<TargetId> {
    let entry = world.entries.resolvers.get(&at.service)?;
    let redirected = entry.redirect.as_ref().map(|it| Rule::redirect(it).apply(at, here));
    if let Some(to) = redirected.filter(|to| to != at) {
        return Some(to);
    }
    let subset = entry.default_subset.as_ref().filter(|_| at.subset.is_none())?;
    Some(TargetId { subset: Some(subset.clone()), ..at.clone() })
}

/// One walk over all chains that are compiled in one datacenter.
struct Walk<'a, 'w> {
    world: &'w World<'a>,
    here: &'w Datacenter,
    reach: &'w mut Reach,
}

impl Walk<'_, '_> {
    /// The chain of a service from its start.
    fn service(&mut self, service: &ServiceName, shadows: &Shadows) {
        let Some(router) = self.world.entries.routers.get(service) else {
            return self.stage(Named::bare(service), true);
        };
        let shadowed = shadows.of(service);
        for (i, route) in router.routes.iter().enumerate() {
            if !shadowed.is_shadowed(i) {
                self.stage(Named::by_route(route.destination.as_ref(), service), false);
            }
        }
        if !shadowed.catch_all {
            self.stage(Named::bare(service), false);
        }
    }

    /// The splitter of what is named by its service alone, else its resolver.
    fn stage(&mut self, named: Named<'_>, start: bool) {
        if named.is_bare() && self.world.entries.splitters.contains_key(named.service) {
            self.splitter(named.service);
        } else {
            self.resolver(named.target(self.here), start);
        }
    }

    fn splitter(&mut self, service: &ServiceName) {
        let mut open = vec![service.clone()];
        while let Some(service) = open.pop() {
            if !self.reach.walked.insert((service.clone(), self.here.clone())) {
                continue;
            }
            self.reach.splitters.insert(service.clone());
            let splits = self.world.entries.splitters.get(&service).map_or(&[][..], |it| &it.splits);
            for split in splits {
                let named = Named::by_split(split, &service);
                let nested = named.is_bare()
                    && *named.service != service
                    && self.world.entries.splitters.contains_key(named.service);
                if nested {
                    open.push(named.service.clone());
                } else {
                    self.resolver(named.target(self.here), false);
                }
            }
        }
    }

    fn resolver(&mut self, target: TargetId, start: bool) {
        let end = self.reach.end(self.world, self.here, target);
        if start {
            self.reach.starts.insert(end.service.clone());
        }
        self.reach.primary.entry(end.service.clone()).or_default().insert(end);
    }

    /// Upstreams in other datacenters, and those that leave out router and splitter since they speak tcp.
    fn upstreams(&mut self, shadows: &Shadows) {
        for (sidecar, own) in self.world.sidecars() {
            let Some(caller) = &sidecar.proxy.destination_service_name else { continue };
            for upstream in sidecar.proxy.upstreams.iter().filter(|it| it.destination_peer.is_none()) {
                let service = &upstream.destination_name;
                let protocol =
                    UpstreamSettings::new(self.world.entries, caller, sidecar, upstream).overrides().protocol;
                let here = upstream.datacenter.as_ref().unwrap_or(own);
                let mut walk = Walk { world: self.world, here, reach: self.reach };
                if protocol.is_some_and(|it| !it.is_http()) {
                    walk.resolver(Named::bare(service).target(here), true);
                } else if here != self.world.home {
                    walk.service(service, shadows);
                }
            }
        }
    }
}

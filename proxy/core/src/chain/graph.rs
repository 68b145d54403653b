//! What Consul refuses to write although every chain compiles: chains that do not go with what exported-services and
//! service-intentions say of their services.

use std::collections::BTreeSet;

use super::{ChainError, Context, Overrides, Unexportable, compile};
use crate::entry::{EntrySet, ServiceResolver};
use crate::name::{Datacenter, ServiceName, TrustDomain};

/// Services that are exported although their chains lead away, each with why. What counts is what their entries
/// say, not where requests end up: so it is in Consul.
pub(super) fn exports(entries: &EntrySet) -> impl Iterator<Item = (ServiceName, ChainError)> {
    let mut found = Vec::new();
    for service in exported(entries) {
        for resolver in related(entries, service).iter().filter_map(|name| entries.resolvers.get(*name)) {
            found.extend(leading_away(resolver).into_iter().map(|contains| {
                let by = resolver.name.clone();
                (service.clone(), ChainError::Exported { service: service.clone(), contains, by })
            }));
        }
    }
    found.into_iter()
}

/// The services that any peer may use. `*` stands for all; those without a chain of their own lead nowhere else.
fn exported(entries: &EntrySet) -> BTreeSet<&ServiceName> {
    let EntrySet { routers, splitters, resolvers, exported, .. } = entries;
    let offered = exported.iter().flat_map(|it| &it.services).filter(|it| !it.consumers.is_empty());
    let mut names = BTreeSet::new();
    for service in offered {
        match &service.name {
            Some(name) => drop(names.insert(name)),
            None => names.extend(routers.keys().chain(splitters.keys()).chain(resolvers.keys())),
        }
    }
    names.retain(|name| name.as_str() != "consul");
    names
}

/// All services whose resolvers have a say in the chain of `service`.
fn related<'a>(entries: &'a EntrySet, service: &'a ServiceName) -> BTreeSet<&'a ServiceName> {
    let mut found = BTreeSet::from([service]);
    let router = entries.routers.get(service);
    let destinations = router.iter().flat_map(|it| &it.routes).filter_map(|it| it.destination.as_ref());
    found.extend(destinations.filter_map(|it| it.service.as_ref()));
    let mut to_visit: Vec<&ServiceName> = found.iter().copied().collect();
    while let Some(service) = to_visit.pop() {
        let splits = entries.splitters.get(service).into_iter().flat_map(|it| &it.splits);
        let resolver = entries.resolvers.get(service);
        let redirect = resolver.and_then(|it| it.redirect.as_ref()?.service.as_ref());
        let failovers = resolver.into_iter().flat_map(|it| it.failover.values());
        let failover = failovers.flat_map(|it| {
            let here = it.targets.iter().filter(|target| target.peer.is_none());
            it.service.as_ref().into_iter().chain(here.filter_map(|target| target.service.as_ref()))
        });
        for next in splits.filter_map(|it| it.service.as_ref()).chain(redirect).chain(failover) {
            if found.insert(next) {
                to_visit.push(next);
            }
        }
    }
    found
}

fn leading_away(resolver: &ServiceResolver) -> BTreeSet<Unexportable> {
    let mut found = BTreeSet::new();
    if let Some(redirect) = &resolver.redirect {
        found.extend(redirect.datacenter.as_ref().map(|_| Unexportable::DatacenterRedirect));
        found.extend(redirect.peer.as_ref().map(|_| Unexportable::PeerRedirect));
    }
    for failover in resolver.failover.values() {
        if !failover.datacenters.is_empty() || failover.targets.iter().any(|it| it.datacenter.is_some()) {
            found.insert(Unexportable::DatacenterFailover);
        }
    }
    found
}

/// Destinations of intentions by request that are no L7 services. A chain that does not compile is named elsewhere.
pub(super) fn permissions(
    entries: &EntrySet,
    datacenter: &Datacenter,
    trust_domain: &TrustDomain,
) -> impl Iterator<Item = (ServiceName, ChainError)> {
    let by_request = |name: &&String| {
        entries.intentions.get(*name).is_some_and(|it| it.sources.iter().any(|it| !it.permissions.is_empty()))
    };
    // The destination `*` is no service, and Consul lets it be.
    let services = entries.intentions.keys().filter(by_request).filter_map(|name| name.parse().ok());
    services.filter_map(move |service: ServiceName| {
        let cx = Context {
            service: service.clone(),
            datacenter: datacenter.clone(),
            trust_domain: trust_domain.clone(),
            overrides: Overrides::default(),
        };
        let protocol = compile(entries, &cx).ok()?.protocol;
        let error = ChainError::Permissions { service: service.clone(), protocol };
        (!protocol.is_http()).then_some((service, error))
    })
}

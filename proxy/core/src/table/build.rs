//! A finished chain and the catalog into a table.
//!
//! Every name is looked up here, once, so that no request looks one up. A chain of our own compiler always fits
//! together; one from elsewhere may name a stage that it does not have, and then leads nowhere instead of panicking.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::index::Routes;
use super::target::{Targets, Wanted};
use super::{
    BuildSettings, HashPolicies, LegHeaders, Matcher, Next, Route, RouteAction, ServiceTable, Split,
};
use crate::catalog::Catalog;
use crate::chain::{Chain, ChainRoute, DEFAULT_CONNECT_TIMEOUT, Leg, Node, NodeKey, Overrides};
use crate::endpoint::Endpoints;
use crate::entry::{DEFAULT_REQUEST_TIMEOUT, LoadBalancer};
use crate::name::{Locus, PeerName, ServiceName, TargetId};
use crate::outlier::OutlierPolicy;
use crate::pick::{Resolver, Target};

/// The table of `chain`. Endpoints that `endpoints` knows keep their health.
pub fn build(
    chain: &Chain,
    catalog: &Catalog,
    settings: &BuildSettings<'_>,
    endpoints: &mut Endpoints,
) -> ServiceTable {
    let targets = Targets { catalog, settings, endpoints };
    let mut builder = Builder {
        chain,
        targets,
        resolvers: Vec::new(),
        splits: Vec::new(),
        resolver_hashes: Vec::new(),
        split_hashes: Vec::new(),
        stages: BTreeMap::new(),
        clusters: BTreeMap::new(),
    };
    let (routes, start) = match chain.nodes.get(&chain.start) {
        Some(Node::Router { routes }) => {
            let routes: Vec<Route> = routes.iter().map(|route| builder.route(route)).collect();
            // Without a route, which no compiler gives, there is nowhere to go.
            let start = routes.last().map_or_else(|| builder.nowhere(), |last| last.next);
            (routes, start)
        }
        _ => (Vec::new(), builder.stage(&chain.start)),
    };
    let request_timeout = match chain.nodes.get(&chain.start) {
        Some(Node::Resolver { request_timeout, .. }) => request_timeout.filter(|it| *it > Duration::ZERO),
        _ => None,
    };
    ServiceTable {
        service: chain.service.clone(),
        protocol: chain.protocol,
        resolvers: builder.resolvers.into(),
        routes: Routes::new(routes),
        splits: builder.splits.into(),
        resolver_hashes: builder.resolver_hashes.into(),
        split_hashes: builder.split_hashes.into(),
        start,
        unrouted: RouteAction::unrouted(Some(request_timeout.unwrap_or(DEFAULT_REQUEST_TIMEOUT))),
    }
}

/// The table of an upstream with `destination_peer`, which has no chain: its only target is the imported service,
/// with the exporter's protocol. All its endpoints may be ejected, as Consul has it.
pub fn peer_upstream(
    service: &ServiceName,
    peer: &PeerName,
    overrides: &Overrides,
    catalog: &Catalog,
    settings: &BuildSettings<'_>,
    endpoints: &mut Endpoints,
) -> ServiceTable {
    let id =
        TargetId { service: service.clone(), subset: None, locus: Locus::Peer(peer.clone()), tenancy: None };
    let connect_timeout = overrides.connect_timeout.filter(|it| *it > Duration::ZERO);
    let wanted = Wanted {
        id: &id,
        subset: None,
        sni: None,
        mode: overrides.mesh_gateway,
        protocol: overrides.protocol.unwrap_or_default(),
        connect_timeout: connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        outlier: OutlierPolicy { max_ejection_percent: 100, ..settings.outlier },
        load_balancer: None,
    };
    let mut targets = Targets { catalog, settings, endpoints };
    let cluster = targets.cluster(&id).into();
    let target = targets.build(wanted, cluster);
    let table = ServiceTable::single(service.clone(), target.protocol, target);
    table.with_request_timeout(Some(DEFAULT_REQUEST_TIMEOUT))
}

struct Builder<'a> {
    chain: &'a Chain,
    targets: Targets<'a>,
    resolvers: Vec<Arc<Resolver>>,
    splits: Vec<Split>,
    resolver_hashes: Vec<Option<HashPolicies>>,
    split_hashes: Vec<Option<HashPolicies>>,
    /// Stages made so far: routes and legs that lead to one stage share it.
    stages: BTreeMap<&'a NodeKey, Next>,
    /// Targets made so far, by the names of their clusters.
    clusters: BTreeMap<Arc<str>, Arc<Target>>,
}

impl<'a> Builder<'a> {
    fn route(&mut self, route: &'a ChainRoute) -> Route {
        let criteria = route.definition.matches.as_ref().and_then(|matches| matches.http.as_ref());
        let matcher = criteria.map_or_else(
            Matcher::any,
            // Refused when the entry was read; from elsewhere, what cannot be understood matches nothing.
            |criteria| Matcher::compile(criteria).unwrap_or_else(|_| Matcher::never()),
        );
        let action = RouteAction::compile(route.definition.destination.as_ref(), &matcher);
        Route { matcher, action, next: self.stage(&route.next) }
    }

    fn stage(&mut self, key: &'a NodeKey) -> Next {
        if let Some(made) = self.stages.get(key) {
            return *made;
        }
        let next = match self.chain.nodes.get(key) {
            Some(Node::Splitter { legs, load_balancer, rules }) => {
                let split = Split::new(legs.iter().map(|leg| self.leg(leg)).collect::<Vec<_>>());
                let split = split.with_rules(rules);
                self.splits.push(split);
                self.split_hashes.push(HashPolicies::compile(load_balancer.as_ref()));
                Next::Split(self.splits.len() - 1)
            }
            Some(Node::Resolver { target, failover, load_balancer, request_timeout, .. }) => {
                let targets = self.ranked(target, failover, load_balancer.as_ref());
                // Kept where it is in force: at the start of the chain.
                let request_timeout = request_timeout.filter(|_| *key == self.chain.start);
                self.push(
                    Resolver { targets, request_timeout },
                    HashPolicies::compile(load_balancer.as_ref()),
                )
            }
            Some(Node::Router { .. }) | None => self.nowhere(),
        };
        self.stages.insert(key, next);
        next
    }

    fn leg(&mut self, leg: &'a Leg) -> (u32, LegHeaders, Arc<Resolver>) {
        let definition = &leg.definition;
        let headers =
            LegHeaders::compile(definition.request_headers.as_ref(), definition.response_headers.as_ref());
        // Flattened chains lead from a leg to a resolver.
        let next = match self.chain.nodes.get(&leg.next) {
            Some(Node::Resolver { .. }) => self.stage(&leg.next),
            _ => self.nowhere(),
        };
        let resolver = match next {
            Next::Resolver(index) => Arc::clone(&self.resolvers[index]),
            Next::Split(_) => Arc::new(Resolver { targets: [].into(), request_timeout: None }),
        };
        (leg.runtime_points, headers, resolver)
    }

    fn nowhere(&mut self) -> Next {
        self.push(Resolver { targets: [].into(), request_timeout: None }, None)
    }

    fn push(&mut self, resolver: Resolver, hash: Option<HashPolicies>) -> Next {
        self.resolvers.push(Arc::new(resolver));
        self.resolver_hashes.push(hash);
        Next::Resolver(self.resolvers.len() - 1)
    }

    /// A resolver's target and those that take over from it, which its load balancer holds for as well.
    fn ranked(
        &mut self,
        primary: &TargetId,
        failover: &[TargetId],
        load_balancer: Option<&LoadBalancer>,
    ) -> Box<[Arc<Target>]> {
        let base = self.base_name(primary);
        let ranked = std::iter::once(primary).chain(failover).enumerate();
        let targets = ranked.filter_map(|(rank, id)| {
            let cluster = match failover {
                [] => base.clone(),
                _ => format!("failover-target~{rank}~{base}"),
            };
            self.target(id, load_balancer, cluster)
        });
        targets.collect()
    }

    /// The name of a resolver's cluster, or of the children of its failover without their numbers.
    fn base_name(&self, primary: &TargetId) -> String {
        let exported = if self.targets.settings.exported { "exported~" } else { "" };
        let name = self.targets.cluster(primary);
        match &self.chain.customization_hash {
            Some(hash) => format!("{exported}{hash}~{name}"),
            None => format!("{exported}{name}"),
        }
    }

    fn target(
        &mut self,
        id: &TargetId,
        load_balancer: Option<&LoadBalancer>,
        cluster: String,
    ) -> Option<Arc<Target>> {
        let cluster: Arc<str> = cluster.into();
        if let Some(made) = self.clusters.get(&cluster) {
            return Some(Arc::clone(made));
        }
        let described = self.chain.targets.get(id)?;
        let wanted = Wanted::of(described, load_balancer, self.chain.protocol, self.targets.settings.outlier);
        let target = Arc::new(self.targets.build(wanted, Arc::clone(&cluster)));
        self.clusters.insert(cluster, Arc::clone(&target));
        Some(target)
    }
}

//! Entries as tests write them: short, and wrong where a test wants them wrong.

use std::time::Duration;

use super::{Chain, ChainError, ChainTarget, Context, Node, Overrides, compile, describe};
use crate::entry::{
    Destination, EntrySet, Failover, FailoverTarget, HttpMatch, Kind, MeshGatewayMode, Protocol, Proxy,
    ProxyDefaults, Redirect, Registration, Route, RouteMatch, ServiceDefaults, ServiceResolver,
    ServiceRouter, ServiceSplitter, Split, Subset,
};
use crate::problem::Place;

/// A name that a test spells out.
pub(super) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("tests write valid names")
}

/// Builds an [`EntrySet`].
#[derive(Clone, Default)]
pub(super) struct Entries(pub(super) EntrySet);

impl Entries {
    /// With `proxy-defaults` that make every service http.
    pub(super) fn http() -> Self {
        Self::default().global(Some(Protocol::Http), MeshGatewayMode::Default)
    }

    pub(super) fn global(mut self, protocol: Option<Protocol>, mesh_gateway: MeshGatewayMode) -> Self {
        self.0.proxy_defaults = Some(ProxyDefaults { protocol, mesh_gateway, ..ProxyDefaults::default() });
        self
    }

    pub(super) fn router<const N: usize>(mut self, service: &str, routes: [Route; N]) -> Self {
        let entry = ServiceRouter {
            place: Place::default(),
            name: name(service),
            routes: routes.into(),
            meta: [].into(),
        };
        self.0.routers.insert(name(service), entry);
        self
    }

    pub(super) fn splitter<const N: usize>(self, service: &str, splits: [Split; N]) -> Self {
        self.splits(service, splits.into())
    }

    pub(super) fn splits(mut self, service: &str, splits: Vec<Split>) -> Self {
        let entry = ServiceSplitter {
            place: Place::default(),
            name: name(service),
            splits,
            sticky: Vec::new(),
            empty_leg: None,
            meta: [].into(),
        };
        self.0.splitters.insert(name(service), entry);
        self
    }

    pub(super) fn resolver(mut self, service: &str, change: impl FnOnce(&mut ServiceResolver)) -> Self {
        let mut entry = resolver(service);
        change(&mut entry);
        self.0.resolvers.insert(name(service), entry);
        self
    }

    /// A resolver that does nothing but define these subsets.
    pub(super) fn subsets<const N: usize>(self, service: &str, subsets: [&str; N]) -> Self {
        self.resolver(service, |it| define(it, subsets))
    }

    /// A resolver that does nothing but redirect.
    pub(super) fn redirect(self, service: &str, redirect: Redirect) -> Self {
        self.resolver(service, |it| it.redirect = Some(redirect))
    }

    pub(super) fn defaults(mut self, service: &str, change: impl FnOnce(&mut ServiceDefaults)) -> Self {
        let mut entry = ServiceDefaults { name: Some(name(service)), ..ServiceDefaults::default() };
        change(&mut entry);
        self.0.defaults.insert(name(service), entry);
        self
    }

    /// `service-defaults` that only set the protocol.
    pub(super) fn speaks(self, service: &str, protocol: Protocol) -> Self {
        self.defaults(service, |it| it.protocol = Some(protocol))
    }

    pub(super) fn compile(&self, service: &str) -> Result<Chain, ChainError> {
        self.compile_with(service, Overrides::default())
    }

    pub(super) fn compile_with(&self, service: &str, overrides: Overrides) -> Result<Chain, ChainError> {
        compile(&self.0, &context(service, overrides))
    }

    /// The chain of `service`, which must compile.
    pub(super) fn chain(&self, service: &str) -> Chain {
        self.compile(service).expect("the entries of this test fit together")
    }

    pub(super) fn chain_with(&self, service: &str, overrides: Overrides) -> Chain {
        self.compile_with(service, overrides).expect("the entries of this test fit together")
    }

    /// What is wrong with the chain of `service`, which must not compile.
    pub(super) fn error(&self, service: &str) -> ChainError {
        self.compile(service).expect_err("the entries of this test contradict each other")
    }
}

pub(super) fn context(service: &str, overrides: Overrides) -> Context {
    Context { service: name(service), datacenter: name("dc1"), trust_domain: name("td.consul"), overrides }
}

pub(super) fn resolver(service: &str) -> ServiceResolver {
    ServiceResolver {
        place: Place::default(),
        name: name(service),
        default_subset: None,
        subsets: [].into(),
        redirect: None,
        failover: [].into(),
        connect_timeout: None,
        request_timeout: None,
        load_balancer: None,
        prioritize_by_locality: None,
        meta: [].into(),
    }
}

pub(super) fn define<const N: usize>(entry: &mut ServiceResolver, subsets: [&str; N]) {
    for subset in subsets {
        let filter = format!("Service.Meta.version == {subset}");
        entry.subsets.insert(name(subset), Subset { filter, only_passing: false });
    }
}

/// `SUBSET.SERVICE@DATACENTER`, `SERVICE@peer:NAME` and any part of either; `""` names nothing.
struct Spot<'a> {
    service: Option<&'a str>,
    subset: Option<&'a str>,
    datacenter: Option<&'a str>,
    peer: Option<&'a str>,
}

fn spot(text: &str) -> Spot<'_> {
    let (what, at) = text.split_once('@').unwrap_or((text, ""));
    let (subset, service) = what.split_once('.').unwrap_or(("", what));
    let peer = at.strip_prefix("peer:");
    let some = |text: &'_ str| -> bool { !text.is_empty() };
    Spot {
        service: Some(service).filter(|it| some(it)),
        subset: Some(subset).filter(|it| some(it)),
        datacenter: Some(at).filter(|it| some(it) && peer.is_none()),
        peer,
    }
}

pub(super) fn split(weight: f64, to: &str) -> Split {
    let to = spot(to);
    Split {
        weight,
        service: to.service.map(name),
        service_subset: to.subset.map(name),
        datacenter: to.datacenter.map(name),
        peer: to.peer.map(name),
        ..Split::default()
    }
}

/// A route by path prefix; `""` for the destination leaves it out.
pub(super) fn route(prefix: &str, to: &str) -> Route {
    let http = HttpMatch { path_prefix: Some(prefix.to_owned()), ..HttpMatch::default() };
    let destination = spot(to);
    let destination = Destination {
        service: destination.service.map(name),
        service_subset: destination.subset.map(name),
        datacenter: destination.datacenter.map(name),
        peer: destination.peer.map(name),
        ..Destination::default()
    };
    Route {
        matches: Some(RouteMatch { http: Some(http) }),
        destination: (!to.is_empty()).then_some(destination),
    }
}

pub(super) fn redirect(to: &str) -> Redirect {
    let to = spot(to);
    Redirect {
        service: to.service.map(name),
        service_subset: to.subset.map(name),
        datacenter: to.datacenter.map(name),
        peer: to.peer.map(name),
    }
}

/// Failover to `Targets`.
pub(super) fn targets<const N: usize>(to: [&str; N]) -> Failover {
    let target = |to: &str| {
        let to = spot(to);
        FailoverTarget {
            service: to.service.map(name),
            service_subset: to.subset.map(name),
            datacenter: to.datacenter.map(name),
            peer: to.peer.map(name),
        }
    };
    Failover { targets: to.into_iter().map(target).collect(), ..Failover::default() }
}

/// A sidecar by its id.
pub(super) fn sidecar(id: &str, proxy: Proxy) -> Registration {
    Registration {
        place: Place::default(),
        kind: Kind::ConnectProxy,
        id: id.to_owned(),
        name: name(id),
        datacenter: None,
        address: "127.0.0.1".to_owned(),
        own_address: false,
        port: 21_000,
        socket_path: None,
        tagged_addresses: [].into(),
        tags: [].into(),
        enable_tag_override: false,
        meta: Default::default(),
        weight_passing: 1,
        weight_warning: 1,
        checks: [].into(),
        proxy,
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Where the node of this key leads: `50% KEY` from a splitter, `KEY` from a router, failover ids from a resolver.
pub(super) fn leads(chain: &Chain, key: &str) -> Vec<String> {
    match chain.nodes.iter().find(|(it, _)| it.to_string() == key).map(|(_, node)| node) {
        None => vec![format!("no {key}")],
        Some(Node::Router { routes }) => routes.iter().map(|route| route.next.to_string()).collect(),
        Some(Node::Splitter { legs, .. }) => {
            legs.iter().map(|leg| format!("{} {}", describe::per_cent(leg.basis_points), leg.next)).collect()
        }
        Some(Node::Resolver { failover, .. }) => failover.iter().map(ToString::to_string).collect(),
    }
}

/// The target of this id, which must be there.
pub(super) fn target<'a>(chain: &'a Chain, id: &str) -> &'a ChainTarget {
    let found = chain.targets.values().find(|it| it.id.to_string() == id);
    found.unwrap_or_else(|| panic!("no target {id} in {:?}", target_ids(chain)))
}

pub(super) fn target_ids(chain: &Chain) -> Vec<String> {
    chain.targets.keys().map(ToString::to_string).collect()
}

pub(super) fn node_keys(chain: &Chain) -> Vec<String> {
    chain.nodes.keys().map(ToString::to_string).collect()
}

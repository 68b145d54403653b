//! Chains and catalogs as tests write them, and the heads of requests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{BuildSettings, Headers, RequestHead, ServiceTable, build};
use crate::catalog::{Catalog, Imported, Instance, Peer};
use crate::chain::{
    Chain, ChainRoute, ChainTarget, Context, Leg, Node, NodeKey, Overrides, SplitRules, compile,
};
use crate::endpoint::Endpoints;
use crate::entry::{
    Destination, HealthStatus, HttpMatch, MeshGatewayMode, Protocol, Route, RouteMatch, Split, Subset,
};
use crate::load::{File, load};
use crate::name::{Locus, ServiceName, Sni, TargetId, TrustDomain};

/// A name that a test spells out.
pub(super) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("tests write valid names")
}

/// `[SUBSET.]SERVICE@DC` or `SERVICE@peer:NAME`.
pub(super) fn target_id(text: &str) -> TargetId {
    let (what, place) = text.split_once('@').expect("a service and a place");
    let (subset, service) = what.split_once('.').map_or((None, what), |(subset, it)| (Some(subset), it));
    let locus = match place.strip_prefix("peer:") {
        Some(peer) => Locus::Peer(name(peer)),
        None => Locus::Datacenter(name(place)),
    };
    TargetId { service: name(service), subset: subset.map(name), locus, tenancy: None }
}

/// No headers at all.
pub(super) struct NoHeaders;

impl Headers for NoHeaders {
    fn value(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

pub(super) fn get(path: &str) -> RequestHead<'_> {
    RequestHead { method: "GET", path, query: None, headers: &NoHeaders }
}

/// Headers as pairs of lower-case name and value.
pub(super) struct Fields<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl Headers for Fields<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let found = self.0.iter().find(|(header, _)| *header == name)?;
        Some(Cow::Borrowed(found.1.as_bytes()))
    }
}

/// The table of the service `web` in dc1 by entries in HCL, each a map.
pub(super) fn table_of(entries: &str, catalog: &Catalog) -> ServiceTable {
    let text = format!("config_entries {{ bootstrap = [\n{entries}\n] }}");
    let (config, problems) = load(&[File { path: "e.hcl".into(), bytes: text.into_bytes() }]);
    assert_eq!(problems, [], "{entries}");
    let (datacenter, trust_domain): (_, TrustDomain) = (name("dc1"), name("td.consul"));
    let cx = Context {
        service: name("web"),
        datacenter: name("dc1"),
        trust_domain: trust_domain.clone(),
        overrides: Overrides::default(),
    };
    let chain = compile(&config.entries, &cx).expect("the entries of this test fit together");
    let settings = BuildSettings::new(&datacenter, &trust_domain, &resolve);
    build(&chain, catalog, &settings, &mut Endpoints::default())
}

/// A chain under construction, for the service `web`.
pub(super) struct Chains(pub(super) Chain);

impl Chains {
    /// Starts at the resolver of `primary`, which fails over to `failover`.
    pub(super) fn resolver(primary: &str, failover: &[&str]) -> Self {
        let chain = Chain {
            service: name("web"),
            datacenter: name("dc1"),
            protocol: Protocol::Http,
            default: false,
            customization_hash: None,
            service_meta: BTreeMap::new(),
            envoy_extensions: Vec::new(),
            start: NodeKey::Resolver(target_id(primary)),
            nodes: BTreeMap::new(),
            targets: BTreeMap::new(),
        };
        Self(chain).and_resolver(primary, failover)
    }

    pub(super) fn and_resolver(mut self, primary: &str, failover: &[&str]) -> Self {
        let node = Node::Resolver {
            default: false,
            connect_timeout: Duration::from_secs(5),
            request_timeout: None,
            target: target_id(primary),
            failover: failover.iter().map(|target| target_id(target)).collect(),
            load_balancer: None,
        };
        self.0.nodes.insert(NodeKey::Resolver(target_id(primary)), node);
        for target in std::iter::once(&primary).chain(failover) {
            self.target(target, |_| {});
        }
        self
    }

    pub(super) fn target(&mut self, text: &str, change: impl FnOnce(&mut ChainTarget)) {
        let id = target_id(text);
        let sni =
            id.datacenter().map(|dc| Sni::internal(id.subset.as_ref(), &id.service, dc, &name("td.consul")));
        let target = self.0.targets.entry(id.clone()).or_insert_with(|| ChainTarget {
            id,
            subset: Subset::default(),
            mesh_gateway: MeshGatewayMode::Default,
            dialed_directly: false,
            connect_timeout: Duration::from_secs(5),
            external: false,
            sni: sni.clone(),
            name: sni,
        });
        change(target);
    }

    pub(super) fn mode(mut self, text: &str, mode: MeshGatewayMode) -> Self {
        self.target(text, |target| target.mesh_gateway = mode);
        self
    }

    pub(super) fn subset(mut self, text: &str, filter: &str, only_passing: bool) -> Self {
        self.target(text, |target| target.subset = Subset { filter: filter.to_owned(), only_passing });
        self
    }

    /// Starts at a splitter; weights in hundredths of a per cent.
    pub(super) fn split(mut self, legs: &[(u32, &str)]) -> Self {
        let leg = |(points, target): &(u32, &str)| Leg {
            definition: Split::default(),
            basis_points: *points,
            runtime_points: *points,
            next: NodeKey::Resolver(target_id(target)),
        };
        let key = NodeKey::Splitter(name("web"));
        let legs = legs.iter().map(leg).collect();
        let node = Node::Splitter { legs, load_balancer: None, rules: SplitRules::default() };
        self.0.nodes.insert(key.clone(), node);
        self.0.start = key;
        self
    }

    /// Starts at a router, whose last route leads to where the chain started before.
    pub(super) fn routes(mut self, routes: Vec<(HttpMatch, &str)>) -> Self {
        let route = |criteria: HttpMatch, next: NodeKey| ChainRoute {
            definition: Route {
                matches: Some(RouteMatch { http: Some(criteria) }),
                destination: Some(Destination::default()),
            },
            next,
        };
        let resolver = |text: &str| NodeKey::Resolver(target_id(text));
        let mut routes: Vec<ChainRoute> =
            routes.into_iter().map(|(criteria, next)| route(criteria, resolver(next))).collect();
        let all = HttpMatch { path_prefix: Some("/".to_owned()), ..HttpMatch::default() };
        routes.push(route(all, self.0.start));
        let key = NodeKey::Router(name("web"));
        self.0.nodes.insert(key.clone(), Node::Router { routes });
        self.0.start = key;
        self
    }

    /// The table in dc1 of td.consul, against `catalog`.
    pub(super) fn table(&self, catalog: &Catalog) -> ServiceTable {
        self.table_with(catalog, &mut Endpoints::default(), |_| {})
    }

    pub(super) fn table_with(
        &self,
        catalog: &Catalog,
        endpoints: &mut Endpoints,
        change: impl FnOnce(&mut BuildSettings<'_>),
    ) -> ServiceTable {
        let (datacenter, trust_domain) = (name("dc1"), name("td.consul"));
        let mut settings = BuildSettings::new(&datacenter, &trust_domain, &resolve);
        change(&mut settings);
        build(&self.0, catalog, &settings, endpoints)
    }
}

/// Knows one host.
pub(super) fn resolve(text: &str) -> Vec<SocketAddr> {
    match text {
        "web.local:80" => ["10.0.0.80:80", "10.0.0.81:80"].iter().filter_map(|it| it.parse().ok()).collect(),
        _ => Vec::new(),
    }
}

/// An instance of `web` by its sidecar's address; `version` is in its meta.
pub(super) fn instance(datacenter: &str, address: &str, version: &str, status: HealthStatus) -> Instance {
    Instance {
        id: address.to_owned(),
        service: name("web"),
        sidecar_id: String::new(),
        sidecar_service: name("web-sidecar-proxy"),
        datacenter: name(datacenter),
        node: String::new(),
        host: "10.0.0.1".to_owned(),
        port: 80,
        address: address.to_owned(),
        tags: [].into(),
        meta: Arc::new([("version".to_owned(), version.to_owned())].into()),
        weight_passing: 1,
        weight_warning: 1,
        status,
        health: Default::default(),
    }
}

pub(super) fn catalog(instances: Vec<Instance>) -> Catalog {
    let mut catalog = Catalog::default();
    catalog.instances.insert(name("web"), instances);
    catalog
}

/// A usable peer of trust domain `peer.consul` that exports `web` as grpc.
pub(super) fn peer() -> Peer {
    let web = Imported {
        protocol: Protocol::Grpc,
        sni: name("web.default.default.us.external.peer.consul"),
        identities: vec![name("spiffe://peer.consul/ns/default/dc/dc9/svc/web")],
        healthy: 2,
    };
    Peer {
        trust_domain: name("peer.consul"),
        gateways: vec!["1.2.3.4:8443".to_owned()],
        imported: [(name::<ServiceName>("web"), web)].into(),
        usable: true,
        state: "ACTIVE".to_owned(),
    }
}

//! Tables built and asked: where requests go, whom they reach, and what is said when they reach nobody.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{Chains, catalog, get, instance, name, peer, resolve, target_id};
use super::*;
use crate::Tick;
use crate::breaker::Breaker;
use crate::catalog::{Catalog, Peer};
use crate::chain::{Node, NodeKey, Overrides};
use crate::endpoint::{Address, Endpoint, Endpoints};
use crate::entry::HealthStatus::{Critical, Passing, Warning};
use crate::entry::{HttpMatch, MeshGatewayMode};
use crate::outlier::{Outcome, OutlierPolicy};
use crate::pick::{Balance, Via, Weights};

fn addresses(target: &Target) -> Vec<String> {
    target.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

/// The addresses of the first target of the table's first resolver, and why there are none.
fn check(chains: &Chains, catalog: &Catalog, via: Via, expected: &[&str], absent: Option<&str>) {
    let table = chains.table(catalog);
    let target = &table.resolvers[0].targets[0];
    assert_eq!(addresses(target), expected);
    assert_eq!(target.absent.as_deref(), absent);
    assert_eq!(target.via, via);
}

fn three() -> Catalog {
    catalog(vec![
        instance("dc1", "10.0.0.1:1", "v1", Passing),
        instance("dc1", "10.0.0.2:1", "v2", Warning),
        instance("dc1", "10.0.0.3:1", "v1", Critical),
        instance("dc2", "10.2.0.1:1", "v1", Passing),
    ])
}

#[test]
fn a_local_target_has_the_healthy_instances_of_its_subset() {
    let own = || Chains::resolver("web@dc1", &[]);
    check(&own(), &three(), Via::Direct, &["10.0.0.1:1", "10.0.0.2:1"], None);
    check(&own(), &Catalog::default(), Via::Direct, &[], None);
    let subset = |filter: &str, only_passing| {
        Chains::resolver("v2.web@dc1", &[]).subset("v2.web@dc1", filter, only_passing)
    };
    check(&subset("Service.Meta.version == v2", false), &three(), Via::Direct, &["10.0.0.2:1"], None);
    check(&subset("Service.Meta.version == v2", true), &three(), Via::Direct, &[], None);
    check(&subset("", true), &three(), Via::Direct, &["10.0.0.1:1"], None);
    let absent = "the subset's filter is not valid: 1:24 (23): no match found, expected a value: a name, a number, or a text in quotes";
    check(&subset("Service.Meta.version ==", false), &three(), Via::Direct, &[], Some(absent));
}

#[test]
fn another_datacenter_is_reached_as_the_mode_says() {
    let mut known = three();
    let through = |mode| Chains::resolver("web@dc2", &[]).mode("web@dc2", mode);
    use MeshGatewayMode::{Default, Local, None as Direct, Remote};
    check(&through(Default), &known, Via::Direct, &["10.2.0.1:1"], None);
    check(&through(Direct), &known, Via::Direct, &["10.2.0.1:1"], None);
    let no_gateway = "mesh gateway mode local needs a mesh gateway in dc1, which has none";
    check(&through(Local), &known, Via::LocalGateway, &[], Some(no_gateway));
    let none_there = "datacenter dc2 has no mesh gateway";
    check(&through(Remote), &known, Via::RemoteGateway, &[], Some(none_there));
    known.gateways.insert(name("dc1"), vec!["10.0.0.9:8443".to_owned()]);
    known.gateways.insert(name("dc2"), vec!["10.2.0.9:8443".to_owned()]);
    check(&through(Local), &known, Via::LocalGateway, &["10.0.0.9:8443"], None);
    check(&through(Remote), &known, Via::RemoteGateway, &["10.2.0.9:8443"], None);
    known.instances.clear();
    check(&through(Remote), &known, Via::RemoteGateway, &["10.2.0.9:8443"], None);
    known.instances.insert(name("web"), vec![instance("dc2", "10.2.0.1:1", "v1", Critical)]);
    check(&through(Remote), &known, Via::RemoteGateway, &[], None);
}

#[test]
fn a_peer_is_reached_by_a_gateway_or_not_at_all() {
    let through = |mode| Chains::resolver("web@peer:them", &[]).mode("web@peer:them", mode);
    let with = |peer| Catalog { peers: [(name("them"), peer)].into(), ..Catalog::default() };
    use MeshGatewayMode::{Default, Local, None as Direct, Remote};
    for mode in [Default, Direct, Remote] {
        check(&through(mode), &with(peer()), Via::RemoteGateway, &["1.2.3.4:8443"], None);
    }
    let no_gateway = "mesh gateway mode local needs a mesh gateway in dc1, which has none";
    check(&through(Local), &with(peer()), Via::LocalGateway, &[], Some(no_gateway));
    let remote =
        |catalog: Catalog, absent| check(&through(Remote), &catalog, Via::RemoteGateway, &[], Some(absent));
    remote(Catalog::default(), "there is no peering them");
    let mut pending = Catalog::default();
    pending.unknown_peers.insert(name("them"), "PENDING".to_owned());
    remote(pending, "the peering them is PENDING: it has not been established");
    let terminated = Peer { usable: false, state: "TERMINATED".to_owned(), ..peer() };
    remote(with(terminated), "the peering them is TERMINATED");
    remote(with(Peer { imported: [].into(), ..peer() }), "peer them does not export web to us");
    remote(with(Peer { gateways: vec![], ..peer() }), "no mesh gateway of peer them is known");
    let mut sick = peer();
    sick.imported.values_mut().for_each(|imported| imported.healthy = 0);
    remote(with(sick), "peer them has no healthy instance of web");
}

#[test]
fn an_endpoint_must_prove_to_be_what_its_target_says() {
    let mut known = three();
    known.peers.insert(name("them"), peer());
    let table = Chains::resolver("web@dc1", &["v1.web@dc2", "web@peer:them"]).table(&known);
    let shown: Vec<_> = table.resolvers[0]
        .targets
        .iter()
        .map(|target| {
            let tls = target.tls.as_ref().expect("mutual TLS");
            let ids: Vec<String> = tls.identities.iter().map(ToString::to_string).collect();
            (tls.sni.to_string(), ids.join(" "), target.protocol.as_str())
        })
        .collect();
    let expected = [
        ("web.default.dc1.internal.td.consul", "spiffe://td.consul/ns/default/dc/dc1/svc/web", "http"),
        ("v1.web.default.dc2.internal.td.consul", "spiffe://td.consul/ns/default/dc/dc2/svc/web", "http"),
        (
            "web.default.default.us.external.peer.consul",
            "spiffe://peer.consul/ns/default/dc/dc9/svc/web",
            "grpc",
        ),
    ];
    let expected = expected.map(|(sni, id, protocol)| (sni.to_owned(), id.to_owned(), protocol));
    assert_eq!(shown, expected);
}

#[test]
fn clusters_are_named_as_consul_names_them() {
    let mut known = Catalog::default();
    known.peers.insert(name("them"), peer());
    let names = |chains: &Chains, exported| {
        let table = chains.table_with(&known, &mut Endpoints::default(), |it| it.exported = exported);
        let names = table.resolvers.iter().flat_map(|resolver| &resolver.targets);
        names.map(|target| target.cluster.to_string()).collect::<Vec<_>>()
    };
    let alone = Chains::resolver("v2.web@dc1", &[]);
    assert_eq!(names(&alone, false), ["v2.web.default.dc1.internal.td.consul"]);
    assert_eq!(names(&alone, true), ["exported~v2.web.default.dc1.internal.td.consul"]);
    assert_eq!(
        names(&Chains::resolver("web@peer:them", &[]), false),
        ["web.default.them.external.peer.consul"]
    );
    let mut failover = Chains::resolver("web@dc1", &["web@peer:them"]);
    let expected = [
        "failover-target~0~web.default.dc1.internal.td.consul",
        "failover-target~1~web.default.dc1.internal.td.consul",
    ];
    assert_eq!(names(&failover, false), expected);
    failover.0.customization_hash = Some("1a47f6e1".to_owned());
    assert_eq!(names(&failover, false)[1], "failover-target~1~1a47f6e1~web.default.dc1.internal.td.consul");
}

#[test]
fn host_names_are_resolved_and_duplicates_left_out() {
    let at = |addresses: &[&str]| {
        catalog(addresses.iter().map(|address| instance("dc1", address, "v1", Passing)).collect())
    };
    let own = || Chains::resolver("web@dc1", &[]);
    let both = ["10.0.0.80:80", "10.0.0.81:80"];
    check(&own(), &at(&["web.local:80", "10.0.0.81:80"]), Via::Direct, &both, None);
    check(&own(), &at(&["gone.local:80"]), Via::Direct, &[], Some("cannot resolve gone.local:80"));
    check(&own(), &at(&["unix:///run/web.sock"]), Via::Direct, &["/run/web.sock"], None);
    check(&own(), &at(&["gone.local:80", "[::1]:80"]), Via::Direct, &["[::1]:80"], None);
}

#[test]
fn health_is_carried_to_the_next_generation() {
    let mut endpoints = Endpoints::default();
    let chains = Chains::resolver("web@dc1", &[]);
    let build = |endpoints: &mut Endpoints, catalog: &Catalog| chains.table_with(catalog, endpoints, |_| {});
    let first = build(&mut endpoints, &three());
    let endpoint = Arc::clone(&first.resolvers[0].targets[0].endpoints[0]);
    endpoint.record(Outcome::ConnectFailed, Tick(1), &OutlierPolicy::default());
    let second = build(&mut endpoints, &three());
    assert!(Arc::ptr_eq(&endpoint, &second.resolvers[0].targets[0].endpoints[0]));
}

#[test]
fn an_endpoint_under_a_new_identity_is_a_new_endpoint() {
    let mut endpoints = Endpoints::default();
    let chains = Chains::resolver("web@peer:them", &[]);
    let mut known = Catalog::default();
    known.peers.insert(name("them"), peer());
    let first = chains.table_with(&known, &mut endpoints, |_| {});
    for imported in known.peers.values_mut().flat_map(|peer| peer.imported.values_mut()) {
        imported.identities = vec![name("spiffe://peer.consul/ns/default/dc/dc9/svc/web-new")];
    }
    let second = chains.table_with(&known, &mut endpoints, |_| {});
    let uid = |table: &ServiceTable| table.resolvers[0].targets[0].endpoints[0].uid;
    assert_ne!(uid(&first), uid(&second));
}

#[test]
fn weights_are_those_of_the_instances_in_their_health() {
    let mut weighty = catalog(vec![
        instance("dc1", "10.0.0.1:1", "v1", Passing),
        instance("dc1", "10.0.0.2:1", "v1", Warning),
        instance("dc1", "10.0.0.3:1", "v1", Passing),
    ]);
    for (index, it) in weighty.instances.values_mut().flatten().enumerate() {
        (it.weight_passing, it.weight_warning) = ([5, 9, 0][index], 2);
    }
    let table = Chains::resolver("web@dc1", &[]).table(&weighty);
    let target = &table.resolvers[0].targets[0];
    assert_eq!(addresses(target), ["10.0.0.1:1", "10.0.0.2:1"]);
    assert_eq!([target.weights.of(0), target.weights.of(1)], [5, 2]);
}

#[test]
fn a_gateway_does_not_go_through_itself() {
    let mut known = three();
    known.gateways.insert(name("dc1"), vec!["10.0.0.9:8443".to_owned()]);
    known.gateways.insert(name("dc2"), vec!["10.2.0.9:8443".to_owned()]);
    let chains = Chains::resolver("web@dc2", &[]).mode("web@dc2", MeshGatewayMode::Local);
    let table = chains.table_with(&known, &mut Endpoints::default(), |it| it.exported = true);
    assert_eq!(addresses(&table.resolvers[0].targets[0]), ["10.2.0.9:8443"]);
}

#[test]
fn an_upstream_at_a_peer_speaks_what_the_peer_exports() {
    let (datacenter, trust_domain) = (name("dc1"), name("td.consul"));
    let settings = BuildSettings::new(&datacenter, &trust_domain, &resolve);
    let table = |known: &Catalog, overrides| {
        peer_upstream(&name("web"), &name("them"), &overrides, known, &settings, &mut Endpoints::default())
    };
    let mut known = Catalog::default();
    let missing = table(&known, Overrides { protocol: Some(Protocol::Http), ..Overrides::default() });
    assert_eq!(missing.protocol, Protocol::Http);
    known.peers.insert(name("them"), peer());
    let found =
        table(&known, Overrides { connect_timeout: Some(Duration::from_secs(2)), ..Overrides::default() });
    assert_eq!((found.protocol, found.resolvers.len()), (Protocol::Grpc, 1));
    let target = &found.resolvers[0].targets[0];
    assert_eq!((target.connect_timeout, target.outlier.max_ejection_percent), (Duration::from_secs(2), 100));
    assert_eq!(target.id, target_id("web@peer:them"));
}

/// The targets where `path` goes, as `route index / leg index / primary target`.
fn where_to(table: &ServiceTable, path: &str) -> String {
    let decision = table.peek(&get(path), 0);
    format!("{:?} {:?} {}", decision.route_index, decision.leg_index, decision.resolver.targets[0].id)
}

#[test]
fn routes_then_splits_then_resolvers_decide() {
    let prefix = |path: &str| HttpMatch { path_prefix: Some(path.to_owned()), ..HttpMatch::default() };
    let chains =
        Chains::resolver("v1.web@dc1", &[]).and_resolver("v2.web@dc1", &[]).and_resolver("admin@dc1", &[]);
    let split = chains.split(&[(0, "v1.web@dc1"), (10_000, "v2.web@dc1")]);
    assert_eq!(where_to(&split.table(&three()), "/"), "None Some(1) v2.web.default.default.dc1");
    let routed = split.routes(vec![(prefix("/admin"), "admin@dc1"), (prefix("/adm"), "v1.web@dc1")]);
    let table = routed.table(&three());
    for (path, expected) in [
        ("/admin/x", "Some(0) None admin.default.default.dc1"),
        ("/adm", "Some(1) None v1.web.default.default.dc1"),
        ("/", "Some(2) Some(1) v2.web.default.default.dc1"),
        ("*", "Some(2) Some(1) v2.web.default.default.dc1"),
    ] {
        assert_eq!(where_to(&table, path), expected, "{path}");
    }
    assert_eq!(table.split(Some(2)).map(|split| split.legs().len()), Some(2));
    assert!(table.split(Some(0)).is_none());
    assert_eq!(table.resolvers.len(), 3, "stages that two routes lead to are shared");
}

#[test]
fn a_request_timeout_of_a_resolver_counts_only_at_the_start() {
    let with_timeout = |mut chains: Chains| {
        for node in chains.0.nodes.values_mut() {
            if let Node::Resolver { request_timeout, .. } = node {
                *request_timeout = Some(Duration::from_secs(3));
            }
        }
        chains.table(&three())
    };
    let timeout = |table: &ServiceTable| table.peek(&get("/"), 0).route.request_timeout;
    let start = with_timeout(Chains::resolver("web@dc1", &[]));
    assert_eq!(timeout(&start), Some(Duration::from_secs(3)));
    let behind = with_timeout(Chains::resolver("web@dc1", &[]).split(&[(10_000, "web@dc1")]));
    assert_eq!(timeout(&behind), Some(Duration::from_secs(15)));
    let routed = with_timeout(Chains::resolver("web@dc1", &[]).routes(vec![]));
    assert_eq!(timeout(&routed), Some(Duration::from_secs(15)));
}

#[test]
fn a_load_balancer_holds_for_a_resolver_and_those_that_take_over() {
    let by_source = || crate::entry::LoadBalancer {
        policy: "ring_hash".to_owned(),
        hash_policies: vec![crate::entry::HashPolicy {
            source_ip: true,
            ..crate::entry::HashPolicy::default()
        }],
        ..crate::entry::LoadBalancer::default()
    };
    let mut chains = Chains::resolver("web@dc1", &["web@dc2"]);
    if let Some(Node::Resolver { load_balancer, .. }) = chains.0.nodes.values_mut().next() {
        *load_balancer = Some(by_source());
    }
    let table = chains.table(&three());
    assert!(table.resolvers[0].targets.iter().all(|target| matches!(target.balance, Balance::Hash(_))));
    assert!(table.peek(&get("/"), 0).hash.is_some());
    let mut split = chains.split(&[(10_000, "web@dc1")]);
    assert!(
        split.table(&three()).peek(&get("/"), 0).hash.is_none(),
        "behind a splitter the splitter's counts"
    );
    for node in split.0.nodes.values_mut() {
        if let Node::Splitter { load_balancer, .. } = node {
            *load_balancer = Some(by_source());
        }
    }
    assert!(split.table(&three()).peek(&get("/"), 0).hash.is_some());
}

#[test]
fn a_chain_that_names_a_missing_stage_leads_nowhere() {
    let mut chains = Chains::resolver("web@dc1", &[]).split(&[(5_000, "web@dc1"), (5_000, "api@dc1")]);
    let table = chains.table(&three());
    assert!(table.peek(&get("/"), 9_999).resolver.targets.is_empty());
    chains.0.start = NodeKey::Router(name("api"));
    assert!(chains.table(&three()).peek(&get("/"), 0).resolver.targets.is_empty());
}

#[test]
fn the_local_application_is_a_table_of_one_target() {
    let local = Target {
        id: target_id("web@dc1"),
        cluster: "local_app".into(),
        via: Via::Direct,
        tls: None,
        protocol: Protocol::Http,
        connect_timeout: Duration::from_secs(5),
        outlier: OutlierPolicy::default(),
        breaker: Breaker::default(),
        endpoints: [Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], 80).into()), 0, 1))].into(),
        weights: Weights::default(),
        balance: Balance::default(),
        absent: None,
    };
    let table = ServiceTable::single(name("web"), Protocol::Http, local);
    let decision = table.decide(&get("/"), Draw(0));
    assert_eq!((decision.route_index, decision.leg_index), (None, None));
    assert_eq!(decision.route.request_timeout, None);
    assert_eq!(&*table.decide_connection(Draw(0)).resolver.targets[0].cluster, "local_app");
}

/// Criteria of every kind over few paths, so that many routes match one request.
fn random_route(random: &mut impl FnMut(u64) -> u64) -> HttpMatch {
    let mut path = || {
        let parts =
            (0..random(4)).map(|_| ["/", "/a", "/ab", "b", "/A"][random(5) as usize]).collect::<String>();
        Some(format!("/{parts}"))
    };
    let (exact, prefix, folded) = (path(), path(), path());
    let mut route = HttpMatch::default();
    match random(8) {
        0 | 1 => route.path_exact = exact,
        2..=4 => route.path_prefix = prefix,
        5 => (route.path_prefix, route.case_insensitive) = (folded, true),
        6 => route.path_regex = Some("/a.*".to_owned()),
        _ => {}
    }
    if random(3) == 0 {
        route.methods = vec![["GET", "PUT"][random(2) as usize].to_owned()];
    }
    route
}

#[test]
fn the_first_route_that_matches_decides_however_many_there_are() {
    let mut seed = 1_u64;
    let mut random = move |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % end
    };
    for size in [0, 1, 3, 4, 5, 17, 40, 300] {
        let criteria: Vec<HttpMatch> = (0..size).map(|_| random_route(&mut random)).collect();
        let routes = criteria.into_iter().map(|it| (it, "web@dc1")).collect();
        let table = Chains::resolver("web@dc1", &[]).routes(routes).table(&three());
        for _ in 0..300 {
            let path = random_route(&mut random).path_prefix.unwrap_or_else(|| "/a/ab".to_owned());
            let head = RequestHead { method: ["GET", "PUT", "POST"][random(3) as usize], ..get(&path) };
            let naive = table.routes().iter().position(|route| route.matcher.matches(&head));
            assert_eq!(table.decide(&head, Draw(0)).route_index, naive, "{path} of {size}");
        }
    }
}

#[test]
fn a_query_value_is_that_of_the_first_pair_of_its_name() {
    let queries =
        ["", "a", "a=", "a=1", "aa=1&a=2", "b&a&a=3", "&&a=1=2&", "=5", "=5&a", "a=b=c", "é=1&a=ü", "A=1"];
    for (query, name) in
        queries.iter().flat_map(|query| ["a", "aa", "b", "", "é", "a=b"].map(|it| (query, it)))
    {
        let head = RequestHead { query: Some(query), ..get("/") };
        let naive = head.query_pairs().find(|(found, _)| *found == name).map(|(_, value)| value);
        assert_eq!(head.query_value(name), naive, "{name:?} of {query:?}");
    }
}

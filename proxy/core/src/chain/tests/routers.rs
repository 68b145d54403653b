//! The router stage.

use crate::chain::fixtures::{Entries, leads, node_keys, route, split};
use crate::chain::{Chain, Node};
use crate::entry::Route;

fn definitions(chain: &Chain) -> Vec<&Route> {
    match chain.nodes.get(&chain.start) {
        Some(Node::Router { routes }) => routes.iter().map(|it| &it.definition).collect(),
        other => panic!("the chain starts at {other:?}"),
    }
}

/// Where each route of web's router leads, the one that catches all included.
fn check(entries: &Entries, expected: &[&str]) {
    assert_eq!(leads(&entries.chain("web"), "router:web.default.default"), expected);
}

#[test]
fn a_chain_without_entries_starts_at_its_services_resolver() {
    let chain = Entries::default().chain("web");
    assert_eq!(chain.start.to_string(), "resolver:web.default.default.dc1");
    assert_eq!(node_keys(&chain), ["resolver:web.default.default.dc1"]);
    assert!(chain.default);
}

#[test]
fn a_chain_with_a_splitter_and_no_router_starts_at_the_splitter() {
    let chain = Entries::http().splitter("web", [split(100.0, "")]).chain("web");
    assert_eq!(chain.start.to_string(), "splitter:web.default.default");
    assert!(!chain.default);
}

#[test]
fn a_chain_with_a_router_starts_there_even_if_it_has_no_routes() {
    let chain = Entries::http().router("web", []).chain("web");
    assert_eq!(chain.start.to_string(), "router:web.default.default");
    assert_eq!(leads(&chain, "router:web.default.default"), ["resolver:web.default.default.dc1"]);
}

#[test]
fn a_route_without_a_destination_goes_to_the_routers_own_service() {
    check(
        &Entries::http().router("web", [route("/a", "")]),
        &["resolver:web.default.default.dc1", "resolver:web.default.default.dc1"],
    );
}

#[test]
fn a_route_to_a_service_goes_through_that_services_splitter() {
    let entries = Entries::http()
        .router("web", [route("/a", "api")])
        .splitter("api", [split(50.0, ""), split(50.0, "api2")]);
    check(&entries, &["splitter:api.default.default", "resolver:web.default.default.dc1"]);
}

#[test]
fn a_route_to_a_subset_skips_the_splitter() {
    let entries = Entries::http()
        .router("web", [route("/a", "v1.api")])
        .splitter("api", [split(100.0, "")])
        .subsets("api", ["v1"]);
    check(&entries, &["resolver:v1.api.default.default.dc1", "resolver:web.default.default.dc1"]);
}

#[test]
fn a_route_to_a_subset_of_its_own_service_skips_its_own_splitter() {
    let entries = Entries::http()
        .router("web", [route("/a", "v1.")])
        .splitter("web", [split(100.0, "v2.")])
        .subsets("web", ["v1", "v2"]);
    check(&entries, &["resolver:v1.web.default.default.dc1", "splitter:web.default.default"]);
}

#[test]
fn the_router_of_a_routes_destination_has_no_say() {
    let entries =
        Entries::http().router("web", [route("/a", "api")]).router("api", [route("/", "elsewhere")]);
    check(&entries, &["resolver:api.default.default.dc1", "resolver:web.default.default.dc1"]);
}

#[test]
fn the_last_route_catches_all_even_after_one_that_does() {
    let chain = Entries::http().router("web", [route("/", "api")]).chain("web");
    let routes = definitions(&chain);
    assert_eq!(routes.len(), 2);
    let json = serde_json::to_value(routes[1]).expect("a route is JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "Match": {"HTTP": {"PathPrefix": "/"}},
            "Destination": {"Service": "web", "Namespace": "default", "Partition": "default"},
        })
    );
}

#[test]
fn a_routes_definition_stays_as_written_but_for_methods_in_upper_case() {
    let mut written = route("/a", "");
    let http = written.matches.as_mut().and_then(|it| it.http.as_mut()).expect("the fixture's match");
    http.methods = vec!["get".to_owned(), "Post".to_owned()];
    let mut compiled = written.clone();
    let http = compiled.matches.as_mut().and_then(|it| it.http.as_mut()).expect("the fixture's match");
    http.methods = vec!["GET".to_owned(), "POST".to_owned()];

    let chain = Entries::http().router("web", [written]).chain("web");
    assert_eq!(definitions(&chain)[0], &compiled);
}

#[test]
fn a_route_that_matches_nothing_in_particular_is_kept() {
    let chain = Entries::http().router("web", [Route::default()]).chain("web");
    assert_eq!(definitions(&chain)[0], &Route::default());
}

#[test]
fn two_routes_to_one_service_share_its_node() {
    let chain = Entries::http().router("web", [route("/a", "api"), route("/b", "api")]).chain("web");
    assert_eq!(
        node_keys(&chain),
        [
            "resolver:api.default.default.dc1",
            "resolver:web.default.default.dc1",
            "router:web.default.default"
        ]
    );
}

#[test]
fn a_route_may_name_a_peer_or_a_datacenter_and_then_skips_the_splitter() {
    let entries = Entries::http()
        .router("web", [route("/a", "api@peer:east"), route("/b", "api@dc2"), route("/c", "@peer:east")])
        .splitter("api", [split(100.0, "")]);
    check(
        &entries,
        &[
            "resolver:api.default.default.external.east",
            "resolver:api.default.default.dc2",
            "resolver:web.default.default.external.east",
            "resolver:web.default.default.dc1",
        ],
    );
}

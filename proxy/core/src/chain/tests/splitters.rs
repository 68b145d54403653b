//! The splitter stage, and splitters behind splitters.

use crate::chain::fixtures::{Entries, leads, name, node_keys, redirect, split};
use crate::chain::{Chain, Leg, Node, NodeKey};
use crate::entry::{HeaderModifiers, LoadBalancer, ServiceResolver, Split};

/// Where web's splitter leads, flattened.
fn check(entries: &Entries, expected: &[&str]) {
    assert_eq!(leads(&entries.chain("web"), "splitter:web.default.default"), expected);
}

fn splitter<'a>(chain: &'a Chain, service: &str) -> (&'a [Leg], Option<&'a LoadBalancer>) {
    match chain.nodes.get(&NodeKey::Splitter(name(service))) {
        Some(Node::Splitter { legs, load_balancer, .. }) => (legs, load_balancer.as_ref()),
        other => panic!("{other:?} is no splitter of {service}"),
    }
}

fn runtime_points(chain: &Chain, service: &str) -> Vec<u32> {
    splitter(chain, service).0.iter().map(|leg| leg.runtime_points).collect()
}

#[test]
fn a_split_without_a_service_goes_to_the_splitters_own_resolver() {
    let entries = Entries::http()
        .splitter("web", [split(90.0, "v1."), split(10.0, "v2.")])
        .subsets("web", ["v1", "v2"]);
    check(&entries, &["90% resolver:v1.web.default.default.dc1", "10% resolver:v2.web.default.default.dc1"]);
}

#[test]
fn a_split_to_the_own_service_by_name_goes_to_its_resolver_too() {
    check(
        &Entries::http().splitter("web", [split(100.0, "web")]),
        &["100% resolver:web.default.default.dc1"],
    );
}

#[test]
fn a_split_to_a_subset_of_another_service_skips_that_services_splitter() {
    let entries = Entries::http()
        .splitter("web", [split(100.0, "v1.api")])
        .splitter("api", [split(100.0, "other")])
        .subsets("api", ["v1"]);
    check(&entries, &["100% resolver:v1.api.default.default.dc1"]);
}

#[test]
fn a_splitter_behind_a_splitter_multiplies_as_in_the_documentation() {
    let entries = Entries::http()
        .splitter("a", [split(50.0, "v1."), split(50.0, "v2.")])
        .subsets("a", ["v1", "v2"])
        .splitter("web", [split(50.0, "a"), split(50.0, "web")]);
    check(
        &entries,
        &[
            "25% resolver:v1.a.default.default.dc1",
            "25% resolver:v2.a.default.default.dc1",
            "50% resolver:web.default.default.dc1",
        ],
    );
}

#[test]
fn a_flattened_splitter_is_pruned() {
    let chain =
        Entries::http().splitter("web", [split(100.0, "a")]).splitter("a", [split(100.0, "")]).chain("web");
    assert_eq!(node_keys(&chain), ["resolver:a.default.default.dc1", "splitter:web.default.default"]);
}

#[test]
fn a_flattened_splitter_that_a_route_leads_to_stays() {
    let chain = Entries::http()
        .router("web", [crate::chain::fixtures::route("/a", "a")])
        .splitter("web", [split(50.0, "a"), split(50.0, "")])
        .splitter("a", [split(50.0, ""), split(50.0, "b")])
        .splitter("b", [split(100.0, "c")])
        .chain("web");
    assert_eq!(
        leads(&chain, "splitter:a.default.default"),
        ["50% resolver:a.default.default.dc1", "50% resolver:c.default.default.dc1"]
    );
    assert_eq!(leads(&chain, "splitter:b.default.default"), ["no splitter:b.default.default"]);
}

#[test]
fn splitters_three_deep_become_one() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "")])
        .splitter("a", [split(50.0, "b"), split(50.0, "")])
        .splitter("b", [split(50.0, "c"), split(50.0, "")]);
    check(
        &entries,
        &[
            "12.5% resolver:c.default.default.dc1",
            "12.5% resolver:b.default.default.dc1",
            "25% resolver:a.default.default.dc1",
            "50% resolver:web.default.default.dc1",
        ],
    );
}

#[test]
fn legs_to_the_same_place_are_not_added_up() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "b")])
        .splitter("a", [split(100.0, "c")])
        .splitter("b", [split(100.0, "c")]);
    check(&entries, &["50% resolver:c.default.default.dc1", "50% resolver:c.default.default.dc1"]);
}

#[test]
fn a_compiled_weight_is_rounded_to_a_hundredth_and_the_sum_may_drift() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "")])
        .splitter("a", [split(33.33, "x"), split(33.33, "y"), split(33.34, "z")]);
    check(
        &entries,
        &[
            "16.67% resolver:x.default.default.dc1",
            "16.67% resolver:y.default.default.dc1",
            "16.67% resolver:z.default.default.dc1",
            "50% resolver:web.default.default.dc1",
        ],
    );
}

#[test]
fn what_requests_are_split_by_never_drifts() {
    let chain = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "")])
        .splitter("a", [split(33.33, "x"), split(33.33, "y"), split(33.34, "z")])
        .chain("web");
    let points = runtime_points(&chain, "web");
    assert_eq!(points, [1_667, 1_666, 1_667, 5_000]);
    assert_eq!(points.iter().sum::<u32>(), 10_000);
}

#[test]
fn a_weight_of_zero_keeps_its_leg_and_gets_nothing() {
    let chain = Entries::http().splitter("web", [split(100.0, ""), split(0.0, "canary")]).chain("web");
    assert_eq!(
        leads(&chain, "splitter:web.default.default"),
        ["100% resolver:web.default.default.dc1", "0% resolver:canary.default.default.dc1"]
    );
    assert_eq!(runtime_points(&chain, "web"), [10_000, 0]);
}

#[test]
fn a_weight_below_a_hundredth_counts_as_rounded() {
    for (weight, points) in [(0.004, 0), (0.005, 1), (0.01, 1), (0.1, 10), (33.335, 3_334)] {
        assert_eq!(split(weight, "").basis_points(), points, "{weight}");
    }
}

#[test]
fn a_split_to_a_service_that_redirects_goes_where_the_redirect_ends() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, ""), split(50.0, "helper")])
        .redirect("helper", redirect("web@peer:east"));
    check(
        &entries,
        &["50% resolver:web.default.default.dc1", "50% resolver:web.default.default.external.east"],
    );
}

#[test]
fn the_splitter_of_a_redirects_destination_has_no_say() {
    let entries = Entries::http()
        .splitter("web", [split(100.0, "old")])
        .redirect("old", redirect("new"))
        .splitter("new", [split(100.0, "elsewhere")]);
    check(&entries, &["100% resolver:new.default.default.dc1"]);
}

#[test]
fn a_split_may_name_a_peer_or_a_datacenter_without_a_helper() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, ""), split(30.0, "@peer:east"), split(20.0, "api@dc2")])
        .splitter("api", [split(100.0, "")]);
    check(
        &entries,
        &[
            "50% resolver:web.default.default.dc1",
            "30% resolver:web.default.default.external.east",
            "20% resolver:api.default.default.dc2",
        ],
    );
}

fn balanced(policy: &str) -> impl FnOnce(&mut ServiceResolver) {
    let load_balancer = LoadBalancer { policy: policy.to_owned(), ..LoadBalancer::default() };
    move |it| it.load_balancer = Some(load_balancer)
}

#[test]
fn a_splitters_load_balancer_is_that_of_the_first_leg_that_hashes() {
    let chain = Entries::http()
        .splitter("web", [split(40.0, "a"), split(30.0, "b"), split(30.0, "c")])
        .resolver("a", balanced("least_request"))
        .resolver("b", balanced("maglev"))
        .resolver("c", balanced("ring_hash"))
        .chain("web");
    assert_eq!(splitter(&chain, "web").1.map(|it| it.policy.as_str()), Some("maglev"));
}

#[test]
fn a_hash_policy_behind_an_inner_splitter_does_not_count_for_the_outer_one() {
    let chain = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "")])
        .splitter("a", [split(100.0, "")])
        .resolver("a", balanced("maglev"))
        .chain("web");
    assert_eq!(splitter(&chain, "web").1, None);
}

fn modifiers(add: &[(&str, &str)], set: &[(&str, &str)], remove: &[&str]) -> Option<HeaderModifiers> {
    let pairs = |of: &[(&str, &str)]| of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let remove = remove.iter().map(|it| (*it).to_owned()).collect();
    Some(HeaderModifiers { add: pairs(add), set: pairs(set), remove })
}

/// The one leg that is left of an outer split with an inner one behind it.
fn nested(outer: Split, inner: Split) -> Split {
    let chain = Entries::http()
        .splitter("web", [Split { service: Some(name("a")), ..outer }])
        .splitter("a", [inner])
        .chain("web");
    splitter(&chain, "web").0[0].definition.clone()
}

#[test]
fn a_flattened_leg_shows_the_inner_split() {
    let definition = nested(split(100.0, ""), split(100.0, "b"));
    assert_eq!(definition, split(100.0, "b"));
}

#[test]
fn in_requests_the_inner_splits_header_rules_win() {
    let outer = modifiers(&[("a", "outer"), ("o", "1")], &[("s", "outer")], &["x", "y"]);
    let inner = modifiers(&[("a", "inner"), ("i", "2")], &[("s", "inner")], &["y", "z"]);
    let merged = nested(
        Split { request_headers: outer, ..split(100.0, "") },
        Split { request_headers: inner, ..split(100.0, "") },
    );
    let expected = modifiers(&[("a", "inner"), ("o", "1"), ("i", "2")], &[("s", "inner")], &["x", "y", "z"]);
    assert_eq!(merged.request_headers, expected);
    assert_eq!(merged.response_headers, None);
}

#[test]
fn in_responses_the_outer_splits_header_rules_win() {
    let outer = modifiers(&[("a", "outer"), ("o", "1")], &[("s", "outer")], &["x", "y"]);
    let inner = modifiers(&[("a", "inner"), ("i", "2")], &[("s", "inner")], &["y", "z"]);
    let merged = nested(
        Split { response_headers: outer, ..split(100.0, "") },
        Split { response_headers: inner, ..split(100.0, "") },
    );
    let expected = modifiers(&[("a", "outer"), ("o", "1"), ("i", "2")], &[("s", "outer")], &["y", "z", "x"]);
    assert_eq!(merged.response_headers, expected);
    assert_eq!(merged.request_headers, None);
}

#[test]
fn the_outer_splits_header_rules_pass_unchanged_where_the_inner_split_has_none() {
    let rules = modifiers(&[("a", "1")], &[], &["x", "x"]);
    let outer = Split { request_headers: rules.clone(), response_headers: rules.clone(), ..split(100.0, "") };
    let merged = nested(outer, split(100.0, ""));
    assert_eq!((&merged.request_headers, &merged.response_headers), (&rules, &rules));
}

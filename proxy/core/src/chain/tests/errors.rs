//! What contradicts, in Consul's words, and which entry is named as the one to change.

use crate::chain::fixtures::{Entries, define, redirect, route, split, targets};
use crate::entry::Protocol;

/// The text of the first error of web's chain, and the entry at fault.
fn check(entries: &Entries, text: &str, at_fault: &str) {
    let error = entries.error("web");
    assert_eq!(error.to_string(), text);
    assert_eq!(error.at_fault().to_string(), at_fault);
}

#[test]
fn redirects_that_go_round_are_named_from_first_to_last() {
    let entries = Entries::default()
        .redirect("web", redirect("b"))
        .redirect("b", redirect("c"))
        .redirect("c", redirect("b"));
    check(
        &entries,
        "detected circular resolver redirect: [web.default.default.dc1 -> b.default.default.dc1 -> \
         c.default.default.dc1 -> b.default.default.dc1]",
        "service-resolver \"c\"",
    );
}

#[test]
fn a_redirect_to_a_peer_and_home_again_goes_round() {
    let entries = Entries::default().redirect("web", redirect("b@peer:east")).redirect("b", redirect("web"));
    check(
        &entries,
        "detected circular resolver redirect: [web.default.default.dc1 -> b.default.default.external.east -> \
         web.default.default.dc1]",
        "service-resolver \"b\"",
    );
}

#[test]
fn a_failover_targets_redirects_may_not_go_round_either() {
    let entries = Entries::default()
        .resolver("web", |it| {
            it.failover.insert("*".to_owned(), targets(["b"]));
        })
        .redirect("b", redirect("c"))
        .redirect("c", redirect("b"));
    check(
        &entries,
        "detected circular resolver redirect: [b.default.default.dc1 -> c.default.default.dc1 -> \
         b.default.default.dc1]",
        "service-resolver \"c\"",
    );
}

#[test]
fn splitters_that_go_round_are_named_from_the_start_of_the_chain() {
    let entries = Entries::http()
        .router("web", [route("/", "a")])
        .splitter("a", [split(100.0, "b")])
        .splitter("b", [split(50.0, "c"), split(50.0, "a")]);
    check(
        &entries,
        "detected circular reference: [router:web.default.default -> splitter:a.default.default -> \
         splitter:b.default.default -> splitter:a.default.default]",
        "service-splitter \"b\"",
    );
}

#[test]
fn a_splitter_met_twice_on_different_paths_is_no_circle() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "b")])
        .splitter("a", [split(100.0, "c")])
        .splitter("b", [split(100.0, "c")])
        .splitter("c", [split(100.0, "")]);
    entries.chain("web");
}

#[test]
fn a_subset_that_is_not_defined_is_the_fault_of_who_names_it() {
    let text = "service \"api\" does not have a subset named \"v9\"";
    let undefined = Entries::http();
    check(&undefined.clone().router("web", [route("/a", "v9.api")]), text, "service-router \"web\"");
    check(&undefined.clone().splitter("web", [split(100.0, "v9.api")]), text, "service-splitter \"web\"");
    check(&undefined.clone().redirect("web", redirect("v9.api")), text, "service-resolver \"web\"");
    let failover = undefined.clone().resolver("web", |it| {
        it.failover.insert("*".to_owned(), targets(["v9.api"]));
    });
    check(&failover, text, "service-resolver \"web\"");
    let defines_others = undefined.subsets("api", ["v1"]).splitter("web", [split(100.0, "v9.api")]);
    check(&defines_others, text, "service-splitter \"web\"");
}

#[test]
fn a_default_subset_that_is_not_defined_is_the_fault_of_its_own_entry() {
    let entries = Entries::default().resolver("web", |it| {
        define(it, ["v1"]);
        it.default_subset = Some(crate::chain::fixtures::name("v9"));
    });
    check(&entries, "service \"web\" does not have a subset named \"v9\"", "service-resolver \"web\"");
}

#[test]
fn a_service_of_another_protocol_is_the_fault_of_who_brings_it_in() {
    let entries = Entries::http()
        .splitter("web", [split(50.0, ""), split(50.0, "helper")])
        .redirect("helper", redirect("api"))
        .speaks("api", Protocol::Tcp);
    check(
        &entries,
        "discovery chain \"web\" uses inconsistent protocols; service \"api\" has \"tcp\" which is not \"http\"",
        "service-resolver \"helper\"",
    );
}

#[test]
fn the_check_for_opaque_bytes_comes_last_and_names_the_first_stage_that_asks_for_more() {
    let text = "discovery chain \"web\" uses a protocol \"tcp\" that does not permit advanced routing or splitting behavior";
    let splitter = Entries::default().splitter("web", [split(100.0, "")]);
    check(&splitter, text, "service-splitter \"web\"");
    check(&splitter.clone().router("web", []), text, "service-router \"web\"");
    check(
        &splitter.subsets("web", ["v1"]).router("web", [route("/", "v9.")]),
        "service \"web\" does not have a subset named \"v9\"",
        "service-router \"web\"",
    );
}

#[test]
fn an_external_service_is_at_fault_by_its_resolver() {
    let entries = Entries::default()
        .subsets("web", ["v1"])
        .defaults("web", |it| it.external_sni = Some("x.example".to_owned()));
    check(
        &entries,
        "service \"web\" has an external SNI set; cannot define subsets for external services",
        "service-resolver \"web\"",
    );
}

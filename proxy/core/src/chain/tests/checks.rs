//! All chains of a configuration at once.

use std::path::PathBuf;
use std::sync::Arc;

use crate::chain::check_all;
use crate::chain::fixtures::{Entries, name, redirect, route, split};
use crate::entry::Protocol;
use crate::problem::Place;

/// `CHAIN: ENTRY: message` of each conflict.
fn check(entries: &Entries, expected: &[&str]) {
    let conflicts = check_all(&entries.0, &name("dc1"), &name("td.consul"));
    let lines: Vec<String> =
        conflicts.iter().map(|it| format!("{}: {}: {}", it.chain, it.entry, it.error)).collect();
    assert_eq!(lines, expected);
}

#[test]
fn entries_that_fit_together_have_no_conflicts() {
    check(&Entries::http().router("web", [route("/", "api")]).splitter("api", [split(100.0, "")]), &[]);
}

#[test]
fn every_bad_chain_is_named_not_the_first_alone() {
    let entries = Entries::http()
        .splitter("a", [split(100.0, "v9.")])
        .redirect("b", redirect("b2"))
        .redirect("b2", redirect("b"))
        .speaks("c", Protocol::Tcp)
        .router("c", []);
    check(
        &entries,
        &[
            "a: service-splitter \"a\": service \"a\" does not have a subset named \"v9\"",
            "b: service-resolver \"b2\": detected circular resolver redirect: [b.default.default.dc1 -> \
             b2.default.default.dc1 -> b.default.default.dc1]",
            "c: service-router \"c\": discovery chain \"c\" uses a protocol \"tcp\" that does not permit advanced \
             routing or splitting behavior",
        ],
    );
}

#[test]
fn a_circle_is_named_once_however_it_is_entered() {
    let entries = Entries::http()
        .router("entrance", [route("/", "a")])
        .splitter("a", [split(100.0, "b")])
        .splitter("b", [split(100.0, "a")]);
    check(
        &entries,
        &[
            "entrance: service-splitter \"b\": detected circular reference: [router:entrance.default.default -> \
           splitter:a.default.default -> splitter:b.default.default -> splitter:a.default.default]",
        ],
    );
}

#[test]
fn a_conflict_that_several_chains_meet_is_named_once() {
    let entries = Entries::http()
        .router("a", [route("/", "web")])
        .router("b", [route("/", "web")])
        .splitter("web", [split(50.0, ""), split(50.0, "api")])
        .speaks("api", Protocol::Grpc);
    check(
        &entries,
        &[
            "a: service-splitter \"web\": discovery chain \"a\" uses inconsistent protocols; service \"api\" has \
           \"grpc\" which is not \"http\"",
        ],
    );
}

#[test]
fn a_conflict_has_a_place_where_its_entry_has_one() {
    let mut entries = Entries::http().splitter("web", [split(100.0, "v9.")]);
    let place = Place { file: Arc::new(PathBuf::from("web.hcl")), line: 3, column: 1 };
    if let Some(entry) = entries.0.splitters.get_mut(&name("web")) {
        entry.place = place.clone();
    }
    let conflicts = check_all(&entries.0, &name("dc1"), &name("td.consul"));
    assert_eq!(conflicts[0].entry.place(&entries.0), Some(&place));
}

#[test]
fn what_is_wrong_with_a_service_alone_is_found_behind_a_chain_that_is_whole() {
    // The route skips web's splitter, so a's chain is whole and web's is not.
    let entries = Entries::http()
        .router("a", [route("/", "v1.web")])
        .subsets("web", ["v1"])
        .splitter("web", [split(100.0, "v9.")]);
    check(&entries, &["web: service-splitter \"web\": service \"web\" does not have a subset named \"v9\""]);
}

//! Who takes over from a target.

use crate::chain::fixtures::{
    Entries, define, leads, name, node_keys, redirect, seconds, split, target, target_ids, targets,
};
use crate::entry::{Failover, MeshGatewayMode};

/// The ids that take over from web when its entry says `failover` for every subset.
fn check(entries: Entries, failover: Failover, expected: &[&str]) {
    let chain = entries
        .resolver("web", |it| {
            it.failover.insert("*".to_owned(), failover);
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:web.default.default.dc1"), expected);
}

#[test]
fn targets_take_over_in_the_order_written() {
    check(
        Entries::default().subsets("backup", ["v1"]),
        targets(["@peer:east", "@dc2", "backup", "v1.backup@dc3"]),
        &[
            "web.default.default.external.east",
            "web.default.default.dc2",
            "backup.default.default.dc1",
            "v1.backup.default.default.dc3",
        ],
    );
}

#[test]
fn datacenters_take_over_in_the_order_written_and_the_own_one_is_dropped() {
    let datacenters = ["dc3", "dc1", "dc2"].map(name).into();
    check(
        Entries::default(),
        Failover { datacenters, ..Failover::default() },
        &["web.default.default.dc3", "web.default.default.dc2"],
    );
}

#[test]
fn each_datacenter_is_asked_for_the_service_and_subset_of_the_failover() {
    let failover = Failover {
        service: Some(name("backup")),
        service_subset: Some(name("v1")),
        datacenters: ["dc1", "dc2"].map(name).into(),
        ..Failover::default()
    };
    check(
        Entries::default().subsets("backup", ["v1"]),
        failover,
        &["v1.backup.default.default.dc1", "v1.backup.default.default.dc2"],
    );
}

#[test]
fn a_service_alone_takes_over() {
    let failover = Failover { service: Some(name("backup")), ..Failover::default() };
    check(Entries::default(), failover, &["backup.default.default.dc1"]);
}

#[test]
fn a_target_that_is_the_primary_itself_is_dropped_and_nothing_may_be_left() {
    check(Entries::default(), targets(["web", "@dc1"]), &[]);
}

#[test]
fn a_subset_alone_takes_over_from_the_unnamed_one() {
    let chain = Entries::default()
        .resolver("web", |it| {
            define(it, ["v1"]);
            let failover = Failover { service_subset: Some(name("v1")), ..Failover::default() };
            it.failover.insert("*".to_owned(), failover);
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:web.default.default.dc1"), ["v1.web.default.default.dc1"]);
}

#[test]
fn a_subsets_own_failover_beats_the_one_for_all() {
    let chain = Entries::http()
        .splitter("web", [split(50.0, "v1."), split(50.0, "v2.")])
        .resolver("web", |it| {
            define(it, ["v1", "v2"]);
            it.failover.insert("*".to_owned(), targets(["@dc2"]));
            it.failover.insert("v2".to_owned(), targets(["@dc3"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:v1.web.default.default.dc1"), ["v1.web.default.default.dc2"]);
    assert_eq!(leads(&chain, "resolver:v2.web.default.default.dc1"), ["v2.web.default.default.dc3"]);
}

#[test]
fn a_failover_of_one_subset_leaves_the_unnamed_one_without() {
    let chain = Entries::default()
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.failover.insert("v1".to_owned(), targets(["@dc2"]));
        })
        .chain("web");
    assert!(leads(&chain, "resolver:web.default.default.dc1").is_empty());
}

#[test]
fn with_a_default_subset_the_choice_is_made_after_it_is_applied() {
    let chain = Entries::default()
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.default_subset = Some(name("v1"));
            it.failover.insert("v1".to_owned(), targets(["@dc2"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:v1.web.default.default.dc1"), ["v1.web.default.default.dc2"]);
}

#[test]
fn failover_to_another_service_drops_the_subset() {
    let chain = Entries::default()
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.default_subset = Some(name("v1"));
            it.failover.insert("*".to_owned(), targets(["backup"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:v1.web.default.default.dc1"), ["backup.default.default.dc1"]);
}

#[test]
fn failover_of_a_subset_to_a_peer_keeps_the_subset_unseen() {
    let chain = Entries::default()
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.default_subset = Some(name("v1"));
            it.failover.insert("*".to_owned(), targets(["@peer:east"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:v1.web.default.default.dc1"), ["web.default.default.external.east"]);
    assert_eq!(target(&chain, "web.default.default.external.east").id.subset, Some(name("v1")));
}

#[test]
fn a_failover_targets_redirect_and_default_subset_are_followed() {
    let entries = Entries::default().redirect("old", redirect("new@dc2")).resolver("new", |it| {
        define(it, ["v1"]);
        it.default_subset = Some(name("v1"));
    });
    check(entries, targets(["old"]), &["v1.new.default.default.dc2"]);
}

#[test]
fn a_failover_targets_own_failover_is_not_followed() {
    let entries = Entries::default().resolver("backup", |it| {
        it.failover.insert("*".to_owned(), targets(["last-resort"]));
    });
    check(entries, targets(["backup"]), &["backup.default.default.dc1"]);
}

#[test]
fn two_services_may_fail_over_to_each_other() {
    let chain = Entries::http()
        .splitter("web", [split(50.0, "a"), split(50.0, "b")])
        .resolver("a", |it| {
            it.failover.insert("*".to_owned(), targets(["b"]));
        })
        .resolver("b", |it| {
            it.failover.insert("*".to_owned(), targets(["a"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:a.default.default.dc1"), ["b.default.default.dc1"]);
    assert_eq!(leads(&chain, "resolver:b.default.default.dc1"), ["a.default.default.dc1"]);
}

#[test]
fn failover_that_a_redirect_leads_home_names_the_primary() {
    // Only a candidate of the primary's own id is dropped, and this one is not until its redirect is followed.
    let entries = Entries::default().redirect("detour", redirect("web"));
    check(entries, targets(["detour"]), &["web.default.default.dc1"]);
}

#[test]
fn failover_targets_are_targets_but_no_nodes() {
    let chain = Entries::default()
        .resolver("web", |it| {
            it.failover.insert("*".to_owned(), targets(["backup"]));
        })
        .chain("web");
    assert_eq!(node_keys(&chain), ["resolver:web.default.default.dc1"]);
    assert_eq!(target_ids(&chain), ["backup.default.default.dc1", "web.default.default.dc1"]);
}

#[test]
fn a_failover_target_has_its_own_timeout_and_gateway_mode() {
    let chain = Entries::default()
        .resolver("web", |it| {
            it.connect_timeout = Some(seconds(15));
            it.failover.insert("*".to_owned(), targets(["backup@dc2", "@dc2"]));
        })
        .resolver("backup", |it| it.connect_timeout = Some(seconds(3)))
        .defaults("backup", |it| it.mesh_gateway = MeshGatewayMode::Local)
        .chain("web");
    let backup = target(&chain, "backup.default.default.dc2");
    assert_eq!((backup.connect_timeout, backup.mesh_gateway), (seconds(3), MeshGatewayMode::Local));
    let elsewhere = target(&chain, "web.default.default.dc2");
    assert_eq!((elsewhere.connect_timeout, elsewhere.mesh_gateway), (seconds(15), MeshGatewayMode::Default));
}

#[test]
fn a_redirect_to_another_datacenter_keeps_no_failover_since_both_cannot_be_set() {
    let chain = Entries::default().redirect("web", redirect("@dc2")).chain("web");
    assert!(leads(&chain, "resolver:web.default.default.dc2").is_empty());
}

#[test]
fn failover_of_a_target_in_another_datacenter_starts_from_that_datacenter() {
    let chain = Entries::default()
        .redirect("web", redirect("api@dc2"))
        .resolver("api", |it| {
            it.failover.insert("*".to_owned(), targets(["backup"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:api.default.default.dc2"), ["backup.default.default.dc2"]);
}

#[test]
fn failover_of_a_peer_target_that_names_no_place_leads_home() {
    let chain = Entries::default()
        .redirect("web", redirect("api@peer:east"))
        .resolver("api", |it| {
            it.failover.insert("*".to_owned(), targets(["backup"]));
        })
        .chain("web");
    assert_eq!(leads(&chain, "resolver:api.default.default.external.east"), ["backup.default.default.dc1"]);
}

#[test]
fn a_peer_does_not_take_over_from_itself() {
    let chain = Entries::default()
        .redirect("web", redirect("api@peer:east"))
        .resolver("api", |it| {
            it.failover.insert("*".to_owned(), targets(["@peer:east", "@peer:west"]));
        })
        .chain("web");
    assert_eq!(
        leads(&chain, "resolver:api.default.default.external.east"),
        ["api.default.default.external.west"]
    );
}

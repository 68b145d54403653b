//! Redirects and default subsets.

use crate::chain::fixtures::{Entries, define, name, redirect, seconds, split, target, target_ids};
use crate::chain::{Node, NodeKey};
use crate::entry::{LoadBalancer, MeshGatewayMode};

/// Where the chain of web, which has no router and no splitter, ends.
fn check(entries: &Entries, expected: &str) {
    let chain = entries.chain("web");
    assert_eq!(chain.start.to_string(), format!("resolver:{expected}"));
    assert_eq!(target_ids(&chain), [expected]);
}

#[test]
fn a_redirect_to_another_service_is_followed() {
    check(&Entries::default().redirect("web", redirect("new-web")), "new-web.default.default.dc1");
}

#[test]
fn a_redirect_to_another_service_contributes_nothing_else() {
    let chain = Entries::default()
        .resolver("web", |it| {
            it.redirect = Some(redirect("new-web"));
            it.connect_timeout = Some(seconds(33));
        })
        .chain("web");
    assert_eq!(target(&chain, "new-web.default.default.dc1").connect_timeout, seconds(5));
}

#[test]
fn a_redirect_to_another_datacenter_keeps_what_else_the_entry_says() {
    let chain = Entries::default()
        .resolver("web", |it| {
            it.redirect = Some(redirect("@dc2"));
            it.connect_timeout = Some(seconds(33));
            it.request_timeout = Some(seconds(7));
            it.load_balancer = Some(LoadBalancer { policy: "random".to_owned(), ..LoadBalancer::default() });
        })
        .chain("web");
    let Some(Node::Resolver { connect_timeout, request_timeout, load_balancer, default, .. }) =
        chain.nodes.get(&chain.start)
    else {
        panic!("the chain starts at {}", chain.start)
    };
    assert_eq!((*connect_timeout, *request_timeout), (seconds(33), Some(seconds(7))));
    assert_eq!(load_balancer.as_ref().map(|it| it.policy.as_str()), Some("random"));
    assert!(!default);
    assert_eq!(target_ids(&chain), ["web.default.default.dc2"]);
}

#[test]
fn redirects_are_followed_through_several_services_and_datacenters() {
    let entries = Entries::default()
        .redirect("web", redirect("b"))
        .redirect("b", redirect("c@dc2"))
        .redirect("c", redirect("d"));
    check(&entries, "d.default.default.dc2");
}

#[test]
fn a_redirect_that_changes_nothing_is_none() {
    check(&Entries::default().redirect("web", redirect("web@dc1")), "web.default.default.dc1");
}

#[test]
fn a_redirect_to_a_peer_leads_there() {
    check(
        &Entries::default().redirect("web", redirect("web@peer:east")),
        "web.default.default.external.east",
    );
}

#[test]
fn a_redirect_to_another_service_drops_the_callers_subset() {
    let chain = Entries::http()
        .splitter("web", [split(100.0, "v1.api")])
        .resolver("api", |it| {
            define(it, ["v1"]);
            it.redirect = Some(redirect("new-api"));
        })
        .chain("web");
    assert_eq!(target_ids(&chain), ["new-api.default.default.dc1"]);
}

#[test]
fn a_redirect_to_another_datacenter_keeps_the_callers_subset() {
    let chain = Entries::http()
        .splitter("web", [split(100.0, "v1.api")])
        .resolver("api", |it| {
            define(it, ["v1"]);
            it.redirect = Some(redirect("@dc2"));
        })
        .chain("web");
    assert_eq!(target_ids(&chain), ["v1.api.default.default.dc2"]);
}

#[test]
fn a_redirect_to_a_subset_of_the_own_service_ends_there() {
    let entries = Entries::default().resolver("web", |it| {
        define(it, ["v1"]);
        it.redirect = Some(redirect("v1.web"));
    });
    check(&entries, "v1.web.default.default.dc1");
}

#[test]
fn a_default_subset_serves_those_who_name_none() {
    let entries = Entries::default().resolver("web", |it| {
        define(it, ["v1", "v2"]);
        it.default_subset = Some(name("v2"));
    });
    check(&entries, "v2.web.default.default.dc1");
}

#[test]
fn a_default_subset_leaves_a_subset_that_is_named() {
    let chain = Entries::http()
        .splitter("web", [split(100.0, "v1.")])
        .resolver("web", |it| {
            define(it, ["v1", "v2"]);
            it.default_subset = Some(name("v2"));
        })
        .chain("web");
    assert_eq!(target_ids(&chain), ["v1.web.default.default.dc1"]);
}

#[test]
fn the_default_subset_of_a_redirects_destination_applies() {
    let entries = Entries::default().redirect("web", redirect("api@dc2")).resolver("api", |it| {
        define(it, ["v1"]);
        it.default_subset = Some(name("v1"));
    });
    check(&entries, "v1.api.default.default.dc2");
}

#[test]
fn a_peer_target_keeps_a_subset_that_its_id_does_not_show() {
    let chain = Entries::http()
        .splitter("web", [split(100.0, "v1.")])
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.redirect = Some(redirect("web@peer:east"));
        })
        .chain("web");
    let at_peer = target(&chain, "web.default.default.external.east");
    assert_eq!(at_peer.id.subset, Some(name("v1")));
    assert_eq!(at_peer.subset.filter, "Service.Meta.version == v1");
}

#[test]
fn the_same_id_always_means_the_same_target() {
    // The peer is named first without a subset, then with one.
    let chain = Entries::http()
        .splitter("web", [split(50.0, "helper"), split(50.0, "v1.")])
        .redirect("helper", redirect("web@peer:east"))
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.redirect = Some(redirect("web@peer:east"));
        })
        .chain("web");
    assert_eq!(target_ids(&chain), ["web.default.default.external.east"]);
    assert_eq!(target(&chain, "web.default.default.external.east").id.subset, None);
}

#[test]
fn a_default_subset_of_the_local_entry_leads_away_from_the_peer_again() {
    let entries = Entries::default().redirect("web", redirect("api@peer:east")).resolver("api", |it| {
        define(it, ["v1"]);
        it.default_subset = Some(name("v1"));
    });
    check(&entries, "v1.api.default.default.dc1");
}

#[test]
fn a_redirect_of_the_local_entry_leads_away_from_the_peer_again() {
    let entries =
        Entries::default().redirect("web", redirect("api@peer:east")).redirect("api", redirect("other"));
    check(&entries, "other.default.default.dc1");
}

#[test]
fn a_resolver_of_the_same_name_governs_a_peer_targets_timeout() {
    let chain = Entries::default()
        .redirect("web", redirect("api@peer:east"))
        .resolver("api", |it| it.connect_timeout = Some(seconds(15)))
        .chain("web");
    assert_eq!(target(&chain, "api.default.default.external.east").connect_timeout, seconds(15));
}

#[test]
fn a_chain_that_ends_elsewhere_is_not_the_default_one() {
    let chain = Entries::default().redirect("web", redirect("api")).chain("web");
    assert!(!chain.default);
    let Some(Node::Resolver { default, .. }) = chain.nodes.get(&chain.start) else { panic!("no resolver") };
    assert!(default, "the resolver arrived at has no entry");
}

#[test]
fn whether_a_resolver_is_the_default_one_depends_on_all_but_its_meta() {
    let check = |change: fn(&mut crate::entry::ServiceResolver), expected: bool| {
        assert_eq!(Entries::default().resolver("web", change).chain("web").default, expected);
    };
    check(|_| {}, true);
    check(|it| it.meta = [("owner".to_owned(), "me".to_owned())].into(), true);
    check(|it| it.connect_timeout = Some(seconds(0)), true);
    check(|it| it.connect_timeout = Some(seconds(5)), false);
    check(|it| it.request_timeout = Some(seconds(5)), false);
    check(|it| define(it, ["v1"]), false);
    check(|it| it.redirect = Some(redirect("web")), false);
    check(|it| it.load_balancer = Some(LoadBalancer::default()), false);
    check(|it| it.prioritize_by_locality = Some("failover".to_owned()), false);
    check(
        |it| {
            it.failover.insert("*".to_owned(), crate::chain::fixtures::targets(["@dc2"]));
        },
        false,
    );
}

#[test]
fn a_virtual_service_is_known_by_the_name_it_was_asked_for() {
    let chain = Entries::default()
        .redirect("api-dc2", redirect("api@dc2"))
        .defaults("api", |it| {
            it.meta = [("whose".to_owned(), "api".to_owned())].into();
            it.mesh_gateway = MeshGatewayMode::Remote;
        })
        .defaults("api-dc2", |it| it.meta = [("whose".to_owned(), "api-dc2".to_owned())].into())
        .chain("api-dc2");
    assert_eq!(chain.service, name("api-dc2"));
    assert_eq!(chain.service_meta.get("whose").map(String::as_str), Some("api-dc2"));
    assert!(matches!(&chain.start, NodeKey::Resolver(id) if id.to_string() == "api.default.default.dc2"));
    assert_eq!(target(&chain, "api.default.default.dc2").mesh_gateway, MeshGatewayMode::Remote);
}

//! What a chain says of its targets: names, timeouts, gateway modes, external services.

use crate::chain::fixtures::{Entries, context, define, name, redirect, seconds, split, target, targets};
use crate::chain::{Context, Overrides, compile};
use crate::entry::{MeshGatewayMode, Protocol, ProxyDefaults};
use crate::name::Sni;

#[test]
fn a_targets_names_show_its_subset_and_datacenter() {
    let chain = Entries::http()
        .splitter("web", [split(50.0, "v1."), split(50.0, "@dc2")])
        .subsets("web", ["v1"])
        .chain("web");
    for (id, sni) in [
        ("v1.web.default.default.dc1", "v1.web.default.dc1.internal.td.consul"),
        ("web.default.default.dc2", "web.default.dc2.internal.td.consul"),
    ] {
        let target = target(&chain, id);
        assert_eq!(target.sni.as_ref().map(Sni::as_str), Some(sni));
        assert_eq!(target.name, target.sni);
    }
}

#[test]
fn a_peer_target_has_no_name_of_ours() {
    let chain = Entries::default().redirect("web", redirect("web@peer:east")).chain("web");
    let target = target(&chain, "web.default.default.external.east");
    assert_eq!((&target.sni, &target.name), (&None, &None));
}

#[test]
fn a_chain_is_compiled_in_the_datacenter_that_was_asked_for() {
    let cx = Context { datacenter: name("dc9"), ..context("web", Overrides::default()) };
    let chain = compile(&Entries::default().0, &cx).expect("nothing contradicts");
    assert_eq!(chain.datacenter, name("dc9"));
    assert_eq!(chain.start.to_string(), "resolver:web.default.default.dc9");
}

#[test]
fn connecting_may_take_five_seconds_unless_the_entry_says_otherwise() {
    for (written, in_force) in [(None, 5), (Some(0), 5), (Some(15), 15)] {
        let chain =
            Entries::default().resolver("web", |it| it.connect_timeout = written.map(seconds)).chain("web");
        assert_eq!(target(&chain, "web.default.default.dc1").connect_timeout, seconds(in_force));
    }
}

#[test]
fn the_targets_service_defaults_beat_proxy_defaults_in_gateway_mode() {
    let entries = Entries::default()
        .global(None, MeshGatewayMode::Remote)
        .defaults("api", |it| it.mesh_gateway = MeshGatewayMode::Local)
        .resolver("web", |it| {
            it.failover.insert("*".to_owned(), targets(["api@dc2", "@peer:east"]));
        });
    let chain = entries.chain("web");
    for (id, mode) in [
        ("web.default.default.dc1", MeshGatewayMode::Remote),
        ("api.default.default.dc2", MeshGatewayMode::Local),
        ("web.default.default.external.east", MeshGatewayMode::Remote),
    ] {
        assert_eq!(target(&chain, id).mesh_gateway, mode, "{id}");
    }
}

#[test]
fn a_target_is_dialed_directly_if_either_entry_says_so() {
    for (global, own) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut entries = Entries::default().defaults("web", |it| it.dialed_directly = own);
        entries.0.proxy_defaults =
            Some(ProxyDefaults { dialed_directly: global, ..ProxyDefaults::default() });
        let chain = entries.chain("web");
        assert_eq!(target(&chain, "web.default.default.dc1").dialed_directly, global || own);
    }
}

/// web is external; what a resolver adds is the test's.
fn external() -> Entries {
    Entries::default().defaults("web", |it| {
        it.external_sni = Some("web.example.com".to_owned());
        it.mesh_gateway = MeshGatewayMode::Local;
        it.dialed_directly = true;
        it.protocol = Some(Protocol::Tcp);
    })
}

#[test]
fn an_external_sni_takes_the_place_of_the_sni_but_not_of_the_name() {
    let chain = external().chain("web");
    let target = target(&chain, "web.default.default.dc1");
    assert!(target.external);
    assert_eq!(target.sni.as_ref().map(Sni::as_str), Some("web.example.com"));
    assert_eq!(target.name.as_ref().map(Sni::as_str), Some("web.default.dc1.internal.td.consul"));
}

#[test]
fn an_external_target_has_no_gateway_and_is_not_dialed_directly() {
    let wanted = Overrides { mesh_gateway: MeshGatewayMode::Remote, ..Overrides::default() };
    let chain = external().chain_with("web", wanted);
    let target = target(&chain, "web.default.default.dc1");
    assert_eq!((target.mesh_gateway, target.dialed_directly), (MeshGatewayMode::Default, false));
    assert_eq!(chain.customization_hash, None);
}

#[test]
fn an_external_service_may_have_a_connect_timeout() {
    let chain = external().resolver("web", |it| it.connect_timeout = Some(seconds(9))).chain("web");
    assert_eq!(target(&chain, "web.default.default.dc1").connect_timeout, seconds(9));
}

#[test]
fn an_external_service_can_have_no_redirect_subsets_or_failover() {
    let text = |it: &str| {
        format!("service \"web\" has an external SNI set; cannot define {it} for external services")
    };
    let elsewhere = external().redirect("web", redirect("@dc2"));
    assert_eq!(elsewhere.error("web").to_string(), text("redirects"));
    let subsets = external().resolver("web", |it| define(it, ["v1"]));
    assert_eq!(subsets.error("web").to_string(), text("subsets"));
    let failover = external().resolver("web", |it| {
        it.failover.insert("*".to_owned(), targets(["@dc2"]));
    });
    assert_eq!(failover.error("web").to_string(), text("failover"));
}

#[test]
fn an_external_service_as_a_failover_target_must_keep_the_rules_too() {
    let entries = external().subsets("web", ["v1"]).resolver("api", |it| {
        it.failover.insert("*".to_owned(), targets(["web"]));
    });
    assert_eq!(
        entries.error("api").to_string(),
        "service \"web\" has an external SNI set; cannot define subsets for external services"
    );
}

#[test]
fn an_external_sni_that_no_clienthello_can_carry_is_refused() {
    let entries = Entries::default().defaults("web", |it| it.external_sni = Some("not a name".to_owned()));
    assert_eq!(
        entries.error("web").to_string(),
        "service \"web\" has an external SNI \"not a name\" that is not a DNS name"
    );
}

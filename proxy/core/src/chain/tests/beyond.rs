//! What Consul does not have: peers and datacenters named where requests are routed and split, and splitters' rules.

use serde_json::Value;

use super::super::fixtures::*;
use super::super::*;
use crate::entry::{EmptyLeg, Sticky, StickyField};

/// A chain as JSON without what was written: everything that is in force.
fn compiled(entries: &Entries, overrides: Overrides) -> Value {
    let mut value = json::to_value(&entries.chain_with("web", overrides));
    let nodes = value["Chain"]["Nodes"].as_object_mut().expect("nodes");
    for node in nodes.values_mut() {
        for list in ["Routes", "Splits"] {
            let items = node.get_mut(list).and_then(Value::as_array_mut);
            items.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|item| {
                item.remove("Definition");
            });
        }
    }
    value
}

/// What the local entries say about api, which holds for api elsewhere as well.
fn surroundings() -> Vec<(&'static str, Entries)> {
    let http = Entries::http;
    let hashing = || LoadBalancer { policy: "ring_hash".to_owned(), ..LoadBalancer::default() };
    vec![
        ("nothing", http()),
        ("a timeout", http().resolver("api", |it| it.connect_timeout = Some(seconds(15)))),
        (
            "failover",
            http().resolver("api", |it| drop(it.failover.insert("*".to_owned(), targets(["@peer:eu", "b"])))),
        ),
        ("subsets", http().subsets("api", ["v1", "v2"])),
        (
            "a default subset",
            http().resolver("api", |it| {
                define(it, ["v1"]);
                it.default_subset = Some(name("v1"));
            }),
        ),
        ("a load balancer", http().resolver("api", |it| it.load_balancer = Some(hashing()))),
        (
            "a gateway mode",
            http().defaults("api", |it| {
                it.protocol = Some(Protocol::Http);
                it.mesh_gateway = MeshGatewayMode::Local;
            }),
        ),
        ("another splitter", http().splitter("api", [split(100.0, "b")])),
    ]
}

#[test]
fn a_split_to_a_peer_or_datacenter_compiles_to_what_a_helper_resolver_would() {
    let overrides = [
        Overrides::default(),
        Overrides { mesh_gateway: MeshGatewayMode::Remote, ..Overrides::default() },
        Overrides { connect_timeout: Some(seconds(2)), ..Overrides::default() },
    ];
    for (around, entries) in surroundings() {
        for to in ["api@peer:us", "api@dc2", "api@dc1", "web@peer:us"] {
            let one = entries.clone().splitter("web", [split(50.0, ""), split(50.0, to)]);
            let three = entries.clone().splitter("web", [split(50.0, ""), split(50.0, "helper")]);
            let three = three.redirect("helper", redirect(to));
            for overrides in overrides {
                assert_eq!(compiled(&one, overrides), compiled(&three, overrides), "{to} with {around}");
            }
        }
    }
}

#[test]
fn a_route_to_a_peer_or_datacenter_compiles_to_what_a_helper_resolver_would() {
    for (around, entries) in surroundings() {
        for to in ["api@peer:us", "api@dc2", "web@peer:us"] {
            let one = entries.clone().router("web", [route("/", to)]);
            let three =
                entries.clone().router("web", [route("/", "helper")]).redirect("helper", redirect(to));
            let none = Overrides::default();
            assert_eq!(compiled(&one, none), compiled(&three, none), "{to} with {around}");
        }
    }
}

#[test]
fn a_subset_in_another_datacenter_can_be_named_directly() {
    let entries = Entries::http().subsets("api", ["v2"]);
    let one = entries.clone().splitter("web", [split(100.0, "v2.api@dc2")]);
    let three = entries.splitter("web", [split(100.0, "helper")]);
    let three = three.redirect("helper", redirect("v2.api@dc2"));
    assert_eq!(compiled(&one, Overrides::default()), compiled(&three, Overrides::default()));
    let chain = one.chain("web");
    assert_eq!(leads(&chain, "splitter:web.default.default"), ["100% resolver:v2.api.default.default.dc2"]);
}

#[test]
fn a_helper_resolver_needs_a_protocol_and_a_peer_named_directly_does_not() {
    let entries = Entries::default().speaks("web", Protocol::Http);
    let one = entries.clone().splitter("web", [split(50.0, ""), split(50.0, "@peer:us")]);
    assert_eq!(one.chain("web").protocol, Protocol::Http);
    let three = entries.splitter("web", [split(50.0, ""), split(50.0, "helper")]);
    let three = three.redirect("helper", redirect("web@peer:us"));
    assert!(matches!(three.error("web"), ChainError::Protocols { .. }));
}

fn by(field: StickyField, value: &str) -> Sticky {
    Sticky { field, field_value: value.to_owned(), cookie_config: None }
}

fn ruled(mut entries: Entries, service: &str, sticky: &[Sticky], empty_leg: Option<EmptyLeg>) -> Entries {
    let entry = entries.0.splitters.get_mut(&name(service)).expect("a splitter");
    (entry.sticky, entry.empty_leg) = (sticky.to_vec(), empty_leg);
    entries
}

fn rules(chain: &Chain) -> &SplitRules {
    match &chain.nodes[&NodeKey::Splitter(name("web"))] {
        Node::Splitter { rules, .. } => rules,
        other => panic!("{other:?}"),
    }
}

/// web splits into a (which splits into v1, v2 and a peer) and b.
fn nested() -> Entries {
    Entries::http()
        .subsets("a", ["v1", "v2"])
        .splitter("web", [split(50.0, "a"), split(50.0, "b")])
        .splitter("a", [split(60.0, "v1."), split(30.0, "v2."), split(10.0, "@peer:us")])
}

#[test]
fn every_splitter_behind_a_sticky_one_chooses_among_its_own_legs() {
    let user = [by(StickyField::Header, "x-user")];
    let chain = ruled(nested(), "web", &user, None).chain("web");
    let choices = &rules(&chain).choices;
    let shown = |choice: &Choice| -> Vec<_> {
        let branch = |it: &Branch| (it.key.clone(), it.basis_points, it.legs.clone(), it.inside);
        choice.branches.iter().map(branch).collect()
    };
    let leg = |key: &str, weight, legs, inside| (key.to_owned(), weight, legs, inside);
    assert_eq!(shown(&choices[0]), [leg("a", 5_000, 0..3, Some(1)), leg("b", 5_000, 3..4, None)]);
    assert_eq!(
        shown(&choices[1]),
        [leg("v1.a", 6_000, 0..1, None), leg("v2.a", 3_000, 1..2, None), leg("a@peer:us", 1_000, 2..3, None)]
    );
    assert_eq!((choices[0].by.as_slice(), choices[0].legs.clone()), (&user[..], 0..4));
    assert_eq!((choices[1].by.as_slice(), choices[1].legs.clone()), (&[][..], 0..3));
    assert_eq!(choices.len(), 2);
}

#[test]
fn a_sticky_splitter_behind_one_that_is_not_keeps_its_own_legs() {
    let user = [by(StickyField::Header, "x-user")];
    let behind = ruled(nested(), "a", &user, None);
    let direct = ruled(Entries::http().subsets("a", ["v1", "v2"]).splitter("web", []), "web", &[], None);
    assert_eq!(rules(&direct.chain("web")).choices, []);
    let chain = behind.chain("web");
    let [choice] = &rules(&chain).choices[..] else { panic!("{:?}", rules(&chain).choices) };
    assert_eq!((choice.splitter.as_str(), choice.legs.clone()), ("a", 0..3));
}

#[test]
fn a_rule_for_empty_legs_holds_for_the_legs_of_its_splitter() {
    let entries = ruled(nested(), "web", &[], Some(EmptyLeg::Fail));
    let chain = ruled(entries, "a", &[], Some(EmptyLeg::Next)).chain("web");
    let scope = |legs, rule| Scope { legs, rule };
    assert_eq!(rules(&chain).scopes, [scope(0..4, EmptyLeg::Fail), scope(0..3, EmptyLeg::Next)]);
}

#[test]
fn legs_to_one_place_are_told_apart_by_their_order() {
    let twice = [split(50.0, "b"), split(50.0, "b")];
    let chain = ruled(Entries::http().splitter("web", twice), "web", &[by(StickyField::SourceIp, "")], None);
    let chain = chain.chain("web");
    let keys: Vec<_> = rules(&chain).choices[0].branches.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["b", "b#2"]);
}

#[test]
fn rules_are_shown_where_they_are_written_and_nowhere_else() {
    let plain = json::to_value(&nested().chain("web"));
    assert!(!plain.to_string().contains("Sticky") && !plain.to_string().contains("EmptyLeg"));
    let sticky = [by(StickyField::Cookie, "sid"), by(StickyField::SourceIp, "")];
    let chain = ruled(nested(), "web", &sticky, Some(EmptyLeg::Renormalise)).chain("web");
    let node = &json::to_value(&chain)["Chain"]["Nodes"]["splitter:web.default.default"];
    assert_eq!(
        node["Sticky"],
        serde_json::json!([{"Field": "cookie", "FieldValue": "sid"}, {"Field": "source_ip"}])
    );
    assert_eq!(node["EmptyLeg"], "renormalise");
    let drawn = "splitter web, sticky by cookie sid or source_ip, empty legs renormalise";
    assert!(text::draw(&chain).contains(drawn), "{}", text::draw(&chain));
    assert!(dot::draw(&chain).contains("sticky by cookie sid or source_ip\\nempty legs renormalise"));
}

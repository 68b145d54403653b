//! A chain as JSON, as text and as a graph.

use serde_json::{Value, json};

use crate::chain::fixtures::{Entries, define, name, redirect, route, seconds, split, targets};
use crate::chain::{Chain, Overrides, dot, json as answer, text};
use crate::entry::{
    CookieConfig, Destination, HashPolicy, HeaderMatch, HttpMatch, LoadBalancer, MeshGatewayMode, Protocol,
    Route, RouteMatch,
};

fn everything() -> Entries {
    Entries::http()
        .router("web", [route("/admin", "admin"), route("/", "")])
        .splitter("web", [split(66.67, "v1."), split(33.33, "helper")])
        .resolver("web", |it| {
            define(it, ["v1"]);
            it.failover.insert("*".to_owned(), targets(["@dc2"]));
        })
        .redirect("helper", redirect("web@peer:east"))
        .resolver("admin", |it| it.request_timeout = Some(seconds(2)))
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// What stands at a JSON pointer of the answer about `chain`.
fn check(chain: &Chain, pointer: &str, expected: &Value) {
    assert_eq!(at(&answer::to_value(chain), pointer), expected, "{pointer}");
}

#[test]
fn the_default_chain_is_answered_field_for_field() {
    let chain = Entries::default().chain("web");
    let expected = json!({
        "Chain": {
            "ServiceName": "web",
            "Namespace": "default",
            "Partition": "default",
            "Datacenter": "dc1",
            "Default": true,
            "Protocol": "tcp",
            "StartNode": "resolver:web.default.default.dc1",
            "Nodes": {
                "resolver:web.default.default.dc1": {
                    "Type": "resolver",
                    "Name": "web.default.default.dc1",
                    "Resolver": {"Default": true, "ConnectTimeout": "5s", "Target": "web.default.default.dc1"},
                },
            },
            "Targets": {
                "web.default.default.dc1": {
                    "ID": "web.default.default.dc1",
                    "Service": "web",
                    "Namespace": "default",
                    "Partition": "default",
                    "Datacenter": "dc1",
                    "MeshGateway": {},
                    "Subset": {},
                    "ConnectTimeout": "5s",
                    "TransparentProxy": {},
                    "SNI": "web.default.dc1.internal.td.consul",
                    "Name": "web.default.dc1.internal.td.consul",
                },
            },
        },
    });
    assert_eq!(answer::to_value(&chain).to_string(), expected.to_string());
}

#[test]
fn a_peer_target_shows_its_peer_and_no_datacenter() {
    let chain = everything().chain("web");
    check(
        &chain,
        "/Chain/Targets/web.default.default.external.east",
        &json!({
            "ID": "web.default.default.external.east",
            "Service": "web",
            "Namespace": "default",
            "Partition": "default",
            "Peer": "east",
            "MeshGateway": {},
            "Subset": {},
            "ConnectTimeout": "5s",
            "TransparentProxy": {},
        }),
    );
}

#[test]
fn a_splitter_shows_definition_weight_and_next_node() {
    let chain = everything().chain("web");
    check(
        &chain,
        "/Chain/Nodes/splitter:web.default.default",
        &json!({
            "Type": "splitter",
            "Name": "web.default.default",
            "Splits": [
                {
                    "Definition": {"Weight": 66.67, "ServiceSubset": "v1"},
                    "Weight": 66.67,
                    "NextNode": "resolver:v1.web.default.default.dc1",
                },
                {
                    "Definition": {"Weight": 33.33, "Service": "helper"},
                    "Weight": 33.33,
                    "NextNode": "resolver:web.default.default.external.east",
                },
            ],
        }),
    );
}

#[test]
fn a_whole_weight_has_no_fraction_and_a_compiled_zero_is_left_out() {
    let chain = Entries::http().splitter("web", [split(100.0, ""), split(0.0, "b")]).chain("web");
    let answer = answer::to_value(&chain);
    let splits = at(&answer, "/Chain/Nodes/splitter:web.default.default/Splits").to_string();
    assert_eq!(
        splits,
        "[{\"Definition\":{\"Weight\":100},\"Weight\":100,\"NextNode\":\"resolver:web.default.default.dc1\"},\
          {\"Definition\":{\"Weight\":0,\"Service\":\"b\"},\"NextNode\":\"resolver:b.default.default.dc1\"}]"
    );
}

#[test]
fn a_failover_shows_its_targets() {
    let chain = everything().chain("web");
    check(
        &chain,
        "/Chain/Nodes/resolver:v1.web.default.default.dc1/Resolver",
        &json!({
            "ConnectTimeout": "5s",
            "Target": "v1.web.default.default.dc1",
            "Failover": {"Targets": ["v1.web.default.default.dc2"]},
        }),
    );
}

#[test]
fn a_resolvers_request_timeout_is_a_number_and_a_routes_is_a_text() {
    let mut to_admin = route("/admin", "admin");
    if let Some(destination) = &mut to_admin.destination {
        destination.request_timeout = Some(crate::duration::Signed { nanos: 1_500_000_000 });
    }
    let chain = everything().router("web", [to_admin]).chain("web");
    check(
        &chain,
        "/Chain/Nodes/resolver:admin.default.default.dc1/Resolver/RequestTimeout",
        &json!(2_000_000_000_i64),
    );
    check(
        &chain,
        "/Chain/Nodes/router:web.default.default/Routes/0/Definition/Destination/RequestTimeout",
        &json!("1.5s"),
    );
}

#[test]
fn a_load_balancer_stands_on_the_node_and_its_cookies_life_is_a_number() {
    let cookie = CookieConfig { ttl: Some(seconds(3)), ..CookieConfig::default() };
    let policy = HashPolicy {
        field: "cookie".to_owned(),
        field_value: "id".to_owned(),
        cookie_config: Some(cookie),
        ..HashPolicy::default()
    };
    let load_balancer =
        LoadBalancer { policy: "maglev".to_owned(), hash_policies: vec![policy], ..LoadBalancer::default() };
    let chain = Entries::http()
        .splitter("web", [split(100.0, "")])
        .resolver("web", |it| it.load_balancer = Some(load_balancer))
        .chain("web");
    let expected = json!({
        "Policy": "maglev",
        "HashPolicies": [{"Field": "cookie", "FieldValue": "id", "CookieConfig": {"TTL": 3_000_000_000_i64}}],
    });
    check(&chain, "/Chain/Nodes/splitter:web.default.default/LoadBalancer", &expected);
    check(&chain, "/Chain/Nodes/resolver:web.default.default.dc1/LoadBalancer", &expected);
}

#[test]
fn a_customized_chain_shows_its_hash_mode_and_meta() {
    let wanted = Overrides { mesh_gateway: MeshGatewayMode::Local, ..Overrides::default() };
    let chain = Entries::default()
        .defaults("web", |it| {
            it.protocol = Some(Protocol::Grpc);
            it.dialed_directly = true;
            it.meta = [("team".to_owned(), "edge".to_owned())].into();
        })
        .chain_with("web", wanted);
    check(&chain, "/Chain/CustomizationHash", &json!("c225dc1c"));
    check(&chain, "/Chain/Protocol", &json!("grpc"));
    check(&chain, "/Chain/ServiceMeta", &json!({"team": "edge"}));
    check(&chain, "/Chain/Targets/web.default.default.dc1/MeshGateway", &json!({"Mode": "local"}));
    check(
        &chain,
        "/Chain/Targets/web.default.default.dc1/TransparentProxy",
        &json!({"DialedDirectly": true}),
    );
}

#[test]
fn nodes_and_targets_stand_in_the_order_of_their_text() {
    let answer = answer::to_value(&everything().chain("web"));
    for map in ["/Chain/Nodes", "/Chain/Targets"] {
        let keys: Vec<&String> = at(&answer, map).as_object().expect("a map").keys().collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}

#[test]
fn the_text_draws_every_stage_and_no_splitter_twice() {
    assert_eq!(
        text::draw(&everything().chain("web")),
        "\
web in dc1, http
└─ router web
   ├─ path /admin* → admin.default.default.dc1 (connect 5s)
   ├─ path /* → splitter web
   │  ├─ 66.67% → v1.web.default.default.dc1 (connect 5s, filter Service.Meta.version == v1)
   │  │  └─ failover → v1.web.default.default.dc2 (connect 5s, filter Service.Meta.version == v1)
   │  └─ 33.33% → web.default.default.external.east (connect 5s)
   │     └─ failover → web.default.default.dc2 (connect 5s)
   └─ path /* → splitter web, as above
"
    );
}

#[test]
fn the_text_says_what_a_route_asks_for_and_does() {
    let header = |change: fn(&mut HeaderMatch)| {
        let mut it = HeaderMatch { name: "x".to_owned(), ..HeaderMatch::default() };
        change(&mut it);
        it
    };
    let http = HttpMatch {
        path_regex: Some("/a\\d+".to_owned()),
        methods: vec!["GET".to_owned(), "PUT".to_owned()],
        header: vec![
            header(|it| it.present = true),
            header(|it| it.exact = Some("1".to_owned())),
            header(|it| (it.prefix, it.invert) = (Some("p".to_owned()), true)),
            header(|it| it.suffix = Some("\u{1b}[2J".to_owned())),
        ],
        ..HttpMatch::default()
    };
    let destination = Destination {
        service: Some(name("api")),
        prefix_rewrite: Some("/b".to_owned()),
        num_retries: Some(3),
        request_timeout: Some(crate::duration::Signed { nanos: -1 }),
        ..Destination::default()
    };
    let written = Route { matches: Some(RouteMatch { http: Some(http) }), destination: Some(destination) };
    let drawing = text::draw(&Entries::http().router("web", [written]).chain("web"));
    assert_eq!(
        drawing.lines().nth(2),
        Some(
            "   ├─ path ~ /a\\d+, method GET|PUT, header x, header x = 1, not header x = p*, \
             header x = *\\u{1b}[2J (rewritten to /b, without a time limit, 3 retries) → \
             api.default.default.dc1 (connect 5s)"
        )
    );
}

#[test]
fn the_text_shows_what_a_chain_is_customized_by() {
    let wanted = Overrides { protocol: Some(Protocol::Http), ..Overrides::default() };
    assert_eq!(
        text::draw(&Entries::default().chain_with("web", wanted)),
        "web in dc1, http, default, customized 1a47f6e1\n└─ web.default.default.dc1 (connect 5s)\n"
    );
}

#[test]
fn the_graph_has_every_node_edge_and_target() {
    let chain = Entries::http()
        .router("web", [route("/\"x", "")])
        .splitter("web", [split(100.0, "")])
        .resolver("web", |it| {
            it.failover.insert("*".to_owned(), targets(["@dc2"]));
        })
        .chain("web");
    assert_eq!(
        dot::draw(&chain),
        r#"digraph "web" {
  rankdir=LR;
  node [shape=box, fontname="sans-serif"];
  edge [fontname="sans-serif"];
  "resolver:web.default.default.dc1" [label="resolver\nweb.default.default.dc1"];
  "resolver:web.default.default.dc1" -> "target:web.default.default.dc1";
  "resolver:web.default.default.dc1" -> "target:web.default.default.dc2" [style=dashed, label="failover 1"];
  "router:web.default.default" [label="router\nweb.default.default", penwidth=2];
  "router:web.default.default" -> "splitter:web.default.default" [label="1. path /\"x*"];
  "router:web.default.default" -> "splitter:web.default.default" [label="2. path /*"];
  "splitter:web.default.default" [label="splitter\nweb.default.default"];
  "splitter:web.default.default" -> "resolver:web.default.default.dc1" [label="100%"];
  "target:web.default.default.dc1" [shape=ellipse, label="web.default.default.dc1\nconnect 5s"];
  "target:web.default.default.dc2" [shape=ellipse, label="web.default.default.dc2\nconnect 5s"];
}
"#
    );
}

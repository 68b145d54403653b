//! A chain as JSON, as text and as a graph.

use serde_json::{Value, json};

use crate::chain::fixtures::{Entries, define, leads, name, redirect, route, seconds, split, targets};
use crate::chain::{Chain, Overrides, dot, json as answer, text};
use crate::duration::Signed;
use crate::entry::{
    CookieConfig, Destination, EnvoyExtension, HashPolicy, HeaderMatch, HeaderModifiers, HttpMatch,
    LoadBalancer, MeshGatewayMode, Protocol, Route, RouteMatch,
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
fn extensions_of_proxy_defaults_come_before_those_of_the_service() {
    let extension = |name: &str| EnvoyExtension { name: name.to_owned(), ..EnvoyExtension::default() };
    let lua = EnvoyExtension {
        required: true,
        arguments: json!({"Listener": "inbound"}),
        consul_version: ">= 1.15".to_owned(),
        ..extension("builtin/lua")
    };
    let mut entries = Entries::http().defaults("web", |it| {
        it.protocol = Some(Protocol::Http);
        it.envoy_extensions = vec![lua];
    });
    entries.0.proxy_defaults.as_mut().expect("http() sets it").envoy_extensions =
        vec![extension("builtin/ext-authz")];
    check(
        &entries.chain("web"),
        "/Chain/EnvoyExtensions",
        &json!([
            {
                "Name": "builtin/ext-authz",
                "Required": false,
                "Arguments": null,
                "ConsulVersion": "",
                "EnvoyVersion": "",
            },
            {
                "Name": "builtin/lua",
                "Required": true,
                "Arguments": {"Listener": "inbound"},
                "ConsulVersion": ">= 1.15",
                "EnvoyVersion": "",
            },
        ]),
    );
    let others = answer::to_value(&entries.chain("api"));
    assert_eq!(at(&others, "/Chain/EnvoyExtensions").as_array().map(Vec::len), Some(1));
}

/// A route whose destination has Enterprise's tenancy.
fn tenanted(namespace: Option<&str>, partition: Option<&str>) -> Entries {
    let destination = Destination {
        service: Some(name("api")),
        namespace: namespace.map(str::to_owned),
        partition: partition.map(str::to_owned),
        ..Destination::default()
    };
    let route = Route { destination: Some(destination), ..route("/api", "") };
    Entries::http().router("web", [route])
}

#[test]
fn the_namespace_of_a_routes_destination_shows_in_its_target() {
    for (namespace, partition, id, name) in [
        (Some("foo"), None, "api.foo.default.dc1", "api.foo.dc1.internal.td.consul"),
        (None, Some("bar"), "api.default.bar.dc1", "api.default.bar.dc1.internal-v1.td.consul"),
        (Some("foo"), Some("bar"), "api.foo.bar.dc1", "api.foo.bar.dc1.internal-v1.td.consul"),
        (Some("default"), Some("default"), "api.default.default.dc1", "api.default.dc1.internal.td.consul"),
    ] {
        let chain = tenanted(namespace, partition).chain("web");
        check(
            &chain,
            "/Chain/Nodes/router:web.default.default/Routes/0/NextNode",
            &json!(format!("resolver:{id}")),
        );
        let target = format!("/Chain/Targets/{id}");
        check(&chain, &format!("{target}/ID"), &json!(id));
        check(&chain, &format!("{target}/Namespace"), &json!(namespace.unwrap_or("default")));
        check(&chain, &format!("{target}/Partition"), &json!(partition.unwrap_or("default")));
        for field in ["SNI", "Name"] {
            check(&chain, &format!("{target}/{field}"), &json!(name));
        }
    }
}

#[test]
fn a_namespace_selects_nothing_and_redirects_keep_it() {
    let entries = tenanted(Some("foo"), None);
    let chain = entries.clone().splitter("api", [split(100.0, "")]).chain("web");
    assert_eq!(leads(&chain, "router:web.default.default")[0], "splitter:api.default.default");
    let chain = entries.clone().redirect("api", redirect("v2@dc2")).chain("web");
    assert_eq!(leads(&chain, "router:web.default.default")[0], "resolver:v2.foo.default.dc2");
    let chain = entries.redirect("api", redirect("v2@peer:east")).chain("web");
    assert_eq!(leads(&chain, "router:web.default.default")[0], "resolver:v2.default.default.external.east");
}

#[test]
fn what_is_zero_is_left_out_of_a_definition() {
    let zero = Some(Signed { nanos: 0 });
    let destination = Destination {
        num_retries: Some(0),
        request_timeout: zero,
        idle_timeout: zero,
        ..Destination::default()
    };
    let route = Route { destination: Some(destination), ..Route::default() };
    check(
        &Entries::http().router("web", [route]).chain("web"),
        "/Chain/Nodes/router:web.default.default/Routes/0/Definition",
        &json!({"Destination": {}}),
    );
}

#[test]
fn a_weight_is_shown_as_it_counts_rounded() {
    let chain = Entries::http().splitter("web", [split(33.333, ""), split(66.667, "b")]).chain("web");
    let splits = "/Chain/Nodes/splitter:web.default.default/Splits";
    for (i, weight) in [(0, 33.33), (1, 66.67)] {
        check(&chain, &format!("{splits}/{i}/Definition/Weight"), &json!(weight));
        check(&chain, &format!("{splits}/{i}/Weight"), &json!(weight));
    }
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
        destination.request_timeout = Some(Signed { nanos: 1_500_000_000 });
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
   ├─ 1. path /admin* → admin.default.default.dc1
   ├─ 2. path /* → splitter web
   │  ├─ 66.67% → v1.web.default.default.dc1
   │  │  └─ failover → v1.web.default.default.dc2
   │  └─ 33.33% → web.default.default.external.east
   │     └─ failover → web.default.default.dc2
   └─ 3. path /* → splitter web, as above

targets
  admin.default.default.dc1          connect 5s
  web.default.default.dc2            connect 5s
  web.default.default.external.east  connect 5s
  v1.web.default.default.dc1         connect 5s, filter Service.Meta.version == v1
  v1.web.default.default.dc2         connect 5s, filter Service.Meta.version == v1
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
        retry_on: vec!["5xx".to_owned()],
        retry_on_status_codes: vec![503],
        request_headers: Some(HeaderModifiers::default()),
        request_timeout: Some(Signed { nanos: -1 }),
        ..Destination::default()
    };
    let written = Route { matches: Some(RouteMatch { http: Some(http) }), destination: Some(destination) };
    let drawing = text::draw(&Entries::http().router("web", [written]).chain("web"));
    assert_eq!(
        drawing.lines().nth(2),
        Some(
            "   ├─ 1. path ~ /a\\d+, method GET|PUT, header x, header x = 1, not header x = p*, \
             header x = *\\u{1b}[2J (rewritten to /b, without a time limit, 3 retries on 5xx 503, \
             request headers changed) → api.default.default.dc1"
        )
    );
}

#[test]
fn the_text_shows_what_a_chain_is_customized_by() {
    let wanted = Overrides { protocol: Some(Protocol::Http), ..Overrides::default() };
    assert_eq!(
        text::draw(&Entries::default().chain_with("web", wanted)),
        "web in dc1, http, default, customized 1a47f6e1\n└─ web.default.default.dc1\n\ntargets\n  \
         web.default.default.dc1  connect 5s\n"
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

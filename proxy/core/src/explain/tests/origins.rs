//! Every value in force is reported with the place that set it, and with those it overrode.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Explanation, World, get, world};
use crate::chain::describe;
use crate::entry::MeshGatewayMode;
use crate::explain::Effective;

const SERVICES: &str = r#"
datacenter = "dc1"
config_entries { bootstrap = [
  { Kind = "service-resolver" Name = "web" Redirect { Datacenter = "dc2" } },
] }
services = [
  { name = "gw" kind = "mesh-gateway" port = 8443 },
  { name = "gw2" kind = "mesh-gateway" port = 8444 datacenter = "dc2" },
]
"#;

/// The six places that may set a gateway mode, the most specific first: the file, the mode left out.
const PLACES: [(&str, &str, &str); 6] = [
    ("upstream web of app-sidecar-proxy", "mesh_gateway.mode", "U"),
    ("service-defaults app", "UpstreamConfig.Overrides[0].MeshGateway.Mode", "O"),
    ("sidecar app-sidecar-proxy", "proxy.mesh_gateway.mode", "P"),
    ("service-defaults app", "UpstreamConfig.Defaults.MeshGateway.Mode", "D"),
    ("service-defaults app", "MeshGateway.Mode", "S"),
    ("proxy-defaults global", "MeshGateway.Mode", "G"),
];

/// A world where the places from `first` on set a mode: the first `local`, the others `remote`.
fn with_modes(first: usize) -> World {
    let mode = |place: &str| {
        let rank = PLACES.iter().position(|(_, _, it)| *it == place).expect("one of the places");
        match rank.cmp(&first) {
            std::cmp::Ordering::Less => String::new(),
            std::cmp::Ordering::Equal => "mode = \"local\"".to_owned(),
            std::cmp::Ordering::Greater => "mode = \"remote\"".to_owned(),
        }
    };
    let app = format!(
        "service {{\n name = \"app\"\n port = 80\n connect {{ sidecar_service {{ proxy {{\n  mesh_gateway {{ {} }}\n  upstreams = [{{ destination_name = \"web\" local_bind_port = 5000\n   mesh_gateway {{ {} }} }}]\n }} }} }}\n}}\n",
        mode("P"),
        mode("U")
    );
    let defaults = format!(
        "Kind = \"service-defaults\"\nName = \"app\"\nMeshGateway {{ {} }}\nUpstreamConfig {{\n Defaults {{ MeshGateway {{ {} }} }}\n Overrides = [{{ Name = \"web\"\n  MeshGateway {{ {} }} }}]\n}}\n",
        mode("S"),
        mode("D"),
        mode("O")
    );
    let global = format!("Kind = \"proxy-defaults\"\nName = \"global\"\nMeshGateway {{ {} }}\n", mode("G"));
    world(&[("app.hcl", &app), ("defaults.hcl", &defaults), ("global.hcl", &global), ("mesh.hcl", SERVICES)])
}

fn mode_of(said: &Explanation) -> &Effective {
    &said.outcomes[0].targets[0].mesh_gateway
}

#[test]
fn the_first_of_six_places_that_sets_a_gateway_mode_is_named_and_obeyed() {
    for (first, (entry, field, _)) in PLACES.iter().enumerate() {
        let world = with_modes(first);
        let said = world.explain("web", &get("/"));
        let mode = mode_of(&said);
        let set_by = mode.set_by.as_ref().expect("somebody set it");
        assert_eq!((set_by.entry.as_str(), set_by.field.as_str()), (*entry, *field), "level {first}");
        assert_eq!(mode.value, "local", "level {first}");
        assert_eq!(said.outcomes[0].targets[0].via, "local_gateway", "level {first}");
        let (chain, _) = world.table("web");
        assert!(chain.targets.values().all(|it| it.mesh_gateway == MeshGatewayMode::Local));
        let overrode: Vec<(&str, &str)> =
            mode.overrode.iter().map(|it| (it.set_by.entry.as_str(), it.set_by.field.as_str())).collect();
        let after: Vec<(&str, &str)> =
            PLACES[first + 1..].iter().map(|(entry, field, _)| (*entry, *field)).collect();
        assert_eq!(overrode, after, "level {first}");
        assert!(mode.overrode.iter().all(|it| it.value == "remote"));
    }
    let nobody = with_modes(PLACES.len()).explain("web", &get("/"));
    assert_eq!((&mode_of(&nobody).value, &mode_of(&nobody).set_by), (&json!("none"), &None));
    assert_eq!(nobody.outcomes[0].targets[0].via, "direct");
}

#[test]
fn an_origin_has_the_line_and_column_of_the_very_field() {
    for (first, place) in
        ["app.hcl:7:26", "defaults.hcl:7:24", "app.hcl:5:25", "defaults.hcl:5:34"].into_iter().enumerate()
    {
        let said = with_modes(first).explain("web", &get("/"));
        assert_eq!(mode_of(&said).set_by.as_ref().map(|it| it.place.as_str()), Some(place), "level {first}");
    }
}

/// The values of a mesh in which each of these fields is written, one on top of the other.
fn check(entries: &str, upstream: &str, name: &str, expected: &Value) {
    let app = format!(
        "service {{ name = \"app\" port = 80 connect {{ sidecar_service {{ proxy {{ upstreams = [{{ destination_name = \"web\" local_bind_port = 5000 {upstream} }}] }} }} }} }}"
    );
    let world = world(&[("app.hcl", &app), ("entries.hcl", entries)]);
    let said = world.explain("web", &get("/")).to_value();
    let outcome = &said["outcomes"][0];
    let setting = || said["settings"].as_array()?.iter().find(|it| it["name"] == name);
    let found = match name {
        "protocol" => &said["protocol"],
        "connect_timeout" => &outcome["targets"][0]["connect_timeout"],
        "request_timeout" | "idle_timeout" | "load_balancer" => &outcome[name],
        _ => setting().expect("a setting"),
    };
    let origin = |it: &Value| match it {
        Value::Null => "default".to_owned(),
        it => format!("{}: {}", it["entry"].as_str().unwrap_or(""), it["field"].as_str().unwrap_or("")),
    };
    let overrode = found["overrode"].as_array().expect("a list");
    let overrode: Vec<Value> =
        overrode.iter().map(|it| json!([it["value"], origin(&it["set_by"])])).collect();
    assert_eq!(json!([found["value"], origin(&found["set_by"]), overrode]), *expected, "{name}");
}

fn entries(all: &[&str]) -> String {
    format!("config_entries {{ bootstrap = [\n{}\n] }}", all.join(",\n"))
}

const HTTP: &str = r#"{ Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } }"#;

#[test]
fn a_protocol_is_that_of_the_upstream_the_caller_the_service_or_all() {
    let global = json!(["http", "proxy-defaults global: Config.protocol"]);
    let web = r#"{ Kind = "service-defaults" Name = "web" Protocol = "http2" }"#;
    let bare = r#"{ Kind = "service-defaults" Name = "web" }"#;
    let app =
        r#"{ Kind = "service-defaults" Name = "app" UpstreamConfig { Defaults { Protocol = "grpc" } } }"#;
    check("", "", "protocol", &json!(["tcp", "default", []]));
    check(&entries(&[HTTP]), "", "protocol", &json!(["http", "proxy-defaults global: Config.protocol", []]));
    check(
        &entries(&[HTTP, bare]),
        "",
        "protocol",
        &json!(["tcp", "service-defaults web: Protocol", [global]]),
    );
    let of_web = json!(["http2", "service-defaults web: Protocol"]);
    check(
        &entries(&[HTTP, web]),
        "",
        "protocol",
        &json!(["http2", "service-defaults web: Protocol", [global]]),
    );
    let of_app = "service-defaults app: UpstreamConfig.Defaults.Protocol";
    check(&entries(&[HTTP, web, app]), "", "protocol", &json!(["grpc", of_app, [of_web, global]]));
    check(
        &entries(&[HTTP, web, app]),
        r#"config { protocol = "http" }"#,
        "protocol",
        &json!([
            "http",
            "upstream web of app-sidecar-proxy: config.protocol",
            [["grpc", of_app], of_web, global]
        ]),
    );
}

#[test]
fn a_connect_timeout_is_that_of_the_upstream_the_caller_or_the_resolver() {
    let web = r#"{ Kind = "service-resolver" Name = "web" ConnectTimeout = "15s" }"#;
    let app = r#"{ Kind = "service-defaults" Name = "app" UpstreamConfig { Defaults { ConnectTimeoutMs = 700 } Overrides = [{ Name = "web" ConnectTimeoutMs = 800 }] } }"#;
    let of_web = json!(["15s", "service-resolver web: ConnectTimeout"]);
    check("", "", "connect_timeout", &json!(["5s", "default", []]));
    check(
        &entries(&[web]),
        "",
        "connect_timeout",
        &json!(["15s", "service-resolver web: ConnectTimeout", []]),
    );
    check(
        &entries(&[web, app]),
        "config { connect_timeout_ms = 900 }",
        "connect_timeout",
        &json!([
            "900ms",
            "upstream web of app-sidecar-proxy: config.connect_timeout_ms",
            [
                ["800ms", "service-defaults app: UpstreamConfig.Overrides[0].ConnectTimeoutMs"],
                ["700ms", "service-defaults app: UpstreamConfig.Defaults.ConnectTimeoutMs"],
                of_web
            ]
        ]),
    );
}

#[test]
fn a_group_of_limits_is_set_as_a_whole() {
    let app = r#"{ Kind = "service-defaults" Name = "app" UpstreamConfig { Defaults { Limits { MaxConnections = 7 MaxPendingRequests = 8 } PassiveHealthCheck { MaxFailures = 9 } } } }"#;
    let of_app = |field| format!("service-defaults app: UpstreamConfig.Defaults.{field}");
    let of_upstream = |field| format!("upstream web of app-sidecar-proxy: config.{field}");
    let limits = "config { limits { max_connections = 3 } }";
    for (upstream, name, expected) in [
        ("", "Limits.MaxConnections", json!([7, of_app("Limits.MaxConnections"), []])),
        (
            limits,
            "Limits.MaxConnections",
            json!([3, of_upstream("limits.max_connections"), [[7, of_app("Limits.MaxConnections")]]]),
        ),
        (
            limits,
            "Limits.MaxPendingRequests",
            json!([
                1024,
                of_upstream("limits.max_pending_requests"),
                [[8, of_app("Limits.MaxPendingRequests")]]
            ]),
        ),
        (limits, "PassiveHealthCheck.MaxFailures", json!([9, of_app("PassiveHealthCheck.MaxFailures"), []])),
        (
            "",
            "PassiveHealthCheck.BaseEjectionTime",
            json!(["30s", of_app("PassiveHealthCheck.BaseEjectionTime"), []]),
        ),
        (
            "config { passive_health_check { base_ejection_time = \"6s\" ramp = \"1m\" } }",
            "PassiveHealthCheck.HoldDown",
            json!(["600ms", of_upstream("passive_health_check.hold_down"), []]),
        ),
        (
            "config { passive_health_check { base_ejection_time = \"6s\" ramp = \"1m\" } }",
            "PassiveHealthCheck.Ramp",
            json!(["1m0s", of_upstream("passive_health_check.ramp"), []]),
        ),
    ] {
        check(&entries(&[app]), upstream, name, &expected);
    }
    check("", "", "Limits.MaxConnections", &json!([1024, "default", []]));
}

#[test]
fn a_route_sets_timeouts_and_a_resolver_where_the_chain_starts() {
    let web = r#"{ Kind = "service-resolver" Name = "web" RequestTimeout = "4s" LoadBalancer { Policy = "random" } }"#;
    let router = r#"{ Kind = "service-router" Name = "web" Routes = [{ Destination { RequestTimeout = "3s" IdleTimeout = "-1s" } }] }"#;
    let of_resolver = "service-resolver web: RequestTimeout";
    let of_route = |field| format!("service-router web: Routes[0].Destination.{field}");
    check(&entries(&[HTTP]), "", "request_timeout", &json!(["15s", "default", []]));
    check(&entries(&[HTTP, web]), "", "request_timeout", &json!(["4s", of_resolver, []]));
    check(
        &entries(&[HTTP, web, router]),
        "",
        "request_timeout",
        &json!(["3s", of_route("RequestTimeout"), []]),
    );
    check(&entries(&[HTTP, web, router]), "", "idle_timeout", &json!(["none", of_route("IdleTimeout"), []]));
    check(&entries(&[HTTP]), "", "idle_timeout", &json!(["5m0s", "default", []]));
    check(
        &entries(&[HTTP, web]),
        "",
        "load_balancer",
        &json!(["random", "service-resolver web: LoadBalancer.Policy", []]),
    );
    let ours = r#"{ Kind = "service-resolver" Name = "web" LoadBalancer { Policy = "peak_ewma" } }"#;
    check(
        &entries(&[HTTP, ours]),
        "",
        "load_balancer",
        &json!(["peak_ewma", "service-resolver web: LoadBalancer.Policy", []]),
    );
    check(&entries(&[HTTP]), "", "load_balancer", &json!(["least_request", "default", []]));
}

#[test]
fn what_is_said_to_be_in_force_is_what_the_table_has() {
    let entries = entries(&[
        HTTP,
        r#"{ Kind = "service-resolver" Name = "web" ConnectTimeout = "2s" Failover { "*" { Targets = [{ Service = "api" }] } } }"#,
        r#"{ Kind = "service-resolver" Name = "api" ConnectTimeout = "3s" }"#,
    ]);
    let world = world(&[("entries.hcl", &entries)]);
    let (chain, table) = world.table("web");
    let said = world.explain_table(&chain, &table, &get("/"));
    let shown = |it: Duration| Value::from(describe::time(it));
    let in_force: Vec<Value> =
        table.resolvers[0].targets.iter().map(|it| shown(it.connect_timeout)).collect();
    let explained: Vec<Value> =
        said.outcomes[0].targets.iter().map(|it| it.connect_timeout.value.clone()).collect();
    assert_eq!(explained, in_force);
    assert_eq!(in_force, ["2s", "3s"]);
}

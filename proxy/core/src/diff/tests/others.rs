//! Instances, sidecars, gateways, intentions, exports and settings.

use super::{changes, check, check_same, side};
use crate::diff::{Side, diff};

#[test]
fn instances_that_come_go_and_move_are_told() {
    let api = |port: u16, more: &str| {
        format!(
            "service {{ name = \"api\" id = \"api-3\" port = 4 {more} connect {{ sidecar_service {{ port = {port} }} }} }}\n"
        )
    };
    let lines = changes("", &api(21_003, ""));
    assert_eq!(
        lines,
        [
            "service api",
            "  + instance api-3: 127.0.0.1:21003",
            "sidecar api-3-sidecar-proxy",
            "  + listens on: 0.0.0.0:21003",
            "  + application: 127.0.0.1:4",
        ]
    );
    check(
        &api(21_003, ""),
        &api(21_003, "weights { passing = 5 }"),
        &["service api", "  ~ instance api-3: 127.0.0.1:21003 -> 127.0.0.1:21003, weight 5"],
    );
}

fn caller(upstream: &str) -> String {
    format!(
        "service {{ name = \"shop\" port = 9 connect {{ sidecar_service {{ port = 21009 proxy {{ upstreams = [{{ destination_name = \"api\" local_bind_port = 7000 {upstream} }}] }} }} }} }}\n"
    )
}

#[test]
fn what_a_sidecar_does_otherwise_is_told_under_its_id() {
    let heading = "sidecar shop-sidecar-proxy";
    for (old, new, expected) in [
        ("", "local_bind_address = \"127.0.0.2\"", "~ upstream api: 127.0.0.1:7000 -> 127.0.0.2:7000"),
        ("", "config { protocol = \"grpc\" }", "+ upstream api: protocol: grpc"),
        ("", "config { connect_timeout_ms = 700 }", "+ upstream api: connect timeout: 700ms"),
        ("", "config { limits { max_connections = 7 } }", "+ upstream api: limits: connections 7"),
        (
            "config { passive_health_check { max_failures = 3 } }",
            "config { passive_health_check { max_failures = 4 } }",
            "~ upstream api: ejection: failures 3 -> failures 4",
        ),
    ] {
        check(&caller(old), &caller(new), &[heading, &format!("  {expected}")]);
    }
    // api is at home, where there is no gateway to go through.
    check_same(&caller(""), &caller("mesh_gateway { mode = \"local\" }"));
}

#[test]
fn sidecars_that_change_alike_are_told_once() {
    let defaults =
        |text: &str| format!("Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"http\"\n{text}\n");
    check(
        &defaults(""),
        &defaults("MaxInboundConnections = 7"),
        &["sidecars api-1-sidecar-proxy, api-2-sidecar-proxy", "  + most connections: 7"],
    );
}

#[test]
fn gateways_are_told_by_their_addresses() {
    let gateway = |port: u16| format!("service {{ kind = \"mesh-gateway\" name = \"gw\" port = {port} }}\n");
    check(
        &gateway(8443),
        &gateway(9443),
        &["gateway gw", "  ~ listens on: 127.0.0.1:8443 -> 127.0.0.1:9443"],
    );
}

fn intentions(sources: &str) -> String {
    format!("Kind = \"service-intentions\"\nName = \"api\"\nSources = [{sources}]\n")
}

#[test]
fn who_may_call_whom_is_told_as_it_is_decided() {
    check(
        "",
        &intentions("{ Name = \"web\" Action = \"deny\" }"),
        &["intentions api", "  ~ web calls api: allowed -> denied"],
    );
    check_same("", &intentions("{ Name = \"web\" Action = \"allow\" }"));
    check(
        &intentions("{ Name = \"web\" Action = \"deny\" }"),
        &intentions("{ Name = \"web\" Permissions = [{ Action = \"allow\" HTTP { PathPrefix = \"/a\" } }] }"),
        &["intentions api", "  ~ web calls api: denied -> path /a* allowed; else allowed"],
    );
    check(
        "",
        "default_intention_policy = \"deny\"\n",
        &[
            "intentions of any other service",
            "  ~ any other service calls it: allowed -> denied",
            "agent",
            "  ~ default policy: allow -> deny",
        ],
    );
}

#[test]
fn exports_are_told_by_service_and_peer() {
    let exports = |services: &str| {
        format!("Kind = \"exported-services\"\nName = \"default\"\nServices = [{services}]\n")
    };
    check(
        "",
        &exports("{ Name = \"api\" Consumers = [{ Peer = \"east\" }] }"),
        &["exports", "  + api to peer east"],
    );
    let every = "{ Name = \"*\" Consumers = [{ Peer = \"east\" }] }";
    check_same(
        &exports(every),
        &exports(&format!("{{ Name = \"api\" Consumers = [{{ Peer = \"east\" }}] }}, {every}")),
    );
}

#[test]
fn what_holds_for_the_whole_cluster_is_told() {
    check(
        "Kind = \"mesh\"\nTLS { Incoming { TLSMinVersion = \"TLSv1_2\" } }\n",
        "Kind = \"mesh\"\nTLS { Incoming { TLSMinVersion = \"TLSv1_3\" } }\n",
        &["mesh", "  ~ least TLS version incoming: TLSv1_2 -> TLSv1_3"],
    );
    check("", "node_name = \"n1\"\n", &["agent", "  + node name: n1"]);
}

#[test]
fn a_diff_as_json_has_its_changes_by_subject() {
    let (old, new) = (side(""), side(&intentions("{ Name = \"web\" Action = \"deny\" }")));
    let sides = [&old, &new].map(|(config, catalog)| Side { config, catalog });
    let found = diff(&sides[0], &sides[1], &"td.consul".parse().expect("a trust domain"));
    assert_eq!(
        found.to_json(),
        serde_json::json!({ "changes": [{
            "subject": "intentions",
            "names": ["api"],
            "changes": [
                { "change": "changed", "what": "web calls api", "before": "allowed", "after": "denied" }
            ],
        }] })
    );
}

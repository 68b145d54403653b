//! The stable shape of the JSON, and the text at a glance.

use serde_json::{Value, json};

use super::{Explanation, get, world};
use crate::explain::draw;

const WEB: &str = r#"Kind = "service-router"
Name = "web"
Routes = [
  { Match { HTTP { PathExact = "/login" } } },
  { Match { HTTP { PathPrefix = "/api" } }
    Destination { RequestTimeout = "3s" NumRetries = 2 RetryOnStatusCodes = [503] } },
]
"#;

const OTHERS: &str = r#"config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-splitter" Name = "web" Splits = [{ Weight = 90 }, { Weight = 10 Service = "next" }] },
] }
services = [
  { id = "web-1" name = "web" port = 80 connect { sidecar_service { port = 21001 } } },
  { name = "app" port = 81 connect { sidecar_service { port = 21002
    proxy { upstreams = [{ destination_name = "web" local_bind_port = 5000 config { connect_timeout_ms = 250 } }] } } } },
]
"#;

fn said() -> Explanation {
    world(&[("others.hcl", OTHERS), ("web.hcl", WEB)]).explain("web", &get("/api/x?y=1"))
}

/// Keys and kinds of values; of a list the first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        other => other.clone(),
    }
}

#[test]
fn the_json_has_its_stable_shape() {
    let origin = json!({ "entry": "text", "field": "text", "place": "text" });
    let default = json!({ "value": "text", "set_by": null, "overrode": [] });
    let set = json!({ "value": "text", "set_by": origin, "overrode": [] });
    let request = json!({ "method": "text", "path": "text", "headers": [] });
    let expected = json!({
        "service": "text",
        "datacenter": "text",
        "caller": "text",
        "protocol": set,
        "request": request,
        "route": {
            "index": "number", "of": "number", "asks": "text", "implicit": false, "set_by": origin,
            "earlier": [{
                "index": "number", "asks": "text",
                "lacks": [{ "criterion": "text", "expected": "text", "actual": "text" }],
            }],
        },
        "split": {
            "service": "text", "chosen": "text", "sticky_by": [], "empty_leg": "text",
            "legs": [{ "index": "number", "share": "text", "points": "number", "target": "text" }],
        },
        "outcomes": [{
            "leg": "number", "instead": [], "redirects": [],
            "resolver": "text",
            "targets": [{
                "id": "text", "datacenter": "text", "cluster": "text", "serves": true, "via": "text", "mesh_gateway": default,
                "protocol": "text", "sni": "text", "spiffe_ids": ["text"], "connect_timeout": set,
                "endpoints": [{
                    "address": "text", "instance": "text", "status": "text", "weight": "number", "health": "text",
                }],
                "left_out": [],
            }],
            "load_balancer": default,
            "request_timeout": set,
            "idle_timeout": default,
            "retries": { "number": "number", "on": ["text"], "set_by": origin },
            "leaves": { "method": "text", "path": "text", "headers": [], "dropped": [] },
            "response_headers": [],
        }],
        "settings": [{ "name": "text", "value": "number", "set_by": null, "overrode": [] }],
        "warnings": ["text"],
    });
    assert_eq!(shape(&said().to_value()), expected);
}

#[test]
fn a_person_reads_it_at_a_glance() {
    let expected = "\
GET /api/x?y=1 to web in dc1, as app-sidecar-proxy calls it

Routes[1] of service-router web takes it: path /api*
  written at        web.hcl:5:3
  Routes[0] lacks   path /login (it is /api/x)

Splitter web, by turns
  90%               web.default.default.dc1
  10%               next.default.default.dc1

Resolver web.default.default.dc1, 90% of the requests
  target            web.default.default.dc1
    endpoint        127.0.0.1:21001 web-1
    SNI             web.default.dc1.internal.td.consul
    SPIFFE ID       spiffe://td.consul/ns/default/dc/dc1/svc/web
    connect timeout 250ms         upstream web of app-sidecar-proxy: config.connect_timeout_ms
                                  (others.hcl:8:106)
  load balancer     least_request default
  leaves as         GET /api/x?y=1

Resolver next.default.default.dc1, 10% of the requests
  target            next.default.default.dc1, without an endpoint
    SNI             next.default.dc1.internal.td.consul
    SPIFFE ID       spiffe://td.consul/ns/default/dc/dc1/svc/next
    connect timeout 250ms         as above
  load balancer     least_request default
  leaves as         GET /api/x?y=1

Settings of the upstream
  protocol                   http          proxy-defaults global: Config.protocol (others.hcl:2:65)
  request timeout            3s            service-router web: Routes[1].Destination.RequestTimeout
                                           (web.hcl:6:36)
  idle timeout               5m0s          default
  retries                    2             service-router web: Routes[1].Destination.NumRetries
                                           (web.hcl:6:54)
                             on status 503
  max connections            1024          default
  max pending requests       1024          default
  max concurrent requests    1024          default
  max failures               5             default
  enforcing consecutive 5xx  100           default
  max ejection percent       10            default
  base ejection time         30s           default
  hold down                  3s            default
  ramp                       10s           default

Warnings
  no endpoint is available in next.default.default.dc1: the answer is 503 (UH)
";
    assert_eq!(draw(&said()), expected);
}

#[test]
fn nothing_that_was_written_draws_over_the_page() {
    let mut said = said();
    if let Some(request) = &mut said.request {
        request.path = "/\u{1b}[2J\nRoute 7".to_owned();
    }
    let text = draw(&said);
    assert!(text.starts_with("GET /\\u{1b}[2J\\nRoute 7 to web"), "{text}");
}

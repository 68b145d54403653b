//! `/clusters`: every target with its endpoints, their health and counters, in Envoy's shape.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use spillway_core::breaker::Thresholds;
use spillway_core::endpoint::{Address, Endpoint};
use spillway_core::outlier::State;
use spillway_core::pick::Target;

use crate::worker::Shared;

/// All targets by cluster name, each once.
pub(super) fn targets(shared: &Shared) -> BTreeMap<Arc<str>, Arc<Target>> {
    let snapshot = shared.published.load();
    let resolvers = snapshot.services().flat_map(|service| &service.table.resolvers);
    resolvers.flat_map(|it| &it.targets).map(|it| (Arc::clone(&it.cluster), Arc::clone(it))).collect()
}

/// An endpoint's counters by Envoy's names.
pub(super) fn counters(shared: &Shared, endpoint: &Endpoint) -> [(&'static str, u64, &'static str); 7] {
    let stats = &shared.stats;
    let uid = endpoint.uid;
    [
        ("cx_total", stats.sum(uid, |c| &c.connections), "COUNTER"),
        ("cx_connect_fail", endpoint.connect_failures_total(), "COUNTER"),
        ("rq_total", stats.sum(uid, |c| &c.requests), "COUNTER"),
        ("rq_success", stats.sum(uid, |c| &c.successes), "COUNTER"),
        ("rq_error", stats.sum(uid, |c| &c.errors), "COUNTER"),
        ("cx_active", stats.sum(uid, |c| &c.connections_active), "GAUGE"),
        ("rq_active", u64::from(endpoint.in_flight()), "GAUGE"),
    ]
}

fn health(endpoint: &Endpoint) -> Value {
    let outlier = endpoint.outlier();
    let mut health = json!({ "eds_health_status": "HEALTHY" });
    if outlier.is_out() {
        health["failed_outlier_check"] = json!(true);
    }
    health
}

/// What Envoy has no name for: where the endpoint stands, how near it is to leaving, and how quickly it answers where
/// that matters.
fn standing(shared: &Shared, endpoint: &Endpoint) -> Value {
    let outlier = endpoint.outlier();
    let state = match outlier.state {
        State::Available => "available",
        State::Ejected(_) => "ejected",
        State::Probing(_) => "probing",
        State::Returned(_) => "returned",
        State::Held(_) => "held down",
    };
    json!({
        "state": state,
        "consecutive_connection_failures": outlier.connect_failures,
        "consecutive_5xx": outlier.server_errors,
        "ejections": endpoint.ejections_total(),
        "expected_latency_us": endpoint.expected(shared.now()).map(|it| it.as_micros()),
    })
}

pub(super) fn json(shared: &Shared) -> Value {
    let host = |endpoint: &Arc<Endpoint>| {
        let stat = |(name, value, kind): (&str, u64, &str)| match kind {
            "COUNTER" => json!({ "name": name, "value": value.to_string() }),
            _ => json!({ "name": name, "value": value.to_string(), "type": kind }),
        };
        json!({
            "address": address(&endpoint.address),
            "stats": counters(shared, endpoint).map(stat),
            "health_status": health(endpoint),
            "weight": 1,
            "spillway": standing(shared, endpoint),
        })
    };
    let cluster = |target: Arc<Target>| {
        json!({
            "name": &*target.cluster,
            "added_via_api": true,
            "circuit_breakers": circuit_breakers(&target),
            "host_statuses": target.endpoints.iter().map(host).collect::<Vec<_>>(),
            "spillway": {
                "target": target.id.to_string(),
                "load_balancer": target.balance.name(),
                "absent": target.absent,
            },
        })
    };
    json!({ "cluster_statuses": targets(shared).into_values().map(cluster).collect::<Vec<_>>() })
}

fn circuit_breakers(target: &Target) -> Value {
    let mut threshold: serde_json::Map<String, Value> =
        limits(target).into_iter().map(|(name, most)| (name.to_owned(), most.into())).collect();
    threshold.insert("priority".to_owned(), "DEFAULT".into());
    json!({ "thresholds": [threshold] })
}

/// What a target may have at once, by Envoy's names. As with Envoy, no limit is the largest number that there is.
fn limits(target: &Target) -> [(&'static str, u32); 4] {
    let Thresholds { connections, pending, requests } = target.breaker.thresholds;
    [
        ("max_connections", connections),
        ("max_pending_requests", pending),
        ("max_requests", requests),
        ("max_retries", target.breaker.load.retry_budget()),
    ]
}

fn address(address: &Address) -> Value {
    match address {
        Address::Ip(addr) => {
            json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } })
        }
        Address::Unix(path) => json!({ "pipe": { "path": path.display().to_string() } }),
    }
}

pub(super) fn text(shared: &Shared) -> String {
    let mut out = String::new();
    for (name, target) in targets(shared) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}::observability_name::{name}");
        if let Some(why) = &target.absent {
            let _ = writeln!(out, "{name}::absent::{why}");
        }
        let _ = writeln!(out, "{name}::spillway_load_balancer::{}", target.balance.name());
        for (limit, most) in limits(&target) {
            let _ = writeln!(out, "{name}::default_priority::{limit}::{most}");
        }
        for endpoint in &target.endpoints {
            let host = format!("{name}::{}", endpoint.address);
            for (stat, value, _) in counters(shared, endpoint) {
                let _ = writeln!(out, "{host}::{stat}::{value}");
            }
            let flags = if endpoint.outlier().is_out() { "/failed_outlier_check" } else { "healthy" };
            let _ = writeln!(out, "{host}::health_flags::{flags}");
            let _ = writeln!(out, "{host}::weight::1");
            if let Some(expected) = endpoint.expected(shared.now()) {
                let _ = writeln!(out, "{host}::spillway_expected_latency_us::{}", expected.as_micros());
            }
        }
    }
    out
}

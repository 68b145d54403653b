//! `check`, `checks[]`.

use std::collections::BTreeMap;

use super::super::fields::Fields;
use crate::entry::{Check, HealthStatus};

/// What Consul's agent runs and a sidecar does not.
const NOT_RUN: [&str; 9] = [
    "args",
    "script",
    "docker_container_id",
    "ttl",
    "alias_service",
    "alias_node",
    "udp",
    "h2ping",
    "os_service",
];

pub(super) fn read(mut map: Fields<'_>) -> Check {
    let mut read = Check {
        name: map.string("name").unwrap_or_default(),
        http: map.string("http"),
        tcp: map.string("tcp"),
        grpc: map.string("grpc"),
        interval: map.timeout("interval"),
        timeout: map.timeout("timeout"),
        status: map
            .take("status")
            .and_then(|item| item.word(&["passing", "warning", "critical", "maintenance"]))
            .map(status),
        method: map.string("method"),
        headers: headers(&mut map),
        body: map.string("body"),
        disable_redirects: map.flag("disable_redirects"),
        use_tls: map.flag("grpc_use_tls"),
        tls_server_name: map.string("tls_server_name"),
        tls_skip_verify: map.flag("tls_skip_verify"),
        success_before_passing: map.integer("success_before_passing", 0..=u32::MAX).unwrap_or_default(),
        failures_before_critical: map.integer("failures_before_critical", 0..=u32::MAX).unwrap_or_default(),
        failures_before_warning: map.integer("failures_before_warning", 0..=u32::MAX),
    };
    read.use_tls |= map.flag("tcp_use_tls");
    let run = [&read.http, &read.tcp, &read.grpc].into_iter().flatten().count();
    let others: Vec<&str> = NOT_RUN.into_iter().filter(|name| map.has(name)).collect();
    match (run, others.as_slice()) {
        (0, [name, ..]) => {
            map.item.warn(format!("checks by {name} are not run here: a status written here stays"));
        }
        (0, []) if read.status.is_none() => map.item.error("a check needs one of http, tcp and grpc"),
        (2.., _) => map.item.error("a check has only one of http, tcp and grpc"),
        (1, _) if read.interval.is_none_or(|interval| interval.is_zero()) => {
            map.item.error("interval must be > 0 for http, tcp and grpc checks");
        }
        _ => {}
    }
    map.ignore(&NOT_RUN);
    map.ignore(&[
        "id",
        "check_id",
        "notes",
        "token",
        "service_id",
        "service_name",
        "shell",
        "output_max_size",
        "h2ping_use_tls",
        "deregister_critical_service_after",
        "namespace",
        "partition",
        "type",
        "exposed_port",
        "enterprise_meta",
    ]);
    map.finish();
    read
}

fn status(word: &str) -> HealthStatus {
    match word {
        "passing" => HealthStatus::Passing,
        "warning" => HealthStatus::Warning,
        _ => HealthStatus::Critical,
    }
}

/// Each header has a list of values; one value may stand without the list.
fn headers(map: &mut Fields<'_>) -> BTreeMap<String, Vec<String>> {
    let pairs = map.take("header").map(|item| item.pairs()).unwrap_or_default();
    pairs.into_iter().map(|(key, item)| (key.name.clone(), item.strings())).collect()
}

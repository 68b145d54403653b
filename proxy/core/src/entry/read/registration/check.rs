//! `check`, `checks[]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fields::Fields;
use crate::entry::{Check, HealthStatus};

/// What Consul's agent runs at intervals and a sidecar does not.
const NOT_RUN: [&str; 7] =
    ["args", "script_args", "script", "docker_container_id", "udp", "h2ping", "os_service"];

/// What makes a check an alias of another's.
const ALIAS: [&str; 2] = ["alias_service", "alias_node"];

pub(super) fn read(mut map: Fields<'_>) -> Check {
    let interval = map.take("interval").filter(|item| !item.is_empty());
    let (id, check_id) = (map.string("id"), map.string("check_id"));
    let mut read = Check {
        id: check_id.or(id).unwrap_or_default(),
        name: map.string("name").unwrap_or_default(),
        notes: map.string("notes").unwrap_or_default(),
        http: map.string("http"),
        tcp: map.string("tcp"),
        grpc: map.string("grpc"),
        alias_service: None,
        interval: interval.as_ref().and_then(|item| item.timeout("interval")),
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
    // An interval that cannot be read is named already.
    let unreadable = interval.is_some() && read.interval.is_none();
    let ttl = map.timeout("ttl").filter(|ttl| !ttl.is_zero());
    if !valid(&map, &read, ttl, unreadable) {
        // What is wrong with it is said; what follows would only repeat it.
    } else if let Some(name) = NOT_RUN.into_iter().chain(["alias_node"]).find(|name| map.has(name)) {
        map.item.warn(format!("checks by {name} are not run here: a status written here stays"));
    } else if ttl.is_some() {
        map.item.warn("checks by ttl are not run here: a status written here stays");
    }
    one_kind(&map, &mut read);
    read.alias_service = map.string("alias_service").filter(|id| !id.is_empty());
    map.ignore(&NOT_RUN);
    map.ignore(&["alias_node"]);
    map.ignore(&[
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

/// What Consul asks of a check, in its words and its order; it names one fault a check. `unreadable`: whether there is
/// an interval that cannot be read.
fn valid(map: &Fields<'_>, check: &Check, ttl: Option<Duration>, unreadable: bool) -> bool {
    let run = check.http.is_some() || check.tcp.is_some() || check.grpc.is_some();
    let timed = run || NOT_RUN.into_iter().any(|name| map.has(name));
    let alias = ALIAS.into_iter().any(|name| map.has(name));
    let interval = check.interval.is_some_and(|interval| !interval.is_zero());
    let why = if interval && ttl.is_some() {
        "Interval and TTL cannot both be specified"
    } else if timed && !interval && !unreadable {
        "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
    } else if timed && alias {
        "Interval cannot be set for Alias checks"
    } else if alias && ttl.is_some() {
        "TTL must be not be set for Alias checks"
    } else if !timed && !alias && ttl.is_none() && check.status.is_none() {
        "TTL must be > 0 for TTL checks"
    } else if check.failures_before_warning.is_some_and(|most| most > check.failures_before_critical) {
        "FailuresBeforeWarning can't be higher than FailuresBeforeCritical"
    } else {
        return true;
    };
    map.item.error(why);
    false
}

/// Of several kinds in one check the first that Consul looks for is run.
fn one_kind(map: &Fields<'_>, check: &mut Check) {
    let kinds =
        [("http", check.http.is_some()), ("tcp", check.tcp.is_some()), ("grpc", check.grpc.is_some())];
    let given: Vec<&str> = kinds.into_iter().filter(|(_, given)| *given).map(|(kind, _)| kind).collect();
    if let [first, _, ..] = given[..] {
        map.item.warn(format!("has more than one of http, tcp and grpc: only {first} is run"));
        check.grpc = None;
        if first == "http" {
            check.tcp = None;
        }
    }
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

//! `/stats` and `/stats/prometheus`: Envoy's names for what both count, `spillway_` for the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use spillway_core::breaker::Breaker;
use spillway_core::outlier::Outlier;
use spillway_core::pick::Target;

use super::clusters;
use crate::refusal::Refusal;
use crate::stats::{Histogram, Reloads, ServiceStats};
use crate::worker::Shared;

/// One number.
#[derive(Clone, Debug)]
pub(super) struct Stat {
    /// Dotted, as `/stats` shows it.
    pub(super) name: String,
    /// The metric and its labels, as Prometheus sees it.
    metric: (String, Vec<(&'static str, String)>),
    gauge: bool,
    value: u64,
}

impl Stat {
    fn new(prefix: &str, label: Option<(&'static str, &str)>, stat: &str, gauge: bool, value: u64) -> Self {
        let subject = label.map_or_else(String::new, |(_, name)| format!(".{name}"));
        let metric = format!("envoy_{prefix}_{stat}").replace(['.', '-'], "_");
        let metric =
            if prefix == "spillway" { format!("spillway_{}", stat.replace('.', "_")) } else { metric };
        Self {
            name: format!("{prefix}{subject}.{stat}"),
            metric: (metric, label.map(|(label, name)| (label, name.to_owned())).into_iter().collect()),
            gauge,
            value,
        }
    }

    /// A counter of ours with several labels.
    fn labelled(name: String, metric: &str, labels: &[(&'static str, &str)], value: u64) -> Self {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        Self { name, metric: (metric.to_owned(), labels), gauge: false, value }
    }

    /// Requests to a service that found a leg of its splitters without an endpoint.
    fn empty_leg(service: &str, leg: &str, value: u64) -> Self {
        let name = format!("spillway.split.{service}.leg.{leg}.empty_total");
        Self::labelled(name, "spillway_split_empty_leg_total", &[("service", service), ("leg", leg)], value)
    }

    /// Connections over HTTP/2 that were closed for one kind of abuse.
    fn expelled(reason: &str, value: u64) -> Self {
        let name = format!("spillway.http2_expelled.{reason}_total");
        Self::labelled(name, "spillway_http2_expelled_total", &[("reason", reason)], value)
    }

    /// Messages of one side that broke HTTP in one way.
    fn malformed(side: &str, reason: &str, value: u64) -> Self {
        let name = format!("spillway.malformed.{side}.{reason}_total");
        Self::labelled(name, "spillway_malformed_total", &[("side", side), ("reason", reason)], value)
    }
}

/// The numbers of one cluster.
fn of_cluster(shared: &Shared, name: &str, target: &Target, all: &mut Vec<Stat>) {
    let label = Some(("envoy_cluster_name", name));
    let mut sums = [0; 7];
    for endpoint in &target.endpoints {
        for (sum, (_, value, _)) in sums.iter_mut().zip(clusters::counters(shared, endpoint)) {
            *sum += value;
        }
    }
    let [cx_total, cx_connect_fail, rq_total, rq_success, rq_error, cx_active, rq_active] = sums;
    let out = |outlier: Outlier| outlier.is_out();
    let ejected = target.endpoints.iter().filter(|endpoint| out(endpoint.outlier())).count() as u64;
    let ejections = target.endpoints.iter().map(|endpoint| endpoint.ejections_total()).sum();
    let members = target.endpoints.len() as u64;
    let Breaker { load, thresholds: most } = &target.breaker;
    let open = |there_are: u32, most: u32| u64::from(there_are >= most);
    for (stat, gauge, value) in [
        ("upstream_cx_total", false, cx_total),
        ("upstream_cx_connect_fail", false, cx_connect_fail),
        ("upstream_cx_active", true, cx_active),
        ("upstream_rq_total", false, rq_total),
        ("upstream_rq_2xx_to_4xx", false, rq_success),
        ("upstream_rq_5xx", false, rq_error),
        ("upstream_rq_active", true, rq_active),
        ("membership_total", true, members),
        ("membership_healthy", true, members - ejected),
        ("upstream_cx_overflow", false, load.connection_overflows()),
        ("upstream_rq_pending_overflow", false, load.pending_overflows()),
        ("upstream_rq_retry_overflow", false, load.retry_overflows()),
        ("upstream_rq_pending_active", true, load.pending().into()),
        ("circuit_breakers.default.cx_open", true, open(load.connections(), most.connections)),
        ("circuit_breakers.default.rq_pending_open", true, open(load.pending(), most.pending)),
        ("circuit_breakers.default.rq_open", true, open(load.requests(), most.requests)),
        ("circuit_breakers.default.rq_retry_open", true, open(load.retries(), load.retry_budget())),
        ("outlier_detection.ejections_active", true, ejected),
        ("outlier_detection.ejections_enforced_total", false, ejections),
    ] {
        all.push(Stat::new("cluster", label, stat, gauge, value));
    }
}

/// Every number there is, by name.
pub(super) fn collect(shared: &Shared, reloads: &Reloads, connections: usize) -> Vec<Stat> {
    let mut all = Vec::new();
    let snapshot = shared.published.load();
    let mut empty_legs: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for service in snapshot.services() {
        of_service(&service.stats, &mut all);
        if let Some(Breaker { load, .. }) = &service.intake.connections {
            let label = Some(("envoy_listener_address", service.stats.name.as_str()));
            let overflows = load.connection_overflows();
            all.push(Stat::new("listener", label, "downstream_cx_overflow", false, overflows));
        }
        let legs = service.table.splits().iter().flat_map(|split| split.legs());
        let names: BTreeSet<String> = legs.map(|leg| leg.resolver.name()).collect();
        for leg in names {
            let count = service.stats.empty_legs(&leg);
            *empty_legs.entry((service.table.service.as_str(), leg)).or_default() += count;
        }
    }
    all.extend(empty_legs.iter().map(|((service, leg), count)| Stat::empty_leg(service, leg, *count)));
    for (name, target) in clusters::targets(shared) {
        of_cluster(shared, &name, &target, &mut all);
    }
    for check in shared.registered.shown() {
        let value = check.status as u64;
        all.push(Stat::new("spillway", Some(("check", &check.id)), "check_status", true, value));
    }
    let uptime = shared.uptime().as_secs();
    all.push(Stat::new("server", None, "uptime", true, uptime));
    all.push(Stat::new("server", None, "total_connections", true, connections as u64));
    for (stat, count) in [
        ("config_accepted_total", &reloads.accepted),
        ("config_rejected_total", &reloads.rejected),
        ("config_chains_compiled_total", &reloads.chains_compiled),
        ("config_tables_built_total", &reloads.tables_built),
    ] {
        all.push(Stat::new("spillway", None, stat, false, count.load(Ordering::Relaxed)));
    }
    all.push(Stat::new("spillway", None, "generation", true, shared.published.number()));
    for (stat, count) in [
        ("accept_pauses_total", &shared.stats.accept_pauses),
        ("refused_NR", &shared.stats.unrouted),
        ("access_log_dropped_total", &*shared.stats.access_log_dropped),
    ] {
        all.push(Stat::new("spillway", None, stat, false, count.load(Ordering::Relaxed)));
    }
    let malformed = shared.stats.malformed.counts();
    all.extend(malformed.map(|(side, reason, count)| Stat::malformed(side, reason.name(), count)));
    let expelled = shared.stats.expelled.counts();
    all.extend(expelled.map(|(abuse, count)| Stat::expelled(abuse.name(), count)));
    let unmatched = shared.stats.unmatched.load(Ordering::Relaxed);
    all.push(Stat::new("listener", None, "no_filter_chain_match", false, unmatched));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn of_service(stats: &ServiceStats, all: &mut Vec<Stat>) {
    let label = Some(("envoy_http_conn_manager_prefix", stats.name.as_str()));
    let mut push = |stat: &str, gauge, value| all.push(Stat::new("http", label, stat, gauge, value));
    push("downstream_cx_total", false, stats.sum(|c| &c.connections));
    push("downstream_cx_active", true, stats.sum(|c| &c.connections_active));
    push("downstream_rq_total", false, stats.sum(|c| &c.requests));
    push("rq_total", false, stats.sum(|c| &c.requests));
    push("downstream_rq_active", true, stats.sum(|c| &c.requests_active));
    push("spillway_rq_unanswered", false, stats.sum(|c| &c.answers[0]));
    for class in 1..=5 {
        push(&format!("downstream_rq_{class}xx"), false, stats.sum(|c| &c.answers[class]));
    }
    push("downstream_cx_protocol_error", false, stats.sum(|c| &c.protocol_errors));
    push("downstream_rq_too_many_premature_resets", false, stats.sum(|c| &c.premature_resets));
    push("downstream_cx_idle_timeout", false, stats.sum(|c| &c.idle_timeouts));
    push("downstream_rq_header_timeout", false, stats.sum(|c| &c.head_timeouts));
    push("downstream_rq_idle_timeout", false, stats.sum(|c| &c.body_timeouts));
    push("spillway_retries", false, stats.sum(|c| &c.retries));
    push("spillway_moved_on", false, stats.sum(|c| &c.moved_on));
    push("spillway_failovers", false, stats.sum(|c| &c.failovers));
    for (index, flag) in Refusal::FLAG_NAMES.iter().enumerate() {
        push(&format!("spillway_refused_{flag}"), false, stats.sum(|c| &c.refusals[index]));
    }
    let latencies = stats.latencies();
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
        let micros = Histogram::quantile(&latencies, share).unwrap_or_default();
        push(&format!("spillway_latency_us_{name}"), true, micros);
    }
}

pub(super) fn text(stats: &[Stat]) -> String {
    stats.iter().map(|stat| format!("{}: {}\n", stat.name, stat.value)).collect()
}

pub(super) fn json(stats: &[Stat]) -> Value {
    let one = |stat: &Stat| json!({ "name": stat.name, "value": stat.value });
    json!({ "stats": stats.iter().map(one).collect::<Vec<_>>() })
}

/// Prometheus' text format: a `# TYPE` line a metric, then its values.
pub(super) fn prometheus(stats: &[Stat]) -> String {
    let mut by_metric: BTreeMap<&str, Vec<&Stat>> = BTreeMap::new();
    for stat in stats {
        by_metric.entry(&stat.metric.0).or_default().push(stat);
    }
    let mut out = String::new();
    for (metric, stats) in by_metric {
        let kind = if stats.iter().any(|stat| stat.gauge) { "gauge" } else { "counter" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# TYPE {metric} {kind}");
        for stat in stats {
            let label = |(label, value): &(&str, String)| format!("{label}=\"{value}\"");
            let labels: Vec<String> = stat.metric.1.iter().map(label).collect();
            let _ = match &labels[..] {
                [] => writeln!(out, "{metric} {}", stat.value),
                labels => writeln!(out, "{metric}{{{}}} {}", labels.join(","), stat.value),
            };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_leg_is_named_with_its_service() {
        let stats = [Stat::empty_leg("api", "v2.api.default.default.dc1", 3)];
        assert_eq!(text(&stats), "spillway.split.api.leg.v2.api.default.default.dc1.empty_total: 3\n");
        let labels = "service=\"api\",leg=\"v2.api.default.default.dc1\"";
        let metric = "spillway_split_empty_leg_total";
        assert_eq!(prometheus(&stats), format!("# TYPE {metric} counter\n{metric}{{{labels}}} 3\n"));
    }
}

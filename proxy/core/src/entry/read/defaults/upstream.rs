//! `UpstreamConfig` of `service-defaults`, and what it shares with a registered upstream's `config`.

use std::collections::HashSet;
use std::time::Duration;

use super::super::common::{balance, mesh_gateway, only_default, protocol};
use super::super::fields::Fields;
use super::ESCAPE_HATCH;
use crate::entry::{Limits, PassiveHealthCheck, UpstreamConfig, UpstreamOverrides};
use crate::name::ServiceName;

pub(super) fn overrides(mut map: Fields<'_>) -> UpstreamOverrides {
    let defaults = map.map("Defaults").map(defaults).unwrap_or_default();
    let mut seen = HashSet::new();
    let mut overrides = Vec::new();
    for map in map.maps("Overrides") {
        let item = map.item.clone();
        let config = override_of_one(map);
        if config.name.is_some() && !seen.insert((config.name.clone(), config.peer.clone())) {
            item.warn("overrides the same upstream again");
        }
        overrides.push(config);
    }
    map.finish();
    UpstreamOverrides { defaults, overrides }
}

fn defaults(mut map: Fields<'_>) -> UpstreamConfig {
    let owner = "error in upstream defaults: ";
    for name in ["Name", "Namespace", "Partition"] {
        if let Some(item) = map.take(name).filter(|item| !item.is_empty()) {
            item.error(format!("{owner}{name} must be empty"));
        }
    }
    if let Some(item) = map.take("Peer").filter(|item| !item.is_empty()) {
        item.warn("has no effect here: Defaults hold for all upstreams");
    }
    let config = config(&mut map, owner);
    map.finish();
    config
}

fn override_of_one(mut map: Fields<'_>) -> UpstreamConfig {
    let item = map.take("Name");
    let text = item.as_ref().and_then(|item| item.string()).unwrap_or_default();
    let peer_item = map.take("Peer");
    let peer = peer_item.as_ref().and_then(|item| item.string()).unwrap_or_default();
    let owner = format!("error in upstream override for {text}:{peer}: ");
    let name: Option<ServiceName> = match (&item, text.as_str()) {
        (Some(item), "*") => {
            item.error(format!("{owner}Wildcard name is not supported"));
            None
        }
        (_, "") => {
            map.item.error(format!("{owner}Name is required"));
            None
        }
        (item, _) => item.as_ref().and_then(|item| item.name()),
    };
    only_default(&mut map);
    let peer = peer_item.and_then(|item| item.name());
    let config = UpstreamConfig { name, peer, ..config(&mut map, &owner) };
    map.finish();
    config
}

/// What `UpstreamConfig` and a registered upstream's `config` have in common; the caller names what is left.
/// `owner` begins messages.
pub(in crate::entry::read) fn config(map: &mut Fields<'_>, owner: &str) -> UpstreamConfig {
    let read = UpstreamConfig {
        name: None,
        peer: None,
        protocol: map.take("Protocol").and_then(|item| protocol(&item)),
        connect_timeout: map.take("ConnectTimeoutMs").and_then(|item| {
            // A negative one is none, as in Consul.
            let ms: i64 = item.integer(i64::from(i32::MIN)..=i64::from(u32::MAX))?;
            u64::try_from(ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
        }),
        mesh_gateway: mesh_gateway(map, "MeshGateway"),
        limits: map.map("Limits").map(|map| limits(map, owner)).unwrap_or_default(),
        passive_health_check: map.map("PassiveHealthCheck").map(|map| passive_health_check(map, owner)),
    };
    let fault = format!("{owner}invalid value for balance_outbound_connections");
    balance(map, "BalanceOutboundConnections", &fault);
    map.unused(&["EnvoyListenerJSON", "EnvoyClusterJSON"], ESCAPE_HATCH);
    read
}

fn limits(mut map: Fields<'_>, owner: &str) -> Limits {
    let mut limit = |name: &'static str, words: &str| {
        let item = map.take(name)?;
        let number: i64 = item.integer(i64::MIN..=i64::from(u32::MAX))?;
        if number < 0 {
            item.error(format!("{owner}{words} cannot be negative"));
        }
        u32::try_from(number).ok()
    };
    let limits = Limits {
        max_connections: limit("MaxConnections", "max connections"),
        max_pending_requests: limit("MaxPendingRequests", "max pending requests"),
        max_concurrent_requests: limit("MaxConcurrentRequests", "max concurrent requests"),
    };
    map.finish();
    limits
}

fn passive_health_check(mut map: Fields<'_>, owner: &str) -> PassiveHealthCheck {
    let owner = format!("{owner}passive health check");
    let time = |map: &mut Fields<'_>, name: &'static str, words: &str| {
        let item = map.take(name)?;
        let signed = item.duration()?;
        if signed.nanos < 0 {
            item.error(format!("{owner} {words} cannot be negative"));
        }
        signed.to_duration().filter(|it| !it.is_zero())
    };
    let percent = |map: &mut Fields<'_>, name: &'static str, words: &str| {
        let item = map.take(name)?;
        let number: u32 = item.integer(0..=u32::MAX)?;
        if number > 100 {
            item.error(format!("{owner} {words} must be a percentage between 0 and 100"));
        }
        Some(number)
    };
    let check = PassiveHealthCheck {
        interval: time(&mut map, "Interval", "interval"),
        max_failures: map.integer("MaxFailures", 0..=u32::MAX),
        enforcing_consecutive_5xx: percent(&mut map, "EnforcingConsecutive5xx", "enforcing_consecutive_5xx"),
        max_ejection_percent: percent(&mut map, "MaxEjectionPercent", "max_ejection_percent"),
        base_ejection_time: time(&mut map, "BaseEjectionTime", "base_ejection_time"),
        hold_down: return_time(&mut map, "HoldDown"),
        ramp: return_time(&mut map, "Ramp"),
    };
    map.finish();
    check
}

/// How endpoints return, beyond Consul: `HoldDown` or `Ramp`.
pub(in crate::entry::read) fn return_time(map: &mut Fields<'_>, name: &'static str) -> Option<Duration> {
    const MOST: Duration = Duration::from_secs(3_600);
    let item = map.beyond(name)?;
    let time = item.duration()?.to_duration().filter(|it| *it <= MOST);
    if time.is_none() {
        item.error(format!("{name} must be between 0s and 1h"));
    }
    time
}

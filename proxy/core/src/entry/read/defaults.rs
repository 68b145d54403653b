//! `service-defaults`, `proxy-defaults`, and what they share with a registration's `proxy`.

use super::Head;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::common::{addresses, enterprise, enterprise_only, mesh_gateway, meta, protocol};
use super::fields::Fields;
use super::item::Item;
use crate::entry::{
    AccessLogs, Expose, ExposePath, Limits, PassiveHealthCheck, Protocol, ProxyDefaults, RateLimitRoute,
    RateLimits, ServiceDefaults, UpstreamConfig, UpstreamOverrides,
};
use crate::name::ServiceName;
use crate::problem::Problem;

const EXTENSIONS: &str = "Envoy's extensions have no effect here";
const ESCAPE_HATCH: &str = "Envoy's own configuration has no effect here";
const TRANSPARENT: &str = "transparent proxies have no effect here: upstreams are listed";

pub(super) fn service(head: &Head<'_>, mut fields: Fields<'_>) -> Option<(ServiceName, ServiceDefaults)> {
    let name = match head.text(&fields).as_deref() {
        Some("*") => {
            fields.item.sink.push(Problem::error(
                &head.place,
                "Name",
                "wildcard name (\"*\") is not supported: proxy-defaults hold for all services",
            ));
            None
        }
        _ => head.name.as_ref().and_then(Item::name::<ServiceName>),
    };
    let transparent = transparent_proxy(&mut fields);
    let read = ServiceDefaults {
        place: head.place.clone(),
        name: name.clone(),
        protocol: fields.take("Protocol").and_then(|item| protocol(&item)),
        mesh_gateway: mesh_gateway(&mut fields, "MeshGateway"),
        external_sni: fields.string("ExternalSNI"),
        dialed_directly: transparent,
        upstream_config: upstream_overrides(&mut fields),
        max_inbound_connections: fields.integer("MaxInboundConnections", 0..=u32::MAX).unwrap_or_default(),
        local_connect_timeout: fields.millis("LocalConnectTimeoutMs").filter(|it| !it.is_zero()),
        local_request_timeout: fields.millis("LocalRequestTimeoutMs").filter(|it| !it.is_zero()),
        expose: expose(&mut fields),
        rate_limits: rate_limits(&mut fields),
        meta: meta(&mut fields),
    };
    fields.take("BalanceInboundConnections").and_then(|item| item.word(&["exact_balance"]));
    if let Some(mut destination) = fields.map("Destination") {
        destination.item.warn("destinations outside the mesh need a terminating gateway; has no effect here");
        destination.strings("Addresses");
        destination.integer("Port", 0..=u16::MAX);
        destination.ignore(&["Address"]);
        destination.finish();
    }
    extensions(&mut fields);
    fields.finish();
    Some((name?, read))
}

pub(super) fn proxy(head: &Head<'_>, mut fields: Fields<'_>) -> ProxyDefaults {
    if let Some(name) = head.text(&fields).filter(|name| name != "global")
        && let Some(item) = &head.name
    {
        item.error(format!("invalid name ({name:?}), only \"global\" is supported"));
    }
    let dialed_directly = transparent_proxy(&mut fields);
    let config = fields.take("Config").and_then(|item| item.fields()).map(proxy_config).unwrap_or_default();
    let read = ProxyDefaults {
        place: head.place.clone(),
        protocol: config.protocol,
        mesh_gateway: mesh_gateway(&mut fields, "MeshGateway"),
        dialed_directly,
        local_connect_timeout: config.local_connect_timeout,
        local_request_timeout: config.local_request_timeout,
        local_idle_timeout: config.local_idle_timeout,
        max_inbound_connections: config.max_inbound_connections,
        prometheus_bind_addr: config.prometheus_bind_addr,
        stats_bind_addr: config.stats_bind_addr,
        expose: expose(&mut fields),
        access_logs: access_logs(&mut fields),
        meta: meta(&mut fields),
    };
    enterprise_only(&mut fields, "FailoverPolicy", "");
    enterprise_only(&mut fields, "PrioritizeByLocality", "");
    extensions(&mut fields);
    fields.finish();
    read
}

fn extensions(fields: &mut Fields<'_>) {
    fields.unused(&["EnvoyExtensions"], EXTENSIONS);
}

/// `Mode`, `MutualTLSMode` and `TransparentProxy`; whether instances are dialed directly.
pub(super) fn transparent_proxy(fields: &mut Fields<'_>) -> bool {
    if let Some(item) = fields.take("Mode")
        && item.word(&["direct", "transparent"]) == Some("transparent")
    {
        item.warn(TRANSPARENT);
    }
    if let Some(item) = fields.take("MutualTLSMode")
        && item.word(&["strict", "permissive"]) == Some("permissive")
    {
        item.warn("has no effect here: inbound connections without mutual TLS are refused");
    }
    let Some(mut map) = fields.map("TransparentProxy") else { return false };
    map.integer("OutboundListenerPort", 0..=u16::MAX);
    let dialed_directly = map.flag("DialedDirectly");
    map.finish();
    dialed_directly
}

/// `Expose { Checks, Paths }`.
pub(super) fn expose(fields: &mut Fields<'_>) -> Expose {
    let Some(mut map) = fields.map("Expose") else { return Expose::default() };
    let path = |mut map: Fields<'_>| {
        let path = ExposePath {
            listener_port: map.integer("ListenerPort", 1..=u16::MAX).unwrap_or_default(),
            path: map.string("Path").unwrap_or_default(),
            local_path_port: map.integer("LocalPathPort", 0..=u16::MAX).unwrap_or_default(),
            http2: map.take("Protocol").and_then(|item| item.word(&["http", "http2"])) == Some("http2"),
        };
        map.ignore(&["ParsedFromCheck"]);
        if path.path.is_empty() || path.listener_port == 0 {
            map.item.error("ListenerPort and Path are required");
        }
        map.finish();
        path
    };
    let checks = map.flag("Checks");
    let paths = map.maps("Paths").into_iter().map(path).collect();
    map.finish();
    Expose { checks, paths }
}

fn upstream_overrides(fields: &mut Fields<'_>) -> UpstreamOverrides {
    let Some(mut map) = fields.map("UpstreamConfig") else { return UpstreamOverrides::default() };
    let defaults = map.map("Defaults").map(|mut map| {
        if map.take("Name").is_some_and(|item| !item.is_empty()) {
            map.item.error("UpstreamConfig.Defaults must not have a Name");
        }
        let config = upstream_config(&mut map);
        map.finish();
        config
    });
    let mut seen = HashSet::new();
    let mut overrides = Vec::new();
    for mut map in map.maps("Overrides") {
        let name: Option<ServiceName> = map.name("Name");
        if name.is_none() {
            map.item.error("Name is required");
        }
        enterprise(&mut map, &["Namespace", "Partition"], "");
        let config = UpstreamConfig { name, peer: map.name("Peer"), ..upstream_config(&mut map) };
        if config.name.is_some() && !seen.insert((config.name.clone(), config.peer.clone())) {
            map.item.error("overrides the same upstream again");
        }
        overrides.push(config);
        map.finish();
    }
    map.finish();
    UpstreamOverrides { defaults: defaults.unwrap_or_default(), overrides }
}

/// What `UpstreamConfig` and a registered upstream's `config` have in common; the caller names what is left.
pub(super) fn upstream_config(map: &mut Fields<'_>) -> UpstreamConfig {
    let read = UpstreamConfig {
        name: None,
        peer: None,
        protocol: map.take("Protocol").and_then(|item| protocol(&item)),
        connect_timeout: map.millis("ConnectTimeoutMs").filter(|it| !it.is_zero()),
        mesh_gateway: mesh_gateway(map, "MeshGateway"),
        limits: map.map("Limits").map(limits).unwrap_or_default(),
        passive_health_check: map.map("PassiveHealthCheck").map(passive_health_check),
    };
    map.take("BalanceOutboundConnections").and_then(|item| item.word(&["exact_balance"]));
    map.unused(&["EnvoyListenerJSON", "EnvoyClusterJSON"], ESCAPE_HATCH);
    read
}

fn limits(mut map: Fields<'_>) -> Limits {
    let limits = Limits {
        max_connections: map.integer("MaxConnections", 0..=u32::MAX),
        max_pending_requests: map.integer("MaxPendingRequests", 0..=u32::MAX),
        max_concurrent_requests: map.integer("MaxConcurrentRequests", 0..=u32::MAX),
    };
    map.finish();
    limits
}

fn passive_health_check(mut map: Fields<'_>) -> PassiveHealthCheck {
    let check = PassiveHealthCheck {
        interval: map.timeout("Interval").filter(|it| !it.is_zero()),
        max_failures: map.integer("MaxFailures", 0..=u32::MAX),
        enforcing_consecutive_5xx: map.integer("EnforcingConsecutive5xx", 0..=100),
        max_ejection_percent: map.integer("MaxEjectionPercent", 0..=100),
        base_ejection_time: map.timeout("BaseEjectionTime").filter(|it| !it.is_zero()),
    };
    map.finish();
    check
}

fn rate_limits(fields: &mut Fields<'_>) -> Option<RateLimits> {
    let mut map = fields.map("RateLimits")?;
    let limits = map.map("InstanceLevel").map(|mut map| {
        let route = |mut map: Fields<'_>| {
            let route = RateLimitRoute {
                path_exact: map.string("PathExact"),
                path_prefix: map.string("PathPrefix"),
                path_regex: map.string("PathRegex"),
                requests_per_second: map.integer("RequestsPerSecond", 0..=u32::MAX),
                requests_max_burst: map.integer("RequestsMaxBurst", 0..=u32::MAX),
            };
            map.finish();
            route
        };
        let limits = RateLimits {
            requests_per_second: map.integer("RequestsPerSecond", 0..=u32::MAX),
            requests_max_burst: map.integer("RequestsMaxBurst", 0..=u32::MAX),
            routes: map.maps("Routes").into_iter().map(route).collect(),
        };
        map.finish();
        limits
    });
    map.finish();
    limits
}

pub(super) fn access_logs(fields: &mut Fields<'_>) -> AccessLogs {
    let Some(mut map) = fields.map("AccessLogs") else { return AccessLogs::default() };
    let logs = AccessLogs {
        enabled: map.flag("Enabled"),
        disable_listener_logs: map.flag("DisableListenerLogs"),
        kind: map.take("Type").and_then(|item| item.word(&["stdout", "stderr", "file"])).map(str::to_owned),
        path: map.take("Path").and_then(|item| item.path()),
        json_format: map.string("JSONFormat"),
        text_format: map.string("TextFormat"),
    };
    if logs.json_format.is_some() && logs.text_format.is_some() {
        map.item.error("AccessLogs: only one of JSONFormat and TextFormat can be set");
    }
    match (logs.kind.as_deref(), &logs.path) {
        (Some("file"), None) => map.item.error("AccessLogs: Path is required with the type \"file\""),
        (Some("file"), Some(_)) | (_, None) => {}
        (_, Some(_)) => map.item.error("AccessLogs: Path is only valid with the type \"file\""),
    }
    map.finish();
    logs
}

/// What is read of the opaque `config` of a proxy, for one in its registration and for all in `proxy-defaults`.
#[derive(Default)]
pub(super) struct ProxyConfig {
    pub(super) protocol: Option<Protocol>,
    pub(super) local_connect_timeout: Option<Duration>,
    pub(super) local_request_timeout: Option<Duration>,
    pub(super) local_idle_timeout: Option<Duration>,
    pub(super) bind_address: Option<String>,
    pub(super) bind_port: Option<u16>,
    pub(super) max_inbound_connections: Option<u32>,
    pub(super) prometheus_bind_addr: Option<String>,
    pub(super) stats_bind_addr: Option<String>,
    pub(super) gateway_bind_addresses: BTreeMap<String, (String, u16)>,
    pub(super) gateway_bind_tagged_addresses: bool,
    pub(super) gateway_no_default_bind: bool,
}

/// Reads an opaque `config`: what is not known is named in a warning.
pub(super) fn proxy_config(mut map: Fields<'_>) -> ProxyConfig {
    let mut read = ProxyConfig {
        protocol: map.take("protocol").and_then(|item| protocol(&item)),
        local_connect_timeout: map.millis("local_connect_timeout_ms").filter(|it| !it.is_zero()),
        local_request_timeout: map.millis("local_request_timeout_ms"),
        local_idle_timeout: map.millis("local_idle_timeout_ms"),
        bind_address: map.string("bind_address"),
        bind_port: map.integer("bind_port", 0..=u16::MAX),
        max_inbound_connections: map.integer("max_inbound_connections", 0..=u32::MAX),
        prometheus_bind_addr: map.string("envoy_prometheus_bind_addr"),
        stats_bind_addr: map.string("envoy_stats_bind_addr"),
        ..ProxyConfig::default()
    };
    map.take("balance_inbound_connections").and_then(|item| item.word(&["exact_balance"]));
    for name in ["envoy_mesh_gateway_bind_addresses", "envoy_gateway_bind_addresses"] {
        if let Some(item) = map.take(name) {
            read.gateway_bind_addresses = addresses(&item);
        }
    }
    for name in ["envoy_mesh_gateway_bind_tagged_addresses", "envoy_gateway_bind_tagged_addresses"] {
        read.gateway_bind_tagged_addresses |= map.flag(name);
    }
    for name in ["envoy_mesh_gateway_no_default_bind", "envoy_gateway_no_default_bind"] {
        read.gateway_no_default_bind |= map.flag(name);
    }
    map.finish_opaque();
    read
}

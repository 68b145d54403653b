//! `service-defaults`, `proxy-defaults`, and what they share with a registration's `proxy`.

mod config;
mod extensions;
mod upstream;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) use config::proxy_config;
pub(super) use upstream::config as upstream_config;

use super::Head;
use super::common::{balance, failover_policy, mesh_gateway, meta, no_locality, protocol};
use super::fields::Fields;
use super::item::Item;
use crate::access_log::{Format, FormatError};
use crate::entry::{
    AccessLogs, Expose, ExposePath, ProxyDefaults, RateLimitRoute, RateLimits, ServiceDefaults,
};
use crate::name::ServiceName;

const ESCAPE_HATCH: &str = "Envoy's own configuration has no effect here";
const TRANSPARENT: &str = "transparent proxies have no effect here: upstreams are listed";
const PERMISSIVE: &str = "has no effect here: inbound connections without mutual TLS are refused";

pub(super) fn service(head: &Head<'_>, mut fields: Fields<'_>) -> Option<(ServiceName, ServiceDefaults)> {
    let name = match (head.text(&fields).as_deref(), &head.name) {
        (Some("*"), Some(item)) => {
            item.error(
                "service-defaults name must be the name of a service, and not a wildcard: proxy-defaults hold for all",
            );
            None
        }
        (_, item) => item.as_ref().and_then(Item::name::<ServiceName>),
    };
    let transparent = transparent_proxy(&mut fields);
    let upstream_config = fields.take("UpstreamConfig");
    if let Some(item) = fields.take("Destination") {
        if upstream_config.as_ref().is_some_and(|item| item.fields().is_some()) {
            item.error("UpstreamConfig and Destination are mutually exclusive for service defaults");
        }
        item.fields().into_iter().for_each(destination);
    }
    let upstreams = upstream_config.and_then(|item| item.fields());
    let read = ServiceDefaults {
        place: head.place.clone(),
        name: name.clone(),
        protocol: fields.take("Protocol").and_then(|item| protocol(&item)),
        mesh_gateway: mesh_gateway(&mut fields, "MeshGateway"),
        external_sni: fields.string("ExternalSNI"),
        dialed_directly: transparent,
        upstream_config: upstreams.map(upstream::overrides).unwrap_or_default(),
        max_inbound_connections: fields.integer("MaxInboundConnections", 0..=u32::MAX).unwrap_or_default(),
        local_connect_timeout: fields.millis("LocalConnectTimeoutMs").filter(|it| !it.is_zero()),
        local_request_timeout: fields.millis("LocalRequestTimeoutMs").filter(|it| !it.is_zero()),
        expose: expose(&mut fields),
        rate_limits: rate_limits(&mut fields),
        envoy_extensions: extensions::read(&mut fields),
        meta: meta(&mut fields),
    };
    let fault = "invalid value for balance_inbound_connections";
    balance(&mut fields, "BalanceInboundConnections", fault);
    // Newer than 1.21; a file that has it is still one to read.
    fields.unused(&["MaxRequestHeadersKB"], "has no effect here: a head has a fixed limit");
    fields.finish();
    Some((name?, read))
}

pub(super) fn proxy(head: &Head<'_>, mut fields: Fields<'_>) -> ProxyDefaults {
    // There is one, so it need not be named.
    if let Some(item) = &head.name
        && let Some(name) = item.string().filter(|name| name != "global")
    {
        item.error(format!("invalid name ({name:?}), only \"global\" is supported"));
    }
    let dialed_directly = transparent_proxy(&mut fields);
    let config = fields.map("Config").map(|map| proxy_config(map, "Config")).unwrap_or_default();
    let policy = fields.map("FailoverPolicy").map(|map| failover_policy(map, sequential));
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
        failover_policy: policy,
        envoy_extensions: extensions::read(&mut fields),
        meta: meta(&mut fields),
    };
    no_locality(&mut fields);
    // Consul works it out anew at every write.
    fields.unused(&["Protocol"], "has no effect here, nor in Consul: the protocol is set by Config.protocol");
    fields.finish();
    read
}

/// The community edition takes either mode and always goes by the order written.
fn sequential(mode: &Item<'_>) {
    let fault =
        |_: &str| "Failover-policy mode must be one of '', 'sequential', or 'order-by-locality'".to_owned();
    if mode.word_exactly(&["sequential", "order-by-locality"], fault) == Some("order-by-locality") {
        mode.warn("requires Consul Enterprise and has no effect here: targets are tried in order");
    }
}

/// `Mode`, `MutualTLSMode` and `TransparentProxy`; whether instances are dialed directly.
pub(super) fn transparent_proxy(fields: &mut Fields<'_>) -> bool {
    if let Some(item) = fields.take("Mode") {
        let fault = |text: &str| format!("Invalid Proxy Mode: {text:?}");
        if item.word_exactly(&["direct", "transparent"], fault) == Some("transparent") {
            item.warn(TRANSPARENT);
        }
    }
    if let Some(item) = fields.take("MutualTLSMode") {
        let fault = |text: &str| {
            format!("Invalid MutualTLSMode {text:?}. Must be one of \"\", \"strict\", or \"permissive\".")
        };
        if item.word_exactly(&["strict", "permissive"], fault) == Some("permissive") {
            item.warn(PERMISSIVE);
        }
    }
    let Some(mut map) = fields.map("TransparentProxy") else { return false };
    map.integer("OutboundListenerPort", 0..=u16::MAX);
    let dialed_directly = map.flag("DialedDirectly");
    map.finish();
    dialed_directly
}

/// `Destination`: a name for hosts outside the mesh.
fn destination(mut map: Fields<'_>) {
    map.item.warn("destinations outside the mesh need a terminating gateway; has no effect here");
    let items = map.take("Addresses").map(|item| item.list()).unwrap_or_default();
    if items.is_empty() {
        map.item.error("Destination must contain at least one valid address");
    }
    let mut seen = BTreeSet::new();
    for item in items {
        let text = item.string().unwrap_or_default();
        if !is_host(&text) {
            item.error(format!(
                "Destination address '{text}' is invalid Could not validate address {text} as an IP or Hostname"
            ));
        } else if !seen.insert(text.clone()) {
            item.error(format!("Duplicate address '{text}' is not allowed"));
        }
    }
    let item = map.take("Port");
    let port: i64 = item.as_ref().and_then(|item| item.integer(i64::MIN..=i64::MAX)).unwrap_or_default();
    if !(1..=65_535).contains(&port) {
        item.as_ref().unwrap_or(&map.item).error(format!("Invalid Port number {port}"));
    }
    map.finish();
}

/// Whether `text` is an IP address or could be a DNS name, whose labels may hold nearly anything.
fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels = || name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.contains('*'));
    text.parse::<IpAddr>().is_ok() || (name.len() <= 253 && labels())
}

/// `Expose { Checks, Paths }`.
pub(super) fn expose(fields: &mut Fields<'_>) -> Expose {
    let Some(mut map) = fields.map("Expose") else { return Expose::default() };
    let checks = map.flag("Checks");
    let mut listeners = BTreeSet::new();
    let paths = map.maps("Paths").into_iter().map(|map| expose_path(map, &mut listeners)).collect();
    map.finish();
    Expose { checks, paths }
}

/// One of `Paths`; `listeners` are the ports of those before it.
fn expose_path(mut map: Fields<'_>, listeners: &mut BTreeSet<u16>) -> ExposePath {
    let path = map.string("Path").unwrap_or_default();
    if path.is_empty() {
        map.item.error("empty path exposed");
    }
    let port = map.take("ListenerPort");
    let number: Option<i64> = port.as_ref().map_or(Some(0), |item| item.integer(i64::MIN..=i64::MAX));
    let listener_port = number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port != 0);
    let at = port.as_ref().unwrap_or(&map.item);
    match (listener_port, number) {
        (Some(port), _) if !listeners.insert(port) => {
            at.error(format!("duplicate listener ports exposed: {port}"));
        }
        (None, Some(number)) => at.error(format!("invalid listener port: {number}")),
        _ => {}
    }
    let protocol = map.take("Protocol").filter(|item| !item.is_empty()).and_then(|item| {
        let text = item.string()?.to_lowercase();
        if !matches!(text.as_str(), "http" | "http2") {
            item.error(format!("protocol '{text}' not supported for path: {path}, must be in: [http http2]"));
        }
        Some(text)
    });
    let local_path_port = map.integer("LocalPathPort", 0..=u16::MAX).unwrap_or_default();
    map.ignore(&["ParsedFromCheck"]);
    map.finish();
    ExposePath {
        listener_port: listener_port.unwrap_or_default(),
        path,
        local_path_port,
        http2: protocol.as_deref() == Some("http2"),
    }
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
    let fault = |text: &str| format!("invalid access log type: {text}");
    let kind = map.take("Type").and_then(|item| item.word_exactly(&["stdout", "stderr", "file"], fault));
    let json = written(&mut map, "JSONFormat", Format::json);
    let text = written(&mut map, "TextFormat", Format::text);
    let logs = AccessLogs {
        enabled: map.flag("Enabled"),
        disable_listener_logs: map.flag("DisableListenerLogs"),
        kind: kind.map(str::to_owned),
        path: map.take("Path").and_then(|item| item.path()),
        format: json.as_ref().or(text.as_ref()).cloned().flatten().unwrap_or_default(),
    };
    if json.is_some() && text.is_some() {
        map.item.error("cannot specify both access log JSONFormat and TextFormat");
    }
    match (kind, &logs.path) {
        (Some("file"), None) => map.item.error("path must be specified when using file type access logs"),
        (Some("file"), Some(_)) | (_, None) => {}
        (_, Some(_)) => map.item.error("path is only valid for file type access logs"),
    }
    map.finish();
    logs
}

/// A format, if one is written; None within when it is wrong, which has been said then.
fn written(
    map: &mut Fields<'_>,
    name: &'static str,
    compile: impl FnOnce(&str) -> Result<Format, FormatError>,
) -> Option<Option<Format>> {
    let item = map.take(name)?;
    let compiled = compile(&item.string()?);
    if let Err(error) = &compiled {
        item.error(error.to_string());
    }
    for operator in compiled.iter().flat_map(Format::without_meaning) {
        item.warn(format!("%{operator}% is Envoy's own: it is always empty here"));
    }
    Some(compiled.ok())
}

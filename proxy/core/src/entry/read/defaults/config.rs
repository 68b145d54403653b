//! The opaque `Config` of `proxy-defaults` and `config` of a registered proxy: what is read of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::common::{addresses, protocol};
use super::super::fields::Fields;
use crate::entry::Protocol;

const SOCKET_DIR: &str = "envoy_hcp_metrics_bind_socket_dir";
const SOCKET_DIR_MOST: usize = 70;

/// What is read of the opaque `config` of a proxy, for one in its registration and for all in `proxy-defaults`.
#[derive(Default)]
pub(in crate::entry::read) struct ProxyConfig {
    pub(in crate::entry::read) protocol: Option<Protocol>,
    pub(in crate::entry::read) local_connect_timeout: Option<Duration>,
    pub(in crate::entry::read) local_request_timeout: Option<Duration>,
    pub(in crate::entry::read) local_idle_timeout: Option<Duration>,
    pub(in crate::entry::read) bind_address: Option<String>,
    pub(in crate::entry::read) bind_port: Option<u16>,
    pub(in crate::entry::read) max_inbound_connections: Option<u32>,
    pub(in crate::entry::read) prometheus_bind_addr: Option<String>,
    pub(in crate::entry::read) stats_bind_addr: Option<String>,
    pub(in crate::entry::read) gateway_bind_addresses: BTreeMap<String, (String, u16)>,
    pub(in crate::entry::read) gateway_bind_tagged_addresses: bool,
    pub(in crate::entry::read) gateway_no_default_bind: bool,
}

/// Reads an opaque `config`: what is not known is named in a warning. `name` is how Consul's messages call it.
pub(in crate::entry::read) fn proxy_config(mut map: Fields<'_>, name: &str) -> ProxyConfig {
    // A socket's path, which has no effect here, still has the length that Consul asks for.
    if let Some(length) = map.peek_text(SOCKET_DIR).map(str::len).filter(|length| *length > SOCKET_DIR_MOST) {
        map.item.error(format!("{name}: {SOCKET_DIR} length {length} exceeds max {SOCKET_DIR_MOST}"));
    }
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

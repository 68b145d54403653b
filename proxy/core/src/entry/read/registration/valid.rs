//! What Consul asks of a registration beyond the types of its fields, in its words.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::fields::Fields;
use super::super::item::Item;
use super::sidecar::Connect;
use crate::entry::{Kind, Registration};
use crate::name::ServiceName;

/// For a proxy that does not say which service it stands beside.
pub(super) const NO_DESTINATION: &str =
    "Proxy.DestinationServiceName must be non-empty for Connect proxy services";

/// The service that a proxy stands beside.
pub(super) fn destination(item: &Item<'_>) -> Option<ServiceName> {
    let text = item.string()?;
    if text.trim().is_empty() {
        item.error(NO_DESTINATION);
        return None;
    }
    if text == "*" {
        item.error("Proxy.DestinationServiceName must not be a wildcard for Connect proxy services");
        return None;
    }
    item.name()
}

/// Warns of a name that Consul takes and its DNS does not.
pub(super) fn dns_name(item: &Item<'_>) {
    let Some(name) = item.string() else { return };
    if name.parse::<ServiceName>().is_err() {
        return;
    }
    let why = if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        "invalid characters. Valid characters include all alpha-numerics and dashes"
    } else if name.len() > 63 {
        "it being too long. Valid lengths are between 1 and 63 bytes"
    } else {
        return;
    };
    item.warn(format!("Service name will not be discoverable via DNS due to {why}"));
}

/// `meta` within Consul's bounds; `service` is the name for messages.
pub(super) fn meta(item: &Item<'_>, kind: Kind, service: &str) -> BTreeMap<String, String> {
    let meta = item.texts();
    let invalid = |why: String| item.error(format!("invalid meta for service {service}: {why}"));
    if meta.len() > 64 {
        invalid("Node metadata cannot contain more than 64 key/value pairs".to_owned());
    }
    for (key, value) in &meta {
        if let Some(why) = meta_pair(key, value, kind) {
            invalid(format!("Couldn't load metadata pair ('{key}', '{value}'): {why}"));
        }
    }
    meta
}

fn meta_pair(key: &str, value: &str, kind: Kind) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if key.is_empty() {
        Some("Key cannot be blank")
    } else if !key.bytes().all(plain) {
        Some("Key contains invalid characters")
    } else if key.len() > 128 {
        Some("Key is too long (limit: 128 characters)")
    } else if key.starts_with("consul-") && !(kind == Kind::MeshGateway && key == "consul-wan-federation") {
        Some("Key prefix 'consul-' is reserved for internal use")
    } else if value.len() > 512 {
        Some("Value is too long (limit: 512 characters)")
    } else {
        None
    }
}

/// `weights { passing, warning }`; `service` is the name for messages.
pub(super) fn weights(mut map: Fields<'_>, service: &str) -> (u32, u32) {
    let mut weight = |name| map.integer(name, i64::MIN..=i64::MAX).unwrap_or(1);
    let (passing, warning) = (weight("passing"), weight("warning"));
    let why = if passing < 1 {
        Some("Passing must be greater than 0")
    } else if warning < 0 {
        Some("Warning must be greater or equal than 0")
    } else if passing > 65_535 || warning > 65_535 {
        Some("DNS Weight must be between 0 and 65535")
    } else {
        None
    };
    if let Some(why) = why {
        map.item.error(format!("Invalid weight definition for service {service}: {why}"));
    }
    map.finish();
    (u32::try_from(passing).unwrap_or(1), u32::try_from(warning).unwrap_or(1))
}

/// The tags that say which kind of address they hold.
pub(super) fn tagged_addresses(tagged: &BTreeMap<String, (String, u16)>, item: &Item<'_>) {
    for (tag, (address, _)) in tagged {
        let (valid, kind) = match tag.as_str() {
            "lan_ipv4" | "wan_ipv4" => (address.parse::<Ipv4Addr>().is_ok(), "ipv4"),
            "lan_ipv6" | "wan_ipv6" => (address.parse::<Ipv6Addr>().is_ok(), "ipv6"),
            _ => continue,
        };
        if !valid {
            item.error(format!("Service tagged address {tag:?} must be a valid {kind} address"));
        }
    }
}

/// What Consul asks of a proxy, of a gateway and of what stands beside a sidecar. `word` is the kind as written.
pub(super) fn complete(registration: &Registration, word: &str, connect: &Connect, item: &Item<'_>) {
    let listens = registration.port != 0 || registration.socket_path.is_some();
    match registration.kind {
        Kind::ConnectProxy if connect.native => {
            item.error("A Proxy cannot also be Connect Native, only typical services");
        }
        Kind::Typical if connect.native && !listens => {
            item.error("Port or SocketPath must be set for a Connect native service.");
        }
        Kind::MeshGateway => gateway(registration, word, connect, item),
        Kind::Typical | Kind::ConnectProxy => {}
    }
}

fn gateway(registration: &Registration, word: &str, connect: &Connect, item: &Item<'_>) {
    if registration.port == 0 && !matches!(word, "ingress-gateway" | "api-gateway") {
        item.error(format!("Port must be non-zero for a {word}"));
    }
    if connect.has_sidecar {
        item.error(format!("A {word} cannot have a sidecar service defined"));
    }
    let proxy = &registration.proxy;
    // As they are written: one that cannot be read is one too many all the same.
    let upstreams = item.fields().and_then(|mut it| it.map("proxy")).is_some_and(|it| it.has("upstreams"));
    let set = [
        ("DestinationServiceName", proxy.destination_service_name.is_some()),
        ("DestinationServiceID", proxy.destination_service_id.is_some()),
        ("LocalServiceAddress", proxy.local_service_address.is_some()),
        ("LocalServicePort", proxy.local_service_port.is_some()),
        ("LocalServiceSocketPath", proxy.local_service_socket_path.is_some()),
        ("Upstreams", upstreams),
    ];
    for (field, _) in set.iter().filter(|(_, set)| *set) {
        item.error(format!("The Proxy.{field} configuration is invalid for a {word}"));
    }
}

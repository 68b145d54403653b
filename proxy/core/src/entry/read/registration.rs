//! Registrations, as a Consul agent's definition files have them.
//!
//! Reading gives a [`Draft`]: which address and port an instance gets is settled when all files are read.

mod check;
mod upstream;

use super::common::{addresses, enterprise, mesh_gateway};
use super::defaults::{expose, proxy_config, transparent_proxy};
use super::fields::Fields;
use super::item::Item;
use crate::entry::{Kind, Proxy, Registration};
use crate::name::ServiceName;

const KINDS: [&str; 6] =
    ["typical", "connect-proxy", "mesh-gateway", "ingress-gateway", "terminating-gateway", "api-gateway"];

/// A registration before its address and port are settled: an empty address and port 0 are none of its own.
pub(crate) struct Draft {
    /// The service itself.
    pub(crate) registration: Registration,
    /// `connect.sidecar_service`, with all that it inherits.
    pub(crate) sidecar: Option<Registration>,
}

/// Reads one `service`.
pub(crate) fn read(mut fields: Fields<'_>) -> Option<Draft> {
    let kind = kind(&mut fields);
    let item = fields.take("name").filter(|item| !item.is_empty());
    if item.is_none() {
        fields.item.error("name is required");
    }
    let name = item.and_then(|item| item.name());
    let registration = instance(&mut fields, kind.unwrap_or_default(), name);
    let item = fields.item.clone();
    let name = registration.as_ref().map(|it| &it.name);
    let sidecar = fields.map("connect").and_then(|map| connect(map, name));
    fields.finish();
    kind?;
    let mut registration = registration?;
    if registration.id.is_empty() {
        registration.id = registration.name.to_string();
    }
    complete(&registration, &item);
    let sidecar = sidecar.map(|sidecar| inherit(sidecar, &registration));
    Some(Draft { registration, sidecar })
}

/// None for a kind that has no effect here, or that is none.
fn kind(fields: &mut Fields<'_>) -> Option<Kind> {
    let Some(item) = fields.take("kind").filter(|item| !item.is_empty()) else { return Some(Kind::Typical) };
    match item.word(&KINDS)? {
        "typical" => Some(Kind::Typical),
        "connect-proxy" => Some(Kind::ConnectProxy),
        "mesh-gateway" => Some(Kind::MeshGateway),
        other => {
            item.warn(format!("a registration of kind {other} has no effect here"));
            None
        }
    }
}

/// The fields that services and sidecars have in common, all but the name. None only without that.
fn instance(fields: &mut Fields<'_>, kind: Kind, name: Option<ServiceName>) -> Option<Registration> {
    let place = fields.place().clone();
    let id = fields.string("id").unwrap_or_default();
    let datacenter = fields.name("datacenter");
    let address = fields.take("address").and_then(|item| address(&item));
    let port = fields.integer("port", 0..=u16::MAX).unwrap_or_default();
    let socket_path = fields.take("socket_path").and_then(|item| item.path());
    let tagged_addresses = fields.take("tagged_addresses").map(|item| addresses(&item)).unwrap_or_default();
    let (tags, meta) = (fields.strings("tags"), fields.texts("meta"));
    let (weight_passing, weight_warning) = fields.map("weights").map_or((1, 1), weights);
    let mut checks = Vec::new();
    for name in ["check", "checks"] {
        checks.extend(fields.maps(name).into_iter().map(check::read));
    }
    let proxy = fields.map("proxy").map(|map| proxy(map, kind)).unwrap_or_default();
    enterprise(fields, &["namespace", "partition"], "");
    fields.ignore(&["token", "enable_tag_override", "locality"]);
    if port != 0 && socket_path.is_some() {
        fields.item.error("only one of port and socket_path can be set");
    }
    Some(Registration {
        place,
        kind,
        id,
        name: name?,
        datacenter,
        own_address: address.is_some(),
        address: address.unwrap_or_default(),
        port,
        socket_path,
        tagged_addresses,
        tags,
        meta,
        weight_passing,
        weight_warning,
        checks,
        proxy,
    })
}

/// An address; a template that asks the machine for one is no address of its own.
pub(crate) fn address(item: &Item<'_>) -> Option<String> {
    let text = item.string()?;
    if text.trim_start().starts_with("{{") {
        item.warn("address templates are not evaluated here: the default is used");
        return None;
    }
    if text.contains(char::is_whitespace) || text.contains('/') {
        item.error(format!("{text:?} is neither an IP address nor a host name"));
        return None;
    }
    // `[::1]` as in a URL is the same address.
    Some(text.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn weights(mut map: Fields<'_>) -> (u32, u32) {
    let passing = map.integer("passing", 0..=65_535).unwrap_or(1);
    let warning = map.integer("warning", 0..=65_535).unwrap_or(1);
    map.finish();
    (passing, warning)
}

/// `connect { sidecar_service { … } }`.
fn connect(mut map: Fields<'_>, parent: Option<&ServiceName>) -> Option<Registration> {
    if map.flag("native") {
        map.item.warn("connect.native has no effect here");
    }
    map.ignore(&["proxy"]);
    let item = map.take("sidecar_service");
    map.finish();
    let mut fields = item?.fields()?;
    if let Some(item) = fields.take("id").filter(|item| !item.is_empty()) {
        item.error("sidecar_service cannot specify an ID as this is managed by the agent");
    }
    if let Some(item) = fields.take("kind").filter(|item| !item.is_empty()) {
        item.word(&["connect-proxy"]);
    }
    if let Some(mut connect) = fields.map("connect") {
        if let Some(item) = connect.take("sidecar_service") {
            item.error("sidecar_service cannot have a nested sidecar_service");
        }
        connect.ignore(&["native", "proxy"]);
        connect.finish();
    }
    let name = match fields.take("name").filter(|item| !item.is_empty()) {
        Some(item) => item.name(),
        None => parent.and_then(|name| format!("{name}-sidecar-proxy").parse().ok()),
    };
    let sidecar = instance(&mut fields, Kind::ConnectProxy, name);
    fields.finish();
    sidecar
}

/// What a sidecar has from its service unless it says otherwise.
fn inherit(mut sidecar: Registration, service: &Registration) -> Registration {
    sidecar.id = format!("{}-sidecar-proxy", service.id);
    if !sidecar.own_address {
        sidecar.address.clone_from(&service.address);
        sidecar.own_address = service.own_address;
    }
    sidecar.datacenter = sidecar.datacenter.or_else(|| service.datacenter.clone());
    if sidecar.tags.is_empty() {
        sidecar.tags.clone_from(&service.tags);
    }
    if sidecar.meta.is_empty() {
        sidecar.meta.clone_from(&service.meta);
    }
    if (sidecar.weight_passing, sidecar.weight_warning) == (1, 1) {
        (sidecar.weight_passing, sidecar.weight_warning) = (service.weight_passing, service.weight_warning);
    }
    let proxy = &mut sidecar.proxy;
    proxy.destination_service_name.get_or_insert_with(|| service.name.clone());
    proxy.destination_service_id.get_or_insert_with(|| service.id.clone());
    if proxy.local_service_socket_path.is_none() && proxy.local_service_port.is_none() {
        proxy.local_service_socket_path.clone_from(&service.socket_path);
        proxy.local_service_port = Some(service.port).filter(|port| *port != 0);
    }
    sidecar
}

/// What Consul asks of a proxy and of a gateway.
fn complete(registration: &Registration, item: &Item<'_>) {
    let (proxy, port) = (&registration.proxy, registration.port);
    match registration.kind {
        Kind::Typical => {}
        Kind::ConnectProxy => {
            if proxy.destination_service_name.is_none() {
                item.error("proxy.destination_service_name must be non-empty for Connect proxy services");
            }
            if port == 0 && registration.socket_path.is_none() {
                item.error("port or socket_path must be set for a Connect proxy");
            }
        }
        Kind::MeshGateway => {
            if port == 0 {
                item.error("port must be non-zero for a mesh gateway");
            }
            if proxy.destination_service_name.is_some() || proxy.destination_service_id.is_some() {
                item.error("proxy.destination_service_name is invalid for a mesh gateway");
            }
            if !proxy.upstreams.is_empty() {
                item.error("proxy.upstreams is invalid for a mesh gateway");
            }
        }
    }
}

fn proxy(mut map: Fields<'_>, kind: Kind) -> Proxy {
    let config = map.map("config").map(proxy_config).unwrap_or_default();
    let transparent = map.peek_text("mode").is_some_and(|mode| mode == "transparent");
    transparent_proxy(&mut map);
    let read = Proxy {
        destination_service_name: map.name("destination_service_name"),
        destination_service_id: map.string("destination_service_id"),
        local_service_address: map.take("local_service_address").and_then(|item| address(&item)),
        local_service_port: map.integer("local_service_port", 0..=u16::MAX).filter(|port| *port != 0),
        local_service_socket_path: map.take("local_service_socket_path").and_then(|item| item.path()),
        upstreams: map.take("upstreams").map(|item| upstream::list(&item, transparent)).unwrap_or_default(),
        mesh_gateway: mesh_gateway(&mut map, "mesh_gateway"),
        bind_address: config.bind_address,
        bind_port: config.bind_port,
        protocol: config.protocol,
        local_connect_timeout: config.local_connect_timeout,
        local_request_timeout: config.local_request_timeout,
        local_idle_timeout: config.local_idle_timeout,
        max_inbound_connections: config.max_inbound_connections,
        prometheus_bind_addr: config.prometheus_bind_addr,
        stats_bind_addr: config.stats_bind_addr,
        expose: expose(&mut map),
        gateway_bind_addresses: config.gateway_bind_addresses,
        gateway_bind_tagged_addresses: config.gateway_bind_tagged_addresses,
        gateway_no_default_bind: config.gateway_no_default_bind,
    };
    if kind == Kind::Typical {
        map.item
            .warn("a proxy's settings have no effect on a service: they belong into connect.sidecar_service");
    }
    map.unused(&["envoy_extensions"], "Envoy's extensions have no effect here");
    map.ignore(&["access_logs"]);
    map.finish();
    read
}

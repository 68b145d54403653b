//! Registrations, as a Consul agent's definition files have them.
//!
//! Reading gives a [`Draft`]: which address and port an instance gets is settled when all files are read. `sidecar`
//! expands `connect.sidecar_service`, `valid` holds what Consul asks of a registration beyond its fields' types.

mod check;
mod sidecar;
mod upstream;
mod valid;

use super::common::{addresses, enterprise, mesh_gateway};
use super::defaults::{access_logs, expose, proxy_config, transparent_proxy};
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
    let kind_item = fields.take("kind").filter(|item| !item.is_empty());
    let word = kind_item.as_ref().map_or(Some("typical"), |item| item.word(&KINDS));
    let kind = match word {
        Some("typical") | None => Kind::Typical,
        Some("connect-proxy") => Kind::ConnectProxy,
        Some(_) => Kind::MeshGateway,
    };
    let name_item = fields.take("name").filter(|item| !item.is_empty());
    match &name_item {
        Some(item) => valid::dns_name(item),
        None => fields.item.error("Service name missing"),
    }
    let name = name_item.and_then(|item| item.name());
    let registration = instance(&mut fields, kind, name, Destination::Required);
    let item = fields.item.clone();
    let connect = fields.map("connect").map(|map| sidecar::connect(map, registration.as_ref()));
    fields.finish();
    let (word, mut registration) = (word?, registration?);
    if registration.id.is_empty() {
        registration.id = registration.name.to_string();
    }
    let connect = connect.unwrap_or_default();
    valid::complete(&registration, word, &connect, &item);
    if !matches!(word, "typical" | "connect-proxy" | "mesh-gateway") {
        kind_item?.warn(format!("a registration of kind {word} has no effect here"));
        return None;
    }
    let sidecar = connect.sidecar.map(|sidecar| sidecar::inherit(sidecar, &registration));
    Some(Draft { registration, sidecar })
}

/// Whether a proxy's registration has to say which service it stands beside.
#[derive(Clone, Copy, PartialEq)]
enum Destination {
    Required,
    /// As for `connect.sidecar_service`.
    Inherited,
}

/// The fields that services and sidecars have in common, all but the name. None only without that.
fn instance(
    fields: &mut Fields<'_>,
    kind: Kind,
    name: Option<ServiceName>,
    destination: Destination,
) -> Option<Registration> {
    let shown = name.as_ref().map(ToString::to_string).unwrap_or_default();
    let place = fields.place().clone();
    let id = fields.string("id").unwrap_or_default();
    let datacenter = fields.beyond("datacenter").and_then(|item| item.name());
    let address = fields.take("address").and_then(|item| address(&item));
    let port = fields.integer("port", 0..=u16::MAX).unwrap_or_default();
    let socket_path = fields.take("socket_path").and_then(|item| item.path());
    let tagged_addresses = fields.take("tagged_addresses").map(|item| {
        let tagged = addresses(&item);
        valid::tagged_addresses(&tagged, &item);
        tagged
    });
    let tags = fields.strings("tags").into();
    let meta = fields.take("meta").map(|item| valid::meta(&item, kind, &shown)).unwrap_or_default().into();
    let (weight_passing, weight_warning) =
        fields.map("weights").map_or((1, 1), |map| valid::weights(map, &shown));
    let mut checks = Vec::new();
    for name in ["check", "checks"] {
        let mut maps = fields.maps(name);
        // As in Consul: an empty one alone is no check, in a list it is one without a kind.
        maps.retain(|map| name == "checks" || !map.item.is_empty());
        checks.extend(maps.into_iter().map(check::read));
    }
    let proxy = match fields.map("proxy") {
        Some(map) => proxy(map, kind, destination),
        None => {
            if (kind, destination) == (Kind::ConnectProxy, Destination::Required) {
                fields.item.error(valid::NO_DESTINATION);
            }
            Proxy::default()
        }
    };
    enterprise(fields, &["namespace", "partition"], "");
    locality(fields);
    let enable_tag_override = fields.flag("enable_tag_override");
    fields.ignore(&["token"]);
    if let Some(path) = socket_path.as_ref().filter(|_| port != 0 || address.is_some()) {
        let path = path.display();
        let message = format!("service {shown} cannot have both socket path {path} and address/port");
        fields.item.error(message);
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
        tagged_addresses: tagged_addresses.unwrap_or_default(),
        tags,
        enable_tag_override,
        meta,
        weight_passing,
        weight_warning,
        checks: checks.into(),
        proxy,
    })
}

/// `locality { region, zone }`, which has no effect here.
fn locality(fields: &mut Fields<'_>) {
    let Some(mut map) = fields.map("locality") else { return };
    let (region, zone) = (map.string("region"), map.string("zone"));
    if region.is_none() && zone.is_some() {
        map.item.error("zone cannot be set without region");
    }
    map.finish();
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

fn proxy(mut map: Fields<'_>, kind: Kind, destination: Destination) -> Proxy {
    let config = map.map("config").map(|map| proxy_config(map, "Proxy.Config")).unwrap_or_default();
    let transparent = map.peek_text("mode").is_some_and(|mode| mode == "transparent");
    transparent_proxy(&mut map);
    let beside = map.take("destination_service_name").filter(|item| !item.is_empty());
    if beside.is_none() && (kind, destination) == (Kind::ConnectProxy, Destination::Required) {
        map.item.error(valid::NO_DESTINATION);
    }
    let read = Proxy {
        destination_service_name: beside.and_then(|item| valid::destination(&item)),
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
    access_logs(&mut map);
    map.finish();
    read
}

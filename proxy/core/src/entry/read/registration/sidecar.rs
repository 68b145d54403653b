//! `connect { sidecar_service { … } }`: a second registration, named and filled in from the first.

use super::super::fields::Fields;
use super::{Destination, instance};
use crate::entry::{Kind, Registration};
use crate::name::ServiceName;

/// What Consul appends to a service's name and id for those of its sidecar.
const SUFFIX: &str = "-sidecar-proxy";

/// What `connect` says.
#[derive(Default)]
pub(super) struct Connect {
    /// Whether the service speaks the mesh's protocol itself.
    pub(super) native: bool,
    /// Whether there is a `sidecar_service`, readable or not.
    pub(super) has_sidecar: bool,
    /// The sidecar as far as it says itself.
    pub(super) sidecar: Option<Registration>,
}

pub(super) fn connect(mut map: Fields<'_>, parent: Option<&Registration>) -> Connect {
    let native = map.take("native").filter(|item| item.bool() == Some(true));
    if let Some(item) = &native {
        item.warn("connect.native has no effect here");
    }
    map.ignore(&["proxy"]);
    let item = map.take("sidecar_service");
    map.finish();
    let fields = item.and_then(|item| item.fields());
    Connect {
        native: native.is_some(),
        has_sidecar: fields.is_some(),
        sidecar: fields.and_then(|fields| read(fields, parent.map(|parent| &parent.name))),
    }
}

fn read(mut fields: Fields<'_>, parent: Option<&ServiceName>) -> Option<Registration> {
    if let Some(item) = fields.take("kind").filter(|item| !item.is_empty()) {
        item.word(&["connect-proxy"]);
    }
    if let Some(mut connect) = fields.map("connect") {
        if let Some(item) = connect.take("sidecar_service") {
            item.error("sidecar_service can't have a nested sidecar_service");
        }
        connect.ignore(&["native", "proxy"]);
        connect.finish();
    }
    if fields.has("id")
        && let Some(item) = fields.take("id")
    {
        item.error("sidecar_service can't specify an ID: it follows from its service's");
    }
    let name = match fields.take("name").filter(|item| !item.is_empty()) {
        Some(item) => item.name(),
        None => parent.and_then(|name| format!("{name}{SUFFIX}").parse().ok()),
    };
    let sidecar = instance(&mut fields, Kind::ConnectProxy, name, Destination::Inherited);
    fields.finish();
    sidecar
}

/// What a sidecar has from its service unless it says otherwise.
pub(super) fn inherit(mut sidecar: Registration, service: &Registration) -> Registration {
    sidecar.id = format!("{}{SUFFIX}", service.id);
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
    let complete = proxy.local_service_address.is_some() && proxy.local_service_port.is_some();
    if proxy.local_service_socket_path.is_none() && !complete {
        proxy.local_service_socket_path.clone_from(&service.socket_path);
        if service.socket_path.is_none() {
            proxy.local_service_port =
                proxy.local_service_port.or(Some(service.port).filter(|port| *port != 0));
        }
    }
    sidecar
}

//! `proxy.upstreams[]`.

use std::collections::HashSet;

use super::super::common::{enterprise, mesh_gateway};
use super::super::defaults::upstream_config;
use super::super::fields::Fields;
use super::super::item::Item;
use super::address;
use crate::entry::{Upstream, UpstreamConfig};
use crate::name::ServiceName;

/// Reads all; `transparent` is a proxy's mode in which upstreams need no listener of their own.
pub(super) fn list(item: &Item<'_>, transparent: bool) -> Vec<Upstream> {
    let (mut keys, mut listeners) = (HashSet::new(), HashSet::new());
    let items = item.list();
    let mut upstreams = Vec::with_capacity(items.len());
    for item in items {
        let Some(upstream) = item.fields().and_then(|map| read(map, transparent)) else { continue };
        let Upstream { destination_name, destination_peer, datacenter, .. } = &upstream;
        if !keys.insert((destination_name.clone(), destination_peer.clone(), datacenter.clone())) {
            item.error(format!("upstreams cannot contain duplicates of {}", shown(&upstream)));
        }
        if let Some(listener) = listener(&upstream)
            && !listeners.insert(listener.clone())
        {
            item.error(format!(
                "upstreams cannot contain duplicates by local bind address and port or unix path; \
                 {listener:?} is specified twice"
            ));
        }
        upstreams.push(upstream);
    }
    upstreams
}

/// What an upstream leads to, as Consul shows it.
fn shown(upstream: &Upstream) -> String {
    let peer = upstream.destination_peer.as_ref().map(ToString::to_string).unwrap_or_default();
    let datacenter = upstream.datacenter.as_ref().map(ToString::to_string).unwrap_or_default();
    format!(
        "[type=\"service\", name=\"{}\", partition=\"\", namespace=\"\", peer={peer:?}, datacenter={datacenter:?}]",
        upstream.destination_name
    )
}

fn listener(upstream: &Upstream) -> Option<String> {
    match (&upstream.local_bind_socket_path, upstream.local_bind_port) {
        (Some(path), _) => Some(path.display().to_string()),
        (None, Some(port)) => {
            let address = upstream.local_bind_address.as_deref().unwrap_or("127.0.0.1");
            let bracketed = address.contains(':').then(|| format!("[{address}]:{port}"));
            Some(bracketed.unwrap_or_else(|| format!("{address}:{port}")))
        }
        (None, None) => None,
    }
}

fn read(mut map: Fields<'_>, transparent: bool) -> Option<Upstream> {
    let kind = map.string("destination_type");
    if let Some(kind) = kind.as_ref().filter(|kind| !matches!(kind.as_str(), "service" | "prepared_query")) {
        map.item.error(format!("unknown upstream destination type: {kind:?}"));
    }
    let name = destination_name(&mut map);
    let config = map.map("config").map(|mut map| {
        let config = upstream_config(&mut map, "");
        map.finish_opaque();
        config
    });
    let config = config.unwrap_or_default();
    let port = map.take("local_bind_port");
    let local_bind_port = port.as_ref().and_then(|item| item.integer(0..=u16::MAX));
    // A port that cannot be read was meant to be one.
    let meant = port.is_some_and(|item| !item.is_empty()) && local_bind_port.is_none();
    let upstream = Upstream {
        place: map.place().clone(),
        destination_peer: map.name("destination_peer"),
        datacenter: map.name("datacenter"),
        local_bind_address: map.take("local_bind_address").and_then(|item| address(&item)),
        local_bind_port: local_bind_port.filter(|port| *port != 0),
        local_bind_socket_path: map.take("local_bind_socket_path").and_then(|item| item.path()),
        local_bind_socket_mode: map.take("local_bind_socket_mode").and_then(|item| mode(&item)),
        config: UpstreamConfig {
            mesh_gateway: mesh_gateway(&mut map, "mesh_gateway").or(config.mesh_gateway),
            ..config
        },
        destination_name: match name {
            Some(name) => name,
            None => {
                map.ignore(&["destination_namespace", "destination_partition"]);
                map.finish();
                return None;
            }
        },
    };
    enterprise(&mut map, &["destination_namespace", "destination_partition"], "");
    if kind.as_deref() == Some("prepared_query") {
        map.item.warn("is a prepared query, which has no effect here");
        map.finish();
        return None;
    }
    check(&map, &upstream, transparent || meant);
    map.finish();
    Some(upstream)
}

fn destination_name(map: &mut Fields<'_>) -> Option<ServiceName> {
    let Some(item) = map.take("destination_name").filter(|item| !item.is_empty()) else {
        map.item.error("upstream destination name cannot be empty");
        return None;
    };
    if item.string().as_deref() == Some("*") {
        item.error("upstream destination name cannot be a wildcard");
        return None;
    }
    item.name()
}

/// `unbound`: whether there is no need for a listener, as in a transparent proxy.
fn check(map: &Fields<'_>, upstream: &Upstream, unbound: bool) {
    if upstream.destination_peer.is_some() && upstream.datacenter.is_some() {
        map.item.error("upstream cannot specify both destination peer and datacenter");
    }
    match (upstream.local_bind_port, &upstream.local_bind_socket_path) {
        (Some(_), Some(_)) => {
            let message =
                "only one of upstream local bind port or local socket path can be defined and nonzero";
            map.item.error(message);
        }
        (None, None) if !unbound => {
            map.item.error("upstream local bind port or local socket path must be defined and nonzero");
        }
        _ => {}
    }
}

/// Permissions in octal, such as `0600`.
fn mode(item: &Item<'_>) -> Option<u32> {
    let text = item.string()?;
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok().filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        item.error(format!("{text:?} is no file mode: octal digits such as \"0600\""));
    }
    mode
}

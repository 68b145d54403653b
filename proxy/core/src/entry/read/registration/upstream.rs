//! `proxy.upstreams[]`.

use std::collections::HashMap;

use super::super::common::{enterprise, mesh_gateway};
use super::super::defaults::upstream_config;
use super::super::fields::Fields;
use super::super::item::Item;
use super::address;
use crate::entry::{Upstream, UpstreamConfig};
use crate::name::ServiceName;

/// Reads all; `transparent` is a proxy's mode in which upstreams need no listener of their own.
pub(super) fn list(item: &Item<'_>, transparent: bool) -> Vec<Upstream> {
    let mut destinations = HashMap::new();
    let mut listeners = HashMap::new();
    let mut upstreams = Vec::new();
    for (i, item) in item.list().into_iter().enumerate() {
        let Some(upstream) = item.fields().and_then(|map| read(map, i, transparent)) else { continue };
        let Upstream { destination_name: name, destination_peer, datacenter, .. } = &upstream;
        if let Some(j) = destinations.insert((name.clone(), destination_peer.clone(), datacenter.clone()), i)
        {
            item.error(format!(
                "upstreams cannot contain duplicates: upstreams[{i}] and upstreams[{j}] are both {name}"
            ));
        }
        if let Some(listener) = listener(&upstream)
            && let Some(j) = listeners.insert(listener.clone(), i)
        {
            item.error(format!(
                "upstreams cannot contain duplicates by local bind address and port or unix path: \
                 upstreams[{i}] and upstreams[{j}] are both using {listener}"
            ));
        }
        upstreams.push(upstream);
    }
    upstreams
}

fn listener(upstream: &Upstream) -> Option<String> {
    match (&upstream.local_bind_socket_path, upstream.local_bind_port) {
        (Some(path), _) => Some(path.display().to_string()),
        (None, Some(port)) => {
            Some(format!("{}:{port}", upstream.local_bind_address.as_deref().unwrap_or("127.0.0.1")))
        }
        (None, None) => None,
    }
}

fn read(mut map: Fields<'_>, i: usize, transparent: bool) -> Option<Upstream> {
    let kind = map.take("destination_type").and_then(|item| item.word(&["service", "prepared_query"]));
    let name: Option<ServiceName> = destination_name(&mut map, i);
    let config = map.map("config").map(|mut map| {
        let config = upstream_config(&mut map);
        map.finish_opaque();
        config
    });
    let config = config.unwrap_or_default();
    let upstream = Upstream {
        place: map.place().clone(),
        destination_peer: map.name("destination_peer"),
        datacenter: map.name("datacenter"),
        local_bind_address: map.take("local_bind_address").and_then(|item| address(&item)),
        local_bind_port: map.integer("local_bind_port", 0..=u16::MAX).filter(|port| *port != 0),
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
    if kind == Some("prepared_query") {
        map.item.warn(format!("upstreams[{i}] is a prepared query, which has no effect here"));
        map.finish();
        return None;
    }
    check(&map, &upstream, i, transparent);
    map.finish();
    Some(upstream)
}

fn destination_name(map: &mut Fields<'_>, i: usize) -> Option<ServiceName> {
    let item = map.take("destination_name").filter(|item| !item.is_empty());
    match &item {
        None => map.item.error(format!("upstreams[{i}]: destination_name is required")),
        Some(item) if item.string().as_deref() == Some("*") => {
            item.error(format!("upstreams[{i}]: destination_name cannot be a wildcard"));
            return None;
        }
        Some(_) => {}
    }
    item?.name()
}

fn check(map: &Fields<'_>, upstream: &Upstream, i: usize, transparent: bool) {
    if upstream.destination_peer.is_some() && upstream.datacenter.is_some() {
        map.item.error(format!("upstreams[{i}]: destination_peer cannot be set with datacenter"));
    }
    match (upstream.local_bind_port, &upstream.local_bind_socket_path) {
        (Some(_), Some(_)) => {
            map.item.error(format!(
                "upstreams[{i}]: only one of local_bind_port and local_bind_socket_path can be set"
            ));
        }
        (None, None) if !transparent => {
            map.item.error(format!(
                "upstreams[{i}]: local_bind_port or local_bind_socket_path must be set and nonzero"
            ));
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

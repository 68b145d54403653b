//! `exported-services`.

use super::Head;
use super::common::meta;
use super::fields::Fields;
use crate::entry::{Consumer, ExportedService, ExportedServices};
use crate::name::ServiceName;
use crate::problem::Problem;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> ExportedServices {
    let name = head.name.as_ref().filter(|item| !item.is_empty());
    if name.and_then(|item| item.string()).as_deref() != Some("default") {
        let place = name.map_or(&head.place, |item| item.place());
        let message = "exported-services Name must be \"default\", after their partition";
        fields.item.sink.push(Problem::error(place, "Name", message));
    }
    let maps = fields.maps("Services").into_iter().enumerate();
    let services = maps.filter_map(|(i, map)| service(map, i)).collect();
    let meta = meta(&mut fields);
    fields.finish();
    ExportedServices { place: head.place.clone(), services, meta }
}

fn service(mut map: Fields<'_>, i: usize) -> Option<ExportedService> {
    let item = map.take("Name").filter(|item| !item.is_empty());
    let name: Option<Option<ServiceName>> = match &item {
        Some(item) if item.string().as_deref() == Some("*") => Some(None),
        Some(item) => {
            if item.string().as_deref() == Some("consul") {
                item.warn(format!("Services[{i}]: the \"consul\" service is never exported"));
            }
            item.name().map(Some)
        }
        None => {
            map.item.error(format!("Services[{i}]: service name cannot be empty"));
            None
        }
    };
    // Consul's community edition takes one and forgets it.
    if let Some(item) =
        map.take("Namespace").filter(|item| item.string().is_some_and(|text| text != "default"))
    {
        item.warn("namespaces are a Consul Enterprise feature: has no effect here");
    }
    let maps = map.maps("Consumers");
    if maps.is_empty() {
        map.item.error(format!("Services[{i}]: must have at least one consumer"));
    }
    let consumers = maps.into_iter().enumerate();
    let consumers =
        consumers.filter_map(|(j, map)| consumer(map, &format!("Services[{i}].Consumers[{j}]: "))).collect();
    map.finish();
    Some(ExportedService { name: name?, consumers })
}

fn consumer(mut map: Fields<'_>, owner: &str) -> Option<Consumer> {
    let mut given = |name: &'static str| map.take(name).filter(|item| !item.is_empty());
    let peer = given("Peer").or_else(|| given("PeerName"));
    let (partition, group) = (given("Partition"), given("SamenessGroup"));
    let count = [&peer, &partition, &group].into_iter().flatten().count();
    if count > 1 {
        map.item.error(format!("{owner}must define at most one of Peer, Partition, or SamenessGroup"));
    }
    if let Some(item) = &partition {
        match item.string().as_deref() {
            Some("*") => {
                item.error(format!("{owner}exporting to all partitions (wildcard) is not supported"));
            }
            Some("default") | None => {}
            Some(_) => item.error(format!("{owner}partitions are an enterprise-only feature")),
        }
    }
    if let Some(item) = &group {
        item.error(format!("{owner}sameness-groups are an enterprise-only feature"));
    }
    if count == 0 {
        map.item.warn(format!("{owner}names no Peer: nobody is exported to"));
    }
    map.finish();
    let peer = peer?;
    if peer.string().as_deref() == Some("*") {
        peer.error(format!("{owner}exporting to all peers (wildcard) is not supported"));
        return None;
    }
    Some(Consumer { peer: peer.name()? })
}

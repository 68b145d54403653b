//! `exported-services`.

use super::Head;
use super::common::{enterprise, enterprise_only, meta};
use super::fields::Fields;
use crate::entry::{Consumer, ExportedService, ExportedServices};
use crate::name::ServiceName;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> ExportedServices {
    if let Some(name) = head.text(&fields).filter(|name| name != "default")
        && let Some(item) = &head.name
    {
        item.error(format!(
            "invalid name ({name:?}): exported-services are named after their partition, \"default\""
        ));
    }
    let maps = fields.maps("Services").into_iter().enumerate();
    let services = maps.filter_map(|(i, map)| service(map, i)).collect();
    meta(&mut fields);
    fields.finish();
    ExportedServices { place: head.place.clone(), services }
}

fn service(mut map: Fields<'_>, i: usize) -> Option<ExportedService> {
    let item = map.take("Name");
    let text = item.as_ref().and_then(|item| item.string());
    let name: Option<Option<ServiceName>> = match (&item, text.as_deref()) {
        (_, Some("*")) => Some(None),
        (Some(item), Some("consul")) => {
            item.error(format!("Services[{i}]: exporting the \"consul\" service is not supported"));
            None
        }
        (Some(item), Some(_)) => item.name().map(Some),
        _ => {
            map.item.error(format!("Services[{i}]: service name cannot be empty"));
            None
        }
    };
    enterprise(&mut map, &["Namespace"], &format!("Services[{i}]: "));
    let consumers = map.maps("Consumers").into_iter().enumerate();
    let consumers =
        consumers.filter_map(|(j, map)| consumer(map, &format!("Services[{i}].Consumers[{j}]: "))).collect();
    map.finish();
    Some(ExportedService { name: name?, consumers })
}

fn consumer(mut map: Fields<'_>, owner: &str) -> Option<Consumer> {
    let others = map.has("Partition") || map.has("SamenessGroup");
    let item = map.take("Peer").filter(|item| !item.is_empty());
    if item.is_none() && !others {
        map.item.error(format!("{owner}must define at least one of Peer, Partition, or SamenessGroup"));
    }
    enterprise_only(&mut map, "Partition", owner);
    enterprise_only(&mut map, "SamenessGroup", owner);
    map.finish();
    let item = item?;
    if item.string().as_deref() == Some("*") {
        item.error(format!("{owner}exporting to all peers (wildcard) is not supported"));
        return None;
    }
    Some(Consumer { peer: item.name()? })
}

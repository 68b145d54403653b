//! `service-splitter`.

use std::collections::HashSet;

use super::Head;
use super::common::{header_modifiers, meta};
use super::fields::Fields;
use super::router::elsewhere;
use crate::entry::{ServiceSplitter, Split};
use crate::name::ServiceName;
use crate::problem::Problem;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<ServiceSplitter> {
    let name = head.service(&fields);
    let sink = fields.item.sink;
    let before = sink.count();
    let item = fields.take("Splits");
    let maps: Vec<Fields<'_>> =
        item.iter().flat_map(|item| item.list()).filter_map(|item| item.fields()).collect();
    let mut seen = HashSet::new();
    let mut splits = Vec::new();
    for map in maps {
        let place = map.item.clone();
        let split = split(map);
        // As in Consul: two legs to one place may differ in what they do to headers.
        let plain = split.request_headers.is_none() && split.response_headers.is_none();
        if let Some(name) = name.as_ref().filter(|_| plain)
            && !seen.insert(described(&split, name))
        {
            place.error(format!("split destination occurs more than once: {}", described(&split, name)));
        }
        splits.push(split);
    }
    // Nothing is said about the sum of splits that could not be read.
    if sink.count() == before
        && let Some(message) = fault(&splits)
    {
        let at = item.as_ref().map_or(&head.place, |item| item.place());
        sink.push(Problem::error(at, "Splits", message));
    }
    let meta = meta(&mut fields);
    fields.finish();
    Some(ServiceSplitter { place: head.place.clone(), name: name?, splits, meta })
}

fn fault(splits: &[Split]) -> Option<String> {
    let sum: u64 = splits.iter().map(|split| u64::from(split.basis_points())).sum();
    let sum = u32::try_from(sum).unwrap_or(u32::MAX);
    match (splits, sum) {
        ([], _) => Some("no splits configured".to_owned()),
        (_, 10_000) => None,
        _ => Some(format!("the sum of all split weights must be 100, not {:.6}", f64::from(sum) / 100.0)),
    }
}

fn split(mut map: Fields<'_>) -> Split {
    let weight = map.take("Weight").and_then(|item| {
        let weight = item.float()?;
        if !(0.0..=100.0).contains(&weight) {
            item.error(format!("{weight} is out of range: per cent, from 0 to 100"));
            return None;
        }
        Some(to_hundredths(weight))
    });
    let split = Split {
        weight: weight.unwrap_or_default(),
        service: map.name("Service"),
        service_subset: map.name("ServiceSubset"),
        namespace: map.string("Namespace"),
        partition: map.string("Partition"),
        peer: map.name("Peer"),
        datacenter: map.name("Datacenter"),
        request_headers: header_modifiers(&mut map, "RequestHeaders"),
        response_headers: header_modifiers(&mut map, "ResponseHeaders"),
    };
    elsewhere(&map, split.peer.is_some(), split.datacenter.is_some(), split.service_subset.is_some());
    map.finish();
    split
}

/// Rounds in the 32-bit arithmetic that Consul rounds in, where 1.005 is 1.01.
#[expect(clippy::cast_possible_truncation, reason = "what Consul reads a weight as")]
fn to_hundredths(weight: f64) -> f64 {
    f64::from(weight as f32 * 100.0).round() / 100.0
}

/// Where a split goes, in the words of Consul's message.
fn described(split: &Split, own: &ServiceName) -> String {
    let service = split.service.as_ref().unwrap_or(own).as_str();
    let subset = split.service_subset.as_ref().map_or("", AsRef::as_ref);
    // As they are written: Consul fills neither in before it compares.
    let namespace = split.namespace.as_deref().unwrap_or_default();
    let partition = split.partition.as_deref().unwrap_or_default();
    let mut text =
        format!("service={service:?}, subset={subset:?}, namespace={namespace:?}, partition={partition:?}");
    for (name, value) in [
        ("peer", split.peer.as_ref().map(AsRef::as_ref)),
        ("datacenter", split.datacenter.as_ref().map(AsRef::<str>::as_ref)),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {name}={value:?}"));
        }
    }
    text
}

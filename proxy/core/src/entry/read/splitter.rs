//! `service-splitter`.

use std::collections::HashSet;

use super::Head;
use super::common::{header_modifiers, meta};
use super::fields::Fields;
use super::item::Item;
use super::resolver::cookie_config;
use super::router::elsewhere;
use crate::entry::{EmptyLeg, ServiceSplitter, Split, Sticky, StickyField};
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
    let (mut splits, mut weights) = (Vec::new(), Vec::new());
    for map in maps {
        let place = map.item.clone();
        let (split, weight) = split(map);
        weights.extend(weight);
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
    if sink.count() == before {
        match fault(&splits, &weights) {
            Some(message) => {
                let at = item.as_ref().map_or(&head.place, |item| item.place());
                sink.push(Problem::error(at, "Splits", message));
            }
            None => weights.iter().for_each(Weight::check),
        }
    }
    let sticky = fields.beyond("Sticky").map(|item| item.list()).unwrap_or_default();
    let sticky = sticky.iter().filter_map(Item::fields).filter_map(self::sticky).collect();
    let empty_leg = fields.beyond("EmptyLeg").and_then(|item| {
        let word = item.word(&EmptyLeg::ALL.map(EmptyLeg::as_str))?;
        EmptyLeg::ALL.into_iter().find(|rule| rule.as_str() == word)
    });
    let meta = meta(&mut fields);
    fields.finish();
    Some(ServiceSplitter { place: head.place.clone(), name: name?, splits, sticky, empty_leg, meta })
}

/// One of `Sticky`, in the shape of `LoadBalancer.HashPolicies` and with its messages.
fn sticky(mut map: Fields<'_>) -> Option<Sticky> {
    let item = map.take("Field").filter(|item| !item.is_empty());
    if item.is_none() {
        let known = StickyField::ALL.map(StickyField::as_str).join(", ");
        map.item.error(format!("Field is required: one of {known}"));
    }
    let word = item.and_then(|item| item.word(&StickyField::ALL.map(StickyField::as_str)));
    let field = StickyField::ALL.into_iter().find(|field| word == Some(field.as_str()));
    let field_value = map.string("FieldValue").unwrap_or_default();
    let cookie_config = cookie_config(&mut map);
    if let Some(field) = field {
        let word = field.as_str();
        if field.is_named() && field_value.is_empty() {
            map.item.error(format!("Field {word:?} was specified without a FieldValue"));
        }
        if !field.is_named() && !field_value.is_empty() {
            map.item.error(format!("A FieldValue cannot be specified for Field {word:?}"));
        }
        if cookie_config.is_some() && field != StickyField::Cookie {
            map.item.error(format!("cookie_config provided for {word:?}"));
        }
    }
    if cookie_config.as_ref().is_some_and(|config| config.session && config.ttl.is_some()) {
        map.item.error("a session cookie cannot have an associated TTL");
    }
    map.finish();
    Some(Sticky { field: field?, field_value, cookie_config })
}

/// What is wrong with the sum, in hundredths of a per cent: whole numbers, so that adding them up is exact.
fn fault(splits: &[Split], weights: &[Weight<'_>]) -> Option<String> {
    if splits.is_empty() {
        return Some("no splits configured".to_owned());
    }
    let sum: f64 = weights.iter().map(|weight| hundredths(weight.given)).sum();
    let is_whole = (sum - 10_000.0).abs() < 0.5;
    (!is_whole).then(|| format!("the sum of all split weights must be 100, not {:.6}", sum / 100.0))
}

/// A weight as it was written.
struct Weight<'a> {
    item: Item<'a>,
    given: f64,
}

impl Weight<'_> {
    fn is_share(&self) -> bool {
        (0.0..=100.0).contains(&self.given)
    }

    /// Weights that sum to 100 may still be none of them a share, which Consul lets pass.
    fn check(&self) {
        if !self.is_share() {
            self.item.error(format!("{} is out of range: per cent, from 0 to 100", self.given));
        }
    }
}

fn split(mut map: Fields<'_>) -> (Split, Option<Weight<'_>>) {
    let weight = map.take("Weight").and_then(|item| item.float().map(|given| Weight { item, given }));
    let share = weight.as_ref().filter(|weight| weight.is_share());
    let split = Split {
        weight: share.map(|weight| weight.given).unwrap_or_default(),
        service: map.name("Service"),
        service_subset: map.name("ServiceSubset"),
        namespace: map.string("Namespace"),
        partition: map.string("Partition"),
        peer: map.beyond("Peer").and_then(|item| item.name()),
        datacenter: map.beyond("Datacenter").and_then(|item| item.name()),
        request_headers: header_modifiers(&mut map, "RequestHeaders"),
        response_headers: header_modifiers(&mut map, "ResponseHeaders"),
    };
    elsewhere(&map, split.peer.is_some(), split.datacenter.is_some(), split.service_subset.is_some());
    map.finish();
    (split, weight)
}

/// Rounds in the 32-bit arithmetic that Consul rounds in, where 1.005 is 1.01.
#[expect(clippy::cast_possible_truncation, reason = "what Consul reads a weight as")]
fn hundredths(weight: f64) -> f64 {
    f64::from(weight as f32 * 100.0).round()
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

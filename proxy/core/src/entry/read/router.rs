//! `service-router`.

use super::Head;
use super::common::{Matcher, header_modifiers, http_match, meta};
use super::fields::Fields;
use super::item::hint;
use crate::entry::{Destination, Route, RouteMatch, ServiceRouter};

/// Envoy's retry conditions that Consul lets through.
const RETRY_ON: [&str; 12] = [
    "5xx",
    "gateway-error",
    "reset",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<ServiceRouter> {
    let name = head.service(&fields);
    let routes = fields.maps("Routes").into_iter().enumerate().map(|(i, map)| route(map, i)).collect();
    let meta = meta(&mut fields);
    fields.finish();
    Some(ServiceRouter { place: head.place.clone(), name: name?, routes, meta })
}

fn route(mut map: Fields<'_>, i: usize) -> Route {
    let matcher = Matcher::Route(i);
    let matches = map.map("Match").map(|mut map| {
        let http = map.map("HTTP").map(|map| http_match(map, matcher));
        map.finish();
        RouteMatch { http }
    });
    let http = matches.as_ref().and_then(|matches| matches.http.as_ref());
    let rewritable = http.is_some_and(|http| http.path_exact.is_some() || http.path_prefix.is_some());
    let destination = map.map("Destination").map(|map| destination(map, &matcher.whole(), rewritable));
    map.finish();
    Route { matches, destination }
}

fn destination(mut map: Fields<'_>, owner: &str, rewritable: bool) -> Destination {
    let read = Destination {
        service: map.name("Service"),
        service_subset: map.name("ServiceSubset"),
        namespace: map.string("Namespace"),
        partition: map.string("Partition"),
        peer: map.beyond("Peer").and_then(|item| item.name()),
        datacenter: map.beyond("Datacenter").and_then(|item| item.name()),
        prefix_rewrite: map.take("PrefixRewrite").and_then(|item| {
            let rewrite = item.string()?;
            if !rewritable {
                item.error(format!(
                    "{owner} cannot make use of PrefixRewrite without configuring either PathExact or PathPrefix"
                ));
            }
            Some(rewrite)
        }),
        request_timeout: map.duration("RequestTimeout"),
        idle_timeout: map.duration("IdleTimeout"),
        num_retries: map.integer("NumRetries", 0..=u32::MAX),
        retry_on_connect_failure: map.flag("RetryOnConnectFailure"),
        retry_on: retry_on(&mut map, owner),
        retry_on_status_codes: status_codes(&mut map),
        request_headers: header_modifiers(&mut map, "RequestHeaders"),
        response_headers: header_modifiers(&mut map, "ResponseHeaders"),
    };
    elsewhere(&map, read.peer.is_some(), read.datacenter.is_some(), read.service_subset.is_some());
    map.finish();
    read
}

/// `Peer` and `Datacenter` of a route or split, which Consul has only in resolvers, exclude what they exclude there.
pub(super) fn elsewhere(map: &Fields<'_>, peer: bool, datacenter: bool, subset: bool) {
    if peer && datacenter {
        map.item.error("Peer cannot be set with Datacenter");
    }
    if peer && subset {
        map.item.error("Peer cannot be set with ServiceSubset");
    }
}

fn retry_on(map: &mut Fields<'_>, owner: &str) -> Vec<String> {
    let items = map.take("RetryOn").map(|item| item.list()).unwrap_or_default();
    let condition = |item: &super::Item<'_>| {
        // An empty text is a condition, too, and none of those known.
        let text = if item.is_empty() { String::new() } else { item.string()? };
        if !RETRY_ON.contains(&text.as_str()) {
            let hint = hint(&text, &RETRY_ON);
            item.error(format!("{owner} contains an invalid retry condition: {text:?}{hint}"));
        }
        Some(text)
    };
    items.iter().filter_map(condition).collect()
}

fn status_codes(map: &mut Fields<'_>) -> Vec<u16> {
    let items = map.take("RetryOnStatusCodes").map(|item| item.list()).unwrap_or_default();
    items.iter().filter_map(|item| item.integer(100..=599)).collect()
}

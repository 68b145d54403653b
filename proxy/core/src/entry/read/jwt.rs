//! `jwt-provider`, its key set in a file of its own.

mod key_set;

use std::time::Duration;

use super::Head;
use super::common::meta;
use super::fields::Fields;
use crate::entry::{JwtForwarding, JwtLocation, JwtProvider};
use crate::problem::Problem;

/// How far clocks may differ when an entry does not say.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<JwtProvider> {
    let name = head.text(&fields);
    let sink = fields.item.sink;
    let unverified = "tokens are not verified yet: no request is asked for one";
    sink.push(Problem::warning(&head.place, "Kind", unverified));
    let key_set = fields.map("JSONWebKeySet");
    if key_set.is_none() {
        sink.push(Problem::error(&head.place, "JSONWebKeySet", "JSONWebKeySet is required"));
    }
    let keys = key_set.and_then(key_set::read);
    let issuer = fields.string("Issuer");
    let audiences = fields.strings("Audiences");
    let locations = fields.maps("Locations").into_iter().filter_map(location).collect();
    let forwarding = fields.map("Forwarding").map(forwarding);
    let skew = fields.integer("ClockSkewSeconds", 0..=i32::MAX).filter(|seconds| *seconds > 0);
    if let Some(mut map) = fields.map("CacheConfig") {
        map.integer("Size", 0..=i32::MAX);
        map.finish();
    }
    let meta = meta(&mut fields);
    fields.finish();
    Some(JwtProvider {
        place: head.place.clone(),
        name: name?,
        keys: keys?,
        issuer,
        audiences,
        locations,
        forwarding,
        clock_skew: skew.map_or(CLOCK_SKEW, |seconds| Duration::from_secs(seconds.unsigned_abs().into())),
        meta,
    })
}

fn location(mut map: Fields<'_>) -> Option<JwtLocation> {
    let header = map.map("Header").map(|mut map| {
        let location = JwtLocation::Header {
            name: required(&mut map, "Name", "JWT location header name must be specified"),
            value_prefix: map.string("ValuePrefix").unwrap_or_default(),
            forward: map.flag("Forward"),
        };
        map.finish();
        location
    });
    let mut named = |field: &'static str, words: &str, location: fn(String) -> JwtLocation| {
        let mut map = map.map(field)?;
        let name = required(&mut map, "Name", &format!("JWT location {words} name must be specified"));
        map.finish();
        Some(location(name))
    };
    let query = named("QueryParam", "query param", JwtLocation::QueryParam);
    let cookie = named("Cookie", "cookie", JwtLocation::Cookie);
    let item = map.item.clone();
    map.finish();
    let mut given: Vec<JwtLocation> = [header, query, cookie].into_iter().flatten().collect();
    if given.len() != 1 {
        item.error("must set exactly one of: JWT location header, query param or cookie");
    }
    given.pop()
}

fn forwarding(mut map: Fields<'_>) -> JwtForwarding {
    let header = required(&mut map, "HeaderName", "Header name required for forwarding config");
    let padded = map.flag("PadForwardPayloadHeader");
    map.finish();
    JwtForwarding { header, padded }
}

/// A text that must be there; `fault` is said when it is not.
fn required(map: &mut Fields<'_>, name: &'static str, fault: &str) -> String {
    let text = map.string(name);
    if text.is_none() {
        map.item.error(fault);
    }
    text.unwrap_or_default()
}

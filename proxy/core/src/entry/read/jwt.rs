//! `jwt-provider`.

use std::time::Duration;

use super::Head;
use super::common::meta;
use super::fields::Fields;
use crate::entry::{JwtForwarding, JwtKeys, JwtLocation, JwtProvider};
use crate::problem::Problem;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<JwtProvider> {
    let name = head.text(&fields);
    let sink = fields.item.sink;
    let unverified = "tokens are not verified yet: no request is asked for one";
    sink.push(Problem::warning(&head.place, "Kind", unverified));
    let key_set = fields.map("JSONWebKeySet");
    if key_set.is_none() {
        sink.push(Problem::error(&head.place, "JSONWebKeySet", "JSONWebKeySet is required"));
    }
    let keys = key_set.and_then(keys);
    let issuer = fields.string("Issuer");
    let audiences = fields.strings("Audiences");
    let locations =
        fields.maps("Locations").into_iter().enumerate().filter_map(|(i, map)| location(map, i)).collect();
    let forwarding = fields.map("Forwarding").map(forwarding);
    let clock_skew = fields
        .integer("ClockSkewSeconds", 0..=i32::MAX)
        .map(|secs| Duration::from_secs(secs.unsigned_abs().into()));
    if let Some(mut map) = fields.map("CacheConfig") {
        map.integer("Size", 0..=i32::MAX);
        map.finish();
    }
    meta(&mut fields);
    fields.finish();
    let place = head.place.clone();
    Some(JwtProvider {
        place,
        name: name?,
        keys: keys?,
        issuer,
        audiences,
        locations,
        forwarding,
        clock_skew,
    })
}

fn keys(mut map: Fields<'_>) -> Option<JwtKeys> {
    let local = map.map("Local").map(|mut map| {
        let keys = (map.string("JWKS"), map.take("Filename").and_then(|item| item.path()));
        let keys = match keys {
            (Some(text), None) => Some(JwtKeys::Inline(text)),
            (None, Some(path)) => Some(JwtKeys::File(path)),
            _ => {
                map.item
                    .error("must specify exactly one of JWKS and Filename for the local JSON Web Key Set");
                None
            }
        };
        map.finish();
        keys
    });
    let remote = map.map("Remote").map(remote);
    let item = map.item.clone();
    map.finish();
    match (local, remote) {
        (Some(keys), None) | (None, Some(keys)) => keys,
        _ => {
            item.error("must specify exactly one of Local and Remote JSON Web Key Set");
            None
        }
    }
}

fn remote(mut map: Fields<'_>) -> Option<JwtKeys> {
    let uri = map.string("URI");
    if uri.is_none() {
        map.item.error("Remote JWKS URI is required");
    }
    map.integer("RequestTimeoutMs", 0..=i32::MAX);
    map.timeout("CacheDuration");
    map.flag("FetchAsynchronously");
    map.flag("UseSNI");
    if let Some(mut retry) = map.map("RetryPolicy") {
        retry.integer("NumRetries", 0..=i32::MAX);
        if let Some(mut backoff) = retry.map("RetryPolicyBackOff") {
            backoff.timeout("BaseInterval");
            backoff.timeout("MaxInterval");
            backoff.finish();
        }
        retry.finish();
    }
    map.ignore(&["JWKSCluster"]);
    map.finish();
    uri.map(JwtKeys::Remote)
}

fn location(mut map: Fields<'_>, i: usize) -> Option<JwtLocation> {
    let header = map.map("Header").map(|mut map| {
        let location = JwtLocation::Header {
            name: required(&mut map, "Name"),
            value_prefix: map.string("ValuePrefix").unwrap_or_default(),
            forward: map.flag("Forward"),
        };
        map.finish();
        location
    });
    let mut named = |field: &'static str, location: fn(String) -> JwtLocation| {
        let mut map = map.map(field)?;
        let name = required(&mut map, "Name");
        map.finish();
        Some(location(name))
    };
    let query = named("QueryParam", JwtLocation::QueryParam);
    let cookie = named("Cookie", JwtLocation::Cookie);
    let item = map.item.clone();
    map.finish();
    let mut given: Vec<JwtLocation> = [header, query, cookie].into_iter().flatten().collect();
    if given.len() != 1 {
        item.error(format!("Locations[{i}]: must set exactly one of Header, QueryParam and Cookie"));
    }
    given.pop()
}

fn forwarding(mut map: Fields<'_>) -> JwtForwarding {
    let header = required(&mut map, "HeaderName");
    let padded = map.flag("PadForwardPayloadHeader");
    map.finish();
    JwtForwarding { header, padded }
}

fn required(map: &mut Fields<'_>, name: &'static str) -> String {
    let text = map.string(name);
    if text.is_none() {
        map.item.error(format!("{name} is required"));
    }
    text.unwrap_or_default()
}

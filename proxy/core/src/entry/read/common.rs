//! What several kinds of entries have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use super::item::Item;
use crate::entry::{HeaderMatch, HeaderModifiers, HttpMatch, MeshGatewayMode, Protocol, QueryParamMatch};

/// `Meta`, within Consul's bounds.
pub(super) fn meta(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let Some(item) = fields.take("Meta") else { return BTreeMap::new() };
    let meta = item.texts();
    if meta.len() > 64 {
        item.error(format!("Meta exceeds maximum element count 64, it has {}", meta.len()));
    }
    for (key, value) in &meta {
        if key.len() > 128 {
            item.error(format!("Meta key {key:?} exceeds maximum length 128"));
        }
        if value.len() > 512 {
            item.error(format!("Meta value for key {key:?} exceeds maximum length 512"));
        }
    }
    meta
}

/// Namespaces and partitions: the community edition has one of each, `default`.
pub(super) fn enterprise(fields: &mut Fields<'_>, names: &[&'static str], prefix: &str) {
    for name in names {
        if let Some(item) = fields.take(name)
            && item.string().is_some_and(|text| text != "default")
        {
            item.error(format!("{prefix}Setting {name} requires Consul Enterprise"));
        }
    }
}

/// What only Consul Enterprise has: refused however it is set.
pub(super) fn enterprise_only(fields: &mut Fields<'_>, name: &'static str, prefix: &str) {
    if let Some(item) = fields.take(name)
        && !item.is_empty()
    {
        item.error(format!("{prefix}Setting {name} requires Consul Enterprise"));
    }
}

/// `MeshGateway { Mode }`.
pub(super) fn mesh_gateway(fields: &mut Fields<'_>, name: &'static str) -> MeshGatewayMode {
    let Some(mut map) = fields.map(name) else { return MeshGatewayMode::Default };
    let mode = map.take("Mode").and_then(|item| item.word(&["none", "local", "remote"]));
    map.finish();
    match mode {
        Some("none") => MeshGatewayMode::None,
        Some("local") => MeshGatewayMode::Local,
        Some("remote") => MeshGatewayMode::Remote,
        _ => MeshGatewayMode::Default,
    }
}

/// A protocol, in any case.
pub(super) fn protocol(item: &Item<'_>) -> Option<Protocol> {
    let text = item.string()?;
    let found = [Protocol::Tcp, Protocol::Http, Protocol::Http2, Protocol::Grpc]
        .into_iter()
        .find(|protocol| protocol.as_str().eq_ignore_ascii_case(&text));
    if found.is_none() {
        item.error(format!("invalid value for protocol: {text} (known: tcp, http, http2, grpc)"));
    }
    found
}

/// `RequestHeaders`, `ResponseHeaders`.
pub(super) fn header_modifiers(fields: &mut Fields<'_>, name: &'static str) -> Option<HeaderModifiers> {
    let mut map = fields.map(name)?;
    let modifiers =
        HeaderModifiers { add: map.texts("Add"), set: map.texts("Set"), remove: map.strings("Remove") };
    map.finish();
    (modifiers != HeaderModifiers::default()).then_some(modifiers)
}

/// Which of the fields that only routers or only intentions know are allowed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Matcher {
    Router,
    Intention,
}

/// `Match.HTTP` of a router and `HTTP` of a permission; `owner` begins Consul's messages (`Route[0] `).
pub(super) fn http_match(mut fields: Fields<'_>, owner: &str, matcher: Matcher) -> HttpMatch {
    let mut paths = 0;
    let mut path = |fields: &mut Fields<'_>, name: &'static str, rooted: bool| {
        let item = fields.take(name)?;
        let text = item.string()?;
        paths += 1;
        if paths == 2 {
            item.error(format!(
                "{owner}should only contain at most one of PathExact, PathPrefix, or PathRegex"
            ));
        }
        if rooted && !text.starts_with('/') {
            item.error(format!("{owner}{name} doesn't start with '/': {text:?}"));
        }
        if !rooted {
            regex(&item, &text);
        }
        Some(text)
    };
    let path_exact = path(&mut fields, "PathExact", true);
    let path_prefix = path(&mut fields, "PathPrefix", true);
    let path_regex = path(&mut fields, "PathRegex", false);
    let headers = fields.maps("Header").into_iter().enumerate();
    let header =
        headers.map(|(i, map)| header_match(map, &format!("{owner}Header[{i}] "), matcher)).collect();
    let mut read = HttpMatch { path_exact, path_prefix, path_regex, header, ..HttpMatch::default() };
    if matcher == Matcher::Router {
        read.case_insensitive = fields.flag("CaseInsensitive");
        let params = fields.maps("QueryParam").into_iter().enumerate();
        read.query_param =
            params.map(|(i, map)| query_match(map, &format!("{owner}QueryParam[{i}] "))).collect();
    }
    if let Some(item) = fields.take("Methods") {
        read.methods = methods(&item, owner);
    }
    fields.finish();
    read
}

fn header_match(mut map: Fields<'_>, owner: &str, matcher: Matcher) -> HeaderMatch {
    let mut read = HeaderMatch {
        name: map.string("Name").unwrap_or_default(),
        present: map.flag("Present"),
        exact: map.string("Exact"),
        prefix: map.string("Prefix"),
        suffix: map.string("Suffix"),
        invert: map.flag("Invert"),
        ..HeaderMatch::default()
    };
    read.regex = map.take("Regex").and_then(|item| item.string().inspect(|text| regex(&item, text)));
    if matcher == Matcher::Intention {
        read.contains = map.string("Contains");
        read.ignore_case = map.flag("IgnoreCase");
    }
    if read.name.is_empty() {
        map.item.error(format!("{owner}missing required Name field"));
    }
    let texts = [&read.exact, &read.prefix, &read.suffix, &read.contains, &read.regex];
    let criteria = usize::from(read.present) + texts.iter().filter(|text| text.is_some()).count();
    if criteria != 1 {
        let known = match matcher {
            Matcher::Router => "Present, Exact, Prefix, Suffix, or Regex",
            Matcher::Intention => "Present, Exact, Prefix, Suffix, Contains, or Regex",
        };
        map.item.error(format!("{owner}should only contain one of {known}"));
    }
    map.finish();
    read
}

fn query_match(mut map: Fields<'_>, owner: &str) -> QueryParamMatch {
    let read = QueryParamMatch {
        name: map.string("Name").unwrap_or_default(),
        present: map.flag("Present"),
        exact: map.string("Exact"),
        regex: map.take("Regex").and_then(|item| item.string().inspect(|text| regex(&item, text))),
    };
    if read.name.is_empty() {
        map.item.error(format!("{owner}missing required Name field"));
    }
    if usize::from(read.present) + usize::from(read.exact.is_some()) + usize::from(read.regex.is_some()) != 1
    {
        map.item.error(format!("{owner}should only contain one of Present, Exact, or Regex"));
    }
    map.finish();
    read
}

fn methods(item: &Item<'_>, owner: &str) -> Vec<String> {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];
    let mut seen = BTreeSet::new();
    let mut methods = Vec::new();
    for item in item.list() {
        let Some(text) = item.string() else { continue };
        let method = text.to_ascii_uppercase();
        if !KNOWN.contains(&method.as_str()) {
            item.error(format!("{owner}Methods contains an invalid method {text:?}"));
        } else if !seen.insert(method.clone()) {
            item.error(format!("{owner}Methods contains {method:?} more than once"));
        }
        methods.push(method);
    }
    methods
}

/// Consul leaves this to its proxy, where a bad expression is found out much later.
fn regex(item: &Item<'_>, text: &str) {
    if let Err(error) = regex::Regex::new(text) {
        let why = match error {
            regex::Error::CompiledTooBig(_) => "it compiles to more than 10 MiB".to_owned(),
            // The last line says why; those before draw the expression.
            error => {
                error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        item.error(format!("is not a valid regular expression: {why}"));
    }
}

/// A map of names to `{ address, port }`.
pub(super) fn addresses(item: &Item<'_>) -> BTreeMap<String, (String, u16)> {
    let mut read = BTreeMap::new();
    for (key, item) in item.pairs() {
        let Some(mut map) = item.fields() else { continue };
        let address = map.string("Address");
        let port = map.integer("Port", 0..=u16::MAX).unwrap_or_default();
        if address.is_none() {
            map.item.error("Address is required");
        }
        map.finish();
        read.insert(key.name.clone(), (address.unwrap_or_default(), port));
    }
    read
}

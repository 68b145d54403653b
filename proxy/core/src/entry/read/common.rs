//! What several kinds of entries have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use super::item::Item;
use crate::access_log::Format;
use crate::entry::{
    FailoverPolicy, HeaderMatch, HeaderModifiers, HttpMatch, MeshGatewayMode, Protocol, QueryParamMatch,
};
use crate::pattern::Pattern;

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

/// `Namespace` and `Partition` where Consul's community edition has no such field: it has one of each, `default`.
pub(super) fn only_default(fields: &mut Fields<'_>) {
    if let Some(item) = other_than_default(fields, "Namespace") {
        item.error(format!("invalid config key {:?}, namespaces are a consul enterprise feature", item.path));
    }
    if let Some(item) = other_than_default(fields, "Partition") {
        item.error(format!("invalid config key {:?}, partitions are a consul enterprise feature", item.path));
    }
}

/// Namespaces and partitions in fields that the community edition knows and refuses.
pub(super) fn enterprise(fields: &mut Fields<'_>, names: &[&'static str], prefix: &str) {
    for name in names {
        if let Some(item) = other_than_default(fields, name) {
            item.error(format!("{prefix}Setting {name} requires Consul Enterprise"));
        }
    }
}

fn other_than_default<'a>(fields: &mut Fields<'a>, name: &'static str) -> Option<Item<'a>> {
    fields.take(name).filter(|item| item.string().is_some_and(|text| text != "default"))
}

/// What only Consul Enterprise has: refused however it is set.
pub(super) fn enterprise_only(fields: &mut Fields<'_>, name: &'static str, prefix: &str) {
    if let Some(item) = fields.take(name)
        && !item.is_empty()
    {
        item.error(format!("{prefix}Setting {name} requires Consul Enterprise"));
    }
}

/// `PrioritizeByLocality { Mode }`, which the community edition refuses unless it says nothing.
pub(super) fn no_locality(fields: &mut Fields<'_>) {
    let Some(mut map) = fields.map("PrioritizeByLocality") else { return };
    if let Some(item) = map.take("Mode").filter(|item| item.string().is_some()) {
        item.error("Prioritize-by-locality requires Consul Enterprise");
    }
    map.finish();
}

/// `Policy` of a failover, `FailoverPolicy` of `proxy-defaults`. `mode_given` judges a `Mode`, which has no effect in
/// the community edition.
pub(super) fn failover_policy(mut map: Fields<'_>, mode_given: impl FnMut(&Item<'_>)) -> FailoverPolicy {
    let item = map.take("Mode").filter(|item| !item.is_empty());
    item.iter().for_each(mode_given);
    let mode = item.and_then(|item| item.string()).unwrap_or_default();
    let policy = FailoverPolicy { mode, regions: map.strings("Regions") };
    map.finish();
    policy
}

/// `MeshGateway { Mode }`.
pub(super) fn mesh_gateway(fields: &mut Fields<'_>, name: &'static str) -> MeshGatewayMode {
    let Some(mut map) = fields.map(name) else { return MeshGatewayMode::Default };
    let known = ["none", "local", "remote"];
    let fault = |text: &str| format!("Invalid Mesh Gateway Mode: {text:?}");
    let mode = map.take("Mode").and_then(|item| item.word_exactly(&known, fault));
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

/// How connections are spread over a proxy's threads; this one balances them whatever is said.
pub(super) fn balance(fields: &mut Fields<'_>, name: &'static str, fault: &str) {
    let fault = |text: &str| format!("{fault}: {text}");
    fields.take(name).and_then(|item| item.word_exactly(&["exact_balance"], fault));
}

/// `RequestHeaders`, `ResponseHeaders`.
pub(super) fn header_modifiers(fields: &mut Fields<'_>, name: &'static str) -> Option<HeaderModifiers> {
    let mut map = fields.map(name)?;
    let modifiers = HeaderModifiers {
        add: edits(&mut map, "Add"),
        set: edits(&mut map, "Set"),
        remove: map.strings("Remove"),
    };
    if let Some(name) = modifiers.remove.iter().find(|name| !is_editable(name)) {
        map.item.error(not_editable(name));
    }
    map.finish();
    (modifiers != HeaderModifiers::default()).then_some(modifiers)
}

/// Headers to set or add. Values are formats with Envoy's command operators.
fn edits(map: &mut Fields<'_>, name: &'static str) -> BTreeMap<String, String> {
    let Some(item) = map.take(name) else { return BTreeMap::new() };
    let texts = item.texts();
    for (key, value) in item.pairs() {
        let Some(text) = texts.get(&key.name) else { continue };
        if !is_editable(&key.name) {
            value.error(not_editable(&key.name));
        }
        let format = Format::value(text);
        if let Err(error) = &format {
            value.error(error.to_string());
        }
        for operator in format.iter().flat_map(Format::without_meaning) {
            value.warn(format!("%{operator}% has no meaning here and is always empty"));
        }
    }
    texts
}

/// Envoy refuses to edit these, with the whole listener.
fn is_editable(name: &str) -> bool {
    !name.starts_with(':') && !name.eq_ignore_ascii_case("host")
}

fn not_editable(name: &str) -> String {
    format!("header {name:?} cannot be modified: neither Host nor a name that begins with a colon can")
}

/// Whose match is read: which fields it has, and how Consul's messages begin.
#[derive(Clone, Copy)]
pub(super) enum Matcher {
    /// `Match.HTTP` of the route of that number.
    Route(usize),
    /// `HTTP` of a permission: the numbers of its source and its own.
    Permission(usize, usize),
}

impl Matcher {
    fn is_route(self) -> bool {
        matches!(self, Self::Route(_))
    }

    /// What a message about the whole match begins with.
    pub(super) fn whole(self) -> String {
        match self {
            Self::Route(i) => format!("Route[{i}]"),
            Self::Permission(i, j) => format!("Sources[{i}].Permissions[{j}].HTTP"),
        }
    }

    /// What a message about the field of that name begins with.
    fn field(self, name: &str) -> String {
        let between = if self.is_route() { " " } else { "." };
        format!("{}{between}{name}", self.whole())
    }
}

/// `Match.HTTP` of a router and `HTTP` of a permission.
pub(super) fn http_match(mut fields: Fields<'_>, matcher: Matcher) -> HttpMatch {
    let mut paths = 0;
    let mut path = |fields: &mut Fields<'_>, name: &'static str, rooted: bool| {
        let item = fields.take(name)?;
        let text = item.string()?;
        paths += 1;
        if paths == 2 {
            let whole = matcher.whole();
            item.error(format!(
                "{whole} should only contain at most one of PathExact, PathPrefix, or PathRegex"
            ));
        }
        if rooted && !text.starts_with('/') {
            item.error(format!("{} doesn't start with '/': {text:?}", matcher.field(name)));
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
    let header = headers.map(|(i, map)| header_match(map, i, matcher)).collect();
    let mut read = HttpMatch { path_exact, path_prefix, path_regex, header, ..HttpMatch::default() };
    if matcher.is_route() {
        read.case_insensitive = fields.flag("CaseInsensitive");
        let params = fields.maps("QueryParam").into_iter().enumerate();
        let owner = |i| matcher.field(&format!("QueryParam[{i}]"));
        read.query_param = params.map(|(i, map)| query_match(map, &owner(i))).collect();
    }
    if let Some(item) = fields.take("Methods") {
        read.methods = methods(&item, &matcher.field("Methods"));
    }
    fields.finish();
    read
}

fn header_match(mut map: Fields<'_>, i: usize, matcher: Matcher) -> HeaderMatch {
    let owner = matcher.field(&format!("Header[{i}]"));
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
    if !matcher.is_route() {
        read.contains = map.string("Contains");
        read.ignore_case = map.flag("IgnoreCase");
    }
    if read.name.is_empty() {
        map.item.error(format!("{owner} missing required Name field"));
    }
    let texts = [&read.exact, &read.prefix, &read.suffix, &read.contains, &read.regex];
    let criteria = usize::from(read.present) + texts.iter().filter(|text| text.is_some()).count();
    if criteria != 1 {
        let known = match matcher {
            Matcher::Route(_) => "Present, Exact, Prefix, Suffix, or Regex",
            Matcher::Permission(..) => "Present, Exact, Prefix, Suffix, Contains, or Regex",
        };
        map.item.error(format!("{owner} should only contain one of {known}"));
    }
    if read.ignore_case && (read.present || read.regex.is_some()) {
        map.item.error(format!(
            "{owner} should set one of Exact, Prefix, Suffix, or Contains when using IgnoreCase"
        ));
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
        map.item.error(format!("{owner} missing required Name field"));
    }
    let texts = [&read.exact, &read.regex];
    if usize::from(read.present) + texts.iter().filter(|text| text.is_some()).count() != 1 {
        map.item.error(format!("{owner} should only contain one of Present, Exact, or Regex"));
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
            item.error(format!("{owner} contains an invalid method {method:?}"));
        } else if !seen.insert(method.clone()) {
            item.error(format!("{owner} contains {method:?} more than once"));
        }
        methods.push(method);
    }
    methods
}

/// Consul leaves this to its proxy, where a bad expression is found out much later.
fn regex(item: &Item<'_>, text: &str) {
    if let Err(error) = Pattern::check(text) {
        item.error(format!("is not a valid regular expression: {}", error.reason));
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

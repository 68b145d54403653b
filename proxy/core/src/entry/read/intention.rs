//! `service-intentions`.

use std::collections::HashSet;

use super::Head;
use super::common::{Matcher, enterprise, enterprise_only, http_match, meta};
use super::fields::Fields;
use super::item::Item;
use crate::entry::{Action, JwtProviderRequirement, JwtRequirement, Permission, ServiceIntentions, Source};
use crate::name::ServiceName;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<ServiceIntentions> {
    let name = head.text(&fields).and_then(|_| service_or_any(head.name.as_ref()?));
    let jwt = fields.map("JWT").map(|map| requirement(map, "JWT"));
    let mut seen = HashSet::new();
    let mut sources = Vec::new();
    for (i, map) in fields.maps("Sources").into_iter().enumerate() {
        let item = map.item.clone();
        let Some(source) = source(map, i) else { continue };
        if !seen.insert((source.name.clone(), source.peer.clone())) {
            item.error(format!("Sources[{i}] defines {:?} more than once", source.name));
        }
        sources.push(source);
    }
    meta(&mut fields);
    fields.finish();
    Some(ServiceIntentions { place: head.place.clone(), name: name?, sources, jwt })
}

/// A service's name, or `*` for any.
fn service_or_any(item: &Item<'_>) -> Option<String> {
    let text = item.string()?;
    if text != "*" && text.contains('*') {
        item.error("wildcard character '*' cannot be used with partial values");
        return None;
    }
    if text == "*" { Some(text) } else { item.name::<ServiceName>().map(|name| name.to_string()) }
}

fn source(mut map: Fields<'_>, i: usize) -> Option<Source> {
    let item = map.take("Name").filter(|item| !item.is_empty());
    if item.is_none() {
        map.item.error(format!("Sources[{i}].Name is required"));
    }
    let name = item.and_then(|item| service_or_any(&item));
    enterprise(&mut map, &["Namespace", "Partition"], "");
    enterprise_only(&mut map, "SamenessGroup", "");
    let peer = map.name("Peer");
    let action_item = map.take("Action").filter(|item| !item.is_empty());
    let maps = map.maps("Permissions");
    let given = !maps.is_empty();
    let permissions = maps.into_iter().enumerate();
    let permissions = permissions
        .filter_map(|(j, map)| permission(map, &format!("Sources[{i}].Permissions[{j}]")))
        .collect();
    let action = match &action_item {
        Some(item) if given => {
            item.error(format!("Sources[{i}].Action must be omitted if Permissions are specified"));
            None
        }
        Some(item) => action(item),
        None if given => None,
        None => {
            map.item.error(format!("Sources[{i}].Action must be set to \"allow\" or \"deny\""));
            None
        }
    };
    map.take("Type").and_then(|item| item.word(&["consul"]));
    map.ignore(&[
        "Description",
        "Precedence",
        "LegacyID",
        "LegacyMeta",
        "LegacyCreateTime",
        "LegacyUpdateTime",
        "CreateTime",
        "UpdateTime",
    ]);
    map.finish();
    Some(Source { name: name?, peer, action, permissions })
}

fn action(item: &Item<'_>) -> Option<Action> {
    item.word(&["allow", "deny"]).map(|word| if word == "allow" { Action::Allow } else { Action::Deny })
}

fn permission(mut map: Fields<'_>, owner: &str) -> Option<Permission> {
    let action = match map.take("Action").filter(|item| !item.is_empty()) {
        Some(item) => action(&item),
        None => {
            map.item.error(format!("{owner}.Action must be set to \"allow\" or \"deny\""));
            None
        }
    };
    let jwt = map.map("JWT").map(|map| requirement(map, &format!("{owner}.JWT")));
    let http = map.map("HTTP").map(|map| http_match(map, &format!("{owner}.HTTP "), Matcher::Intention));
    if http.is_none() && jwt.is_none() {
        map.item.error(format!("{owner} should not be empty: HTTP or JWT is required"));
    }
    map.finish();
    Some(Permission { action: action?, http, jwt })
}

fn requirement(mut map: Fields<'_>, owner: &str) -> JwtRequirement {
    let mut providers = Vec::new();
    for (i, mut map) in map.maps("Providers").into_iter().enumerate() {
        let name = map.string("Name").unwrap_or_default();
        if name.is_empty() {
            map.item.error(format!("{owner}.Providers[{i}].Name is required"));
        }
        let claim = |mut map: Fields<'_>| {
            let claim = (map.strings("Path"), map.string("Value").unwrap_or_default());
            map.finish();
            claim
        };
        let verify_claims = map.maps("VerifyClaims").into_iter().map(claim).collect();
        map.finish();
        providers.push(JwtProviderRequirement { name, verify_claims });
    }
    map.finish();
    JwtRequirement { providers }
}

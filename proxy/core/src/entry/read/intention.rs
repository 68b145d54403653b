//! `service-intentions`.

use std::collections::HashSet;

use super::Head;
use super::common::{Matcher, http_match, meta, only_default};
use super::fields::Fields;
use super::item::Item;
use crate::entry::{
    Action, HttpMatch, JwtProviderRequirement, JwtRequirement, Permission, ServiceIntentions, Source,
};
use crate::name::ServiceName;
use crate::problem::Problem;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<ServiceIntentions> {
    let name = head.text(&fields).and_then(|_| service_or_any(head.name.as_ref()?, ""));
    let jwt = fields.map("JWT").map(requirement);
    let items = fields.take("Sources");
    let maps: Vec<Fields<'_>> =
        items.iter().flat_map(|item| item.list()).filter_map(|item| item.fields()).collect();
    if maps.is_empty() {
        let at = items.as_ref().map_or(&head.place, |item| item.place());
        fields.item.sink.push(Problem::error(at, "Sources", "At least one source is required"));
    }
    let any_destination = name.as_deref() == Some("*");
    let mut seen = HashSet::new();
    let mut sources = Vec::new();
    for (i, map) in maps.into_iter().enumerate() {
        let item = map.item.clone();
        let Some(source) = source(map, i) else { continue };
        if any_destination && !source.permissions.is_empty() {
            item.error(format!(
                "Sources[{i}].Permissions cannot be specified on intentions with wildcarded destinations"
            ));
        }
        if !seen.insert((source.name.clone(), source.peer.clone())) {
            let peer = source.peer.as_ref().map(|peer| format!("peer({:?}) ", peer.as_str()));
            let peer = peer.unwrap_or_default();
            item.error(format!("Sources[{i}] defines {peer}{:?} more than once", source.name));
        }
        sources.push(source);
    }
    let meta = meta(&mut fields);
    fields.finish();
    Some(ServiceIntentions { place: head.place.clone(), name: name?, sources, jwt, meta })
}

/// A service's name, or `*` for any. `owner` begins the message.
fn service_or_any(item: &Item<'_>, owner: &str) -> Option<String> {
    let text = item.string()?;
    if text == "*" {
        return Some(text);
    }
    if text.contains('*') {
        item.error(format!("{owner}Name: wildcard character '*' cannot be used with partial values"));
        return None;
    }
    item.name::<ServiceName>().map(|name| name.to_string())
}

fn source(mut map: Fields<'_>, i: usize) -> Option<Source> {
    let owner = format!("Sources[{i}]");
    let item = map.take("Name").filter(|item| !item.is_empty());
    if item.is_none() {
        map.item.error(format!("{owner}.Name is required"));
    }
    let name = item.and_then(|item| service_or_any(&item, &format!("{owner}.")));
    only_default(&mut map);
    if let Some(item) = map.take("SamenessGroup").filter(|item| !item.is_empty()) {
        item.error(format!("{owner}.SamenessGroup: Sameness groups are a Consul Enterprise feature."));
    }
    let peer = map.take("Peer").and_then(|item| match item.string() {
        Some(text) if text.contains('*') => {
            item.error(format!("{owner}.Peer: cannot use wildcard '*' in peer"));
            None
        }
        _ => item.name(),
    });
    let action_item = map.take("Action").filter(|item| !item.is_empty());
    let maps = map.maps("Permissions");
    let given = !maps.is_empty();
    let permissions = maps.into_iter().enumerate();
    let permissions = permissions.filter_map(|(j, map)| permission(map, i, j)).collect();
    let action = match &action_item {
        Some(item) if given => {
            item.error(format!("{owner}.Action must be omitted if Permissions are specified"));
            None
        }
        None if given => None,
        _ => action(action_item.as_ref(), &map, &owner),
    };
    map.take("Type")
        .and_then(|item| item.word_exactly(&["consul"], |_| format!("{owner}.Type must be set to 'consul'")));
    if let Some(item) = map.take("Description")
        && item.string().is_some_and(|text| text.len() > 512)
    {
        item.error(format!("{owner}.Description exceeds maximum length 512"));
    }
    if let Some(item) = map.take("LegacyMeta").filter(|item| !item.is_empty()) {
        item.error(format!("{owner}.LegacyMeta must be omitted"));
    }
    // Written by the server: computed anew, or cleared.
    map.ignore(&["Precedence", "LegacyID", "LegacyCreateTime", "LegacyUpdateTime"]);
    map.finish();
    Some(Source { name: name?, peer, action, permissions })
}

fn action(item: Option<&Item<'_>>, map: &Fields<'_>, owner: &str) -> Option<Action> {
    let fault = || format!("{owner}.Action must be set to 'allow' or 'deny'");
    let Some(item) = item else {
        map.item.error(fault());
        return None;
    };
    match item.word_exactly(&["allow", "deny"], |_| fault())? {
        "allow" => Some(Action::Allow),
        _ => Some(Action::Deny),
    }
}

fn permission(mut map: Fields<'_>, i: usize, j: usize) -> Option<Permission> {
    let action_item = map.take("Action").filter(|item| !item.is_empty());
    let action = action(action_item.as_ref(), &map, &format!("Sources[{i}].Permissions[{j}]"));
    let jwt = map.map("JWT").map(requirement);
    let matcher = Matcher::Permission(i, j);
    let item = map.take("HTTP");
    let http = item.as_ref().and_then(|item| item.fields()).map(|map| http_match(map, matcher));
    match (&item, &http) {
        (Some(item), Some(http)) if *http == HttpMatch::default() => {
            item.error(format!("{} should not be empty", matcher.whole()));
        }
        (_, Some(_)) => {}
        _ => map.item.error(format!("{} is required", matcher.whole())),
    }
    map.finish();
    Some(Permission { action: action?, http, jwt })
}

fn requirement(mut map: Fields<'_>) -> JwtRequirement {
    let providers = map.maps("Providers").into_iter().map(provider).collect();
    map.finish();
    JwtRequirement { providers }
}

fn provider(mut map: Fields<'_>) -> JwtProviderRequirement {
    let name = map.string("Name").unwrap_or_default();
    if name.is_empty() {
        map.item.error("JWT provider name is required");
    }
    let claim = |mut map: Fields<'_>| {
        let claim = (map.strings("Path"), map.string("Value").unwrap_or_default());
        map.finish();
        claim
    };
    let verify_claims = map.maps("VerifyClaims").into_iter().map(claim).collect();
    map.finish();
    JwtProviderRequirement { name, verify_claims }
}

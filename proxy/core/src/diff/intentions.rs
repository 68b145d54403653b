//! Who may call whom: for every caller that either side speaks of, and for any other.
//!
//! What decides for a caller is settled on both sides, so an intention that only says what another one said before it
//! is no change.

use std::collections::BTreeSet;

use super::Side;
use super::facts::{Change, Group, Subject};
use crate::chain::describe;
use crate::entry::{Action, JwtRequirement, Permission, Route, RouteMatch, ServiceIntentions, Source};
use crate::name::PeerName;

/// A caller: a service or, with `*`, any other; at a peer or at home.
type Caller = (Option<PeerName>, String);

pub(super) fn compare(old: &Side<'_>, new: &Side<'_>) -> Vec<Group> {
    let mut destinations: BTreeSet<&str> = BTreeSet::from(["*"]);
    for side in [old, new] {
        destinations.extend(side.config.entries.intentions.keys().map(String::as_str));
    }
    let group = |destination: &str| {
        let callers: BTreeSet<Caller> =
            [old, new].into_iter().flat_map(|side| callers(side, destination)).collect();
        let changes = callers.iter().map(|caller| Change {
            what: words(caller, destination),
            before: Some(decision(old, destination, caller)),
            after: Some(decision(new, destination, caller)),
        });
        let mut changes: Vec<Change> = changes.filter(|change| change.before != change.after).collect();
        let token = |side: &Side<'_>| {
            let entry = side.config.entries.intentions.get(destination);
            entry.and_then(|it| it.jwt.as_ref()).map(jwt)
        };
        let (before, after) = (token(old), token(new));
        if before != after {
            changes.push(Change { what: "token of every request".to_owned(), before, after });
        }
        let name = if destination == "*" { "of any other service" } else { destination };
        Group { subject: Subject::Intentions, names: vec![name.to_owned()], changes }
    };
    destinations.into_iter().map(group).filter(|group| !group.changes.is_empty()).collect()
}

/// The callers that a side tells apart where `destination` is called.
fn callers(side: &Side<'_>, destination: &str) -> BTreeSet<Caller> {
    let entries = [destination, "*"].into_iter().filter_map(|name| side.config.entries.intentions.get(name));
    let named = entries.flat_map(|it| &it.sources).map(|it| (it.peer.clone(), it.name.clone()));
    named.chain([(None, "*".to_owned())]).collect()
}

fn words((peer, name): &Caller, destination: &str) -> String {
    let who = match (name.as_str(), peer) {
        ("*", None) => "any other service".to_owned(),
        ("*", Some(peer)) => format!("any other service at peer {peer}"),
        (name, None) => name.to_owned(),
        (name, Some(peer)) => format!("{name} at peer {peer}"),
    };
    if destination == "*" { format!("{who} calls it") } else { format!("{who} calls {destination}") }
}

/// What is decided: by the destination's own intentions before those of any, and among them by an exact source
/// before any; else by the default policy.
fn decision(side: &Side<'_>, destination: &str, caller: &Caller) -> String {
    let intentions = &side.config.entries.intentions;
    let entries = [destination, "*"].into_iter().filter_map(|name| intentions.get(name));
    let found = entries.into_iter().find_map(|it| source(it, caller));
    let default = side.config.agent.default_policy;
    match found {
        None => word(default).to_owned(),
        Some(Source { action: Some(action), .. }) => word(*action).to_owned(),
        Some(Source { permissions, .. }) => {
            let rules: Vec<String> = permissions.iter().map(permission).collect();
            format!("{}; else {}", rules.join("; "), word(default))
        }
    }
}

fn source<'e>(entry: &'e ServiceIntentions, (peer, name): &Caller) -> Option<&'e Source> {
    let of = |wanted: &str| entry.sources.iter().find(|it| it.peer == *peer && it.name == wanted);
    of(name).or_else(|| of("*"))
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "allowed",
        Action::Deny => "denied",
    }
}

fn permission(it: &Permission) -> String {
    let route = Route { matches: Some(RouteMatch { http: it.http.clone() }), ..Route::default() };
    let mut text = format!("{} {}", describe::criteria(&route), word(it.action));
    if let Some(it) = &it.jwt {
        text.push_str(&format!(" with {}", jwt(it)));
    }
    text
}

fn jwt(it: &JwtRequirement) -> String {
    let provider = |it: &crate::entry::JwtProviderRequirement| {
        let claims = it.verify_claims.iter().map(|(path, value)| format!(" {}={value}", path.join(".")));
        format!("{}{}", it.name, claims.collect::<String>())
    };
    format!("a token of {}", it.providers.iter().map(provider).collect::<Vec<_>>().join(" or "))
}

//! Words for what is told: targets, treatment, times.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::chain::{NodeKey, describe};
use crate::duration::{self, Signed};
use crate::entry::{Destination, EmptyLeg, HeaderModifiers};
use crate::name::{Datacenter, Locus, TargetId};

/// A target as people call it: `v1 of web in dc2`, `web at peer east`.
pub(super) fn target(id: &TargetId, home: &Datacenter) -> String {
    let service = match &id.subset {
        Some(subset) => format!("{subset} of {}", id.service),
        None => id.service.to_string(),
    };
    match &id.locus {
        Locus::Peer(peer) => format!("{service} at peer {peer}"),
        Locus::Datacenter(datacenter) if datacenter == home => service,
        Locus::Datacenter(datacenter) => format!("{service} in {datacenter}"),
    }
}

/// A stage of a chain.
pub(super) fn stage(key: &NodeKey, home: &Datacenter) -> String {
    match key {
        NodeKey::Resolver(id) => target(id, home),
        NodeKey::Splitter(service) => format!("the splitter of {service}"),
        NodeKey::Router(service) => format!("the router of {service}"),
    }
}

/// What a route does to a request besides sending it somewhere; what is by default is not said.
pub(super) fn treatment(destination: Option<&Destination>) -> Vec<String> {
    let Some(it) = destination else { return Vec::new() };
    let mut all = Vec::new();
    all.extend(it.prefix_rewrite.as_ref().filter(|to| !to.is_empty()).map(|to| format!("rewritten to {to}")));
    all.extend(limit("within", it.request_timeout, 15));
    all.extend(limit("idle for", it.idle_timeout, 300));
    all.extend(retries(it));
    all.extend(headers("request", it.request_headers.as_ref()));
    all.extend(headers("response", it.response_headers.as_ref()));
    all
}

/// Unset and 0 are the default, negative is none.
fn limit(word: &str, written: Option<Signed>, default_seconds: i64) -> Option<String> {
    match written?.nanos {
        0 => None,
        ..0 => Some(format!("{word} any time")),
        nanos if nanos == default_seconds * 1_000_000_000 => None,
        nanos => Some(format!("{word} {}", duration::format(nanos))),
    }
}

fn retries(it: &Destination) -> Option<String> {
    let mut conditions: BTreeSet<String> = it.retry_on.iter().cloned().collect();
    if it.retry_on_connect_failure {
        conditions.insert("connect-failure".to_owned());
    }
    conditions.extend(it.retry_on_status_codes.iter().map(ToString::to_string));
    let times = it.num_retries.filter(|times| *times > 0).unwrap_or(1);
    let conditions: Vec<String> = conditions.into_iter().collect();
    (!conditions.is_empty()).then(|| format!("{times} retries on {}", conditions.join(", ")))
}

/// The changes to one side's headers, in the order in which they are made.
pub(super) fn headers(side: &str, modifiers: Option<&HeaderModifiers>) -> Option<String> {
    let it = modifiers?;
    let mut all: Vec<String> = it.remove.iter().map(|name| format!("-{name}")).collect();
    all.extend(it.set.iter().map(|(name, value)| format!("{name}={value}")));
    all.extend(it.add.iter().map(|(name, value)| format!("+{name}={value}")));
    (!all.is_empty()).then(|| format!("{side} headers {}", all.join(" ")))
}

/// What becomes of a request whose leg has no endpoint.
pub(super) fn empty_leg(rule: EmptyLeg) -> &'static str {
    match rule {
        EmptyLeg::Fail => "the request fails",
        EmptyLeg::Next => "the next leg takes it",
        EmptyLeg::Renormalise => "the other legs share it",
    }
}

pub(super) fn time(it: Duration) -> String {
    describe::time(it)
}

/// Those that are set, by name: `interval 5s, max_failures 3`.
pub(super) fn set<const N: usize>(named: [(&str, Option<String>); N]) -> Option<String> {
    let all: Vec<String> =
        named.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

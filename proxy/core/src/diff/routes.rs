//! Routes: which come, go, lead elsewhere, or change places with one that takes some of the same requests.
//!
//! Routes that never match are left out, so neither adding one nor moving one is a change.

use std::collections::HashMap;

use super::facts::{Change, Group, Subject};
use super::services::{chain_of, services};
use super::words;
use crate::chain::{Chain, ChainRoute, Node, describe};
use crate::lint::cover::{Criteria, Regexes};
use crate::lint::shadow::shadows;
use crate::load::Config;
use crate::name::{Datacenter, ServiceName, TrustDomain};

/// Pairs of routes that are looked at for having changed places; past so many, a move is told unproved.
const MOST_PAIRS: usize = 1_000_000;

pub(super) fn compare(old: &Config, new: &Config, trust_domain: &TrustDomain) -> Vec<Group> {
    let mut all: Vec<&ServiceName> = services(old).union(&services(new)).copied().collect();
    all.retain(|service| {
        let routed = |config: &Config| config.entries.routers.contains_key(*service);
        routed(old) || routed(new)
    });
    let group = |service: &ServiceName| {
        let (before, after) = (chain_of(old, trust_domain, service), chain_of(new, trust_domain, service));
        let (before, after) = (
            Routes::new(before.as_ref(), &old.agent.datacenter),
            Routes::new(after.as_ref(), &new.agent.datacenter),
        );
        Group { subject: Subject::Service, names: vec![service.to_string()], changes: before.compare(&after) }
    };
    all.into_iter().map(group).filter(|group| !group.changes.is_empty()).collect()
}

/// The routes of one chain that can match, in order.
struct Routes<'a>(Vec<Route<'a>>);

struct Route<'a> {
    /// What it takes, in words: the same for the same criteria.
    what: String,
    /// Where it leads and how.
    to: String,
    criteria: Criteria<'a>,
}

impl<'a> Routes<'a> {
    fn new(chain: Option<&'a Chain>, home: &Datacenter) -> Self {
        let node = chain.and_then(|chain| chain.nodes.get(&chain.start));
        let Some(Node::Router { routes }) = node else { return Self(Vec::new()) };
        let criteria = |route: &'a ChainRoute| {
            Criteria::new(route.definition.matches.as_ref().and_then(|it| it.http.as_ref()), None)
        };
        let rules: Vec<Criteria<'_>> = routes.iter().map(criteria).collect();
        let shadowed = shadows(&rules, &Regexes::default());
        let alive = routes.iter().zip(rules).zip(shadowed).filter(|(_, shadow)| shadow.is_none());
        let route = |((route, criteria), _): ((&'a ChainRoute, Criteria<'a>), _)| Route {
            what: if criteria.takes_all() {
                "route any request".to_owned()
            } else {
                format!("route {}", describe::criteria(&route.definition))
            },
            to: leads(route, home),
            criteria,
        };
        Self(alive.map(route).collect())
    }

    fn by_words(&self) -> HashMap<&str, usize> {
        self.0.iter().enumerate().rev().map(|(i, route)| (route.what.as_str(), i)).collect()
    }

    fn compare(&self, after: &Self) -> Vec<Change> {
        let (old, new) = (self.by_words(), after.by_words());
        let change = |what: &str, before: Option<&Route<'_>>, after: Option<&Route<'_>>| Change {
            what: what.to_owned(),
            before: before.map(|it| it.to.clone()),
            after: after.map(|it| it.to.clone()),
        };
        let mut changes = Vec::new();
        for route in &self.0 {
            let now = new.get(route.what.as_str()).map(|i| &after.0[*i]);
            if now.is_none_or(|now| now.to != route.to) {
                changes.push(change(&route.what, Some(route), now));
            }
        }
        for route in after.0.iter().filter(|it| !old.contains_key(it.what.as_str())) {
            changes.push(change(&route.what, None, Some(route)));
        }
        changes.extend(self.moves(after, &old));
        changes
    }

    /// Routes that now come before one that came before them, and share requests with it.
    fn moves(&self, after: &Self, old: &HashMap<&str, usize>) -> Vec<Change> {
        let common: Vec<(usize, &Route<'_>)> =
            after.0.iter().filter_map(|route| Some((*old.get(route.what.as_str())?, route))).collect();
        let regexes = Regexes::default();
        let stay = longest_ascending(&common.iter().map(|(before, _)| *before).collect::<Vec<_>>());
        let mut left = MOST_PAIRS;
        let mut changes = Vec::new();
        for (i, (before, route)) in common.iter().enumerate().filter(|(i, _)| !stay[*i]) {
            let overtaken = common.iter().enumerate().find(|(j, (other_before, other))| {
                let crossed = (i < *j) != (before < other_before) && i != *j;
                crossed && other.to != route.to && {
                    left = left.saturating_sub(1);
                    left == 0 || !route.criteria.disjoint(&other.criteria, &regexes)
                }
            });
            if let Some((j, (_, other))) = overtaken {
                let (was, is) = if i < j { ("after", "before") } else { ("before", "after") };
                changes.push(Change {
                    what: route.what.clone(),
                    before: Some(format!("{was} {}", other.what)),
                    after: Some(format!("{is} {}", other.what)),
                });
            }
        }
        changes
    }
}

/// Where a route leads, and what it does on the way.
fn leads(route: &ChainRoute, home: &Datacenter) -> String {
    let mut all = vec![format!("to {}", words::stage(&route.next, home))];
    all.extend(words::treatment(route.definition.destination.as_ref()));
    all.join(", ")
}

/// Which of `places` are in a longest run that ascends: the fewest others have moved.
fn longest_ascending(places: &[usize]) -> Vec<bool> {
    // By length of the run: where the one that ends lowest ends, and for each place what comes before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(places.len());
    for (i, place) in places.iter().enumerate() {
        let length = ends.partition_point(|end| places[*end] < *place);
        before.push(length.checked_sub(1).map(|at| ends[at]));
        if length == ends.len() {
            ends.push(i);
        } else {
            ends[length] = i;
        }
    }
    let mut stay = vec![false; places.len()];
    let mut at = ends.last().copied();
    while let Some(i) = at {
        stay[i] = true;
        at = before[i];
    }
    stay
}

//! Splitters that lead back to themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{ChainError, Node, NodeKey};
use crate::name::TargetId;

/// Refuses a circle; meeting a node twice on different paths is fine.
///
/// The last of several branches is walked first, as Consul does, so the same one of several circles is named.
pub(super) fn check(nodes: &BTreeMap<NodeKey, Node>, start: &NodeKey) -> Result<(), ChainError> {
    let mut path: Vec<(&NodeKey, Vec<&NodeKey>)> = vec![(start, branches(nodes, start))];
    let mut above = BTreeSet::from([start]);
    let mut done = BTreeSet::new();
    while let Some((key, to_walk)) = path.last_mut() {
        let key = *key;
        let Some(next) = to_walk.pop() else {
            above.remove(key);
            done.insert(key);
            path.pop();
            continue;
        };
        if above.contains(next) {
            return Err(circle(&path, key, next));
        }
        if !done.contains(next) {
            above.insert(next);
            path.push((next, branches(nodes, next)));
        }
    }
    Ok(())
}

fn branches<'a>(nodes: &'a BTreeMap<NodeKey, Node>, key: &NodeKey) -> Vec<&'a NodeKey> {
    nodes.get(key).map(|node| node.next().collect()).unwrap_or_default()
}

fn circle(path: &[(&NodeKey, Vec<&NodeKey>)], closing: &NodeKey, again: &NodeKey) -> ChainError {
    let path = path.iter().map(|(key, _)| (*key).clone()).chain([again.clone()]).collect();
    // Only a splitter can close a circle: nothing leads to a router, and a resolver leads nowhere.
    let (NodeKey::Splitter(by) | NodeKey::Router(by) | NodeKey::Resolver(TargetId { service: by, .. })) =
        closing;
    ChainError::Cycle { path, by: by.clone() }
}

//! Splitters behind splitters become one: weights multiplied, header rules merged.
//!
//! Consul rounds the product at each level, which a chain shows (`basis_points`) but which can lose or invent a
//! share. Requests are split by the exact product instead (`runtime_points`).

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use super::rules::{Collected, Opened};
use super::{ChainError, Leg, Node, NodeKey, SplitRules, WHOLE};
use crate::entry::{HeaderModifiers, Split};
use crate::name::ServiceName;

/// Splits that may be followed in one chain, those of inner splitters included: a bound on memory, for nested
/// splitters multiply. Ten times as many as can get a share of [`WHOLE`] in one splitter.
const LIMIT: usize = 100_000;

/// A share of [`ONE`], exact to eight levels of nesting and cut off at 32 decimal places below that.
type Share = u128;
const ONE: Share = 10_u128.pow(32);

/// Flattens the splitters that a request meets first. Those behind them stay as they are: nothing leads to them
/// any more.
pub(super) fn flatten(
    nodes: &mut BTreeMap<NodeKey, Node>,
    start: &NodeKey,
    chain: &ServiceName,
) -> Result<(), ChainError> {
    let first: BTreeSet<NodeKey> = match nodes.get(start) {
        Some(router @ Node::Router { .. }) => router.next().cloned().collect(),
        _ => [start.clone()].into(),
    };
    let mut left = LIMIT;
    let mut flat = Vec::new();
    for key in &first {
        let NodeKey::Splitter(splitter) = key else { continue };
        let too_many =
            || ChainError::TooManySplits { chain: chain.clone(), splitter: splitter.clone(), limit: LIMIT };
        flat.push((key, flat_legs(nodes, key, &mut left).ok_or_else(too_many)?));
    }
    for (key, (flat, collected)) in flat {
        if let Some(Node::Splitter { legs, rules, .. }) = nodes.get_mut(key) {
            *legs = flat;
            collected.put_into(rules);
        }
    }
    Ok(())
}

/// The legs of a splitter with its inner splitters' in their place, and what all of them say beyond Consul; None when
/// that takes more than `left`.
fn flat_legs(
    nodes: &BTreeMap<NodeKey, Node>,
    splitter: &NodeKey,
    left: &mut usize,
) -> Option<(Vec<Leg>, Collected)> {
    let (mut flat, mut shares, mut collected) = (Vec::new(), Vec::new(), Collected::default());
    let (service, legs, rules) = splitter_at(nodes, splitter)?;
    let opened = collected.open(service, rules, None, 0);
    let mut levels = vec![Level { service, legs: legs.iter(), outer: Outer::default(), opened }];
    while let Some(level) = levels.last_mut() {
        let Some(leg) = level.legs.next() else {
            if let Some(closed) = levels.pop() {
                collected.close(closed.opened, levels.last().map(|outer| outer.opened), flat.len());
            }
            continue;
        };
        *left = left.checked_sub(1)?;
        let inner = level.outer.with(leg);
        let opened = level.opened;
        if let Some((service, legs, rules)) = splitter_at(nodes, &leg.next) {
            let inside = collected.open(service, rules, opened.choice, flat.len());
            collected.branch(opened, leg, level.service, flat.len(), inside.choice);
            levels.push(Level { service, legs: legs.iter(), outer: inner, opened: inside });
            continue;
        }
        collected.branch(opened, leg, level.service, flat.len(), None);
        shares.push(inner.share);
        flat.push(Leg {
            definition: Split {
                request_headers: inner.request_headers,
                response_headers: inner.response_headers,
                ..leg.definition.clone()
            },
            basis_points: inner.basis_points,
            runtime_points: 0,
            next: leg.next.clone(),
        });
    }
    for (leg, points) in flat.iter_mut().zip(apportion(&shares)) {
        leg.runtime_points = points;
    }
    Some((flat, collected))
}

fn splitter_at<'a>(
    nodes: &'a BTreeMap<NodeKey, Node>,
    key: &'a NodeKey,
) -> Option<(&'a ServiceName, &'a [Leg], &'a SplitRules)> {
    match (key, nodes.get(key)) {
        (NodeKey::Splitter(service), Some(Node::Splitter { legs, rules, .. })) => {
            Some((service, legs, rules))
        }
        _ => None,
    }
}

/// A splitter being flattened: the legs still to come, and what those above it say.
struct Level<'a> {
    service: &'a ServiceName,
    legs: slice::Iter<'a, Leg>,
    outer: Outer,
    opened: Opened,
}

/// What all splits on the way to a leg amount to.
struct Outer {
    basis_points: u32,
    share: Share,
    request_headers: Option<HeaderModifiers>,
    response_headers: Option<HeaderModifiers>,
}

impl Default for Outer {
    fn default() -> Self {
        Self { basis_points: WHOLE, share: ONE, request_headers: None, response_headers: None }
    }
}

impl Outer {
    /// Of what both change, the inner split has the last word in requests, the outer one in responses.
    fn with(&self, leg: &Leg) -> Self {
        let (request, response) = (&leg.definition.request_headers, &leg.definition.response_headers);
        Self {
            basis_points: product(self.basis_points, leg.basis_points),
            share: self.share * Share::from(leg.basis_points.min(WHOLE)) / Share::from(WHOLE),
            request_headers: merge(self.request_headers.as_ref(), request.as_ref()),
            response_headers: merge(response.as_ref(), self.response_headers.as_ref()),
        }
    }
}

/// outer × inner / 100 in per cent, to 0.01, halves up.
fn product(outer: u32, inner: u32) -> u32 {
    let whole = u64::from(WHOLE);
    u32::try_from((u64::from(outer) * u64::from(inner) + whole / 2) / whole).unwrap_or(u32::MAX)
}

fn merge(base: Option<&HeaderModifiers>, last: Option<&HeaderModifiers>) -> Option<HeaderModifiers> {
    let says = |it: &&HeaderModifiers| !(it.add.is_empty() && it.set.is_empty() && it.remove.is_empty());
    let (Some(base), Some(last)) = (base.filter(says), last.filter(says)) else {
        return base.filter(says).or(last.filter(says)).or(last).or(base).cloned();
    };
    let mut merged = base.clone();
    merged.add.extend(last.add.clone());
    merged.set.extend(last.set.clone());
    merged.remove.clear();
    for name in base.remove.iter().chain(&last.remove) {
        if !merged.remove.contains(name) {
            merged.remove.push(name.clone());
        }
    }
    Some(merged)
}

/// [`WHOLE`] in proportion to `shares`, by largest remainder; of equal remainders the earlier share's comes
/// first. All 0 when the shares are.
fn apportion(shares: &[Share]) -> Vec<u32> {
    let total: Share = shares.iter().sum();
    if total == 0 {
        return vec![0; shares.len()];
    }
    let whole = Share::from(WHOLE);
    let floor = |share: &Share| u32::try_from(share * whole / total).unwrap_or(WHOLE);
    let mut points: Vec<u32> = shares.iter().map(floor).collect();
    let missing = WHOLE.saturating_sub(points.iter().sum()) as usize;
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(shares[i] * whole % total));
    for i in by_remainder.into_iter().take(missing) {
        points[i] += 1;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_always_add_up_and_stray_by_less_than_one_point() {
        for (shares, points) in [
            (&[1, 1][..], &[5_000, 5_000][..]),
            (&[1, 1, 1], &[3_334, 3_333, 3_333]),
            (&[0, 7], &[0, 10_000]),
            (&[ONE, ONE / 3, 1], &[7_500, 2_500, 0]),
            (&[2, 2, 2, 1], &[2_857, 2_857, 2_857, 1_429]),
            (&[0, 0], &[0, 0]),
            (&[], &[]),
        ] {
            assert_eq!(apportion(shares), points, "{shares:?}");
        }
    }

    #[test]
    fn a_product_is_rounded_to_a_hundredth_with_halves_up() {
        for (outer, inner, rounded) in [
            (5_000, 5_000, 2_500),
            (3_333, 5_000, 1_667),
            (1, 4_999, 0),
            (1, 5_000, 1),
            (10_000, 3_333, 3_333),
        ] {
            assert_eq!(product(outer, inner), rounded, "{outer} of {inner}");
        }
        assert_eq!(product(u32::MAX, u32::MAX), u32::MAX);
    }
}

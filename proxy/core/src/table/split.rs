//! A splitter's legs, and which of them the next request takes.
//!
//! Shares are kept exactly, not on average: a counter steps through a fixed permutation of all 10,000 hundredths
//! of a per cent, so any 10,000 requests in a row visit each once. One atomic addition a request; no lock, no
//! dice, no allocation.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::sticky::{Choices, Chosen};
use super::{LegHeaders, Request};
use crate::Draw;
use crate::chain::{Scope, SplitRules, WHOLE};
use crate::entry::EmptyLeg;
use crate::pick::Resolver;

/// A step of 6,181 visits all 10,000 points, for they have no common factor, and spreads any run of them evenly:
/// it is near 10,000 over the golden ratio, and of all steps this size none has a continued fraction with smaller
/// terms. (6,180.34 would be the ratio itself; 6,179 and 6,187 have terms of 17 and 9.)
const STRIDE: u64 = 6_181;

/// No request has come yet.
const NOT_STARTED: u64 = u64::MAX;

/// A splitter's legs as cumulative weights, so that a point is found by a search.
#[derive(Debug)]
pub struct Split {
    /// Ascending by `up_to`; the last leg's is [`WHOLE`], so every point lands on a leg.
    legs: Box<[Leg]>,
    /// Picks so far, plus where they began. `Relaxed`: every pick gets a number of its own, which is all that
    /// counts.
    count: AtomicU64,
    /// The same for requests whose leg had no endpoint.
    detours: AtomicU64,
    sticky: Option<Choices>,
    /// Where a rule for empty legs is in force, each before those inside it.
    scopes: Box<[Scope]>,
}

/// One weighted branch.
#[derive(Debug)]
pub struct Leg {
    /// The first point that is no longer this leg's.
    up_to: u32,
    /// Hundredths of a per cent of the requests.
    pub points: u32,
    /// Changes to headers.
    pub headers: LegHeaders,
    /// Where its requests go.
    pub resolver: Arc<Resolver>,
}

impl Split {
    /// A splitter of at least one leg, each a weight in hundredths of a per cent with what it leads to. Weights
    /// sum to [`WHOLE`]; what they lack is the last leg's, what they exceed is cut off.
    pub fn new(legs: impl IntoIterator<Item = (u32, LegHeaders, Arc<Resolver>)>) -> Self {
        let mut sum = 0;
        let leg = |(weight, headers, resolver)| {
            let points = u32::min(weight, WHOLE - sum);
            sum += points;
            Leg { up_to: sum, points, headers, resolver }
        };
        let mut legs: Box<[Leg]> = legs.into_iter().map(leg).collect();
        if let Some(last) = legs.last_mut() {
            last.points += WHOLE - last.up_to;
            last.up_to = WHOLE;
        }
        let (count, detours) = (AtomicU64::new(NOT_STARTED), AtomicU64::new(0));
        Self { legs, count, detours, sticky: None, scopes: Box::default() }
    }

    /// The same with what the splitter says beyond Consul about its legs.
    #[must_use]
    pub fn with_rules(mut self, rules: &SplitRules) -> Self {
        self.sticky = Choices::compile(&rules.choices);
        self.scopes = rules.scopes.as_slice().into();
        self
    }

    /// The leg of a request: the one that something in it sticks to, else the one whose `turn` it is.
    pub(super) fn leg(
        &self,
        request: Option<&Request<'_>>,
        cookies: &mut Vec<String>,
        turn: impl FnOnce(&Self) -> usize,
    ) -> Chosen {
        let (Some(sticky), Some(request)) = (&self.sticky, request) else {
            return Chosen { leg: turn(self), sticky: false };
        };
        let mut taken = None;
        let take = || Some(*taken.insert(turn(self)));
        let chosen = sticky.choose(self.legs.len(), request, cookies, take, |_| true);
        // Some leg has a weight, so there is always one that wins.
        chosen.unwrap_or(Chosen { leg: taken.unwrap_or_default(), sticky: false })
    }

    /// The leg of a request whose leg `from` has no endpoint, among those that are `open`: by the innermost rule that
    /// leads to one. None where a rule says that it fails, as it does without any. `turn` says whose turn it is among
    /// legs that share what has nothing to stick to: [`Self::next_among`], or for `explain` what counts nothing.
    pub(super) fn instead(
        &self,
        from: usize,
        request: &Request<'_>,
        cookies: &mut Vec<String>,
        open: impl Fn(usize) -> bool,
        turn: impl Fn(&Self, &dyn Fn(usize) -> bool) -> Option<usize>,
    ) -> Option<Chosen> {
        let scopes = self.scopes.iter().rev().filter(|scope| scope.legs.contains(&from));
        let mut ruling = scopes.take_while(|scope| scope.rule != EmptyLeg::Fail);
        ruling.find_map(|Scope { legs, rule }| {
            let inside = |leg: usize| legs.contains(&leg) && self.legs[leg].points > 0 && open(leg);
            match (rule, &self.sticky) {
                (EmptyLeg::Fail, _) => None,
                (EmptyLeg::Next, _) => {
                    let leg = (from + 1..legs.end).chain(legs.start..from).find(|leg| inside(*leg))?;
                    Some(Chosen { leg, sticky: false })
                }
                (EmptyLeg::Renormalise, None) => Some(Chosen { leg: turn(self, &inside)?, sticky: false }),
                (EmptyLeg::Renormalise, Some(sticky)) => {
                    sticky.choose(self.legs.len(), request, cookies, || turn(self, &inside), inside)
                }
            }
        })
    }

    /// The next in turn among some legs, each as often as its weight makes it.
    pub(super) fn next_among(&self, open: impl Fn(usize) -> bool) -> Option<usize> {
        let legs = || self.legs.iter().enumerate().filter(|(index, _)| open(*index));
        let sum: u64 = legs().map(|(_, leg)| u64::from(leg.points)).sum();
        let whole = u64::from(WHOLE);
        let turn = self.detours.fetch_add(1, Relaxed) % whole * STRIDE % whole;
        let mut left = turn * sum / whole;
        legs().find_map(|(index, leg)| match left.checked_sub(leg.points.into()) {
            None => Some(index),
            Some(rest) => {
                left = rest;
                None
            }
        })
    }

    /// The leg of the next request, by index. `draw` says where the first begins, so that tables which are
    /// replaced after a few requests favour no leg.
    pub fn next(&self, draw: Draw) -> usize {
        if self.count.load(Relaxed) == NOT_STARTED {
            // Whoever comes first sets it; for the others it is set.
            let _ = self.count.compare_exchange(NOT_STARTED, draw.0 % u64::from(WHOLE), Relaxed, Relaxed);
        }
        let whole = u64::from(WHOLE);
        let point = self.count.fetch_add(1, Relaxed) % whole * STRIDE % whole;
        self.at(point as u32)
    }

    /// The leg at a point of [`WHOLE`], by index: what [`Self::next`] says, without counting.
    pub fn at(&self, point: u32) -> usize {
        self.legs.partition_point(|leg| leg.up_to <= point).min(self.legs.len().saturating_sub(1))
    }

    /// The legs as the splitter lists them.
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(weights: &[u32]) -> Split {
        let resolver = || Arc::new(Resolver { targets: Box::new([]), request_timeout: None });
        Split::new(weights.iter().map(|weight| (*weight, LegHeaders::default(), resolver())))
    }

    fn check(weights: &[u32], expected: &[(u32, usize)]) {
        for (point, leg) in expected {
            assert_eq!(split(weights).at(*point), *leg, "{weights:?} at {point}");
        }
    }

    #[test]
    fn a_point_on_a_boundary_belongs_to_the_next_leg() {
        check(&[9_000, 1_000], &[(0, 0), (8_999, 0), (9_000, 1), (9_999, 1)]);
        check(&[10_000, 0], &[(9_999, 0)]);
        check(&[0, 10_000], &[(0, 1)]);
    }

    #[test]
    fn every_point_lands_on_a_leg_whatever_the_weights() {
        check(&[3_333, 3_333, 3_333], &[(9_998, 2), (9_999, 2)]);
        check(&[9_999, 2], &[(9_998, 0), (9_999, 1)]);
        check(&[0, 0], &[(0, 1), (9_999, 1)]);
        check(&[u32::MAX, u32::MAX], &[(9_999, 0)]);
    }

    #[test]
    fn any_ten_thousand_picks_in_a_row_hit_the_shares_exactly() {
        for weights in
            [&[5_000, 5_000][..], &[9_999, 1], &[1, 9_998, 1], &[3_334, 3_333, 3_333], &[100; 100], &[10_000]]
        {
            let split = split(weights);
            let picks: Vec<usize> = (0..25_000).map(|_| split.next(Draw(4_711))).collect();
            let mut counts = vec![0_u32; weights.len()];
            picks[..10_000].iter().for_each(|leg| counts[*leg] += 1);
            for (left, entered) in picks.iter().zip(&picks[10_000..]) {
                assert_eq!(counts, weights);
                counts[*left] -= 1;
                counts[*entered] += 1;
            }
        }
    }

    #[test]
    fn shorter_runs_stay_close_to_the_shares() {
        for weight in [5_000, 1_000, 100] {
            let split = split(&[weight, WHOLE - weight]);
            let picks: Vec<usize> = (0..20_000).map(|_| split.next(Draw(0))).collect();
            for length in [10, 100, 1_000] {
                let expected = f64::from(weight) / f64::from(WHOLE) * length as f64;
                for run in picks.windows(length) {
                    let got = run.iter().filter(|leg| **leg == 0).count() as f64;
                    assert!((got - expected).abs() <= 3.0, "{got} of {length}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn concurrent_picks_are_exact_too() {
        let split = split(&[1_234, 8_766]);
        let first = std::thread::scope(|scope| {
            let work = || (0..2_500).filter(|n| split.next(Draw(*n)) == 0).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum::<usize>()
        });
        assert_eq!(first, 1_234);
    }
}

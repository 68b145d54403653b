//! What keeps a request on its leg (`Sticky` of a splitter): weighted rendezvous hashing.
//!
//! Every leg draws a waiting time by the request's value, and the leg with the shortest wait for its weight has the
//! request:
//!
//! - `value` = [`hash`] of the header, cookie or query parameter as sent (a cookie without its quotes), of the caller's
//!   SPIFFE id, or of the source address's 4 or 16 bytes;
//! - `seed` of a leg = [`hash`] of `SPLITTER/KEY`, with the key of [`crate::chain::Branch`];
//! - `wait` = −log₂ of [`mix`]`(value ^ seed)` as a fraction of 2⁶⁴, in units of 2⁻²⁴ ([`wait`]);
//! - the leg with the least `wait / weight` wins; of two that are equal, the one with the lower seed.
//!
//! All of it is integer arithmetic on what the entry and the request say, so every process, machine and cluster agrees on
//! every value, wherever a leg stands in the list; splitters of different names, that is experiments, do not
//! correlate. The waits are exponentially distributed, so each leg gets its share. They do not depend on weights:
//! a leg whose weight grows, while no other's does, keeps everyone it had and wins some more. (With two legs that is
//! every change. With more, no rule can promise it to several legs that grow at once: who leaves the one that shrinks
//! would have to be the same whichever of them grew.) A leg of weight 0 gets nobody.
//!
//! Splitters behind splitters choose one after the other, see [`crate::chain::SplitRules`].

use std::ops::Range;

use super::Request;
use super::hash::Source;
use crate::chain;
use crate::pick::{hash, mix};

/// The choices of a flattened splitter, each before those behind it; at least one.
#[derive(Debug)]
pub(super) struct Choices(Box<[Choice]>);

#[derive(Debug)]
struct Choice {
    by: Box<[Source]>,
    branches: Box<[Branch]>,
    /// The flattened legs that it leads to.
    legs: Range<usize>,
}

#[derive(Debug)]
struct Branch {
    seed: u64,
    weight: u64,
    legs: Range<usize>,
    inside: Option<usize>,
}

/// What became of a request that may be sticky.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Chosen {
    /// Its leg, by index.
    pub(super) leg: usize,
    /// Whether something that it carries had a say.
    pub(super) sticky: bool,
}

impl Choices {
    /// None when no splitter chooses by what a request carries.
    pub(super) fn compile(written: &[chain::Choice]) -> Option<Self> {
        let choices: Box<[Choice]> = written.iter().map(Choice::compile).collect();
        (!choices.is_empty()).then_some(Self(choices))
    }

    /// The leg of a request, among those that are `open`; `turn` is whose turn it is among them. A request that carries
    /// nothing of what is asked for takes turns like any other.
    ///
    /// `all` is how many legs there are. Cookies that had to be made are added to `cookies`.
    pub(super) fn choose(
        &self,
        all: usize,
        request: &Request<'_>,
        cookies: &mut Vec<String>,
        turn: impl FnOnce() -> Option<usize>,
        open: impl Fn(usize) -> bool,
    ) -> Option<Chosen> {
        let mut turn = Some(turn);
        let mut taken = None;
        for (index, choice) in self.0.iter().enumerate() {
            // Only what a turn leads to has a say, but the turn of one that has all legs need not be taken: turns are
            // for those that nothing keeps.
            if choice.legs != (0..all) {
                if let Some(turn) = turn.take() {
                    taken = Some(turn()?);
                }
                if taken.is_none_or(|leg| !choice.legs.contains(&leg)) {
                    continue;
                }
            }
            if let Some(value) = choice.value(request, cookies) {
                let leg = self.descend(index, value, request, cookies, &open)?;
                return Some(Chosen { leg, sticky: true });
            }
        }
        let leg = match (taken, turn) {
            (Some(leg), _) => leg,
            (None, Some(turn)) => turn()?,
            (None, None) => return None,
        };
        Some(Chosen { leg, sticky: false })
    }

    /// From a choice, for which the request has `value`, through those behind it.
    fn descend(
        &self,
        from: usize,
        value: u64,
        request: &Request<'_>,
        cookies: &mut Vec<String>,
        open: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let (mut choice, mut value) = (self.0.get(from)?, value);
        loop {
            let branch = choice.winner(value, open)?;
            let Some(inside) = branch.inside else { return Some(branch.legs.start) };
            choice = self.0.get(inside)?;
            value = choice.value(request, cookies).unwrap_or(value);
        }
    }
}

impl Choice {
    fn compile(written: &chain::Choice) -> Self {
        let branch = |branch: &chain::Branch| Branch {
            seed: hash(format!("{}/{}", written.splitter, branch.key).as_bytes()),
            weight: branch.basis_points.into(),
            legs: branch.legs.clone(),
            inside: branch.inside,
        };
        Self {
            by: written.by.iter().map(Source::sticky).collect(),
            branches: written.branches.iter().map(branch).collect(),
            legs: written.legs.clone(),
        }
    }

    /// The hash of the first of `Sticky` that the request has.
    fn value(&self, request: &Request<'_>, cookies: &mut Vec<String>) -> Option<u64> {
        self.by.iter().find_map(|source| source.hash(request, cookies))
    }

    /// The branch that has the value, of those with a weight and an open leg.
    fn winner(&self, value: u64, open: &impl Fn(usize) -> bool) -> Option<&Branch> {
        let runs = |branch: &&Branch| branch.weight > 0 && branch.legs.clone().any(open);
        let running =
            self.branches.iter().filter(runs).map(|branch| (wait(mix(value ^ branch.seed)), branch));
        let first = running.min_by(|(a, one), (b, other)| {
            (a * other.weight).cmp(&(b * one.weight)).then(one.seed.cmp(&other.seed))
        });
        first.map(|(_, branch)| branch)
    }
}

/// Bits behind the binary point of a wait: enough that a leg of 0.01 % gets its share to a thousandth part.
const FRACTION: u32 = 24;

/// −log₂(`random` / 2⁶⁴) in units of 2⁻²⁴, from 1 to 2³⁰: the bits of a logarithm by repeated squaring.
fn wait(random: u64) -> u64 {
    let random = random | 1;
    let zeros = random.leading_zeros();
    // From 1 to 2, with 63 bits behind the point.
    let mut mantissa = random << zeros;
    let mut fraction = 0;
    for _ in 0..FRACTION {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let bit = (square >> 64) as u64;
        mantissa = (square >> bit) as u64;
        fraction = fraction << 1 | bit;
    }
    (u64::from(zeros + 1) << FRACTION) - fraction
}

#[cfg(test)]
mod tests;

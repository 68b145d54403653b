//! Which of a target's endpoints: least loaded or quickest of a few, at random, in turn, or by a request's hash.
//!
//! Every policy looks at a few endpoints as a rule, hash excepted, and at all of them only when those few have
//! nothing to offer. An endpoint whose probe is due is taken when a policy comes across it. One that returned a moment
//! ago has nothing to offer to some of the requests, the same ones whoever asks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::{Target, Tried};
use crate::endpoint::Endpoint;
use crate::entry::LoadBalancer;
use crate::outlier::{Availability, Outlier};
use crate::{Draw, Tick};

/// How a target's endpoints are chosen (`LoadBalancer.Policy`).
#[derive(Debug)]
pub enum Balance {
    /// The least loaded of so many drawn ones: `least_request`, and what holds when nothing is said.
    LeastRequest {
        /// At least 2.
        choices: u32,
    },
    /// `peak_ewma`, beyond Consul: of two drawn ones that where a request costs less, as far as their latencies tell.
    PeakEwma,
    /// `random`
    Random,
    /// `round_robin`: picks so far. `Relaxed`, for each pick needs a number of its own and nothing else.
    RoundRobin(AtomicU64),
    /// `ring_hash` and `maglev`: the endpoint that ranks highest for a request's hash (rendezvous hashing). It moves
    /// no more requests than it must when endpoints come and go, as a ring does, and needs no table. A request
    /// without a hash goes anywhere.
    Hash(Seeds),
}

/// A number for each endpoint that depends on its address alone, so that every process ranks alike.
#[derive(Debug)]
pub struct Seeds(Box<[u64]>);

/// The most endpoints that `least_request` compares; more would only cost.
const MOST_CHOICES: u32 = 16;

/// How often `random` draws before it looks at all endpoints.
const MOST_DRAWS: u32 = 4;

impl Default for Balance {
    fn default() -> Self {
        Self::LeastRequest { choices: 2 }
    }
}

impl Balance {
    /// As the entry says, for these endpoints.
    pub fn compile(written: Option<&LoadBalancer>, endpoints: &[Arc<Endpoint>]) -> Self {
        let Some(written) = written else { return Self::default() };
        match written.policy.as_str() {
            "peak_ewma" => Self::PeakEwma,
            "random" => Self::Random,
            "round_robin" => Self::RoundRobin(AtomicU64::new(0)),
            "ring_hash" | "maglev" => Self::Hash(Seeds::new(endpoints)),
            _ => {
                let config = written.least_request_config.as_ref();
                let choices = config.and_then(|config| config.choice_count).unwrap_or(2);
                Self::LeastRequest { choices: choices.clamp(2, MOST_CHOICES) }
            }
        }
    }

    /// The policy's name. Both that go by hash do the same: they are called by the first.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeastRequest { .. } => "least_request",
            Self::PeakEwma => "peak_ewma",
            Self::Random => "random",
            Self::RoundRobin(_) => "round_robin",
            Self::Hash(_) => "ring_hash",
        }
    }
}

impl Seeds {
    fn new(endpoints: &[Arc<Endpoint>]) -> Self {
        Self(endpoints.iter().map(|endpoint| hash(endpoint.address.to_string().as_bytes())).collect())
    }
}

/// The weights of a target's endpoints. They are the target's, not the endpoints', so that a change of weight
/// takes effect with the generation that brings it.
#[derive(Debug, Default)]
pub struct Weights {
    /// Ascending sums, one an endpoint; empty when all weigh the same.
    up_to: Box<[u64]>,
}

impl Weights {
    /// `weights` in the order of the endpoints; none may be 0.
    pub fn new(weights: &[u32]) -> Self {
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::default();
        }
        let mut sum = 0;
        let add = |weight: &u32| {
            sum += u64::from(*weight);
            sum
        };
        Self { up_to: weights.iter().map(add).collect() }
    }

    /// The weight of one endpoint.
    pub fn of(&self, index: usize) -> u64 {
        match index.checked_sub(1).and_then(|before| self.up_to.get(before)) {
            Some(before) => self.up_to.get(index).map_or(1, |sum| sum - before),
            None => self.up_to.first().copied().unwrap_or(1),
        }
    }

    fn are_even(&self) -> bool {
        self.up_to.is_empty()
    }

    /// One of `len` endpoints, each as likely as its weight makes it.
    fn sample(&self, len: usize, draw: u64) -> usize {
        match self.up_to.last() {
            Some(&sum) => {
                let point = scale(draw, sum);
                self.up_to.partition_point(|up_to| *up_to <= point)
            }
            None => scale_index(draw, len),
        }
    }
}

/// What endpoints do that are held down or whose share still grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Returning {
    /// They leave to others what is not yet theirs.
    Yield,
    /// They serve like any other: there is nobody else.
    Serve,
}

impl Target {
    /// An available, untried endpoint of this target, or one to probe.
    pub(super) fn pick(
        &self,
        hash: Option<u64>,
        tried: &Tried,
        draw: Draw,
        now: Tick,
        returning: Returning,
    ) -> Option<&Arc<Endpoint>> {
        let luck = match &self.balance {
            Balance::Hash(_) => hash.unwrap_or(draw.0),
            _ => draw.0,
        };
        let asked = Asked { target: self, tried, now, returning, luck };
        let index = match (self.endpoints.len(), &self.balance, hash) {
            (0, _, _) => None,
            (1, _, _) => (asked.offer(0) != Offer::None).then_some(0),
            (_, Balance::LeastRequest { choices }, _) => asked.least_loaded(*choices, draw),
            (_, Balance::PeakEwma, _) => asked.least_loaded(2, draw),
            (_, Balance::RoundRobin(count), _) => asked.in_turn(count),
            (_, Balance::Hash(seeds), Some(hash)) => asked.by_hash(seeds, hash),
            (_, Balance::Random | Balance::Hash(_), _) => asked.at_random(draw),
        }?;
        self.endpoints.get(index)
    }
}

/// What an endpoint has to offer to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Offer {
    /// Nothing: out, tried, or being probed by another.
    None,
    /// A share of the traffic.
    Share,
    /// The probe, which the request has now claimed: it must take it.
    Probe,
}

/// A target of at least one endpoint, asked by one request.
#[derive(Clone, Copy)]
struct Asked<'a> {
    target: &'a Target,
    tried: &'a Tried,
    now: Tick,
    returning: Returning,
    /// What decides whether an endpoint whose share grows takes the request: its draw, or its hash, so that a share that
    /// grows only adds to the hashes that it has.
    luck: u64,
}

impl Asked<'_> {
    fn len(self) -> usize {
        self.target.endpoints.len()
    }

    fn offer(self, index: usize) -> Offer {
        match self.unclaimed(index) {
            Offer::Probe if !self.target.endpoints[index].claim_probe(self.now) => Offer::None,
            offer => offer,
        }
    }

    /// The same, but a probe is not claimed yet.
    fn unclaimed(self, index: usize) -> Offer {
        let endpoint = &self.target.endpoints[index];
        let outlier = endpoint.outlier();
        let serves = || match self.returning {
            Returning::Yield => self.is_lucky(outlier.share(self.now, self.target.outlier.ramp)),
            Returning::Serve => true,
        };
        match outlier.available(self.now) {
            _ if self.tried.contains(endpoint) => Offer::None,
            Availability::Yes if serves() => Offer::Share,
            Availability::Held if self.returning == Returning::Serve => Offer::Share,
            Availability::MayProbe => Offer::Probe,
            Availability::Yes | Availability::Held | Availability::No => Offer::None,
        }
    }

    /// Whether this request is one of a share. All endpoints that have the same share agree on it: a target all of
    /// whose endpoints return together gets no more than that.
    fn is_lucky(self, share: u32) -> bool {
        // Not the bits that choose between endpoints.
        share >= Outlier::WHOLE || mix(!self.luck) >> 48 < u64::from(share)
    }

    /// The least loaded of `choices` endpoints drawn by weight, no two in a row the same.
    fn least_loaded(self, choices: u32, draw: Draw) -> Option<usize> {
        let (mut dice, mut last, mut best) = (mix(draw.0), None, None);
        for _ in 0..choices {
            let drawn = self.target.weights.sample(self.len(), dice);
            let index = if last == Some(drawn) { (drawn + 1) % self.len() } else { drawn };
            (dice, last) = (mix(dice), Some(index));
            match self.offer(index) {
                Offer::Probe => return Some(index),
                Offer::Share => best = Some(best.map_or(index, |best| self.less_loaded(best, index))),
                Offer::None => {}
            }
        }
        best.or_else(|| self.scan(last.unwrap_or_default()))
    }

    fn at_random(self, draw: Draw) -> Option<usize> {
        let mut dice = draw.0;
        let mut draws = (0..MOST_DRAWS).map(|_| {
            dice = mix(dice);
            self.target.weights.sample(self.len(), dice)
        });
        draws
            .find(|index| self.offer(*index) != Offer::None)
            .or_else(|| self.scan(scale_index(dice, self.len())))
    }

    /// The next in turn that has something to offer. Each that has not takes its turn and passes, so that what it
    /// lacks is spread over the others.
    fn in_turn(self, count: &AtomicU64) -> Option<usize> {
        let mut turns = (0..self.len()).map(|_| {
            let turn = count.fetch_add(1, Relaxed);
            if self.target.weights.are_even() {
                return (turn % self.len() as u64) as usize;
            }
            // Steps of the golden ratio spread turns as evenly as weights allow.
            self.target.weights.sample(self.len(), turn.wrapping_mul(GOLDEN))
        });
        turns.find(|index| self.offer(*index) != Offer::None).or_else(|| self.scan(0))
    }

    /// The highest ranking endpoint that has something to offer.
    fn by_hash(self, seeds: &Seeds, hash: u64) -> Option<usize> {
        let candidate = |wanted: fn(Offer) -> bool| {
            let fit = |index: &usize| wanted(self.unclaimed(*index));
            let rank = |index: &usize| self.rank(seeds, *index, hash);
            (0..self.len()).filter(fit).max_by(|a, b| rank(a).total_cmp(&rank(b)))
        };
        let best = candidate(|offer| offer != Offer::None)?;
        match self.offer(best) {
            Offer::Share | Offer::Probe => Some(best),
            // Another request has claimed the probe.
            Offer::None => candidate(|offer| offer == Offer::Share),
        }
    }

    /// How high an endpoint ranks for `hash`: a random number from 0 to 1 to the power of 1 / weight, as logarithm.
    fn rank(self, seeds: &Seeds, index: usize, hash: u64) -> f64 {
        let random = mix(hash ^ seeds.0.get(index).copied().unwrap_or_default());
        let unit = ((random >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        unit.ln() / self.target.weights.of(index) as f64
    }

    /// Looks at all endpoints, from `start` on, until there is one to probe or there are two to choose from.
    fn scan(self, start: usize) -> Option<usize> {
        let mut found = None;
        for index in (start..self.len()).chain(0..start) {
            match (self.offer(index), found) {
                (Offer::Probe, _) => return Some(index),
                (Offer::None, _) => {}
                (Offer::Share, None) => found = Some(index),
                (Offer::Share, Some(other)) => return Some(self.less_loaded(other, index)),
            }
        }
        found
    }

    /// The one with fewer requests in flight for its weight; `a` when they are level, so that an idle target's shares
    /// are those of the draw.
    fn less_loaded(self, a: usize, b: usize) -> usize {
        let Target { endpoints, weights, balance, .. } = self.target;
        if matches!(balance, Balance::PeakEwma) {
            // What an endpoint can bear shows in its latency: weights count in the draw alone, which decides between
            // costs that are level within a quarter.
            let cost = |one: usize| endpoints[one].cost(self.now);
            return if cost(b) < cost(a) / 5 * 4 { b } else { a };
        }
        let load = |one: usize, other: usize| {
            u64::from(endpoints[one].in_flight()).saturating_mul(weights.of(other))
        };
        if load(b, a) < load(a, b) { b } else { a }
    }
}

/// 2^64 over the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads a draw over all 64 bits, so that a caller's poor dice (a counter, say) still pick evenly: the
/// finalizer of SplitMix64.
pub(crate) fn mix(draw: u64) -> u64 {
    let z = draw.wrapping_add(GOLDEN);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A hash that is the same in every process and version: FNV-1a, spread.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// `draw` brought down to `0..end` without a division: the high word of the product.
fn scale(draw: u64, end: u64) -> u64 {
    ((u128::from(draw) * u128::from(end)) >> 64) as u64
}

fn scale_index(draw: u64, len: usize) -> usize {
    scale(draw, len as u64) as usize
}

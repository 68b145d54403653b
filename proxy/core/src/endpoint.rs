//! An endpoint: an address that a target offers, with its health and load in atomics.
//!
//! Requests on all workers write here; nobody locks. An endpoint outlives the generation that made it:
//! [`Endpoints`], which the assembler owns, gives the next generation the same one, its health included. Kept
//! out: connections, which are each worker's own, and the share of a target that 5xx answers may eject
//! ([`crate::pick::Target::record`]).

mod latency;
mod registry;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

pub use registry::Endpoints;

use crate::Tick;
use crate::outlier::{Availability, Outcome, Outlier, OutlierPolicy, State};
use latency::Latency;

/// What to dial.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix socket (a local application).
    Unix(Arc<Path>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// An address that a target offers. Shared by all workers and carried from one generation to the next.
///
/// Every atomic is read and written `Relaxed`: each is a fact of its own, no other memory is published through
/// it, and read-modify-write operations on one atomic have one order whatever their ordering, which is all that
/// counting exactly and tripping once need.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// Index of its pools in each worker. May be used again once the endpoint is gone: compare `uid`.
    pub slot: u32,
    /// Unique for the life of the process.
    pub uid: u64,
    /// An [`Outlier`].
    health: AtomicU64,
    in_flight: AtomicU32,
    latency: Latency,
    connect_failures: AtomicU64,
    ejections: AtomicU64,
}

/// What a recorded outcome changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It left the pick, or failed its probe and stays out for longer.
    Ejected,
    /// It proved itself and is back, if held down for a while.
    Returned,
}

impl Endpoint {
    /// An endpoint that nothing is known of yet. Outside of tests, [`Endpoints`] makes them.
    pub fn new(address: Address, slot: u32, uid: u64) -> Self {
        Self {
            address,
            slot,
            uid,
            health: AtomicU64::new(Outlier::default().into()),
            in_flight: AtomicU32::new(0),
            latency: Latency::default(),
            connect_failures: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
        }
    }

    /// Records how an attempt ended. Concurrent failures trip it exactly once.
    ///
    /// For an endpoint of a target, [`crate::pick::Target::record`] is the one to call: it also keeps 5xx answers
    /// within the target's `max_ejection_percent`.
    pub fn record(&self, outcome: Outcome, now: Tick, policy: &OutlierPolicy) -> Option<Change> {
        if outcome == Outcome::ConnectFailed {
            self.connect_failures.fetch_add(1, Relaxed);
        }
        self.update(|outlier| outlier.after(outcome, now, policy))
    }

    /// Records that a health check connected, or could not.
    pub fn record_check(&self, connected: bool, now: Tick, policy: &OutlierPolicy) -> Option<Change> {
        if connected {
            self.update(|outlier| outlier.connected(now, policy))
        } else {
            self.record(Outcome::ConnectFailed, now, policy)
        }
    }

    /// Its record of failures and ejections.
    pub fn outlier(&self) -> Outlier {
        self.health.load(Relaxed).into()
    }

    /// What a pick may do with it.
    pub fn available(&self, now: Tick) -> Availability {
        self.outlier().available(now)
    }

    /// Claims the probe of an endpoint whose ejection is over: true for exactly one caller, whose attempt then
    /// decides. The attempt's outcome must be recorded; a probe that never reports is replaced after a while.
    pub fn claim_probe(&self, now: Tick) -> bool {
        let seen = self.health.load(Relaxed);
        let outlier = Outlier::from(seen);
        outlier.available(now) == Availability::MayProbe
            && self.health.compare_exchange(seen, outlier.probed(now).into(), Relaxed, Relaxed).is_ok()
    }

    /// Counts a request (or, for tcp, a connection) that is now its.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// Counts the end of what [`Self::begin`] counted.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Requests begun and not ended.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Records how long it took to answer a request that went nowhere else before. For an endpoint of a target,
    /// [`crate::pick::Target::answered`] is the one to call.
    pub fn answered(&self, took: Duration, failed: bool, now: Tick) {
        self.latency.record(took, failed, now);
    }

    /// How long it is expected to take; None when nothing is known.
    pub fn expected(&self, now: Tick) -> Option<Duration> {
        let micros = self.latency.expected(now);
        (micros > 0).then(|| Duration::from_micros(micros.into()))
    }

    /// What one more request costs here, in microseconds of all requests in flight together.
    pub(crate) fn cost(&self, now: Tick) -> u64 {
        self.latency.cost(self.in_flight(), now)
    }

    /// Connection failures since it was first seen.
    pub fn connect_failures_total(&self) -> u64 {
        self.connect_failures.load(Relaxed)
    }

    /// Ejections since it was first seen, failed probes included.
    pub fn ejections_total(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// One compare-and-swap loop. Whoever swaps a word is the only one to see its change: that is what makes
    /// a trip happen once. A record that changes nothing, as on every success of a healthy endpoint, writes
    /// nothing, so workers that succeed do not fight over the cache line.
    fn update(&self, after: impl Fn(Outlier) -> Outlier) -> Option<Change> {
        let mut seen = self.health.load(Relaxed);
        loop {
            let (before, after) = (Outlier::from(seen), after(seen.into()));
            if before == after {
                return None;
            }
            match self.health.compare_exchange_weak(seen, after.into(), Relaxed, Relaxed) {
                Ok(_) => return self.note(before, after),
                Err(actual) => seen = actual,
            }
        }
    }

    fn note(&self, before: Outlier, after: Outlier) -> Option<Change> {
        let change = match (before.is_out(), after.state) {
            (true, State::Available | State::Returned(_) | State::Held(_)) => Some(Change::Returned),
            (_, State::Ejected(_)) if after.ejections > before.ejections => Some(Change::Ejected),
            (false, State::Ejected(_)) => Some(Change::Ejected),
            _ => None,
        };
        if change == Some(Change::Ejected) {
            self.ejections.fetch_add(1, Relaxed);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick(50);

    fn endpoint() -> Endpoint {
        Endpoint::new(Address::Ip(([127, 0, 0, 1], 80).into()), 0, 1)
    }

    fn ejected() -> Endpoint {
        let endpoint = endpoint();
        for _ in 0..5 {
            endpoint.record(Outcome::ConnectFailed, Tick(0), &OutlierPolicy::default());
        }
        endpoint
    }

    /// Runs `job` on 8 threads, each `times` times, and sums what they counted.
    fn concurrently(times: usize, job: impl Fn() -> bool + Sync) -> usize {
        std::thread::scope(|scope| {
            let work = || (0..times).filter(|_| job()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        })
    }

    #[test]
    fn ten_thousand_concurrent_failures_trip_exactly_once() {
        let (endpoint, policy) = (endpoint(), OutlierPolicy::default());
        let trips = concurrently(1_250, || {
            endpoint.record(Outcome::ConnectFailed, NOW, &policy) == Some(Change::Ejected)
        });
        assert_eq!((trips, endpoint.ejections_total()), (1, 1));
        assert_eq!(endpoint.connect_failures_total(), 10_000);
    }

    #[test]
    fn concurrent_failures_are_counted_exactly() {
        let (endpoint, policy) =
            (endpoint(), OutlierPolicy { max_failures: 2_001, ..OutlierPolicy::default() });
        let trips = concurrently(250, || endpoint.record(Outcome::ConnectFailed, NOW, &policy).is_some());
        assert_eq!((trips, endpoint.outlier().connect_failures), (0, 2_000));
        assert_eq!(endpoint.record(Outcome::ConnectFailed, NOW, &policy), Some(Change::Ejected));
    }

    #[test]
    fn exactly_one_of_many_claims_the_probe() {
        let endpoint = ejected();
        let claimed = concurrently(1_000, || endpoint.claim_probe(Tick(300)));
        assert_eq!(claimed, 1);
    }

    #[test]
    fn a_failed_probe_counts_as_an_ejection_and_an_abandoned_one_does_not() {
        let (endpoint, policy) = (ejected(), OutlierPolicy::default());
        assert!(!endpoint.claim_probe(Tick(299)), "the ejection is not over");
        assert!(endpoint.claim_probe(Tick(300)));
        assert_eq!(endpoint.record(Outcome::Abandoned, Tick(301), &policy), None);
        assert!(endpoint.claim_probe(Tick(301)));
        assert_eq!(endpoint.record(Outcome::ConnectFailed, Tick(302), &policy), Some(Change::Ejected));
        assert!(endpoint.claim_probe(Tick(902)));
        assert_eq!(endpoint.record(Outcome::Served, Tick(903), &policy), Some(Change::Returned));
        assert_eq!(endpoint.ejections_total(), 2);
    }

    #[test]
    fn what_is_begun_and_ended_is_not_in_flight() {
        let endpoint = endpoint();
        endpoint.begin();
        endpoint.begin();
        endpoint.end();
        assert_eq!(endpoint.in_flight(), 1);
    }
}

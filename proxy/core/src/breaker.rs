//! Circuit breakers: how much a target may have at once, counted exactly over all workers.
//!
//! [`Load`] is what a target has, in atomics, and outlives the generation that made it, so that a change of
//! configuration forgets nothing that is in flight. [`Thresholds`] are what it may have, and belong to a generation. A
//! thing is counted by whoever takes it and given back when it is dropped, on whatever path. Kept out: who waits for a
//! connection, and in which order (the shell knows how to wake them).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::entry::Limits;

/// What a target may have at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    /// Open connections, idle ones included, and those being made.
    pub connections: u32,
    /// Requests that wait for a connection: one being made for them, or one in use by others.
    pub pending: u32,
    /// Requests that have a connection.
    pub requests: u32,
}

/// At most this share of a target's active requests, in per cent, may be retries at a time, and in any case so many: as
/// Envoy's retry budget. A target that fails is asked a quarter more than its callers ask for, not several times as much,
/// and one that is merely unlucky with a few requests gets them again.
const RETRY_BUDGET: u64 = 20;
const FEW_RETRIES: u32 = 3;

/// What holds where no `Limits` say otherwise (Envoy's default).
pub const DEFAULT_THRESHOLD: u32 = 1024;

impl Thresholds {
    /// No limits: local applications, and whatever gateways pass on. It is the callers' sidecars who limit.
    pub const UNLIMITED: Self = Self { connections: u32::MAX, pending: u32::MAX, requests: u32::MAX };

    fn most(&self, of: Resource) -> u32 {
        match of {
            Resource::Connections => self.connections,
            Resource::Pending => self.pending,
            Resource::Requests => self.requests,
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Limits::default().into()
    }
}

impl From<Limits> for Thresholds {
    fn from(limits: Limits) -> Self {
        Self {
            connections: limits.max_connections.unwrap_or(DEFAULT_THRESHOLD),
            pending: limits.max_pending_requests.unwrap_or(DEFAULT_THRESHOLD),
            requests: limits.max_concurrent_requests.unwrap_or(DEFAULT_THRESHOLD),
        }
    }
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overflow {
    /// On what.
    pub of: Resource,
    /// How many there may be.
    pub most: u32,
}

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    /// [`Thresholds::connections`]
    Connections,
    /// [`Thresholds::pending`]
    Pending,
    /// [`Thresholds::requests`]
    Requests,
}

impl fmt::Display for Overflow {
    /// As operators write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self.of {
            Resource::Connections => "MaxConnections",
            Resource::Pending => "MaxPendingRequests",
            Resource::Requests => "MaxConcurrentRequests",
        };
        write!(f, "{field} ({})", self.most)
    }
}

/// A count that never exceeds what its takers allow.
#[derive(Debug, Default)]
struct Gauge(AtomicU32);

impl Gauge {
    /// One more, unless there are `most`.
    ///
    /// A compare-and-swap, and not an addition that is taken back: nobody is turned away, nor seen over the limit,
    /// because of somebody else who was turned away. Sequentially consistent, for [`Load::waiting`]'s sake.
    fn take(&self, most: u32) -> bool {
        self.0.fetch_update(SeqCst, SeqCst, |n| (n < most).then(|| n + 1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_sub(1, SeqCst);
    }

    fn value(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// What a target has. Shared by all workers, on cache lines of its own, and carried from one generation to the next.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Load {
    connections: Gauge,
    pending: Gauge,
    requests: Gauge,
    retries: Gauge,
    /// Of the pending, those that stand in line for a connection because there may not be another.
    waiting: AtomicU32,
    connection_overflows: AtomicU64,
    pending_overflows: AtomicU64,
    retry_overflows: AtomicU64,
}

impl Load {
    /// Open connections and those being made.
    pub fn connections(&self) -> u32 {
        self.connections.value()
    }

    /// Requests that wait for a connection.
    pub fn pending(&self) -> u32 {
        self.pending.value()
    }

    /// Requests that have a connection.
    pub fn requests(&self) -> u32 {
        self.requests.value()
    }

    /// Retries under way.
    pub fn retries(&self) -> u32 {
        self.retries.value()
    }

    /// How many retries may be under way just now.
    pub fn retry_budget(&self) -> u32 {
        let active = u64::from(self.requests()) + u64::from(self.pending());
        u32::try_from(active * RETRY_BUDGET / 100).unwrap_or(u32::MAX).max(FEW_RETRIES)
    }

    /// Retries that were left undone for want of budget (`upstream_rq_retry_overflow`).
    pub fn retry_overflows(&self) -> u64 {
        self.retry_overflows.load(Relaxed)
    }

    /// Connections that could not be made (`upstream_cx_overflow`).
    pub fn connection_overflows(&self) -> u64 {
        self.connection_overflows.load(Relaxed)
    }

    /// Requests that were turned away (`upstream_rq_pending_overflow`).
    pub fn pending_overflows(&self) -> u64 {
        self.pending_overflows.load(Relaxed)
    }

    /// Whether anybody stands in line for a connection.
    ///
    /// Sequentially consistent with the count of connections: whoever gets into line and then finds no room is seen
    /// by whoever makes room and then looks whether anybody is in line.
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Somebody gets into line, or out of it.
    pub fn set_waiting(&self, waiting: u32) {
        self.waiting.store(waiting, SeqCst);
    }

    /// Counts a request that has got a connection, until [`Self::end_request`].
    ///
    /// # Errors
    /// When there are as many as may be; then nothing but that is counted.
    pub fn begin_request(&self, thresholds: Thresholds) -> Result<(), Overflow> {
        if self.requests.take(thresholds.requests) {
            return Ok(());
        }
        Err(self.turn_away(thresholds, Resource::Requests))
    }

    /// Counts the end of what [`Self::begin_request`] counted.
    pub fn end_request(&self) {
        self.requests.give_back();
    }

    fn turn_away(&self, thresholds: Thresholds, of: Resource) -> Overflow {
        self.pending_overflows.fetch_add(1, Relaxed);
        Overflow { of, most: thresholds.most(of) }
    }
}

/// What a target has and may have.
#[derive(Debug, Default)]
pub struct Breaker {
    /// What it may have.
    pub thresholds: Thresholds,
    /// What it has.
    pub load: Arc<Load>,
}

impl Breaker {
    /// Of a target that has `load` already.
    pub fn new(thresholds: Thresholds, load: Arc<Load>) -> Self {
        Self { thresholds, load }
    }

    /// A place for one more connection; None, counted, when there are as many as may be, or others stand in line.
    pub fn connection(&self) -> Option<Permit> {
        let free = !self.load.is_waited_for();
        let permit = free.then(|| self.try_connection()).flatten();
        if permit.is_none() {
            self.load.connection_overflows.fetch_add(1, Relaxed);
        }
        permit
    }

    /// The same for whoever is first in line, and was counted before, and for a connection that nobody needs yet.
    pub fn try_connection(&self) -> Option<Permit> {
        self.permit(|load| &load.connections, self.thresholds.connections)
    }

    /// A place for one more request that waits for a connection.
    ///
    /// # Errors
    /// When there are as many as may be; it is counted.
    pub fn pending(&self) -> Result<Permit, Overflow> {
        let permit = self.permit(|load| &load.pending, self.thresholds.pending);
        permit.ok_or_else(|| self.turn_away(Resource::Pending))
    }

    /// A place for one more retry; None, counted, when the budget is spent.
    pub fn retry(&self) -> Option<Permit> {
        let permit = self.permit(|load| &load.retries, self.load.retry_budget());
        if permit.is_none() {
            self.load.retry_overflows.fetch_add(1, Relaxed);
        }
        permit
    }

    /// Counts a request that is turned away for want of this.
    pub fn turn_away(&self, of: Resource) -> Overflow {
        self.load.turn_away(self.thresholds, of)
    }

    fn permit(&self, gauge: fn(&Load) -> &Gauge, most: u32) -> Option<Permit> {
        gauge(&self.load).take(most).then(|| Permit { load: Arc::clone(&self.load), gauge: Some(gauge) })
    }
}

/// A place among what a target may have, free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    load: Arc<Load>,
    /// None once it was given back.
    gauge: Option<fn(&Load) -> &Gauge>,
}

impl Permit {
    /// What it is counted in.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Gives it back before it is dropped.
    pub fn give_back(&mut self) {
        if let Some(gauge) = self.gauge.take() {
            gauge(&self.load).give_back();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use super::*;

    const LIMIT: u32 = 3;

    fn breaker() -> Breaker {
        let thresholds = Thresholds { connections: LIMIT, pending: LIMIT, requests: LIMIT };
        Breaker::new(thresholds, Arc::default())
    }

    /// Eight threads that take `what`, look how many there are, and give it back.
    fn contend<T>(what: impl Fn(&Breaker) -> Option<T> + Sync, count: impl Fn(&Load) -> u32 + Sync) {
        let breaker = breaker();
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..10_000 {
                        let taken = what(&breaker);
                        assert!(count(&breaker.load) <= LIMIT, "over the limit");
                        assert!(taken.is_none() || count(&breaker.load) > 0, "one's own is counted");
                    }
                });
            }
        });
        assert_eq!(count(&breaker.load), 0, "everything is given back");
    }

    #[test]
    fn connections_never_exceed_their_limit_and_are_always_given_back() {
        contend(Breaker::connection, Load::connections);
    }

    #[test]
    fn pending_requests_never_exceed_their_limit_and_are_always_given_back() {
        contend(|breaker| breaker.pending().ok(), Load::pending);
    }

    #[test]
    fn requests_never_exceed_their_limit_and_are_always_given_back() {
        struct Request(Arc<Load>);
        impl Drop for Request {
            fn drop(&mut self) {
                self.0.end_request();
            }
        }
        let begin = |Breaker { load, thresholds }: &Breaker| {
            load.begin_request(*thresholds).is_ok().then(|| Request(Arc::clone(load)))
        };
        contend(begin, Load::requests);
    }

    #[test]
    fn the_one_beyond_the_limit_is_turned_away_and_counted() {
        let breaker = breaker();
        let connections: Vec<_> = (0..LIMIT).map(|_| breaker.connection()).collect();
        assert!(connections.iter().all(Option::is_some));
        assert!(breaker.connection().is_none());
        assert!(breaker.try_connection().is_none());
        assert_eq!((breaker.load.connections(), breaker.load.connection_overflows()), (LIMIT, 1));
        drop(connections);
        assert!(breaker.connection().is_some());

        let pending: Vec<_> = (0..LIMIT).map(|_| breaker.pending()).collect();
        assert!(pending.iter().all(Result::is_ok));
        assert_eq!(breaker.pending().err(), Some(Overflow { of: Resource::Pending, most: LIMIT }));
        for _ in 0..LIMIT {
            assert_eq!(breaker.load.begin_request(breaker.thresholds), Ok(()));
        }
        assert_eq!(
            breaker.load.begin_request(breaker.thresholds),
            Err(Overflow { of: Resource::Requests, most: LIMIT })
        );
        assert_eq!(breaker.load.pending_overflows(), 2);
    }

    #[test]
    fn a_fifth_of_the_active_requests_may_be_retries_and_three_in_any_case() {
        for (active, retries) in [(0, 3), (15, 3), (19, 3), (20, 4), (100, 20)] {
            let breaker = Breaker::default();
            let begun = (0..active).filter(|_| breaker.load.begin_request(breaker.thresholds).is_ok());
            assert_eq!(begun.count(), active);
            let permits: Vec<_> = std::iter::from_fn(|| breaker.retry()).collect();
            assert_eq!(permits.len(), retries, "of {active}");
            assert_eq!(breaker.load.retry_overflows(), 1);
            drop(permits);
            assert_eq!(breaker.load.retries(), 0);
        }
    }

    #[test]
    fn retries_never_exceed_their_budget_and_are_always_given_back() {
        contend(Breaker::retry, Load::retries);
    }

    #[test]
    fn a_limit_of_zero_lets_nothing_through() {
        let none = Thresholds { connections: 0, pending: 0, requests: 0 };
        let breaker = Breaker::new(none, Arc::default());
        assert!(breaker.connection().is_none() && breaker.pending().is_err());
        assert!(breaker.load.begin_request(breaker.thresholds).is_err());
    }

    #[test]
    fn unset_limits_are_1024_each_and_zero_is_zero() {
        let limits = Limits { max_connections: Some(0), ..Limits::default() };
        assert_eq!(Thresholds::from(limits), Thresholds { connections: 0, pending: 1024, requests: 1024 });
    }

    #[test]
    fn a_panic_gives_back_what_it_held() {
        let breaker = breaker();
        let held = catch_unwind(AssertUnwindSafe(|| {
            let _held = (breaker.connection(), breaker.pending());
            panic!("as a task may");
        }));
        assert!(held.is_err());
        assert_eq!((breaker.load.connections(), breaker.load.pending()), (0, 0));
    }
}

//! Counters. Each worker counts in cells of its own and readers add them up, so that counting costs a load and a
//! store, and a scrape costs the data path nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use spillway_core::endpoint::Endpoint;
use spillway_core::outlier::Outcome;

use crate::assembly::Assembly;
use crate::http1::Reason;
use crate::http2::abuse::Expelled;
use crate::malformed::Malformations;
use crate::refusal::{FLAGS, Refusal};

/// A number that one worker writes and anyone reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. For one writer only: a load and a store, not a locked addition.
    #[inline]
    pub fn add(&self, n: u64) {
        // Relaxed: a count stands for itself and orders nothing.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes `n` away, for gauges.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    /// What it counts.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations in buckets a quarter of a power of two wide, from 1 µs to over an hour.
#[derive(Debug)]
pub struct Histogram([Counter; Self::BUCKETS]);

impl Histogram {
    const BUCKETS: usize = 4 * 33;

    /// Counts one duration.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0[Self::bucket(micros)].add(1);
    }

    fn bucket(micros: u64) -> usize {
        if micros < 4 {
            return usize::try_from(micros).unwrap_or_default();
        }
        let power = micros.ilog2();
        let quarter = (micros >> (power - 2)) & 3;
        usize::try_from(u64::from(power - 1) * 4 + quarter)
            .map_or(Self::BUCKETS - 1, |i| i.min(Self::BUCKETS - 1))
    }

    /// The largest duration that `bucket` counts, in microseconds.
    fn upper(bucket: usize) -> u64 {
        if bucket < 4 {
            return bucket as u64;
        }
        let (power, quarter) = (bucket / 4 + 1, (bucket % 4) as u64);
        ((4 + quarter + 1) << (power - 2)) - 1
    }

    /// The counts by upper bound in microseconds, added to `sums`.
    pub fn add_to(&self, sums: &mut Vec<u64>) {
        sums.resize(Self::BUCKETS, 0);
        for (sum, counter) in sums.iter_mut().zip(&self.0) {
            *sum += counter.value();
        }
    }

    /// The duration, in microseconds, that `share` of what `sums` counts does not exceed.
    pub fn quantile(sums: &[u64], share: f64) -> Option<u64> {
        let total: u64 = sums.iter().sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        let at = sums.iter().position(|count| {
            seen += count;
            seen >= rank.max(1)
        })?;
        Some(Self::upper(at))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// What one worker counts for one service. Aligned, so that two workers never write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServiceCounters {
    /// Connections accepted.
    pub connections: Counter,
    /// Of these, open now.
    pub connections_active: Counter,
    /// Requests begun.
    pub requests: Counter,
    /// Of these, in flight now.
    pub requests_active: Counter,
    /// Answers by first digit of the status, our own included; 0 is no answer at all.
    pub answers: [Counter; 6],
    /// Attempts beyond a request's first, after something had been sent.
    pub retries: Counter,
    /// Attempts beyond a request's first, after nothing had been sent.
    pub moved_on: Counter,
    /// Requests served by another target than the primary.
    pub failovers: Counter,
    /// Answers of our own, by flag.
    pub refusals: [Counter; FLAGS],
    /// Requests, and connections, that were closed for what they sent.
    pub protocol_errors: Counter,
    /// Connections that were closed because most of their streams were reset.
    pub premature_resets: Counter,
    /// Connections that were closed after a long silence between requests.
    pub idle_timeouts: Counter,
    /// Requests whose head was not whole in time.
    pub head_timeouts: Counter,
    /// Requests whose body stopped coming.
    pub body_timeouts: Counter,
    /// From the request's head to the answer's end.
    pub latency: Histogram,
}

/// What all workers count for one service.
#[derive(Debug)]
pub struct ServiceStats {
    /// The name in metrics: `upstream.NAME`, `public_listener`, …
    pub name: String,
    /// Requests that found a splitter's leg without an endpoint, by the leg's name. Only they pay for the lock.
    empty_legs: DashMap<String, u64>,
    workers: Box<[ServiceCounters]>,
}

impl ServiceStats {
    /// Zeroes for `workers` workers.
    pub fn new(name: impl Into<String>, workers: usize) -> Self {
        let workers = (0..workers).map(|_| ServiceCounters::default()).collect();
        Self { name: name.into(), empty_legs: DashMap::new(), workers }
    }

    /// Counts a request that found this leg without an endpoint.
    pub fn empty_leg(&self, leg: String) {
        *self.empty_legs.entry(leg).or_default() += 1;
    }

    /// How many requests did.
    pub fn empty_legs(&self, leg: &str) -> u64 {
        self.empty_legs.get(leg).map_or(0, |count| *count)
    }

    /// One worker's own.
    #[inline]
    pub fn of(&self, worker: usize) -> &ServiceCounters {
        &self.workers[worker]
    }

    /// Counts a connection that a worker accepted, until the answer is dropped.
    pub fn connection(self: &Arc<Self>, worker: usize) -> OpenConnection {
        let counters = self.of(worker);
        counters.connections.add(1);
        counters.connections_active.add(1);
        OpenConnection { stats: Arc::clone(self), worker }
    }

    /// The sum of a counter over all workers.
    pub fn sum(&self, counter: impl Fn(&ServiceCounters) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| counter(worker).value()).fold(0, u64::wrapping_add)
    }

    /// All latencies.
    pub fn latencies(&self) -> Vec<u64> {
        let mut sums = Vec::new();
        self.workers.iter().for_each(|worker| worker.latency.add_to(&mut sums));
        sums
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub struct OpenConnection {
    stats: Arc<ServiceStats>,
    worker: usize,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.stats.of(self.worker).connections_active.sub(1);
    }
}

impl ServiceCounters {
    /// Counts an answer's status.
    #[inline]
    pub fn answered(&self, status: u16) {
        self.answers[usize::from(status / 100).min(5)].add(1);
    }

    /// Counts an answer of our own.
    pub fn refused(&self, refusal: &Refusal) {
        self.refusals[refusal.flag_index()].add(1);
        if let Refusal::Malformed { reason } = refusal {
            let counter = match reason {
                Reason::SlowHead => &self.head_timeouts,
                Reason::SlowBody => &self.body_timeouts,
                _ => &self.protocol_errors,
            };
            counter.add(1);
        }
    }
}

/// What one worker counts for one endpoint.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct EndpointCounters {
    /// Connections made.
    pub connections: Counter,
    /// Of these, open now.
    pub connections_active: Counter,
    /// Attempts that got no connection.
    pub connect_failures: Counter,
    /// Requests sent.
    pub requests: Counter,
    /// Answers below 500.
    pub successes: Counter,
    /// Answers of 500 and above, resets and timeouts.
    pub errors: Counter,
}

impl EndpointCounters {
    /// Counts how an attempt ended; one that was abandoned, or counted already, adds nothing.
    pub fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Served => self.successes.add(1),
            Outcome::ConnectFailed => self.connect_failures.add(1),
            Outcome::ServerError | Outcome::TimedOut | Outcome::Reset => self.errors.add(1),
            Outcome::Abandoned => {}
        }
    }
}

/// A connection to an endpoint, counted while it is open.
#[derive(Debug)]
pub(crate) struct OpenUpstream(Arc<EndpointCounters>);

impl OpenUpstream {
    /// Counts a new one.
    pub(crate) fn begin(counters: Arc<EndpointCounters>) -> Self {
        counters.connections.add(1);
        counters.connections_active.add(1);
        Self(counters)
    }
}

impl Drop for OpenUpstream {
    fn drop(&mut self) {
        self.0.connections_active.sub(1);
    }
}

/// The endpoints' counters of all workers, by the endpoint's `uid`: touched when a pool is made, and by readers.
#[derive(Debug, Default)]
pub struct Stats {
    endpoints: DashMap<u64, Vec<Arc<EndpointCounters>>>,
    /// How often a listener stopped accepting because descriptors were short.
    pub accept_pauses: AtomicU64,
    /// Connections over HTTP/2 that were closed for what their other side did.
    pub expelled: Expelled,
    /// Messages that broke HTTP.
    pub malformed: Malformations,
    /// Connections that a gateway closed because their server name leads nowhere.
    pub unmatched: AtomicU64,
    /// Requests that no service takes any more.
    pub unrouted: AtomicU64,
    /// Lines of access logs that were lost.
    pub access_log_dropped: Arc<AtomicU64>,
}

impl Stats {
    /// A worker's own counters for `endpoint`.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Arc<EndpointCounters> {
        let counters = Arc::new(EndpointCounters::default());
        self.endpoints.entry(endpoint.uid).or_default().push(Arc::clone(&counters));
        counters
    }

    /// The sum of a counter over all workers.
    pub fn sum(&self, uid: u64, counter: impl Fn(&EndpointCounters) -> &Counter) -> u64 {
        let Some(workers) = self.endpoints.get(&uid) else { return 0 };
        workers.iter().map(|worker| counter(worker).value()).fold(0, u64::wrapping_add)
    }

    /// Forgets endpoints that are gone.
    pub fn retain(&self, lives: impl Fn(u64) -> bool) {
        self.endpoints.retain(|uid, _| lives(*uid));
    }
}

/// How configuration changes went, for the admin API.
#[derive(Debug, Default)]
pub struct Reloads {
    /// Generations put in force.
    pub accepted: AtomicU64,
    /// Changes refused.
    pub rejected: AtomicU64,
    /// Chains compiled, checks included: a change compiles those that depend on it.
    pub chains_compiled: AtomicU64,
    /// Tables built: a change builds those that depend on it.
    pub tables_built: AtomicU64,
}

impl Reloads {
    /// Takes over what `assembly` has done so far.
    pub(crate) fn note(&self, assembly: &Assembly) {
        // Relaxed: counts stand for themselves and order nothing.
        self.chains_compiled.store(assembly.chains.compilations(), Ordering::Relaxed);
        self.tables_built.store(assembly.tables_built(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_bounds() {
        for micros in (0..10_000).chain([1 << 20, (1 << 20) + 1, 3_600_000_000]) {
            let bucket = Histogram::bucket(micros);
            assert!(micros <= Histogram::upper(bucket), "{micros} in {bucket}");
            assert!(bucket == 0 || micros > Histogram::upper(bucket - 1), "{micros} in {bucket}");
        }
    }

    #[test]
    fn a_quantile_is_within_a_quarter_of_the_truth() {
        let histogram = Histogram::default();
        (1..=1_000).for_each(|n| histogram.record(Duration::from_micros(n)));
        let mut sums = Vec::new();
        histogram.add_to(&mut sums);
        let median = Histogram::quantile(&sums, 0.5);
        assert!(median.is_some_and(|m| (500..=640).contains(&m)), "{median:?}");
        assert_eq!(Histogram::quantile(&[], 0.5), None);
    }
}

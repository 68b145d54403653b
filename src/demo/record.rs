//! What the traffic saw: who served, how fast, what failed. Time is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How many seconds are kept one by one.
pub(crate) const SECONDS_KEPT: usize = 120;

/// One second of traffic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    /// Answers by instance.
    pub(crate) served: BTreeMap<Rc<str>, u32>,
    /// Requests without a good answer.
    pub(crate) failed: u32,
    latencies: Vec<Duration>,
}

/// Everything since the traffic began.
#[derive(Debug)]
pub(crate) struct Record {
    began: Instant,
    /// The newest last; `first_second` is the number of the oldest.
    seconds: VecDeque<Second>,
    first_second: u64,
    totals: Totals,
    last_served: BTreeMap<Rc<str>, Instant>,
    first_failure: Option<String>,
}

/// Sums over some time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    /// Answers by instance, as `CLUSTER/INSTANCE`.
    pub(crate) served: BTreeMap<Rc<str>, u64>,
    /// Requests without a good answer.
    pub(crate) failed: u64,
}

/// Latencies of some time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Latency {
    /// Half of the answers took no longer.
    pub(crate) p50: Duration,
    /// All but one in a hundred took no longer.
    pub(crate) p99: Duration,
}

impl Record {
    /// An empty record that begins at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            seconds: VecDeque::from([Second::default()]),
            first_second: 0,
            totals: Totals::default(),
            last_served: BTreeMap::new(),
            first_failure: None,
        }
    }

    /// Notes an answer of `instance`.
    pub(crate) fn served(&mut self, instance: &str, latency: Duration, now: Instant) {
        let instance = match self.totals.served.get_key_value(instance) {
            Some((known, _)) => known.clone(),
            None => Rc::from(instance),
        };
        *self.totals.served.entry(instance.clone()).or_default() += 1;
        self.last_served.insert(instance.clone(), now);
        let second = self.second(now);
        *second.served.entry(instance).or_default() += 1;
        second.latencies.push(latency);
    }

    /// Notes a request that got no good answer.
    pub(crate) fn failed(&mut self, cause: String, now: Instant) {
        self.totals.failed += 1;
        self.first_failure.get_or_insert(cause);
        self.second(now).failed += 1;
    }

    /// All so far.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What the first request that failed met.
    pub(crate) fn first_failure(&self) -> Option<&str> {
        self.first_failure.as_deref()
    }

    /// When `instance` last answered.
    pub(crate) fn last_served(&self, instance: &str) -> Option<Instant> {
        self.last_served.get(instance).copied()
    }

    /// The last whole seconds, at most `count`, oldest first.
    pub(crate) fn recent(&mut self, count: usize, now: Instant) -> impl Iterator<Item = &Second> {
        self.second(now);
        let whole = self.seconds.len() - 1;
        self.seconds.range(whole.saturating_sub(count)..whole)
    }

    /// Latencies of the last `count` whole seconds.
    pub(crate) fn latency(&mut self, count: usize, now: Instant) -> Latency {
        let mut all: Vec<Duration> =
            self.recent(count, now).flat_map(|second| second.latencies.iter().copied()).collect();
        all.sort_unstable();
        let at = |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
        Latency { p50: at(50).copied().unwrap_or_default(), p99: at(99).copied().unwrap_or_default() }
    }

    /// The second of `now`, which becomes the newest.
    fn second(&mut self, now: Instant) -> &mut Second {
        let number = now.saturating_duration_since(self.began).as_secs();
        let newest = self.first_second + self.seconds.len() as u64 - 1;
        for _ in 0..number.saturating_sub(newest).min(SECONDS_KEPT as u64 + 1) {
            self.seconds.push_back(Second::default());
        }
        while self.seconds.len() > SECONDS_KEPT + 1 {
            self.seconds.pop_front();
        }
        self.first_second = number.max(newest) + 1 - self.seconds.len() as u64;
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }
}

impl Totals {
    /// What came on top of `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |instance| earlier.served.get(instance).copied().unwrap_or_default();
        let served = self.served.iter().map(|(instance, count)| (instance.clone(), count - before(instance)));
        Self {
            served: served.filter(|(_, count)| *count > 0).collect(),
            failed: self.failed - earlier.failed,
        }
    }

    /// Answers in all.
    pub(crate) fn answers(&self) -> u64 {
        self.served.values().sum()
    }

    /// Answers of the instances of `cluster`.
    pub(crate) fn of_cluster(&self, cluster: &str) -> u64 {
        let in_cluster = |instance: &str| instance.split_once('/').is_some_and(|(c, _)| c == cluster);
        self.served.iter().filter(|(instance, _)| in_cluster(instance)).map(|(_, count)| count).sum()
    }

    /// The part of the answers that `cluster` gave, in per cent; 0 when there are none.
    pub(crate) fn share(&self, cluster: &str) -> f64 {
        match self.answers() {
            0 => 0.0,
            all => self.of_cluster(cluster) as f64 * 100.0 / all as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn totals_count_what_came_after_a_mark() {
        let began = Instant::now();
        let mut record = Record::new(began);
        record.served("a/1", MS, began);
        let mark = record.totals().clone();
        for instance in ["a/1", "b/1", "b/2", "b/2"] {
            record.served(instance, MS, began);
        }
        record.failed("refused".into(), began);
        let since = record.totals().since(&mark);
        assert_eq!((since.answers(), since.failed), (4, 1));
        assert_eq!((since.of_cluster("a"), since.of_cluster("b"), since.share("b")), (1, 3, 75.0));
        assert_eq!(record.first_failure(), Some("refused"));
    }

    #[test]
    fn only_whole_seconds_are_recent_and_old_ones_are_forgotten() {
        let began = Instant::now();
        let mut record = Record::new(began);
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        record.served("a/1", MS, at(0));
        record.served("a/1", MS, at(2));
        let counts = |record: &mut Record, now| -> Vec<u32> {
            record.recent(9, now).map(|second| second.served.values().sum()).collect()
        };
        assert_eq!(counts(&mut record, at(2)), [1, 0]);
        assert_eq!(counts(&mut record, at(3)), [1, 0, 1]);
        assert_eq!(counts(&mut record, at(100_000)), [0; 9]);
        record.served("a/1", MS, at(100_000));
        assert_eq!(counts(&mut record, at(100_001)), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn latencies_are_those_of_whole_seconds() {
        let began = Instant::now();
        let mut record = Record::new(began);
        for ms in 1..=100 {
            record.served("a/1", MS * ms, began);
        }
        assert_eq!(record.latency(5, began), Latency::default());
        let latency = record.latency(5, began + Duration::from_secs(1));
        assert_eq!(latency, Latency { p50: MS * 51, p99: MS * 100 });
    }
}

//! Latencies in buckets that grow with what they hold: a quantile is right to 3 %, whatever its size.

use std::time::Duration;

/// Buckets to each doubling.
const FINE: u64 = 32;

/// How often each latency was seen, to the nanosecond below 64 ns and to 1 in 32 above.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1].into(), total: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.counts[bucket(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.total += 1;
    }

    /// Counts all of another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// How many were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// What `share` (0 to 1) of them did not exceed; zero when there are none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(Duration::ZERO, |index| Duration::from_nanos(highest(index)))
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = u64::from(u64::BITS - (nanos | 1).leading_zeros()).saturating_sub(6);
    (shift * FINE + (nanos >> shift)) as usize
}

/// The most that a bucket holds.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / FINE).saturating_sub(1);
    let lowest = (bucket - shift * FINE) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_within_three_per_cent_of_its_top() {
        for nanos in (0..70).chain((6..63).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let index = bucket(nanos);
            let top = highest(index);
            assert!(top >= nanos && (top - nanos) as f64 <= nanos as f64 / 32.0, "{nanos} {index} {top}");
            assert!(index == 0 || highest(index - 1) < nanos, "{nanos}");
        }
        assert_eq!(highest(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut all = Histogram::default();
        assert_eq!(all.quantile(0.5), Duration::ZERO);
        let mut slow = Histogram::default();
        (1..=90).for_each(|_| all.record(Duration::from_nanos(10)));
        (1..=10).for_each(|_| slow.record(Duration::from_nanos(50)));
        all.merge(&slow);
        assert_eq!(all.total(), 100);
        for (share, nanos) in [(0.0, 10), (0.5, 10), (0.9, 10), (0.91, 50), (1.0, 50)] {
            assert_eq!(all.quantile(share), Duration::from_nanos(nanos), "{share}");
        }
    }
}

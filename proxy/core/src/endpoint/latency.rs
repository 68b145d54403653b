//! How long an endpoint takes to answer: a moving average that believes slow answers at once, in one atomic word.
//!
//! A slower answer than expected is the new expectation. What is expected beyond a quicker answer halves in
//! [`HALF_LIFE`] ticks, however many answers come meanwhile, and so does all of it when none comes: an endpoint that
//! nobody picks becomes worth another look. Kept out: what is done with it (`peak_ewma` of [`crate::pick::Balance`]) and
//! clocks: whoever records an answer has measured it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Tick;

/// An average that falls to 1/e in 10 s halves in 6.9 s.
const HALF_LIFE: u32 = 69;

/// The longest answer that counts, in microseconds; what takes longer, such as a stream, counts as that.
const LONGEST: u32 = 10_000_000;

/// What is expected of an endpoint. 0 is nothing, else the tick of the last answer that changed it in the upper half,
/// microseconds, at least 1, in the lower.
///
/// `Relaxed` as in [`super::Endpoint`]. Within one tick only a slower answer writes, so workers seldom meet here.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

impl Latency {
    /// Counts an answer that took so long. One that failed says how long a failure takes, not how long the endpoint
    /// does: it may only be slower than what is expected, not quicker.
    pub(super) fn record(&self, took: Duration, failed: bool, now: Tick) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
        // Nothing is left to do for an answer that changes nothing.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let known = word as u32;
            let expected = match (known, failed) {
                (0, true) => return None,
                (0, false) => micros,
                (_, true) => micros.max(known),
                (_, false) => micros + halved(known.saturating_sub(micros), elapsed(word, now)),
            };
            let since = (word >> 32).max(now.0.into());
            let next = since << 32 | u64::from(expected);
            (next != word).then_some(next)
        });
    }

    /// Microseconds expected at `now`; 0 when nothing is known, or nothing any more.
    pub(super) fn expected(&self, now: Tick) -> u32 {
        let word = self.0.load(Relaxed);
        halved(word as u32, elapsed(word, now))
    }

    /// What another request costs where so many are in flight: the time it takes times the requests that share it. An
    /// endpoint of which nothing is known is worth one try; while that lasts it counts as the slowest there is.
    pub(super) fn cost(&self, in_flight: u32, now: Tick) -> u64 {
        let expected = match (self.expected(now), in_flight) {
            (0, 0) => 0,
            (0, _) => LONGEST,
            (expected, _) => expected,
        };
        u64::from(expected) * (u64::from(in_flight) + 1)
    }
}

fn elapsed(word: u64, now: Tick) -> u32 {
    // A worker whose tick is late may come after one whose is not.
    now.0.saturating_sub((word >> 32) as u32)
}

/// What is left of `value` after so many ticks: halved for each half-life. Between two, 2⁻ˣ is taken for
/// 1 − x ln 2 + x² (ln 2 − ½), which is off by 1 % at most and falls as fast at its ends; bits are 16 behind the point.
fn halved(value: u32, ticks: u32) -> u32 {
    const LN_2: u64 = 45_426;
    const HALF: u64 = 1 << 15;
    let whole = value.checked_shr(ticks / HALF_LIFE).unwrap_or_default();
    let x = (u64::from(ticks % HALF_LIFE) << 16) / u64::from(HALF_LIFE);
    let left = (1 << 16) - ((x * LN_2) >> 16) + ((x * x * (LN_2 - HALF)) >> 32);
    ((u64::from(whole) * left) >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is expected at `at` after answers of so many microseconds at ticks; negative ones failed.
    fn check(answers: &[(u32, i32)], at: u32, expected: u32) {
        let latency = Latency::default();
        for (tick, micros) in answers {
            let took = Duration::from_micros(micros.unsigned_abs().into());
            latency.record(took, *micros < 0, Tick(*tick));
        }
        assert_eq!(latency.expected(Tick(at)), expected, "{answers:?} at {at}");
    }

    #[test]
    fn a_slower_answer_counts_at_once_and_a_quicker_one_by_and_by() {
        check(&[(0, 1_000)], 0, 1_000);
        check(&[(0, 1_000), (0, 9_000)], 0, 9_000);
        check(&[(0, 9_000), (0, 1_000)], 0, 9_000);
        check(&[(0, 9_000), (HALF_LIFE, 1_000)], HALF_LIFE, 5_000);
        check(&[(0, 9_000), (HALF_LIFE, 1_000), (2 * HALF_LIFE, 1_000)], 2 * HALF_LIFE, 3_000);
    }

    #[test]
    fn how_fast_it_falls_does_not_depend_on_how_many_answers_come() {
        let latency = Latency::default();
        latency.record(Duration::from_micros(9_000), false, Tick(0));
        for tick in 1..=HALF_LIFE {
            latency.record(Duration::from_micros(1_000), false, Tick(tick));
        }
        let expected = latency.expected(Tick(HALF_LIFE));
        assert!((4_800..5_200).contains(&expected), "{expected}");
    }

    #[test]
    fn what_nobody_confirms_is_forgotten() {
        check(&[(0, 8_000)], HALF_LIFE, 4_000);
        check(&[(0, 8_000)], 3 * HALF_LIFE, 1_000);
        check(&[(0, 8_000)], u32::MAX, 0);
        check(&[(7, 8_000)], 0, 8_000);
        check(&[(0, 8_000), (HALF_LIFE, 8_000)], HALF_LIFE, 8_000);
    }

    #[test]
    fn half_of_it_is_left_after_a_half_life_and_in_between_what_should_be() {
        for ticks in 0..=3 * HALF_LIFE {
            let exact = 1e6 * (-f64::from(ticks) / f64::from(HALF_LIFE)).exp2();
            let left = f64::from(halved(1_000_000, ticks));
            assert!((left / exact - 1.0).abs() < 0.01, "{left} after {ticks}, not {exact}");
        }
    }

    #[test]
    fn a_failure_makes_no_endpoint_quicker() {
        check(&[(0, -1)], 0, 0);
        check(&[(0, 5_000), (50, -1)], 50, 5_000);
        check(&[(0, 5_000), (50, -7_000)], 50, 7_000);
    }

    #[test]
    fn a_stream_counts_as_the_longest_answer() {
        check(&[(0, i32::MAX)], 0, LONGEST);
    }

    #[test]
    fn the_unknown_is_worth_one_try() {
        let (unknown, slow) = (Latency::default(), Latency::default());
        slow.record(Duration::from_secs(9), false, Tick(0));
        let now = Tick(0);
        assert_eq!(unknown.cost(0, now), 0);
        assert!(unknown.cost(1, now) > slow.cost(1, now));
        assert!(slow.cost(0, now) < slow.cost(1, now));
    }
}

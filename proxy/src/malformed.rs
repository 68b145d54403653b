//! What is seen of messages that break HTTP: a count by reason, and a line in the log that says whose it was.
//!
//! Every refusal of a request and every answer that could not be passed on comes by here once. Nothing here is on the
//! path of a well-formed message. Kept out: the counters of a service, which count refusals by flag (`stats`), and what
//! becomes of the connection.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use spillway_core::Tick;
use spillway_core::name::TargetId;
use spillway_core::table::Caller;

use crate::http1::Reason;

/// Whose message it was.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'a> {
    /// A request of this caller.
    Downstream(Caller<'a>),
    /// An answer of this target.
    Upstream(&'a TargetId),
}

impl Sender<'_> {
    /// What metrics call each, in the order of the counts.
    pub const SIDES: [&'static str; 2] = ["downstream", "upstream"];

    fn side(self) -> usize {
        match self {
            Self::Downstream(_) => 0,
            Self::Upstream(_) => 1,
        }
    }
}

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Downstream(Caller { address: Some(address), identity: Some(identity) }) => {
                write!(f, "{address} ({identity})")
            }
            Self::Downstream(Caller { address: Some(address), identity: None }) => address.fmt(f),
            Self::Downstream(Caller { identity: Some(identity), .. }) => f.write_str(identity),
            Self::Downstream(_) => f.write_str("a Unix socket"),
            Self::Upstream(target) => target.fmt(f),
        }
    }
}

/// A process' messages that broke HTTP.
#[derive(Debug)]
pub struct Malformations {
    counts: [[AtomicU64; Reason::ALL.len()]; 2],
    lines: LineLimit,
}

impl Default for Malformations {
    fn default() -> Self {
        let zeroes = || std::array::from_fn(|_| AtomicU64::new(0));
        Self { counts: [zeroes(), zeroes()], lines: LineLimit::default() }
    }
}

impl Malformations {
    /// Counts a message, and says so in the log unless that has been said too often in this second.
    #[cold]
    pub fn note(&self, sender: Sender<'_>, reason: Reason, now: Tick) {
        // Relaxed: a count stands for itself.
        self.counts[sender.side()][reason as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(unsaid) = self.lines.admit(now) {
            let side = Sender::SIDES[sender.side()];
            tracing::warn!(%sender, side, reason = reason.name(), unsaid, "{}", reason.as_str());
        }
    }

    /// How many there were: for each side, of [`Sender::SIDES`], and each reason.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, Reason, u64)> {
        Sender::SIDES.iter().zip(&self.counts).flat_map(|(side, counts)| {
            let of_side = Reason::ALL.iter().zip(counts);
            of_side.map(|(reason, count)| (*side, *reason, count.load(Ordering::Relaxed)))
        })
    }
}

/// So many lines a second: enough to see who and why, too few to fill a disk.
const LINES_A_SECOND: u32 = 10;

/// Lets the first lines of each second into the log, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LineLimit {
    /// Which second, in the upper half, and how many lines it has had.
    second: AtomicU64,
    unsaid: AtomicU32,
}

impl LineLimit {
    /// Whether a line may be written now, and how many were not since the last one that was.
    pub(crate) fn admit(&self, now: Tick) -> Option<u32> {
        const A_SECOND: u64 = Duration::from_secs(1).as_millis() as u64 / Tick::MILLIS;
        let begun = (u64::from(now.0) / A_SECOND) << 32;
        let count = |state: u64| Some(if state >= begun { state + 1 } else { begun + 1 });
        // Relaxed: threads that disagree about a second write a line more or less.
        let before = self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        let said = before.unwrap_or_else(|state| state).max(begun) & u64::from(u32::MAX);
        if said < u64::from(LINES_A_SECOND) {
            Some(self.unsaid.swap(0, Ordering::Relaxed))
        } else {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_are_written_and_the_others_counted() {
        let limit = LineLimit::default();
        let admitted = |tick, n| (0..n).filter_map(|_| limit.admit(Tick(tick))).collect::<Vec<_>>();
        assert_eq!(admitted(7, 25), [0; 10]);
        assert_eq!(admitted(9, 5).len(), 0, "the same second");
        assert_eq!(admitted(10, 2), [20, 0], "the next one says how many there were");
        assert_eq!(admitted(9, 1), [0], "a thread whose tick is old counts for the newer one");
    }

    #[test]
    fn every_reason_has_counts_of_its_own_that_begin_at_zero() {
        let seen = Malformations::default();
        assert!(seen.counts().all(|(_, _, count)| count == 0));
        assert_eq!(seen.counts().count(), 2 * Reason::ALL.len());
        let nobody = Caller { address: None, identity: None };
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            seen.note(Sender::Downstream(nobody), *reason, Tick(0));
        }
        assert!(seen.counts().all(|(side, _, count)| count == u64::from(side == "downstream")));
    }
}

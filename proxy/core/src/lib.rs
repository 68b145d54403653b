//! The pure core of Spillway: from an operator's files to the decision about one request.
//!
//! Three tiers, three types: **entries** (as written, [`entry`]), the **chain** (compiled, [`chain`]) and the
//! **table** (as requests read it, [`table`]). Nothing here opens a socket or a file, spawns a task, reads a
//! clock or rolls dice: time ([`Tick`]) and chance ([`Draw`]) are arguments.

pub mod access_log;
pub mod breaker;
pub mod catalog;
pub mod chain;
pub mod check;
pub mod diff;
pub mod duration;
pub mod endpoint;
pub mod entry;
pub mod explain;
pub mod lint;
pub mod load;
pub mod name;
pub mod outlier;
pub mod pattern;
pub mod pick;
pub mod problem;
pub mod rate;
pub mod sni;
pub mod syntax;
pub mod table;

/// A random number that a caller drew: the core's only source of chance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Draw(pub u64);

/// Time as the core counts it: steps of 100 ms since the process started. A `u32` lasts 13 years.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tick(pub u32);

impl Tick {
    /// The length of one tick in milliseconds.
    pub const MILLIS: u64 = 100;

    /// The tick `duration` after this one, rounded up, so that a wait is never shorter than asked for.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        // In 64 bits: several times a request, and a division of 128 costs more than all the rest of a deadline.
        let begun = u64::from(duration.subsec_nanos()).div_ceil(Self::MILLIS * 1_000_000);
        let ticks = duration.as_secs().saturating_mul(1_000 / Self::MILLIS).saturating_add(begun);
        Self(self.0.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }
}

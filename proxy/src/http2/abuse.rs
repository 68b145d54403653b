//! Why a connection over HTTP/2 is closed for what its other side does, and what is seen of it.
//!
//! Here: the kinds of abuse, their counts, a line in the log that says whose connection it was. What shows abuse lies
//! where it is found: frames in `meter`, resets and malformed requests in `server`, the rest in `h2`.

use std::sync::atomic::{AtomicU64, Ordering};

use h2::Reason;
use spillway_core::Tick;

use super::meter::kind;
use crate::malformed::{LineLimit, Sender};

/// What the other side of a connection does that ends it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abuse {
    /// It resets most of the streams that it opens (CVE-2023-44487), or makes us reset them (CVE-2025-8671).
    Resets,
    /// It sends frames that ask for nothing but work: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, unknown ones
    /// (CVE-2019-9512, -9513, -9515, -9517), or DATA without data (CVE-2019-9518).
    Frames,
    /// It sends a header block beyond the limit, or in too many CONTINUATION frames (CVE-2024-27316).
    HeaderBlock,
    /// It leaves a header block unfinished.
    SlowHead,
    /// Most of its requests are malformed.
    Malformed,
    /// It breaks RFC 9113 in a way that ends a connection: framing, HPACK, windows, the preface.
    Protocol,
}

impl Abuse {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Resets, Self::Frames, Self::HeaderBlock, Self::SlowHead, Self::Malformed, Self::Protocol];

    /// What metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Frames => "frames",
            Self::HeaderBlock => "header_block",
            Self::SlowHead => "slow_head",
            Self::Malformed => "malformed",
            Self::Protocol => "protocol",
        }
    }

    /// What `h2` closed a connection for, when that was the other side's doing; `last` is the type of the last frame
    /// that came. It does not say which of its limits was met, but each is met by another type of frames.
    pub(super) fn found_by_h2(error: &h2::Error, last: u8) -> Option<Self> {
        let reason = error.reason().filter(|_| error.is_library() && error.is_go_away())?;
        Some(match reason {
            Reason::NO_ERROR => return None,
            Reason::ENHANCE_YOUR_CALM if last == kind::CONTINUATION => Self::HeaderBlock,
            Reason::ENHANCE_YOUR_CALM if last == kind::DATA => Self::Frames,
            Reason::ENHANCE_YOUR_CALM => Self::Resets,
            _ => Self::Protocol,
        })
    }
}

/// A process' connections that were closed for abuse.
#[derive(Debug, Default)]
pub struct Expelled {
    counts: [AtomicU64; Abuse::ALL.len()],
    lines: LineLimit,
}

impl Expelled {
    /// Counts a connection, and says so in the log unless that has been said too often in this second.
    #[cold]
    pub(super) fn note(&self, sender: Sender<'_>, abuse: Abuse, now: Tick) {
        // Relaxed: a count stands for itself.
        self.counts[abuse as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(unsaid) = self.lines.admit(now) {
            tracing::warn!(%sender, reason = abuse.name(), unsaid, "an HTTP/2 connection was closed for abuse");
        }
    }

    /// How many there were, by kind.
    pub fn counts(&self) -> impl Iterator<Item = (Abuse, u64)> {
        Abuse::ALL.iter().zip(&self.counts).map(|(abuse, count)| (*abuse, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_count_of_its_own() {
        for (index, abuse) in Abuse::ALL.iter().enumerate() {
            assert_eq!(*abuse as usize, index);
        }
    }
}

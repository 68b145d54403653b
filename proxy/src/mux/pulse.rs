//! Whether a session is still wanted, and whether the other side is still there.

use std::time::Duration;

use spillway_core::Tick;

use super::session::Side;

/// How long a session is kept without a substream. Those that idle are the pool's, which ends them first.
const IDLE: Duration = Duration::from_secs(60);

/// After such a silence, while substreams are open, the dialing side asks for a sign of life, and gives up when there
/// is none for as long again: behind a dead connection requests would wait for their timeouts one by one.
const SILENCE: Duration = Duration::from_secs(15);

/// How long the accepting side, having said that it goes away, waits for the other to hang up: a request may have
/// crossed that word.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a look is worth it.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// What a look at the clock says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    GoOn,
    /// Ask for a sign of life.
    Ask,
    /// Nobody needs it: take no more substreams.
    Leave,
    /// Nobody is there.
    GiveUp,
}

/// What a session remembers of time.
#[derive(Debug)]
pub(super) struct Pulse {
    side: Side,
    heard: Tick,
    asked: bool,
    /// When there was last a substream, as far as was seen.
    busy: Tick,
    /// Since when there is neither a substream nor a wish for one.
    leaving: Option<Tick>,
}

impl Pulse {
    pub(super) fn new(side: Side, now: Tick) -> Self {
        Self { side, heard: now, asked: false, busy: now, leaving: None }
    }

    /// Something was read.
    pub(super) fn hear(&mut self, now: Tick) {
        self.heard = now;
        self.asked = false;
    }

    /// What is to be done, with so many substreams open.
    pub(super) fn look(&mut self, now: Tick, substreams: usize) -> Verdict {
        if substreams == 0 {
            return if now > self.busy.after(IDLE) { Verdict::Leave } else { Verdict::GoOn };
        }
        self.busy = now;
        if self.side == Side::Accepting || now <= self.heard.after(SILENCE) {
            return Verdict::GoOn;
        }
        if now > self.heard.after(2 * SILENCE) {
            return Verdict::GiveUp;
        }
        if std::mem::replace(&mut self.asked, true) { Verdict::GoOn } else { Verdict::Ask }
    }

    /// Whether a session that takes no more substreams, and has none, may hang up.
    pub(super) fn may_hang_up(&mut self, now: Tick) -> bool {
        let since = *self.leaving.get_or_insert(now);
        self.side == Side::Dialing || now > since.after(PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_silent_other_side_is_asked_once_and_then_given_up() {
        let mut pulse = Pulse::new(Side::Dialing, at(0));
        let looks = [(15, Verdict::GoOn), (16, Verdict::Ask), (20, Verdict::GoOn), (31, Verdict::GiveUp)];
        for (second, verdict) in looks {
            assert_eq!(pulse.look(at(second), 1), verdict, "after {second} s");
        }
        pulse.hear(at(31));
        assert_eq!(pulse.look(at(46), 1), Verdict::GoOn, "a sign of life begins it anew");
        assert_eq!(pulse.look(at(47), 1), Verdict::Ask);
    }

    #[test]
    fn silence_without_a_substream_is_no_cause_for_worry() {
        let mut pulse = Pulse::new(Side::Dialing, at(0));
        assert_eq!(pulse.look(at(59), 0), Verdict::GoOn);
        assert_eq!(pulse.look(at(61), 0), Verdict::Leave);
    }

    #[test]
    fn the_accepting_side_lets_the_other_hang_up_first() {
        let mut accepting = Pulse::new(Side::Accepting, at(0));
        assert!(!accepting.may_hang_up(at(5)));
        assert!(!accepting.may_hang_up(at(7)));
        assert!(accepting.may_hang_up(at(8)));
        assert!(Pulse::new(Side::Dialing, at(0)).may_hang_up(at(0)));
    }
}

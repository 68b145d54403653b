//! One substream's state: what was received and not read, what may still be sent, and who has ended what.

use std::task::{Context, Waker};

use super::frame::Violation;
use super::{WINDOW, WINDOW_MAX};
use crate::buffer::Buffers;

/// What a sender is to be given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Credit {
    pub(super) bytes: u32,
    /// The sender may be waiting for it. Else it can leave with whatever is written next.
    pub(super) urgent: bool,
}

/// A substream as its session keeps it.
#[derive(Debug)]
pub(super) struct Lane {
    /// Its number on the wire.
    pub(super) id: u32,
    /// Received and, from `start`, not read.
    received: Vec<u8>,
    start: usize,
    /// Who waits for data.
    pub(super) reader: Waiting,
    /// Who waits for credit, or for room.
    pub(super) writer: Waiting,
    /// So much may still be sent.
    pub(super) credit: u32,
    /// So much may still be received.
    granted: u32,
    /// So much was read since credit was last given.
    owed: u32,
    window: u32,
    /// The other side's half is complete.
    pub(super) ended: bool,
    /// The other side takes and gives nothing more.
    pub(super) was_reset: bool,
    /// We have said that our half is complete.
    pub(super) said_end: bool,
    /// Nobody here reads or writes any more, and the other side knows.
    pub(super) left: bool,
}

impl Lane {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            received: Vec::new(),
            start: 0,
            reader: Waiting::default(),
            writer: Waiting::default(),
            credit: WINDOW,
            granted: WINDOW,
            owed: 0,
            window: WINDOW,
            ended: false,
            was_reset: false,
            said_end: false,
            left: false,
        }
    }

    /// Whether both sides are through with it, so that its place is free.
    pub(super) fn is_over(&self) -> bool {
        self.heard_out() && self.left
    }

    /// Whether the other side will send nothing more.
    pub(super) fn heard_out(&self) -> bool {
        self.ended || self.was_reset
    }

    /// Received and not read.
    pub(super) fn unread(&self) -> &[u8] {
        &self.received[self.start..]
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// When the other side may not send that.
    pub(super) fn receive(&mut self, data: &[u8], buffers: &Buffers) -> Result<(), Violation> {
        if self.heard_out() {
            return Err(Violation::BehindEnd);
        }
        let n = u32::try_from(data.len()).map_err(|_| Violation::Credit)?;
        self.granted = self.granted.checked_sub(n).ok_or(Violation::Credit)?;
        if !self.left {
            if self.received.capacity() == 0 {
                self.received = buffers.output();
            }
            self.received.extend_from_slice(data);
            self.reader.wake();
        }
        Ok(())
    }

    /// Takes `n` bytes of what is unread; the credit that is to be given for it, once it is worth a frame.
    pub(super) fn consume(&mut self, n: usize) -> Option<Credit> {
        self.start += n;
        let drained = self.start == self.received.len();
        if drained {
            self.received.clear();
            self.start = 0;
        }
        self.owed = self.owed.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        if self.owed < self.window / 2 || self.heard_out() {
            return None;
        }
        // A reader that keeps up with half a window between two looks is held up by the round trip alone.
        if drained && self.window < WINDOW_MAX {
            self.owed += self.window;
            self.window *= 2;
        }
        let urgent = self.granted < self.window / 4;
        self.granted += self.owed;
        Some(Credit { bytes: std::mem::take(&mut self.owed), urgent })
    }

    /// The buffer of what was received, when all of that was read.
    pub(super) fn take_drained(&mut self) -> Option<Vec<u8>> {
        (self.received.is_empty() && self.received.capacity() > 0).then(|| std::mem::take(&mut self.received))
    }

    /// Wakes whoever waits.
    pub(super) fn wake_all(&mut self) {
        self.reader.wake();
        self.writer.wake();
    }
}

/// A task that may be waiting.
///
/// Keeps its waker from one wait to the next: as a rule it is the same task that waits again.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waker: Option<Waker>,
    waits: bool,
}

impl Waiting {
    /// Sets the task of `cx` to wait.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        self.waits = true;
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Wakes whoever waits, who then waits no more.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.waits)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_never_gets_more_under_way_than_it_was_given() {
        let mut lane = Lane::new(1);
        let window = WINDOW as usize;
        assert_eq!(lane.receive(&vec![0; window], &Buffers::default()), Ok(()));
        assert_eq!(lane.receive(&[0], &Buffers::default()), Err(Violation::Credit));
    }

    #[test]
    fn a_reader_that_keeps_up_is_given_a_larger_window_and_a_slow_one_is_not() {
        let (mut quick, mut slow) = (Lane::new(1), Lane::new(2));
        let half = WINDOW as usize / 2;
        for lane in [&mut quick, &mut slow] {
            assert_eq!(lane.receive(&vec![0; half + 1], &Buffers::default()), Ok(()));
        }
        let given = |credit: Option<Credit>| credit.map(|it| it.bytes);
        assert_eq!(given(quick.consume(half + 1)), Some(WINDOW / 2 + 1 + WINDOW));
        assert_eq!(given(slow.consume(half)), Some(WINDOW / 2), "what it has read, and no more");
        assert_eq!(slow.unread().len(), 1);
    }

    #[test]
    fn a_window_grows_to_its_bound_and_not_beyond() {
        let (mut lane, buffers) = (Lane::new(1), Buffers::default());
        let mut credit = WINDOW as usize;
        for _ in 0..1_000 {
            let n = credit.min(1 << 16);
            assert_eq!(lane.receive(&vec![0; n], &buffers), Ok(()));
            credit = credit - n + lane.consume(n).map_or(0, |given| given.bytes as usize);
            assert!(credit <= WINDOW_MAX as usize);
        }
        assert!(credit > WINDOW_MAX as usize / 2);
    }

    #[test]
    fn credit_is_urgent_when_its_sender_has_little_left() {
        for (sent, urgent) in [(WINDOW / 2, false), (WINDOW, true)] {
            let mut lane = Lane::new(1);
            assert_eq!(lane.receive(&vec![0; sent as usize], &Buffers::default()), Ok(()));
            let credit = lane.consume(sent as usize);
            assert_eq!(credit.map(|it| it.urgent), Some(urgent), "after {sent} bytes");
        }
    }

    #[test]
    fn nothing_may_come_behind_an_end() {
        let mut lane = Lane::new(1);
        lane.ended = true;
        assert_eq!(lane.receive(b"x", &Buffers::default()), Err(Violation::BehindEnd));
    }
}

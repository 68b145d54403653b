//! What a downstream connection's streams add up to: how many live, and how many end as only a flood's would.

use std::cell::Cell;
use std::rc::Rc;

use spillway_core::Tick;

use super::abuse::Abuse;
use super::meter::WINDOW;
use crate::worker::Worker;

/// So many resets in a [`WINDOW`] are a flood when most streams end so. A sidecar carries many clients on one
/// connection, some of which cancel: a count alone would punish them all.
const MAX_RESETS: u32 = 200;

/// The same for malformed requests, which no honest client sends many of.
const MAX_MALFORMED: u32 = 100;

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// With an answer, or for a reason of ours.
    Well,
    /// The downstream reset it.
    Reset,
    /// Its request broke HTTP.
    Malformed,
}

/// The counts of one connection.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) live: Cell<u32>,
    pub(super) idle_since: Cell<Tick>,
    /// Since when the next three count.
    window: Cell<Tick>,
    opened: Cell<u32>,
    reset: Cell<u32>,
    malformed: Cell<u32>,
}

impl Tally {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            live: Cell::new(0),
            idle_since: Cell::new(now),
            window: Cell::new(now),
            opened: Cell::new(0),
            reset: Cell::new(0),
            malformed: Cell::new(0),
        }
    }

    /// Begins another window when this one is over; whether it did.
    pub(super) fn turn(&self, now: Tick) -> bool {
        let over = now > self.window.get().after(WINDOW);
        if over {
            self.window.set(now);
            [&self.opened, &self.reset, &self.malformed].into_iter().for_each(|count| count.set(0));
        }
        over
    }

    /// What the connection is to be closed for.
    pub(super) fn verdict(&self) -> Option<Abuse> {
        let mostly = |count: u32| count.saturating_mul(2) > self.opened.get();
        let (reset, malformed) = (self.reset.get(), self.malformed.get());
        if reset > MAX_RESETS && mostly(reset) {
            Some(Abuse::Resets)
        } else if malformed > MAX_MALFORMED && mostly(malformed) {
            Some(Abuse::Malformed)
        } else {
            None
        }
    }
}

/// A stream that is being served.
pub(super) struct Live {
    tally: Rc<Tally>,
    worker: Rc<Worker>,
}

impl Live {
    pub(super) fn begin(tally: &Rc<Tally>, worker: &Rc<Worker>) -> Self {
        tally.live.set(tally.live.get() + 1);
        tally.opened.set(tally.opened.get().saturating_add(1));
        Self { tally: Rc::clone(tally), worker: Rc::clone(worker) }
    }

    pub(super) fn end(self, ended: Ended) {
        let count = match ended {
            Ended::Well => return,
            Ended::Reset => &self.tally.reset,
            Ended::Malformed => &self.tally.malformed,
        };
        count.set(count.get().saturating_add(1));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tally.live.set(self.tally.live.get() - 1);
        self.tally.idle_since.set(self.worker.now());
    }
}

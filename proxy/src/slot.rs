//! Room for another connection to a target, and the line of those who wait for it.
//!
//! A target may have only so many connections, over all workers ([`spillway_core::breaker`]). A request that finds no
//! idle one and no room for another stands in line, process-wide and first come, first served: the first is told when
//! a connection closes, or becomes idle on its worker for its endpoint. A connection that becomes idle anywhere else
//! while somebody is in line is closed, and idle ones are asked for when somebody gets into line, so that none stays
//! with those who do not need it. Only requests that met a limit come here: nobody else takes the lock, or wakes
//! another thread.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use spillway_core::breaker::{Load, Overflow, Permit, Resource};
use spillway_core::pick::{Pick, Target};

use crate::deadline::Deadline;
use crate::forward::Failure;
use crate::pool::Upstream;
use crate::worker::{Shared, Worker};

/// A place among the connections that a target may have. When it is dropped, whoever is first in line is told.
#[derive(Debug)]
pub struct Slot {
    permit: Permit,
    shared: Arc<Shared>,
}

impl Slot {
    fn new(worker: &Worker, permit: Permit) -> Self {
        Self { permit, shared: Arc::clone(&worker.shared) }
    }

    /// A place for another connection, for somebody who does not wait for one.
    ///
    /// # Errors
    /// When there are as many as may be, or others wait.
    pub(crate) fn take(worker: &Worker, target: &Target) -> Result<Self, Overflow> {
        let permit = target.breaker.connection();
        let most = target.breaker.thresholds.connections;
        permit.map(|permit| Self::new(worker, permit)).ok_or(Overflow { of: Resource::Connections, most })
    }

    /// A place for a connection that nobody needs yet.
    pub(crate) fn spare(worker: &Worker, target: &Target) -> Option<Self> {
        target.breaker.try_connection().map(|permit| Self::new(worker, permit))
    }

    /// What it is counted in.
    pub(crate) fn load(&self) -> &Arc<Load> {
        self.permit.load()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.permit.give_back();
        if self.load().is_waited_for() {
            self.shared.line.tell(self.load());
        }
    }
}

/// How a request comes by a connection.
pub(crate) enum Room<T> {
    /// By one that is there.
    AtHand(T),
    /// By making one.
    New(Slot),
}

/// Room for a connection to the pick's endpoint; when there is none, waits in line until `at_hand` finds another way,
/// or it is the first and there is room.
pub(crate) async fn room<T>(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
    mut at_hand: impl FnMut() -> Option<T>,
) -> Result<Room<T>, Failure> {
    let (target, breaker) = (pick.target, &pick.target.breaker);
    let id = || target.id.to_string();
    if let Ok(slot) = Slot::take(worker, target) {
        return Ok(Room::New(slot));
    }
    if let Some(found) = at_hand() {
        return Ok(Room::AtHand(found));
    }
    if breaker.thresholds.connections == 0 {
        return Err(Failure::Overflow { target: id(), limit: breaker.turn_away(Resource::Connections) });
    }
    let waker = std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let turn = worker.shared.line.join(&breaker.load, (worker.index, pick.endpoint.uid), waker);
    worker.pools.make_room(target);
    let others = Arc::clone(target);
    worker.ask_others(move |worker| worker.pools.make_room(&others));
    std::future::poll_fn(|_| {
        if let Some(found) = at_hand() {
            return Poll::Ready(Ok(Room::AtHand(found)));
        }
        if turn.has_come()
            && let Some(permit) = breaker.try_connection()
        {
            return Poll::Ready(Ok(Room::New(Slot::new(worker, permit))));
        }
        match deadline.expired(worker.now()) {
            true => Poll::Ready(Err(Failure::NoRoom { target: id() })),
            false => Poll::Pending,
        }
    })
    .await
}

/// Keeps a connection for the next request to the pick's endpoint, unless it is in the way of somebody in line.
pub(crate) fn keep(worker: &Worker, pick: &Pick<'_>, upstream: Upstream) {
    let Shared { line, stats, .. } = &*worker.shared;
    let load = &pick.target.breaker.load;
    let waited_for = load.is_waited_for();
    if !waited_for || line.first(load) == Some((worker.index, pick.endpoint.uid)) {
        worker.pools.checkin(pick.endpoint, stats, upstream, worker.now());
    }
    if waited_for {
        line.tell(load);
    }
}

/// Where somebody in line can use a connection: on a worker, for an endpoint's `uid`.
type Place = (usize, u64);

/// All who wait for room for a connection, to whatever target, in the order in which they came.
#[derive(Debug, Default)]
pub struct Line {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Bounded by what targets may have pending.
    line: Vec<Waiter>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    load: Arc<Load>,
    place: Place,
    waker: Waker,
}

impl Waiting {
    fn first(&self, load: &Arc<Load>) -> Option<&Waiter> {
        self.line.iter().find(|waiter| Arc::ptr_eq(&waiter.load, load))
    }

    /// Says how many wait for `load`, under the lock that changed it.
    fn count(&self, load: &Arc<Load>) {
        let waiting = self.line.iter().filter(|waiter| Arc::ptr_eq(&waiter.load, load)).count();
        load.set_waiting(u32::try_from(waiting).unwrap_or(u32::MAX));
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets into line, until the answer is dropped.
    fn join(&self, load: &Arc<Load>, place: Place, waker: Waker) -> Turn<'_> {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.line.push(Waiter { number, load: Arc::clone(load), place, waker });
        waiting.count(load);
        Turn { line: self, load: Arc::clone(load), number }
    }

    /// Where the first of those who wait for `load` can use a connection.
    fn first(&self, load: &Arc<Load>) -> Option<Place> {
        self.lock().first(load).map(|waiter| waiter.place)
    }

    /// Wakes the first of those who wait for `load`.
    fn tell(&self, load: &Arc<Load>) {
        let first = self.lock().first(load).map(|waiter| waiter.waker.clone());
        if let Some(waker) = first {
            waker.wake();
        }
    }

    /// Wakes all who can use a connection at this place: there is one that can be shared.
    pub(crate) fn tell_all(&self, worker: usize, endpoint: u64) {
        let waiting = self.lock();
        let there = waiting.line.iter().filter(|waiter| waiter.place == (worker, endpoint));
        let wakers: Vec<Waker> = there.map(|waiter| waiter.waker.clone()).collect();
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A turn in line. Whoever leaves, for whatever reason, tells the next: there may be room for more than one.
struct Turn<'a> {
    line: &'a Line,
    load: Arc<Load>,
    number: u64,
}

impl Turn<'_> {
    fn has_come(&self) -> bool {
        self.line.lock().first(&self.load).is_some_and(|first| first.number == self.number)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.line.lock();
        waiting.line.retain(|waiter| waiter.number != self.number);
        waiting.count(&self.load);
        drop(waiting);
        self.line.tell(&self.load);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Told(AtomicU32);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Told {
        fn times(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn whoever_came_first_is_told_first_and_the_next_when_it_leaves() {
        let (line, load, other) = (Line::default(), Arc::new(Load::default()), Arc::new(Load::default()));
        let told: [Arc<Told>; 3] = Default::default();
        let join = |load, place, told: &Arc<Told>| line.join(load, place, Arc::clone(told).into());
        let elsewhere = join(&other, (0, 9), &told[2]);
        let (first, second) = (join(&load, (0, 1), &told[0]), join(&load, (1, 2), &told[1]));
        assert!(load.is_waited_for() && first.has_come() && !second.has_come() && elsewhere.has_come());
        assert_eq!(line.first(&load), Some((0, 1)));
        line.tell(&load);
        assert_eq!(told.each_ref().map(|it| it.times()), [1, 0, 0]);
        drop(first);
        assert_eq!(told.each_ref().map(|it| it.times()), [1, 1, 0]);
        assert!(second.has_come());
        drop(second);
        assert!(!load.is_waited_for() && other.is_waited_for());
    }

    #[test]
    fn a_connection_that_can_be_shared_is_told_to_all_at_its_place() {
        let (line, load) = (Line::default(), Arc::new(Load::default()));
        let told: [Arc<Told>; 3] = Default::default();
        let places = [(0, 1), (0, 1), (1, 1)];
        let turns: Vec<_> = places
            .iter()
            .zip(&told)
            .map(|(at, told)| line.join(&load, *at, Arc::clone(told).into()))
            .collect();
        line.tell_all(0, 1);
        assert_eq!(told.each_ref().map(|it| it.times()), [1, 1, 0]);
        drop(turns);
        assert!(!load.is_waited_for());
    }
}

//! Deadlines in ticks of 100 ms: a connection keeps one cell, and one sweep a tick wakes those that are due.
//!
//! Cheaper than a timer a request, as setting one is a store. The clock is read by the worker's ticker alone.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use spillway_core::Tick;

/// No deadline.
const NEVER: Tick = Tick(u32::MAX);

#[derive(Debug)]
struct Cell {
    at: Tick,
    waker: Option<Waker>,
}

/// The deadlines of a worker's connections.
#[derive(Debug, Default)]
pub struct Deadlines {
    cells: RefCell<Vec<Cell>>,
    free: RefCell<Vec<usize>>,
}

impl Deadlines {
    /// A deadline that wakes `waker` when it is due; unset at first.
    pub fn register(self: &Rc<Self>, waker: &Waker) -> Deadline {
        let cell = Cell { at: NEVER, waker: Some(waker.clone()) };
        let mut cells = self.cells.borrow_mut();
        let index = match self.free.borrow_mut().pop() {
            Some(index) => {
                cells[index] = cell;
                index
            }
            None => {
                cells.push(cell);
                cells.len() - 1
            }
        };
        Deadline { all: Rc::clone(self), index }
    }

    /// Wakes every connection whose deadline has come.
    pub fn sweep(&self, now: Tick) {
        for cell in self.cells.borrow().iter().filter(|cell| cell.at <= now) {
            if let Some(waker) = &cell.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Wakes every connection, so that each looks at what has changed.
    pub fn wake_all(&self) {
        for waker in self.cells.borrow().iter().filter_map(|cell| cell.waker.as_ref()) {
            waker.wake_by_ref();
        }
    }
}

/// One connection's deadline.
#[derive(Debug)]
pub struct Deadline {
    all: Rc<Deadlines>,
    index: usize,
}

impl Deadline {
    /// Due at this tick.
    pub fn set_at(&self, at: Tick) {
        self.all.cells.borrow_mut()[self.index].at = at;
    }

    /// Not due.
    pub fn clear(&self) {
        self.set_at(NEVER);
    }

    /// When it is due; `Tick(u32::MAX)` when it is not set.
    pub fn at(&self) -> Tick {
        self.all.cells.borrow()[self.index].at
    }

    /// Whether it has come.
    pub fn expired(&self, now: Tick) -> bool {
        self.at() <= now
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.all.cells.borrow_mut()[self.index] = Cell { at: NEVER, waker: None };
        self.all.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_sweep_wakes_what_is_due_and_nothing_else() {
        let all = Rc::new(Deadlines::default());
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let (due, later) = (all.register(&waker), all.register(&waker));
        due.set_at(Tick(10).after(Duration::from_millis(250)));
        later.set_at(Tick(10).after(Duration::from_secs(60)));
        all.sweep(Tick(12));
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "250 ms are three ticks");
        all.sweep(Tick(13));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(due.expired(Tick(13)) && !later.expired(Tick(13)));
        drop(due);
        all.sweep(Tick(14));
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "a dropped deadline wakes nobody");
    }
}

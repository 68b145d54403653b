//! A worker's lines, until they are handed over: once a tick, or when there are many.

use std::cell::RefCell;
use std::sync::Arc;

use super::writer::Writer;

/// So many bytes are handed over before the tick.
const HAND_OVER: usize = 64 * 1024;

/// So many wait when they cannot be handed over; what comes then is lost.
const MOST: usize = 1024 * 1024;

/// A worker's lines.
#[derive(Debug)]
pub(crate) struct Batch {
    worker: usize,
    held: RefCell<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Whose the lines are; None when there are none.
    writer: Option<Arc<Writer>>,
    lines: Vec<u8>,
}

impl Batch {
    /// No lines yet of this worker.
    pub(crate) fn new(worker: usize) -> Self {
        Self { worker, held: RefCell::default() }
    }

    /// Appends a line.
    pub(super) fn add(&self, writer: &Arc<Writer>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut held = self.held.borrow_mut();
        if !held.writer.as_ref().is_some_and(|it| Arc::ptr_eq(it, writer)) {
            // Another configuration: what was written for the old one still goes there.
            held.finish(self.worker);
            held.writer = Some(Arc::clone(writer));
        }
        if held.lines.len() >= MOST {
            return writer.lose(1);
        }
        write(&mut held.lines);
        if held.lines.len() >= HAND_OVER {
            writer.take(self.worker, &mut held.lines);
        }
    }

    /// Hands over what there is.
    pub(crate) fn hand_over(&self) {
        let mut held = self.held.borrow_mut();
        let Held { writer, lines } = &mut *held;
        if let Some(taking) = writer {
            taking.take(self.worker, lines);
            if lines.is_empty() {
                *writer = None;
            }
        }
    }
}

impl Held {
    fn finish(&mut self, worker: usize) {
        if let Some(writer) = self.writer.take() {
            writer.take_last(worker, &mut self.lines);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.held.get_mut().finish(self.worker);
    }
}

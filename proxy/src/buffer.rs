//! Recycled buffers: a connection holds one only while it has bytes to hold.
//!
//! A worker keeps a few released buffers at hand, so a warm connection allocates nothing and an idle one costs
//! nothing. Kept out: any notion of what the bytes mean.

use std::cell::RefCell;
use std::rc::Rc;

/// The size of a read buffer. Large enough that bulk bodies move in few system calls; pages of it that were
/// never written are not resident.
pub const BUFFER_SIZE: usize = 64 * 1024;

/// How many released buffers of each kind a worker keeps.
const KEPT: usize = 64;

/// A larger output buffer is not kept: it was an exception.
const KEPT_OUTPUT: usize = 128 * 1024;

/// A worker's released buffers.
#[derive(Debug, Default)]
pub struct Buffers {
    inputs: RefCell<Vec<Box<[u8]>>>,
    outputs: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    fn input(&self) -> Box<[u8]> {
        self.inputs.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice())
    }

    fn release_input(&self, bytes: Box<[u8]>) {
        let mut inputs = self.inputs.borrow_mut();
        if inputs.len() < KEPT {
            inputs.push(bytes);
        }
    }

    /// An empty vector to write into.
    pub fn output(&self) -> Vec<u8> {
        self.outputs.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(4096))
    }

    /// Gives a vector back. One without room is none: kept, it would take the place of one that spares an allocation.
    pub fn release_output(&self, mut bytes: Vec<u8>) {
        let mut outputs = self.outputs.borrow_mut();
        if outputs.len() < KEPT && (1..=KEPT_OUTPUT).contains(&bytes.capacity()) {
            bytes.clear();
            outputs.push(bytes);
        }
    }
}

/// What was read from a connection and not yet consumed.
#[derive(Debug)]
pub struct Input {
    /// Empty when there is nothing to hold.
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    buffers: Rc<Buffers>,
}

impl Input {
    /// Holds nothing yet.
    pub fn new(buffers: &Rc<Buffers>) -> Self {
        Self { bytes: Box::default(), start: 0, end: 0, buffers: Rc::clone(buffers) }
    }

    /// The bytes at hand.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `n` bytes from the front; with the last one the buffer goes back.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        self.release_if_empty();
    }

    /// Where the next read goes; empty when the buffer is full. Makes the data contiguous at the front if the
    /// room behind it is short.
    pub fn room(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = self.buffers.input();
            (self.start, self.end) = (0, 0);
        }
        if self.start > 0 && self.bytes.len() - self.end < self.bytes.len() / 4 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.bytes[self.end..]
    }

    /// Says that `n` bytes were read into [`Self::room`].
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
        if n == 0 {
            self.release_if_empty();
        }
    }

    /// Gives the buffer back when it holds nothing.
    pub fn release_if_empty(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            self.buffers.release_input(std::mem::take(&mut self.bytes));
            (self.start, self.end) = (0, 0);
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        (self.start, self.end) = (0, 0);
        self.release_if_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_holds_a_buffer_only_while_it_holds_bytes() {
        let buffers = Rc::new(Buffers::default());
        let mut input = Input::new(&buffers);
        input.room()[..5].copy_from_slice(b"hello");
        input.filled(5);
        input.consume(2);
        assert_eq!(input.data(), b"llo");
        assert!(buffers.inputs.borrow().is_empty());
        input.consume(3);
        assert_eq!(buffers.inputs.borrow().len(), 1, "the empty buffer went back");
        let _ = input.room();
        input.filled(0);
        assert_eq!(buffers.inputs.borrow().len(), 1, "a read of nothing gives it back too");
    }

    #[test]
    fn a_vector_without_room_is_not_kept() {
        let buffers = Buffers::default();
        buffers.release_output(Vec::with_capacity(100));
        buffers.release_output(Vec::new());
        assert!(buffers.output().capacity() >= 100);
    }

    #[test]
    fn a_full_buffer_offers_no_room_and_loses_no_byte() {
        let mut input = Input::new(&Rc::new(Buffers::default()));
        let n = input.room().len();
        input.filled(n);
        assert!(input.room().is_empty());
        input.consume(n - 1);
        assert!(!input.room().is_empty());
        assert_eq!(input.len(), 1);
    }
}

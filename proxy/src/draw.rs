//! The only dice: one small generator a worker, seeded by the system's.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use spillway_core::Draw;

/// A worker's random numbers.
#[derive(Debug)]
pub struct Dice(RefCell<SmallRng>);

impl Dice {
    /// Seeded by the thread's generator, which the system seeds.
    pub fn new() -> Self {
        Self(RefCell::new(SmallRng::from_rng(&mut rand::rng())))
    }

    /// The next number.
    pub fn draw(&self) -> Draw {
        Draw(self.0.borrow_mut().next_u64())
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}

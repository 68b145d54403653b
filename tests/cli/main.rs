//! The program itself, as its users meet it: output, exit status, and the demo.
//!
//! Each test runs the real binary in a directory of its own, with nothing of this process's environment that it
//! reads. Kept out: what the libraries decide, which their own tests show.

mod ca;
mod chain;
mod demo;
mod descriptors;
mod explain;
mod faults;
mod peering;
mod run;
mod soak;
mod usage;
mod validate;

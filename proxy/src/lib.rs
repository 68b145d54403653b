//! The Spillway engine: accepts connections, forwards requests, keeps pools and health, and runs the sidecar.
//!
//! One current-thread runtime a worker ([`worker`]); a connection lives and dies on the worker that it was given
//! to, its upstream connections too. [`forward`] tells a request's story; everything it asks about a request is
//! answered by tables of `spillway-core` that [`process`] published ([`generation`]).

pub mod access_log;
pub mod admin;
mod admission;
pub mod assembly;
pub mod attempt;
pub mod body;
pub mod buffer;
pub mod checks;
pub mod conn;
mod connect;
pub mod deadline;
mod descriptors;
pub mod dial;
mod dialing;
pub mod downstream;
pub mod draw;
pub mod forward;
pub mod generation;
mod heads;
pub mod http1;
pub mod http2;
pub mod inbound;
pub mod listener;
pub mod malformed;
pub mod mux;
pub mod outbound;
pub mod pool;
pub mod process;
pub mod refusal;
pub mod registered;
pub mod relay;
mod request_id;
mod retry;
pub mod serve;
pub mod sidecar;
pub mod slot;
pub mod source;
pub mod stats;
pub mod stream;
pub mod tcp;
mod told;
pub mod vouch;
pub mod worker;

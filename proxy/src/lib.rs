//! The Spillway engine: accepts connections, forwards requests, keeps pools and health, and runs the sidecar.
//!
//! One current-thread runtime a worker ([`worker`]); a connection lives and dies on the worker that it was given
//! to, its upstream connections too. [`forward`] tells a request's story; everything it asks about a request is
//! answered by tables of `spillway-core` that [`process`] published ([`generation`]).

/// The strict HTTP/1.1 codec: bytes to typed heads and back, no sockets.
pub mod http1;

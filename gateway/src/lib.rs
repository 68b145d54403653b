//! The Spillway mesh gateway: routes by SNI without decrypting where it need not, terminates for exported HTTP
//! services, and keeps the streams to peers.
//!
//! A connection's way: [`preread`] its ClientHello, look its name up in the table that `routes` built, and do
//! what `route` says. [`Gateway`] puts it all in force as a plane of the engine; [`peering`] is everything about
//! clusters of other trust domains but their traffic.

pub mod peering;
mod plane;
pub mod preread;
mod route;
mod routes;

pub use plane::Gateway;

#[cfg(test)]
mod tests;

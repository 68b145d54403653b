//! The hop between two Spillways: many HTTP/1.1 connections over one connection of mutual TLS.
//!
//! A pooled HTTP/1.1 connection costs a read, a write and a TLS record at either end for every request and every
//! answer. Here one [`Session`] a worker and endpoint carries byte streams side by side, so that whatever becomes
//! ready in one turn of the event loop leaves in one write and as few records as it fills. Each [`Substream`] is a
//! connection to the layers above: it is pooled, reused, half-closed and reset like one, and HTTP/1.1 is spoken on
//! it by the same codec as everywhere. So there is one set of rules for heads, and nothing to translate.
//!
//! Why not HTTP/2: its heads are compressed against a table that both sides keep, which costs each hop more than the
//! bytes that it saves inside a cluster, and its streams are requests, each with a state of its own to make and drop.
//! A substream outlives its requests; a warm one allocates nothing. `bench/results` has the figures.
//!
//! Both sides agree on it by ALPN ([`spillway_certs::Alpn::Multiplexed`]). Whoever does not know the name, as Envoy,
//! picks `http/1.1` and gets it. Towards another datacenter's instances it is not asked for: the gateway between passes
//! connections on undecrypted, and would pin a worker's whole traffic to one instance.
//!
//! ```text
//! frame     what stands on the wire
//! lane      one substream's two directions: credit, ends, resets
//! session   lanes by number, what waits to be written, and the substreams' reads and writes
//! driver    the one task a session: reads frames, writes what has gathered
//! pulse     whether it is still wanted, and whether the other side is still there
//! accept    the answering end: a task for each substream that the other side opens
//! upstream  the asking end: a worker's sessions to an endpoint, dialed once for all who wait
//! ```
//!
//! # On the wire
//!
//! Frames of an eight-byte head (kind, length in 24 bits, substream in 32 bits, big endian) and so many bytes.
//! Only the dialing side opens substreams, by sending on a number that is not in use.
//!
//! | kind | | meaning |
//! |---|---|---|
//! | 0 | data | the substream's bytes, within the credit that the receiver has given |
//! | 1 | end | the sender's half is complete |
//! | 2 | reset | the sender takes and gives nothing more |
//! | 3 | credit | four bytes: so much more may be sent on this substream |
//! | 4 | going away | the sender wants no further substreams; those that come all the same are served |
//! | 5, 6 | ping, pong | a sign of life is wanted; is given |
//!
//! A number is 16 bits of place and 16 bits that count how often the place was used, so that a late credit or reset
//! never meets the next user of the place. A place is free again when both sides have sent an end or a reset. Whatever breaks these rules ends the session.

mod accept;
mod driver;
mod frame;
mod lane;
mod pulse;
mod session;
mod upstream;

#[cfg(test)]
mod tests;

pub use accept::serve;
pub use session::{Session, Substream};
pub(crate) use upstream::{Hop, Sessions, open};

/// Substreams that one session carries at once; the dialing side opens another session beyond. Few enough that a
/// callee with more workers than its caller gets several sessions to spread.
const MAX_SUBSTREAMS: usize = 512;

/// What a substream's receiver lets the sender have under way at first. Raised up to [`WINDOW_MAX`], enough for 5 MB/s
/// over 50 ms, for a reader that keeps up; one that stalls holds no more than it was given.
const WINDOW: u32 = 64 * 1024;
const WINDOW_MAX: u32 = 256 * 1024;

/// The largest data frame. A longer write makes several, between which others get their turn.
const FRAME_MAX: usize = 16 * 1024;

/// While so much waits for the socket, substreams wait too.
const OUT_MAX: usize = 256 * 1024;

/// The other side makes us say this much without reading it: it is not interested in the answers.
const UNREAD_MAX: usize = OUT_MAX + 1024 * 1024;

//! HTTP/2 on either side, and the bridges to HTTP/1.1, behind the same [`crate::forward`].
//!
//! The framing, HPACK and flow control are those of `h2`, the engine under hyper, driven without the layers above
//! it: informational responses, GOAWAY's reasons, the number of free streams and back-pressure from end to end are
//! not to be had through them. A connection is one task and so is each of its streams, all on the worker that
//! accepted it; nothing here needs `Send`, a channel or a timer thread.
//!
//! There is one set of rules for heads. A head that comes in over HTTP/2 is put into HTTP/1.1's words and read by
//! the strict codec (`head`), so whatever is refused, dropped, vouched for or edited there is here as well.
//!
//! ```text
//! server     a downstream connection: accepts streams, keeps the limits, says GOAWAY
//! tally      what such a connection's streams add up to; meter: its frames; abuse: what it may be closed for
//! received   a request as it came, and the way back for its answer
//! stream     such a one on a downstream's stream
//! lines      such a one that came over HTTP/1.1
//! exchange   drives either to an upstream of either version, for `forward`; tunnels in `exchange::tunnel`
//! upstream   multiplexed connections to endpoints, one a worker as long as that is enough
//! pump       a body on its way from any of the four to any other
//! ```
//!
//! Kept out: HTTP/1.1 to HTTP/1.1, which has a faster path of its own ([`crate::attempt`]).

pub mod abuse;
mod exchange;
mod grpc;
mod head;
mod lines;
mod meter;
mod pump;
mod received;
mod server;
mod stream;
mod tally;
mod transport;
mod upstream;

#[cfg(test)]
mod tests;

pub(crate) use lines::forward_lines;
pub use server::serve;
pub(crate) use upstream::Connections;

/// The most streams that one downstream connection may have open.
pub(crate) const MAX_STREAMS: u32 = 200;

/// How much of a body may be on its way to us that its receiver has not taken yet. Enough for 5 MB/s over 50 ms.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all bodies of a connection: so many stalled ones that the others still move.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// How much of a body may wait in us for the other side's window, a stream.
const SEND_BUFFER: usize = 64 * 1024;

/// The largest head, as RFC 9113 section 6.5.2 counts. Somewhat above the codec's own limit, which has the last word.
const MAX_HEADER_LIST: u32 = 64 * 1024;

/// Streams that the other side may reset before they were looked at (CVE-2023-44487): those at one time.
const MAX_EARLY_RESETS: usize = 20;

/// Streams that it may make us reset or refuse (CVE-2025-8671), in the life of a connection: honest ones on a hop that
/// lives long are among them, so this is no tighter than `h2` has it.
const MAX_PROVOKED_RESETS: usize = 1024;

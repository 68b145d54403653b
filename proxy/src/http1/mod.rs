//! The strict HTTP/1.1 codec: bytes in, typed heads out, and heads written anew from the typed view.
//!
//! Here: request and response heads, message framing, chunked bodies and trailers (RFC 9112), and what of a
//! head may travel on (RFC 9110 §7.6). Each file names the sections that it enforces. One rule stands above
//! all: nothing is forwarded because it was received. Framing, `host`, `connection`, `upgrade`, `te`, `expect`
//! and `x-forwarded-client-cert` are generated from what was understood; a message that could be understood in
//! two ways is refused, and its connection ends with it.
//!
//! Heads are spans into the caller's buffer and are reused, so a warm connection parses and writes without an
//! allocation. Every method that takes the buffer wants the very bytes that were parsed.
//!
//! Kept out: sockets, tasks, clocks, deadlines, pools, routing, and path normalisation. Callers decide what
//! becomes of a connection; this module tells them whether it can carry another message.

mod authority;
mod body;
mod chunk;
mod edits;
mod fields;
mod malformed;
mod outgoing;
mod request;
mod response;
mod target;
mod text;
mod trailers;
mod view;
mod write_request;
mod write_response;

#[cfg(test)]
mod cases;

pub use body::{BodyReader, Ended};
pub use chunk::{ChunkDecoder, ChunkLimits, Step, write_chunk, write_chunk_header, write_last_chunk};
pub use malformed::{Malformed, Reason};
pub(crate) use outgoing::{path_and_query, request_lines, response_lines};
pub use request::{Framing, RequestHead, parse_request};
pub use response::{RequestFacts, ResponseFraming, ResponseHead, parse_response};
pub use target::TargetForm;
pub use trailers::Trailers;
pub(crate) use trailers::may_trail;
pub use view::HeadView;
pub use write_request::{PathOut, RequestOut, write_request};
pub use write_response::{RefusalOut, ResponseOut, write_refusal, write_response};

/// How much of a head is read before it is refused with 431.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a whole head, start line included; above [`Limits::MOST_HEAD`] counts as that.
    pub max_head: usize,
    /// Header lines; above [`Limits::MOST_HEADERS`] counts as that.
    pub max_headers: usize,
}

impl Limits {
    /// Spans are 32 bits wide, and no head needs more than this.
    pub const MOST_HEAD: usize = 1 << 20;
    /// The tokenizer's scratch space lies on the stack: 8 KiB at this many.
    pub const MOST_HEADERS: usize = 256;
}

impl Default for Limits {
    /// Envoy's defaults.
    fn default() -> Self {
        Self { max_head: 60 * 1024, max_headers: 100 }
    }
}

/// How far a head could be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parse {
    /// The head is whole.
    Complete,
    /// Nothing is wrong so far; more bytes are needed.
    Partial,
}

/// The version of a message; every other one is refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    /// As it stands in a start line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// Whether the bytes that arrived after the first `seen` can change the answer of a parse that was
/// [`Parse::Partial`].
///
/// A head that drips in byte by byte would otherwise be read anew for each byte; asking this first bounds the
/// work to one pass a line. Not for a buffer that has reached [`Limits::max_head`]: parse that, and it is refused.
#[inline]
pub fn worth_parsing(buf: &[u8], seen: usize) -> bool {
    seen == 0 || buf.get(seen..).is_some_and(|new| new.contains(&b'\n'))
}

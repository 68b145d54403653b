//! Trailer sections: RFC 9112 §7.1.2, and RFC 9110 §6.5 on what may stand in one.
//!
//! - §7.1.2: header lines as in a head, so as strict: CR LF, tokens, no folding, no control characters.
//! - RFC 9110 §6.5.1: what frames, routes, authenticates, modifies the request or describes the content has no
//!   place behind it. Such lines are dropped, with all that is generated or concerns one hop: a server that merges
//!   trailers into its headers would take a client's word for ours.

use super::fields::Kind;
use super::malformed::Reason;
use super::text::Span;

/// The trailer section that a chunked body ended with; what may not travel on is already gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trailers<'a> {
    buf: &'a [u8],
    lines: &'a [(Span, Span)],
}

impl<'a> Trailers<'a> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Names as received, and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let buf = self.buf;
        self.lines.iter().map(move |(name, value)| (name.text(buf), value.bytes(buf)))
    }
}

/// Gathers a trailer section as it arrives. Holds no memory until a trailer comes.
#[derive(Debug, Default)]
pub(super) struct Section {
    buf: Vec<u8>,
    lines: Vec<(Span, Span)>,
}

/// Trailer lines of one body: more than any honest message has.
const MOST_LINES: usize = 64;

impl Section {
    pub(super) fn clear(&mut self) {
        self.buf.clear();
        self.lines.clear();
    }

    pub(super) fn trailers(&self) -> Trailers<'_> {
        Trailers { buf: &self.buf, lines: &self.lines }
    }

    /// Takes bytes up to the section's end. How many were taken, once it has ended; None takes them all.
    pub(super) fn feed(&mut self, input: &[u8], most: usize) -> Result<Option<usize>, Reason> {
        if self.buf.is_empty() && input.starts_with(b"\r\n") {
            return Ok(Some(2));
        }
        let mut taken = 0;
        for piece in input.split_inclusive(|&b| b == b'\n') {
            self.buf.extend_from_slice(piece);
            taken += piece.len();
            if self.buf.len() > most {
                return Err(Reason::TrailersTooLarge);
            }
            if self.buf.ends_with(b"\n") && !self.buf.ends_with(b"\r\n") {
                return Err(Reason::Trailer);
            }
            if self.buf == b"\r\n" || self.buf.ends_with(b"\r\n\r\n") {
                return self.read().map(|()| Some(taken));
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> Result<(), Reason> {
        let mut scratch = [httparse::EMPTY_HEADER; MOST_LINES];
        let (_, headers) = match httparse::parse_headers(&self.buf, &mut scratch) {
            Ok(httparse::Status::Complete(whole)) if whole.0 == self.buf.len() => whole,
            Err(httparse::Error::TooManyHeaders) => return Err(Reason::TrailersTooLarge),
            _ => return Err(Reason::Trailer),
        };
        for header in headers.iter().filter(|header| may_trail(header.name)) {
            let name = Span::of(header.name.as_bytes(), &self.buf);
            self.lines.push((name, Span::of(header.value, &self.buf)));
        }
        Ok(())
    }
}

/// Lower-case names that RFC 9110 §6.5.1 keeps out of trailers by what they do, and those that tell an upstream who
/// is calling.
const NOT_TRAILERS: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expires",
    "forwarded",
    "from",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "retry-after",
    "set-cookie",
    "trailer",
    "vary",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Whether a line of this name may follow a body.
pub(crate) fn may_trail(name: &str) -> bool {
    let forbidden = NOT_TRAILERS.iter().any(|other| name.eq_ignore_ascii_case(other));
    Kind::of(name.as_bytes()) == Kind::Plain && !forbidden
}

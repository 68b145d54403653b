//! Response heads: RFC 9112 §4 and §6.3, as strict as requests, since a response with two meanings poisons the
//! connection for whoever comes next.
//!
//! - RFC 9112 §4: `HTTP/1.x SP status`, then an optional phrase; nothing, not even an empty line, may precede it.
//! - RFC 9110 §15: a status is three digits and not below 100; those from 600 up pass, as 5xx are judged by callers.
//! - RFC 9112 §6.3: no body behind HEAD, 1xx, 204, 304, or 2xx to CONNECT, whatever the lines say; else chunked,
//!   else Content-Length, else until the upstream closes.
//! - §6.1: 1xx and 204 carry no framing. A 1xx that does is refused, for its body would be read as the next
//!   response; a 204 that does (some servers do) costs its connection instead.
//! - RFC 9110 §15.2.2: 101 only to who asked for it, in HTTP/1.1, and to a protocol that may pass through us.

use std::mem::MaybeUninit;

use super::fields::{self, Fields, Kind, Line};
use super::malformed::{Malformed, Reason};
use super::text::Span;
use super::{Limits, Parse, Version};

/// How a response's body is delimited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseFraming {
    /// No body.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
}

/// What of the request decides how its response is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestFacts {
    /// Its method is `HEAD`.
    pub method_is_head: bool,
    /// Its method is `CONNECT`.
    pub method_is_connect: bool,
    /// It went out with Upgrade.
    pub upgrade: bool,
}

/// Informational responses that may precede a final one. Each is passed on at once, to a downstream that may not read.
pub const MOST_INFORMATIONAL: u32 = 64;

/// A response head, as spans into the buffer that it was parsed from. Reused from response to response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    len: usize,
    status: u16,
    phrase: Span,
    version: Version,
    framing: ResponseFraming,
    keep_alive: bool,
    switched: bool,
    pub(super) fields: Fields,
}

impl ResponseHead {
    /// Bytes of the head: the body, or the next response after an informational one, begins here.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been parsed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as received, often empty.
    pub fn phrase<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        self.phrase.bytes(buf)
    }

    /// What the upstream speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body is delimited.
    pub fn framing(&self) -> ResponseFraming {
        self.framing
    }

    /// Content-Length as received; where [`ResponseHead::framing`] is none it says what a body would have had.
    pub fn declared_length(&self) -> Option<u64> {
        self.fields.length
    }

    /// Whether the upstream connection can carry another request once the body has been read, given that nothing
    /// else arrived behind it.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the final response is still to come (1xx but 101).
    pub fn is_informational(&self) -> bool {
        self.status < 200 && !self.switched
    }

    /// Whether the upstream switched protocols: 101, and the request had asked for it.
    pub fn upgraded(&self) -> bool {
        self.switched
    }

    /// How the body goes out to a downstream of this version: what has no length is chunked, or ends with the
    /// connection where chunks are not known (RFC 9112 §6.1).
    pub fn framing_for(&self, downstream: Version) -> ResponseFraming {
        match (self.framing, downstream) {
            (ResponseFraming::UntilClose, Version::Http11) => ResponseFraming::Chunked,
            (ResponseFraming::Chunked, Version::Http10) => ResponseFraming::UntilClose,
            (framing, _) => framing,
        }
    }

    /// The headers that travel from one side to the other, in order, names as received: for writing them in another
    /// protocol. Framing and all that is generated are left out.
    pub fn end_to_end<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let lines = self.fields.lines.iter().filter(|line| line.kind.is_end_to_end());
        lines.map(move |line| (line.name.text(buf), line.value.bytes(buf)))
    }

    /// The first value of a header that travels on, by name in any case.
    pub fn value<'a>(&'a self, buf: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let is = |line: &&Line| {
            line.kind.is_end_to_end() && line.name.bytes(buf).eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.lines.iter().find(is).map(|line| line.value.bytes(buf))
    }

    fn read(
        &mut self,
        parsed: &httparse::Response<'_, '_>,
        head: &[u8],
        request: RequestFacts,
    ) -> Result<(), Reason> {
        self.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
        self.status = parsed.code.filter(|code| *code >= 100).ok_or(Reason::StatusLine)?;
        self.phrase = phrase(head);
        self.fields.fill(parsed.headers, head, self.version)?;
        for line in &mut self.fields.lines {
            // A request's: means nothing here, so it is a header like any other. Host and TE go the same way as in
            // a request, which is nowhere.
            if line.kind == Kind::Expect {
                line.kind = Kind::Plain;
            }
        }
        self.read_framing(request)?;
        self.switched = self.status == 101;
        let asked = request.upgrade && self.version == Version::Http11;
        let named = self.fields.connection_upgrade && self.fields.upgrades(head).next().is_some();
        if self.switched && !(asked && named) { Err(Reason::Upgrade) } else { Ok(()) }
    }

    fn read_framing(&mut self, request: RequestFacts) -> Result<(), Reason> {
        let promises_body = self.fields.chunked || self.fields.length.is_some_and(|length| length > 0);
        let tunnel = request.method_is_connect && (200..300).contains(&self.status);
        self.framing = match self.status {
            100..200 if promises_body => return Err(Reason::InformationalBody),
            100..200 | 204 | 304 => ResponseFraming::None,
            _ if request.method_is_head || tunnel => ResponseFraming::None,
            _ if self.fields.chunked => ResponseFraming::Chunked,
            _ => self.fields.length.map_or(ResponseFraming::UntilClose, ResponseFraming::Length),
        };
        self.keep_alive = self.fields.persists(self.version)
            && self.framing != ResponseFraming::UntilClose
            && !(self.status == 204 && promises_body)
            && self.status != 101
            && !tunnel;
        Ok(())
    }
}

/// What stands behind the status on the first line, which is `HTTP/1.x SP 3DIGIT [SP phrase]`.
fn phrase(head: &[u8]) -> Span {
    let start = "HTTP/1.1 200 ".len();
    let length = head.get(start..).and_then(|rest| rest.iter().position(|&b| b == b'\r'));
    // Without the space before it, the line's end lies before `start`.
    match length {
        Some(length) if head.get(start - 1) == Some(&b' ') => Span::new(start, start + length),
        _ => Span::default(),
    }
}

/// Reads a response head from the beginning of `buf`, which may hold less or more than it.
///
/// # Errors
/// When no further byte could make it a response that has one meaning, or it exceeds a limit.
#[inline]
pub fn parse_response(
    buf: &[u8],
    limits: &Limits,
    request: RequestFacts,
    head: &mut ResponseHead,
) -> Result<Parse, Malformed> {
    head.len = 0;
    let most = limits.max_head.min(Limits::MOST_HEAD);
    let window = &buf[..buf.len().min(most)];
    if window.first().is_some_and(|&first| first != b'H') {
        return Err(Reason::StatusLine.into());
    }
    let mut scratch = [const { MaybeUninit::uninit() }; Limits::MOST_HEADERS];
    let scratch = &mut scratch[..limits.max_headers.min(Limits::MOST_HEADERS)];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, window, scratch) {
        Ok(httparse::Status::Complete(len)) => {
            head.read(&response, &window[..len], request)?;
            head.len = len;
            Ok(Parse::Complete)
        }
        Ok(httparse::Status::Partial) if window.len() >= most => Err(Reason::HeadTooLarge.into()),
        Ok(httparse::Status::Partial) => Ok(Parse::Partial),
        Err(error) => Err(why(error, window).into()),
    }
}

/// What the tokenizer's word for it means in a response.
#[cold]
fn why(error: httparse::Error, buf: &[u8]) -> Reason {
    match error {
        httparse::Error::HeaderName => fields::bad_name(buf),
        httparse::Error::HeaderValue => Reason::HeaderValue,
        httparse::Error::NewLine => Reason::LineEnd,
        httparse::Error::TooManyHeaders => Reason::TooManyHeaders,
        httparse::Error::Version => Reason::Version,
        httparse::Error::Status | httparse::Error::Token => Reason::StatusLine,
    }
}

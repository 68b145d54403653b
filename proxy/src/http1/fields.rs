//! The header lines of a head: where they lie, what each is to us, and what they say together about framing and
//! the connection. Requests and responses share all of it.
//!
//! - RFC 9112 §2.2: httparse takes a bare LF for a line's end; here every line must end in CR LF.
//! - RFC 9112 §5.1, §5.2: white space before a colon and folded lines are refused (by httparse, so configured).
//! - RFC 9112 §6.1, §6.3: one framing. Transfer-Encoding is exactly `chunked`, once, and never beside
//!   Content-Length or in HTTP/1.0; Content-Length is one line of digits. RFC 9112 lets some of these be mended;
//!   each such mending has been a way to smuggle a request.
//! - RFC 9110 §7.6.1: Connection and every header that it names end here. What frames, routes or vouches cannot
//!   be named away: those lines are ours to generate in any case.
//! - Names that differ from a generated one only by `_` for `-` end here too: a backend behind CGI's variable
//!   names (RFC 3875 §4.1.18) cannot tell them apart.

use httparse::Header;

use super::Version;
use super::malformed::Reason;
use super::text::{Span, elements, is_token, trim};

/// What a header line is to a proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// End to end: passes.
    Plain,
    /// Passes, unless a new one is given.
    RequestId,
    /// `x-spillway-…`: passes where the caller says so.
    Own,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Te,
    Upgrade,
    /// `100-continue`; another expectation is [`Kind::Plain`].
    Expect,
    /// `x-forwarded-client-cert`.
    ForwardedCert,
    /// Concerns this hop alone, or imitates one of the above.
    Dropped,
}

impl Kind {
    /// What a header of this name, a token, is, whoever wrote it.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        let is = |lower: &[u8]| name.eq_ignore_ascii_case(lower);
        match name.len() {
            2 if is(b"te") => Self::Te,
            4 if is(b"host") => Self::Host,
            6 if is(b"expect") => Self::Expect,
            7 if is(b"upgrade") => Self::Upgrade,
            10 if is(b"connection") => Self::Connection,
            10 if is(b"keep-alive") => Self::Dropped,
            12 if is(b"x-request-id") => Self::RequestId,
            14 if is(b"content-length") => Self::ContentLength,
            14 if is(b"http2-settings") => Self::Dropped,
            16 if is(b"proxy-connection") => Self::Dropped,
            17 if is(b"transfer-encoding") => Self::TransferEncoding,
            23 if is(b"x-forwarded-client-cert") => Self::ForwardedCert,
            10 | 14 | 16 | 17 | 23 if name.contains(&b'_') && imitates(name) => Self::Dropped,
            11.. if starts_own(name) => Self::Own,
            _ => Self::Plain,
        }
    }

    /// Whether it travels from one side to the other, so that edits and Connection may take it away.
    #[inline]
    pub(super) fn is_end_to_end(self) -> bool {
        matches!(self, Self::Plain | Self::RequestId | Self::Own)
    }
}

#[inline]
fn starts_own(name: &[u8]) -> bool {
    name.get(..11).is_some_and(|start| start.eq_ignore_ascii_case(b"x-spillway-"))
}

/// Whether a name is one that we generate or drop, but for `_` in place of `-`.
#[cold]
fn imitates(name: &[u8]) -> bool {
    let dashed = |b: &u8| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    let names = [
        "content-length",
        "keep-alive",
        "http2-settings",
        "proxy-connection",
        "transfer-encoding",
        "x-forwarded-client-cert",
    ];
    names.iter().any(|other| name.iter().map(dashed).eq(other.bytes()))
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) name: Span,
    /// Without the white space around it.
    pub(super) value: Span,
    /// Where the next line begins.
    pub(super) end: u32,
    pub(super) kind: Kind,
}

impl Line {
    /// Whether the bytes as received, from name to line end, are what writing the line anew would give.
    #[inline]
    pub(super) fn is_canonical(&self, buf: &[u8]) -> bool {
        self.value.start == self.name.end + 2
            && self.value.end + 2 == self.end
            && buf.get(self.name.end as usize + 1) == Some(&b' ')
    }
}

/// All header lines, and what they say together.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) lines: Vec<Line>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    /// Connection's options.
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) connection_upgrade: bool,
}

/// Options that Connection may name beside the ones that we know. Each is compared with every line, so the work
/// that one head can ask for needs a bound.
const MOST_OPTIONS: usize = 32;

impl Fields {
    /// Takes the lines over from the tokenizer. `head` ends with the head; the lines lie in it.
    #[inline]
    pub(super) fn fill(
        &mut self,
        headers: &[Header<'_>],
        head: &[u8],
        version: Version,
    ) -> Result<(), Reason> {
        self.lines.clear();
        self.lines.reserve(headers.len());
        (self.length, self.chunked) = (None, false);
        (self.close, self.keep_alive, self.connection_upgrade) = (false, false, false);
        let mut connection = false;
        for header in headers {
            let kind = Kind::of(header.name.as_bytes());
            match kind {
                Kind::ContentLength if self.length.is_some() => return Err(Reason::SeveralLengths),
                Kind::ContentLength => self.length = Some(content_length(header.value)?),
                Kind::TransferEncoding if self.chunked || !header.value.eq_ignore_ascii_case(b"chunked") => {
                    return Err(Reason::TransferEncoding);
                }
                Kind::TransferEncoding => self.chunked = true,
                Kind::Connection => connection = true,
                _ => {}
            }
            let (name, value) = (Span::of(header.name.as_bytes(), head), Span::of(header.value, head));
            if let Some(previous) = self.lines.last_mut() {
                previous.end = name.start;
            }
            self.lines.push(Line { name, value, end: name.start, kind });
        }
        self.check_line_ends(head)?;
        if self.chunked && self.length.is_some() {
            return Err(Reason::TwoFramings);
        }
        if self.chunked && version == Version::Http10 {
            return Err(Reason::ChunkedInHttp10);
        }
        if connection { self.read_connection(head) } else { Ok(()) }
    }

    /// A line ends where the next one begins, so one look back from there tells CR LF from LF: the tokenizer lets
    /// no CR stand anywhere else.
    #[inline]
    fn check_line_ends(&mut self, head: &[u8]) -> Result<(), Reason> {
        let last = head.len().wrapping_sub(2);
        if head.get(last) != Some(&b'\r') {
            return Err(Reason::LineEnd);
        }
        if let Some(line) = self.lines.last_mut() {
            line.end = last as u32;
        }
        let start_line_end = self.lines.first().map_or(last, |line| line.name.start as usize);
        let bare = |end: usize| head.get(end.wrapping_sub(2)) != Some(&b'\r');
        let bad = self.lines.iter().fold(bare(start_line_end), |bad, line| bad | bare(line.end as usize));
        if bad { Err(Reason::LineEnd) } else { Ok(()) }
    }

    fn read_connection(&mut self, head: &[u8]) -> Result<(), Reason> {
        let mut named = 0;
        for index in 0..self.lines.len() {
            if self.lines[index].kind != Kind::Connection {
                continue;
            }
            for option in elements(self.lines[index].value.bytes(head)) {
                if option.eq_ignore_ascii_case(b"close") {
                    self.close = true;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                } else if option.eq_ignore_ascii_case(b"upgrade") {
                    self.connection_upgrade = true;
                } else {
                    named += 1;
                    self.drop_named(option, head);
                }
                if named > MOST_OPTIONS {
                    return Err(Reason::ConnectionOptions);
                }
            }
        }
        Ok(())
    }

    fn drop_named(&mut self, name: &[u8], head: &[u8]) {
        for line in self.lines.iter_mut().filter(|line| line.kind.is_end_to_end()) {
            if line.name.bytes(head).eq_ignore_ascii_case(name) {
                line.kind = Kind::Dropped;
            }
        }
    }

    /// Whether the connection carries another message after this one (RFC 9112 §9.3).
    #[inline]
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// The lines of one kind.
    #[inline]
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.kind == kind)
    }

    /// The protocols that the Upgrade lines name and that may be switched to through us (RFC 9110 §7.8): none that
    /// would put another HTTP or TLS on this connection, below the layer that we judge (h2c: RFC 9113 §3.1).
    pub(super) fn upgrades<'a>(&self, buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let passes = |protocol: &&[u8]| {
            let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            let valid = protocol.splitn(2, |&b| b == b'/').all(is_token);
            valid && !["h2c", "h2", "http", "tls"].into_iter().any(is)
        };
        self.of_kind(Kind::Upgrade).flat_map(|line| elements(line.value.bytes(buf))).filter(passes)
    }
}

/// RFC 9110 §8.6: `1*DIGIT`. Up to 2^63 - 1, since the next program may count in signed numbers.
#[inline]
fn content_length(value: &[u8]) -> Result<u64, Reason> {
    if value.is_empty() {
        return Err(Reason::ContentLength);
    }
    let number = value.iter().try_fold(0_i64, |number, &b| match b {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(b - b'0')),
        _ => None,
    });
    number.map(i64::cast_unsigned).ok_or(Reason::ContentLength)
}

/// Why a tokenizer found no name in one of these lines, the first of which is a start line: in the words of the rule
/// that the first bad one breaks.
#[cold]
pub(super) fn bad_name(head: &[u8]) -> Reason {
    let lines = head.split(|&b| b == b'\n').skip(1);
    for line in lines {
        match line.iter().position(|&b| b == b':').map(|colon| &line[..colon]) {
            _ if matches!(line, [b' ' | b'\t', ..]) => return Reason::FoldedLine,
            Some(name) if is_token(name) => {}
            Some(name) if is_token(trim(name)) => return Reason::SpaceBeforeColon,
            _ => return Reason::HeaderName,
        }
    }
    Reason::HeaderName
}

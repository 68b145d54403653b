//! Request heads: RFC 9112 §3 and what RFC 9110 adds for requests.
//!
//! - RFC 9112 §2.2: empty lines before a request line are skipped, a few of them; anything else is refused.
//! - §2.3: HTTP/1.0 and HTTP/1.1. HTTP/0.9 has no head and is refused as a request line, other versions as such.
//! - §3: exactly one space on either side of the target; the method is a token and passes whatever it is.
//! - §3.2: one Host in HTTP/1.1, at most one in HTTP/1.0, valid in either; an empty one only where the target is
//!   `*` or names the authority itself.
//! - §3.2.2: the authority of an absolute target takes the place of Host, which need not agree.
//! - §6.3: without Content-Length and Transfer-Encoding there is no body.
//! - §9.3: persistent unless `close`; HTTP/1.0 only with `keep-alive`.
//! - RFC 9110 §7.8: Upgrade counts in HTTP/1.1 and beside `connection: upgrade`; never for `h2c`.
//! - RFC 9110 §10.1.1: `100-continue` counts in HTTP/1.1 and with a body.
//! - RFC 9110 §10.1.4: of TE, `trailers` alone is of use behind a proxy that re-makes chunks.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::authority::is_authority;
use super::fields::{self, Fields, Kind};
use super::malformed::{Malformed, Reason};
use super::target::{self, Target, TargetForm};
use super::text::{Span, elements, is_token};
use super::{Limits, Parse, Version};

/// How a request's body is delimited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// So many bytes; 0 was said, not implied.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// A request head, as spans into the buffer that it was parsed from. Reused from request to request.
#[derive(Debug, Default)]
pub struct RequestHead {
    len: usize,
    method: Span,
    idempotent: bool,
    target: Target,
    version: Version,
    framing: Framing,
    pub(super) host_line: Option<Span>,
    expect_continue: bool,
    upgrade: bool,
    te_trailers: bool,
    has_request_id: bool,
    pub(super) fields: Fields,
}

impl RequestHead {
    /// Bytes of the head, skipped empty lines included: the body begins here.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been parsed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// As sent: methods are case-sensitive.
    pub fn method<'a>(&self, buf: &'a [u8]) -> &'a str {
        self.method.text(buf)
    }

    /// The same for who writes it on: text is judged once more whenever it is asked for.
    pub(super) fn method_bytes<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        self.method.bytes(buf)
    }

    /// Whether the method is `HEAD`, whose response has no body.
    pub fn is_head(&self, buf: &[u8]) -> bool {
        self.method.bytes(buf) == b"HEAD"
    }

    /// Whether sending it twice does no more than sending it once (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// The path as received, without the query; `*` in asterisk form.
    pub fn path<'a>(&self, buf: &'a [u8]) -> &'a str {
        str::from_utf8(self.path_bytes(buf)).unwrap_or_default()
    }

    pub(super) fn path_bytes<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        match (self.target.form, self.target.path) {
            (TargetForm::Asterisk, _) => b"*",
            (_, path) if path.is_empty() => b"/",
            (_, path) => path.bytes(buf),
        }
    }

    /// What stands behind the first `?`.
    pub fn query<'a>(&self, buf: &'a [u8]) -> Option<&'a str> {
        self.target.query.map(|query| query.text(buf))
    }

    pub(super) fn query_bytes<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.target.query.map(|query| query.bytes(buf))
    }

    /// Path and query in origin form; `*` in asterisk form.
    pub fn path_and_query<'a>(&self, buf: &'a [u8]) -> Cow<'a, [u8]> {
        match (self.path(buf), self.query(buf)) {
            (path, None) => path.as_bytes().into(),
            (path, Some(query)) if self.target.path.is_empty() => {
                format!("{path}?{query}").into_bytes().into()
            }
            (_, Some(query)) => {
                let start = self.target.path.start as usize;
                let end = self.target.path.end as usize + 1 + query.len();
                buf.get(start..end).unwrap_or_default().into()
            }
        }
    }

    /// How the target was written.
    pub fn target_form(&self) -> TargetForm {
        self.target.form
    }

    /// What the downstream speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the downstream wants to keep the connection.
    pub fn keep_alive(&self) -> bool {
        self.fields.persists(self.version)
    }

    /// Whether the downstream waits for `100 Continue` before it sends the body.
    pub fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// Whether the downstream asks for another protocol on this connection, one that may be had through us.
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    /// The protocol that it asks for first, of those that may be had through us.
    pub fn upgrade_to<'a>(&self, buf: &'a [u8]) -> Option<&'a str> {
        let mut protocols = self.fields.upgrades(buf).filter(|_| self.upgrade);
        protocols.next().and_then(|protocol| str::from_utf8(protocol).ok())
    }

    /// Whether the downstream takes trailers.
    pub fn te_trailers(&self) -> bool {
        self.te_trailers
    }

    /// Whether an `x-request-id` came along, one and not empty.
    pub fn has_request_id(&self) -> bool {
        self.has_request_id
    }

    /// Who is asked: the target's authority, else Host. Only HTTP/1.0 can name nobody.
    pub fn host<'a>(&self, buf: &'a [u8]) -> Option<&'a str> {
        self.host_bytes(buf).map(|host| str::from_utf8(host).unwrap_or_default())
    }

    pub(super) fn host_bytes<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.target.authority.or(self.host_line).map(|host| host.bytes(buf))
    }

    /// The values of `x-forwarded-client-cert` as received. They never pass by themselves: a caller that trusts the
    /// downstream to vouch for them (a mesh gateway of our own trust domain) makes its own line from them.
    pub fn forwarded_certs<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields.of_kind(Kind::ForwardedCert).map(|line| line.value.bytes(buf))
    }

    fn read(&mut self, parsed: &httparse::Request<'_, '_>, head: &[u8]) -> Result<(), Reason> {
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        self.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
        self.method = Span::of(method.as_bytes(), head);
        self.idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE");
        self.fields.fill(parsed.headers, head, self.version)?;
        self.target =
            target::parse(method, target.as_bytes(), Span::of(target.as_bytes(), head).start as usize)?;
        self.framing = match self.fields.length {
            _ if self.fields.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::None,
        };
        self.read_lines(head)
    }

    fn read_lines(&mut self, head: &[u8]) -> Result<(), Reason> {
        let modern = self.version == Version::Http11;
        let (mut upgrade, mut request_ids) = (false, 0);
        (self.host_line, self.expect_continue, self.te_trailers, self.has_request_id) =
            (None, false, false, false);
        for line in &mut self.fields.lines {
            let value = line.value.bytes(head);
            match line.kind {
                Kind::Host if self.host_line.is_some() => return Err(Reason::SeveralHosts),
                Kind::Host => self.host_line = Some(line.value),
                Kind::Upgrade => upgrade = true,
                Kind::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                    self.expect_continue =
                        modern && !matches!(self.framing, Framing::None | Framing::Length(0));
                }
                Kind::Expect => line.kind = Kind::Plain,
                Kind::Te => {
                    self.te_trailers |= elements(value).any(|te| te.eq_ignore_ascii_case(b"trailers"));
                }
                Kind::RequestId => {
                    request_ids += 1;
                    self.has_request_id = request_ids == 1 && !value.is_empty();
                }
                _ => {}
            }
        }
        self.upgrade = upgrade
            && modern
            && self.fields.connection_upgrade
            && self.fields.upgrades(head).next().is_some();
        self.check_host(head)
    }

    fn check_host(&self, head: &[u8]) -> Result<(), Reason> {
        let empty_allowed = self.target.form != TargetForm::Origin;
        match self.host_line {
            None if self.version == Version::Http10 => Ok(()),
            None => Err(Reason::NoHost),
            Some(host) if host.is_empty() && empty_allowed || is_authority(host.bytes(head)) => Ok(()),
            Some(_) => Err(Reason::Host),
        }
    }
}

/// Empty lines that may precede a request line. One is what old clients send behind a body.
const MOST_EMPTY_LINES: usize = 4;

/// Reads a request head from the beginning of `buf`, which may hold less or more than it.
///
/// # Errors
/// When no further byte could make it a request that has one meaning, or it exceeds a limit.
#[inline]
pub fn parse_request(buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Parse, Malformed> {
    head.len = 0;
    let most = limits.max_head.min(Limits::MOST_HEAD);
    let window = &buf[..buf.len().min(most)];
    let skipped = empty_lines(window)?;
    let mut scratch = [const { MaybeUninit::uninit() }; Limits::MOST_HEADERS];
    let scratch = &mut scratch[..limits.max_headers.min(Limits::MOST_HEADERS)];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&window[skipped..], scratch) {
        Ok(httparse::Status::Complete(len)) => {
            head.read(&request, &window[..skipped + len])?;
            head.len = skipped + len;
            Ok(Parse::Complete)
        }
        Ok(httparse::Status::Partial) if window.len() >= most => Err(Reason::HeadTooLarge.into()),
        Ok(httparse::Status::Partial) => Ok(Parse::Partial),
        Err(error) => Err(why(error, &window[skipped..]).into()),
    }
}

/// The length of the empty lines at the beginning, or why what stands there begins no request.
#[inline]
fn empty_lines(buf: &[u8]) -> Result<usize, Reason> {
    let mut rest = buf;
    for _ in 0..MOST_EMPTY_LINES {
        match rest {
            [b'\r', b'\n', behind @ ..] => rest = behind,
            _ => break,
        }
    }
    match rest {
        [b'\r'] | [] => Ok(buf.len()),
        [b'\r' | b'\n', ..] => Err(Reason::LineEnd),
        _ => Ok(buf.len() - rest.len()),
    }
}

/// What the tokenizer's word for it means in a request.
#[cold]
fn why(error: httparse::Error, buf: &[u8]) -> Reason {
    match error {
        httparse::Error::HeaderName => fields::bad_name(buf),
        httparse::Error::HeaderValue => Reason::HeaderValue,
        httparse::Error::NewLine => Reason::LineEnd,
        httparse::Error::TooManyHeaders => Reason::TooManyHeaders,
        httparse::Error::Version if names_a_version(buf) => Reason::Version,
        httparse::Error::Version | httparse::Error::Status | httparse::Error::Token => request_line(buf),
    }
}

/// Whether the third word of the first line is a version, or what has arrived of one.
fn names_a_version(buf: &[u8]) -> bool {
    let word = buf.splitn(3, |&b| b == b' ').nth(2).unwrap_or_default();
    let end = word.iter().position(|&b| b == b'\r');
    let fits = |(&b, &pattern): (&u8, &u8)| if pattern == b'0' { b.is_ascii_digit() } else { b == pattern };
    let whole = end.map_or(word.len() <= 8, |end| end == 8);
    whole && word.iter().zip(b"HTTP/0.0").all(fits)
}

/// Which part of a request line no tokenizer could read.
fn request_line(buf: &[u8]) -> Reason {
    let line = buf.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|&b| b == b' ');
    let method = words.next().is_some_and(is_token);
    if method && words.count() == 2 && line.ends_with(b" HTTP/1.1") {
        Reason::Target
    } else {
        Reason::RequestLine
    }
}

//! Response heads to a downstream: an upstream's, written anew from what was understood, and our own.
//!
//! - RFC 9110 §6.2: always as HTTP/1.1; the downstream's version decides how the body and the connection end.
//! - RFC 9112 §6: one framing or none; RFC 9110 §8.6: no Content-Length in 1xx and 204.
//! - RFC 9112 §9.3: `close` is said when meant, and `keep-alive` to HTTP/1.0.
//! - RFC 9110 §7.8, §15.5.22: Upgrade in 101, and in 426 to say what would do.

use spillway_core::table::HeaderEdits;

use super::Version;
use super::edits::{Edits, Teller};
use super::response::{ResponseFraming, ResponseHead};
use super::text::{write_decimal, write_line};
use super::write_request::{Keep, write_extra, write_length, write_lines, write_upgrade};

/// What a response becomes on its way out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseOut<'a> {
    /// Edits of the splitter leg, then of the route.
    pub edits: [Option<&'a HeaderEdits>; 2],
    /// Tells edits with command operators what they ask for.
    pub teller: Option<&'a dyn Teller>,
    /// What the downstream speaks.
    pub downstream: Version,
    /// Whether the downstream connection stays open behind this response.
    pub keep_alive: bool,
    /// How the body will be sent; see [`ResponseHead::framing_for`].
    pub framing: ResponseFraming,
    /// Whether `x-spillway-…` headers end here.
    pub strip_own: bool,
    /// Further lines, written last. Names that are generated are left out.
    pub extra: &'a [(&'a str, &'a str)],
}

/// Appends the response's head to `out`. `buf` is what `head` was parsed from. HTTP/1.0 knows no informational
/// responses, so nothing is written for one (RFC 9110 §15.2).
#[inline]
pub fn write_response(head: &ResponseHead, buf: &[u8], spec: &ResponseOut<'_>, out: &mut Vec<u8>) {
    if head.is_informational() && spec.downstream == Version::Http10 {
        return;
    }
    out.reserve(head.len() + 256);
    write_status(head.status(), head.phrase(buf), out);
    let edits = Edits::new(spec.edits, spec.teller);
    write_lines(&head.fields, buf, &Keep { edits, own: !spec.strip_own, request_id: true }, out);
    edits.write(out);
    write_extra(spec.extra, out);
    let mut switches = head.upgraded();
    if head.status() == 426 {
        switches = head.fields.upgrades(buf).next().is_some();
    }
    if switches {
        write_upgrade(&head.fields, buf, out);
    }
    if !head.is_informational() {
        let close = !spec.keep_alive || spec.framing == ResponseFraming::UntilClose;
        write_connection(close && !head.upgraded(), switches, spec.downstream, out);
    }
    match spec.framing {
        _ if head.status() < 200 || head.status() == 204 => {}
        ResponseFraming::None => {
            if let Some(length) = head.declared_length() {
                write_length(length, out);
            }
        }
        ResponseFraming::Length(length) => write_length(length, out),
        ResponseFraming::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        ResponseFraming::UntilClose => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status(status: u16, phrase: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(phrase);
    out.extend_from_slice(b"\r\n");
}

fn write_connection(close: bool, upgrade: bool, downstream: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(match (close, upgrade, downstream) {
        (true, true, _) => b"connection: close, upgrade\r\n",
        (true, false, _) => b"connection: close\r\n",
        (false, true, _) => b"connection: upgrade\r\n",
        (false, false, Version::Http10) => b"connection: keep-alive\r\n",
        (false, false, Version::Http11) => b"",
    });
}

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub struct RefusalOut<'a> {
    /// Its status.
    pub status: u16,
    /// One line that names the cause and the target.
    pub body: &'a str,
    /// What the downstream speaks.
    pub downstream: Version,
    /// Whether the connection stays open behind it; never behind a malformed request.
    pub keep_alive: bool,
    /// Whether the request was HEAD: the body is described and left out.
    pub head_request: bool,
    /// Further lines. Names that are generated are left out.
    pub extra: &'a [(&'a str, &'a str)],
}

/// Appends an answer of our own, head and body, to `out`.
pub fn write_refusal(refusal: &RefusalOut<'_>, out: &mut Vec<u8>) {
    let status =
        http::StatusCode::from_u16(refusal.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let phrase = status.canonical_reason().unwrap_or_default();
    write_status(status.as_u16(), phrase.as_bytes(), out);
    write_line(b"content-type", b"text/plain", out);
    write_extra(refusal.extra, out);
    write_connection(!refusal.keep_alive, false, refusal.downstream, out);
    let newline = !refusal.body.ends_with('\n');
    write_length(refusal.body.len() as u64 + u64::from(newline), out);
    out.extend_from_slice(b"\r\n");
    if !refusal.head_request {
        out.extend_from_slice(refusal.body.as_bytes());
        out.extend_from_slice(if newline { b"\n" } else { b"" });
    }
}

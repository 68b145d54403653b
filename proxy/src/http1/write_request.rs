//! Request heads to an upstream, written anew from what was understood.
//!
//! - RFC 9112 §2.3, RFC 9110 §2.5: always as HTTP/1.1, whatever the downstream spoke.
//! - RFC 9112 §3.2: origin or asterisk form, and one Host: the authority that was asked for.
//! - RFC 9112 §6: the framing as understood, one line of it.
//! - RFC 9110 §7.6.1: Connection names what is written for this hop alone: Upgrade and TE.
//! - `x-forwarded-client-cert` is the caller's or absent.

use std::iter;

use spillway_core::table::HeaderEdits;

use super::edits::{Edits, Teller};
use super::fields::{Fields, Kind};
use super::request::{Framing, RequestHead};
use super::target::TargetForm;
use super::text::{is_value, write_checked, write_decimal, write_line, write_valued};

/// The path to ask the upstream for.
#[derive(Clone, Copy, Debug, Default)]
pub enum PathOut<'a> {
    /// As received.
    #[default]
    AsReceived,
    /// These two, one after the other: what a rewrite puts in place of the match, and the rest of the path. The
    /// query stays. A `*` stays as well: there is no path to rewrite.
    Parts(&'a str, &'a str),
}

/// What a request becomes on its way out. The default passes it on, vouching for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOut<'a> {
    /// The path.
    pub path: PathOut<'a>,
    /// Takes the place of the received Host.
    pub host: Option<&'a str>,
    /// Host for a request that named nobody (HTTP/1.0, `*`).
    pub default_host: &'a str,
    /// Edits of the splitter leg, then of the route.
    pub edits: [Option<&'a HeaderEdits>; 2],
    /// Tells edits with command operators what they ask for.
    pub teller: Option<&'a dyn Teller>,
    /// What we vouch for; received ones never pass.
    pub xfcc: Option<&'a [u8]>,
    /// Takes the place of the received one.
    pub request_id: Option<&'a [u8]>,
    /// Whether to pass Upgrade on; counts only if the downstream asked for it.
    pub upgrade: bool,
    /// Whether to pass `expect: 100-continue` on; counts only if the downstream sent it.
    pub expect_continue: bool,
    /// Whether `x-spillway-…` headers end here.
    pub strip_own: bool,
    /// Further lines, written last. Names that are generated are left out.
    pub extra: &'a [(&'a str, &'a str)],
}

/// Appends the request's head to `out`. `buf` is what `head` was parsed from.
#[inline]
pub fn write_request(head: &RequestHead, buf: &[u8], spec: &RequestOut<'_>, out: &mut Vec<u8>) {
    out.reserve(head.len() + 512);
    out.extend_from_slice(head.method_bytes(buf));
    out.push(b' ');
    write_target(head, buf, spec.path, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host = spec.host.map(str::as_bytes).or_else(|| head.host_bytes(buf));
    write_host(host.filter(|host| !host.is_empty()).unwrap_or(spec.default_host.as_bytes()), out);
    let edits = Edits::new(spec.edits, spec.teller);
    let keep = Keep { edits, own: !spec.strip_own, request_id: spec.request_id.is_none() };
    write_lines(&head.fields, buf, &keep, out);
    edits.write(out);
    write_vouched(spec, &edits, out);
    write_extra(spec.extra, out);
    write_hop(head, buf, spec, out);
    match head.framing() {
        Framing::None => {}
        Framing::Length(length) => write_length(length, out),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_target(head: &RequestHead, buf: &[u8], path: PathOut<'_>, out: &mut Vec<u8>) {
    match path {
        PathOut::Parts(front, rest) if head.target_form() != TargetForm::Asterisk => {
            let first = if front.is_empty() { rest } else { front };
            if !first.starts_with('/') {
                out.push(b'/');
            }
            [front, rest].into_iter().for_each(|part| write_path(part.as_bytes(), out));
        }
        _ => out.extend_from_slice(head.path_bytes(buf)),
    }
    if let Some(query) = head.query_bytes(buf) {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

/// What a target cannot hold is percent-encoded: an operator's rewrite must not end the request line.
fn write_path(part: &[u8], out: &mut Vec<u8>) {
    let fits = |b: u8| b > b' ' && b < 0x7f && b != b'#';
    if part.iter().all(|&b| fits(b)) {
        return out.extend_from_slice(part);
    }
    for &b in part {
        if fits(b) {
            out.push(b);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

fn write_host(host: &[u8], out: &mut Vec<u8>) {
    write_line(b"host", if is_value(host) { host } else { b"" }, out);
}

fn write_vouched(spec: &RequestOut<'_>, edits: &Edits<'_>, out: &mut Vec<u8>) {
    if let Some(xfcc) = spec.xfcc {
        write_valued(b"x-forwarded-client-cert", xfcc, out);
    }
    if let Some(id) = spec.request_id
        && !edits.replace(b"x-request-id")
    {
        write_valued(b"x-request-id", id, out);
    }
}

/// The lines that concern this hop, and Connection to say so.
fn write_hop(head: &RequestHead, buf: &[u8], spec: &RequestOut<'_>, out: &mut Vec<u8>) {
    let upgrade = spec.upgrade && head.upgrade();
    if upgrade {
        write_upgrade(&head.fields, buf, out);
    }
    if head.te_trailers() {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    out.extend_from_slice(match (upgrade, head.te_trailers()) {
        (true, true) => b"connection: upgrade, te\r\n",
        (true, false) => b"connection: upgrade\r\n",
        (false, true) => b"connection: te\r\n",
        (false, false) => b"",
    });
    if spec.expect_continue && head.expect_continue() {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
}

/// Which end-to-end lines pass.
pub(super) struct Keep<'a> {
    pub(super) edits: Edits<'a>,
    pub(super) own: bool,
    pub(super) request_id: bool,
}

impl Keep<'_> {
    #[inline]
    pub(super) fn passes(&self, kind: Kind, name: &[u8]) -> bool {
        let passes = match kind {
            Kind::Plain => true,
            Kind::RequestId => self.request_id,
            Kind::Own => self.own,
            _ => false,
        };
        passes && (self.edits.is_empty() || !self.edits.replace(name))
    }
}

/// Appends the lines that pass. Neighbours that were received just as they would be written go out as one copy:
/// most lines do, and a copy for each of a line's four parts would cost more than all the rest of a head.
#[inline]
pub(super) fn write_lines(fields: &Fields, buf: &[u8], keep: &Keep<'_>, out: &mut Vec<u8>) {
    let mut run = 0..0;
    for line in &fields.lines {
        if !keep.passes(line.kind, line.name.bytes(buf)) {
            continue;
        }
        let (start, end) = (line.name.start as usize, line.end as usize);
        if line.is_canonical(buf) {
            if run.end != start {
                out.extend_from_slice(buf.get(run).unwrap_or_default());
                run = start..start;
            }
            run.end = end;
        } else {
            out.extend_from_slice(buf.get(run).unwrap_or_default());
            run = 0..0;
            write_line(line.name.bytes(buf), line.value.bytes(buf), out);
        }
    }
    out.extend_from_slice(buf.get(run).unwrap_or_default());
}

/// Appends Upgrade with the protocols that may pass.
pub(super) fn write_upgrade(fields: &Fields, buf: &[u8], out: &mut Vec<u8>) {
    let separators = iter::once(&b"upgrade: "[..]).chain(iter::repeat(&b", "[..]));
    for (separator, protocol) in separators.zip(fields.upgrades(buf)) {
        out.extend_from_slice(separator);
        out.extend_from_slice(protocol);
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_length(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"content-length: ");
    write_decimal(length, out);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_extra(extra: &[(&str, &str)], out: &mut Vec<u8>) {
    for (name, value) in extra {
        if Kind::of(name.as_bytes()).is_end_to_end() {
            write_checked(name.as_bytes(), value.as_bytes(), out);
        }
    }
}

//! What leaves with a head, line by line: for writing it in another protocol.
//!
//! The lines, their order and the rules are those of `write_request` and `write_response`, from the same parts, so
//! that nothing can pass over HTTP/2 that would not pass over HTTP/1.1. What concerns the hop (framing, Host,
//! Connection, TE) is left to whoever writes the other protocol.

use super::edits::Edits;
use super::fields::{Fields, Kind};
use super::request::RequestHead;
use super::response::ResponseHead;
use super::text::is_value;
use super::write_request::{Keep, PathOut, RequestOut, write_target};
use super::write_response::ResponseOut;

/// Takes one line: its name as received or as written by an operator, and its value.
pub(crate) type Line<'a> = dyn FnMut(&[u8], &[u8]) + 'a;

/// The path and query that a request leaves with.
pub(crate) fn path_and_query(head: &RequestHead, buf: &[u8], path: PathOut<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write_target(head, buf, path, &mut out);
    out
}

/// The lines that a request leaves with, besides those of the hop.
pub(crate) fn request_lines(head: &RequestHead, buf: &[u8], spec: &RequestOut<'_>, line: &mut Line<'_>) {
    let edits = Edits::new(spec.edits, spec.teller);
    let keep = Keep { edits, own: !spec.strip_own, request_id: spec.request_id.is_none() };
    lines(&head.fields, buf, &keep, line);
    edits.each(line);
    if let Some(xfcc) = spec.xfcc.filter(|xfcc| is_value(xfcc)) {
        line(b"x-forwarded-client-cert", xfcc);
    }
    if let Some(id) = spec.request_id.filter(|_| !edits.replace(b"x-request-id")) {
        line(b"x-request-id", id);
    }
    extra(spec.extra, line);
}

/// The lines that a response leaves with, besides those of the hop.
pub(crate) fn response_lines(head: &ResponseHead, buf: &[u8], spec: &ResponseOut<'_>, line: &mut Line<'_>) {
    let edits = Edits::new(spec.edits, spec.teller);
    lines(&head.fields, buf, &Keep { edits, own: !spec.strip_own, request_id: true }, line);
    edits.each(line);
    extra(spec.extra, line);
}

fn lines(fields: &Fields, buf: &[u8], keep: &Keep<'_>, line: &mut Line<'_>) {
    for received in &fields.lines {
        let name = received.name.bytes(buf);
        if keep.passes(received.kind, name) {
            line(name, received.value.bytes(buf));
        }
    }
}

fn extra(lines: &[(&str, &str)], line: &mut Line<'_>) {
    for (name, value) in lines {
        if Kind::of(name.as_bytes()).is_end_to_end() {
            line(name.as_bytes(), value.as_bytes());
        }
    }
}

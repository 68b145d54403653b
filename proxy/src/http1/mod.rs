//! The strict HTTP/1.1 codec: bytes in, typed heads out, and heads written anew from the typed view.
//!
//! Here: request and response heads, message framing, chunked bodies and trailers (RFC 9112), and what of a
//! head may travel on (RFC 9110 §7.6). Each file names the sections that it enforces. One rule stands above
//! all: nothing is forwarded because it was received. Framing, `host`, `connection`, `upgrade`, `te`, `expect`
//! and `x-forwarded-client-cert` are generated from what was understood; a message that could be understood in
//! two ways is refused, and its connection ends with it.
//!
//! # The rules
//!
//! RFC 9112 lets a recipient mend some of what is wrong. Here nothing is mended: each such mending has been a way to
//! smuggle a request. What is refused is answered with the status and ends the connection; the name is that of
//! [`Reason::name`], by which `spillway_malformed_total` counts and the log speaks. An upstream's answer is held to the
//! same rules: its status is 502 then, whatever the table says, and its connection is never used again.
//!
//! | RFC | refused | status | reason |
//! |---|---|---|---|
//! | 6585 §5 | a head, request line or response line beyond [`Limits::max_head`] | 431 | `head_too_large` |
//! | 6585 §5 | more header lines than [`Limits::max_headers`] | 431 | `too_many_headers` |
//! | 9112 §2.2 | a line that ends in a bare LF, or holds a bare CR; a fifth empty line before a request | 400 | `line_end` |
//! | 9112 §3 | what is not `method SP target SP version`: HTTP/0.9, doubled spaces, tabs, a method that is no token | 400 | `request_line` |
//! | 9112 §2.3 | `HTTP/2.0`, `HTTP/1.2`, `HTTP/0.9`: a version other than 1.0 and 1.1 | 400 | `version` |
//! | 9112 §3.2 | a target of no form; control characters, bytes above ASCII or a fragment in one; `*` but for OPTIONS; userinfo | 400 | `target` |
//! | 9110 §9.3.6 | CONNECT, in authority form or any other | 400 | `connect` |
//! | 9112 §3.2 | HTTP/1.1 without Host, also beside an absolute target | 400 | `no_host` |
//! | 9112 §3.2 | more than one Host, also two that agree | 400 | `several_hosts` |
//! | 9110 §7.2 | a Host that is no `uri-host [":" port]`: empty, a list, a path, userinfo, a port above 65535 | 400 | `host` |
//! | 9112 §5.1 | a line without colon; a name that is empty or no token (NUL and controls included) | 400 | `header_name` |
//! | 9112 §5.1 | white space between a name and its colon | 400 | `space_before_colon` |
//! | 9112 §5.2 | a folded line (obs-fold); white space before the first header line | 400 | `folded_line` |
//! | 9110 §5.5 | NUL, CR, LF or another control character but tab in a value | 400 | `header_value` |
//! | ours | more than 32 names in Connection, each of which costs a comparison a line | 400 | `connection_options` |
//! | 9112 §6.2 | a Content-Length that is not `1*DIGIT` (signs, lists, white space) or exceeds 2^63 - 1 | 400 | `content_length` |
//! | 9112 §6.3 | more than one Content-Length, also two that agree | 400 | `several_lengths` |
//! | 9112 §6.1 | any Transfer-Encoding but one line that says `chunked`: `identity`, lists, `chunked` twice | 400 | `transfer_encoding` |
//! | 9112 §6.3 | Content-Length beside Transfer-Encoding | 400 | `two_framings` |
//! | 9112 §6.1 | Transfer-Encoding in HTTP/1.0 | 400 | `chunked_in_http10` |
//! | 9112 §7.1 | a chunk size that is no hexadecimal number of at most 16 digits, or a line that does not end behind it | 400 | `chunk_size` |
//! | 9112 §7.1.1 | a control character in a chunk extension; 4 KiB of extensions that no data pays for | 400 | `chunk_extension` |
//! | 9112 §7.1 | chunk data that CR LF does not follow | 400 | `chunk_end` |
//! | 9112 §7.1.2 | a trailer section that is no list of header lines, by the rules above | 400 | `trailer` |
//! | 6585 §5 | more than 8 KiB or 64 lines of trailers | 431 | `trailers_too_large` |
//! | 9112 §9.5 | a request head that is not whole 10 s after its first byte | 400 | `slow_head` |
//! | 9112 §9.5 | a request body that stops coming for its route's idle time, 5 min unless set | 400 | `slow_body` |
//! | 9113 §8.1.1 | over HTTP/2: what `h2` calls malformed while a body arrives | 400 | `http2` |
//!
//! Of an upstream's answers besides:
//!
//! | RFC | refused | status | reason |
//! |---|---|---|---|
//! | 9112 §4 | what is not `HTTP/1.x SP 3DIGIT`, a status below 100, anything before it | 502 | `status_line` |
//! | 9112 §6.3 | a 1xx that promises a body | 502 | `informational_body` |
//! | ours | more than 64 informational responses to one request | 502 | `too_many_informational` |
//! | 9110 §15.2.2 | 101 to who did not ask, in HTTP/1.0, or to no protocol that may pass | 502 | `upgrade` |
//! | 8441 §5 | 2xx without a switch of protocols, to an extended CONNECT | 502 | `no_upgrade` |
//!
//! What is neither refused nor passed on as it came:
//!
//! - RFC 9112 §2.2: up to four empty lines before a request line are skipped; none before a status line.
//! - §3.2.2: the authority of an absolute target takes the place of Host, whatever that says. In HTTP/2 they must agree.
//! - §6.2, §7: lengths and chunks are written anew; chunk extensions end here.
//! - §7.1.2, RFC 9110 §6.5: trailers that frame, route, authenticate, describe the content or vouch are dropped.
//! - §9.3.2: pipelined requests are answered in order, one at a time; 16 KiB are read ahead.
//! - RFC 9110 §7.6.1: Connection, what it names, Keep-Alive, Proxy-Connection and TE end here, under underscored names
//!   too (RFC 3875 §4.1.18); `x-forwarded-client-cert` and what frames cannot be named away, as it is ours to write.
//! - RFC 9110 §7.8: Upgrade passes in HTTP/1.1 beside `connection: upgrade`, and never to `h2c`, `h2`, `HTTP` or `TLS`.
//!   What stands behind such a request stays here until a 101: without one it is the next request.
//! - RFC 9110 §10.1.1: `100-continue` passes where a body waits for it; other expectations are headers like any other.
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
pub use edits::Teller;
pub use malformed::{Malformed, Reason};
pub(crate) use outgoing::{path_and_query, request_lines, response_lines};
pub use request::{Framing, RequestHead, parse_request};
pub use response::{MOST_INFORMATIONAL, RequestFacts, ResponseFraming, ResponseHead, parse_response};
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

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn the_table_of_rules_names_every_reason_with_its_status() {
        let rules: Vec<_> =
            include_str!("mod.rs").lines().filter(|line| line.starts_with("//! | ")).collect();
        for reason in Reason::ALL {
            let end = |status| format!("| {status} | `{}` |", reason.name());
            let named = rules
                .iter()
                .filter(|rule| rule.ends_with(&end(reason.status())) || rule.ends_with(&end(502)));
            assert_eq!(named.count(), 1, "{reason:?}");
        }
        assert_eq!(rules.len(), Reason::ALL.len() + 2, "two heads of tables, and nothing else");
    }
}

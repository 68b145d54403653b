//! Heads from HTTP/2 to the typed view and back.
//!
//! In: a head is put into HTTP/1.1's words and read by the strict codec. `h2` has refused what RFC 9113 section 8
//! calls malformed by then; the codec decides on targets, hosts, lengths and sizes as it does for HTTP/1.1, and
//! knows what ends at this hop. Out: the lines that the codec would write, as a head of HTTP/2.
//!
//! - RFC 9113 §8.2.1: a value neither begins nor ends in white space.
//! - §8.3.1: `:authority` takes Host's place; a Host beside it must say the same. A fragment in `:path` is gone before
//!   it gets here, as `h2` reads no more than path and query: it is not refused, but neither seen nor passed on.
//! - §8.2.3: crumbs of Cookie become one line.
//! - RFC 8441: an extended CONNECT becomes a GET with Upgrade, as Envoy has it, and back; its 2xx becomes 101.
//! - §8.1.1: Content-Length is kept to by `h2`, and by the pump where the body leaves over HTTP/1.1.

use std::io::Write;

use h2::ext::Protocol;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};

use crate::http1::{
    Framing, HeadView, Limits, Malformed, Parse, Reason, RequestFacts, RequestHead, RequestOut,
    ResponseFraming, ResponseHead, ResponseOut, may_trail, parse_request, parse_response, path_and_query,
    request_lines, response_lines,
};

/// Reads a request's head. `text` holds its words from then on.
///
/// # Errors
/// When the codec would refuse them.
pub(super) fn read_request<B>(
    request: &Request<B>,
    end_of_stream: bool,
    text: &mut Vec<u8>,
    head: &mut RequestHead,
) -> Result<(), Malformed> {
    let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let tunnel = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let method = match tunnel {
        // The codec knows only those that are tokens; nothing else may stand in its line.
        Some(protocol) if protocol.bytes().all(|b| b.is_ascii_graphic() && b != b',') => "GET",
        Some(_) => return Err(Reason::Upgrade.into()),
        None if request.method() == Method::CONNECT => return Err(Reason::Connect.into()),
        None => request.method().as_str(),
    };
    // An absolute target would name an authority once more.
    if !(target.starts_with('/') || target == "*") {
        return Err(Reason::Target.into());
    }
    if request.headers().values().any(|value| is_padded(value.as_bytes())) {
        return Err(Reason::HeaderValue.into());
    }
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    write_host(request, text);
    write_lines(request.headers(), text);
    if let Some(protocol) = tunnel {
        write_upgrade(protocol, text);
    } else if !request.headers().contains_key(header::CONTENT_LENGTH) {
        if !end_of_stream {
            text.extend_from_slice(b"transfer-encoding: chunked\r\n");
        } else if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
            // What says no length to an HTTP/1.1 server may be asked for one.
            text.extend_from_slice(b"content-length: 0\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
    match parse_request(text, &Limits::default(), head)? {
        Parse::Complete if head.len() != text.len() => Err(Reason::RequestLine.into()),
        Parse::Partial => Err(Reason::RequestLine.into()),
        // What cannot be switched to must not become a plain GET.
        Parse::Complete if tunnel.is_some() && !(head.upgrade() && head.framing() == Framing::None) => {
            Err(Reason::Upgrade.into())
        }
        Parse::Complete => Ok(()),
    }
}

/// Whether a value begins or ends in white space, which in HTTP/1.1 would be none of it.
fn is_padded(value: &[u8]) -> bool {
    [value.first(), value.last()].into_iter().flatten().any(|b| matches!(b, b' ' | b'\t'))
}

/// The lines by which HTTP/1.1 asks for another protocol, or grants it.
fn write_upgrade(protocol: &str, text: &mut Vec<u8>) {
    write_line(b"connection", b"upgrade", text);
    write_line(b"upgrade", protocol.as_bytes(), text);
}

fn write_host<B>(request: &Request<B>, text: &mut Vec<u8>) {
    let authority = request.uri().authority().map(|it| it.as_str().as_bytes());
    let mut hosts: Vec<_> = authority.into_iter().collect();
    for host in request.headers().get_all(header::HOST) {
        // One that says the same as the authority is no second one.
        if hosts.len() != 1 || authority.is_none_or(|it| !it.eq_ignore_ascii_case(host.as_bytes())) {
            hosts.push(host.as_bytes());
        }
    }
    for host in hosts {
        write_line(b"host", host, text);
    }
}

/// Appends all lines but Host's.
fn write_lines(headers: &HeaderMap, text: &mut Vec<u8>) {
    for (name, value) in headers {
        if *name != header::COOKIE && *name != header::HOST {
            write_line(name.as_str().as_bytes(), value.as_bytes(), text);
        }
    }
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if let Some(first) = cookies.next() {
        text.extend_from_slice(b"cookie: ");
        text.extend_from_slice(first.as_bytes());
        for crumb in cookies {
            text.extend_from_slice(b"; ");
            text.extend_from_slice(crumb.as_bytes());
        }
        text.extend_from_slice(b"\r\n");
    }
}

/// A header value of `http` holds no CR, LF or NUL, so it cannot break out of its line.
fn write_line(name: &[u8], value: &[u8], text: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        text.extend_from_slice(part);
    }
}

/// Reads the head of an upstream's answer, which may grant a tunnel for `granted`. `text` holds its words from then
/// on.
///
/// # Errors
/// When the codec would refuse them.
pub(super) fn read_response<B>(
    response: &Response<B>,
    facts: RequestFacts,
    granted: Option<&str>,
    text: &mut Vec<u8>,
    head: &mut ResponseHead,
) -> Result<(), Malformed> {
    text.clear();
    let status = if granted.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { response.status() };
    // Writing to a vector cannot fail.
    let _ =
        write!(text, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    if let Some(protocol) = granted {
        write_upgrade(protocol, text);
    }
    write_lines(response.headers(), text);
    let has_body = !status.is_informational() && !matches!(status.as_u16(), 204 | 304);
    if has_body && !response.headers().contains_key(header::CONTENT_LENGTH) {
        text.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    text.extend_from_slice(b"\r\n");
    match parse_response(text, &Limits::default(), facts, head)? {
        Parse::Complete if head.len() == text.len() => Ok(()),
        _ => Err(Reason::StatusLine.into()),
    }
}

/// A request as it leaves over HTTP/2.
///
/// # Errors
/// When its target or host has no place in HTTP/2's.
pub(super) fn request(view: &HeadView<'_>, spec: &RequestOut<'_>, tls: bool) -> Result<Request<()>, Reason> {
    let HeadView { head, buf } = *view;
    let host = spec.host.or_else(|| head.host(buf)).filter(|host| !host.is_empty());
    let uri = Uri::builder()
        .scheme(if tls { Scheme::HTTPS } else { Scheme::HTTP })
        .authority(host.unwrap_or(spec.default_host))
        .path_and_query(path_and_query(head, buf, spec.path))
        .build()
        .map_err(|_| Reason::Target)?;
    let mut request = Request::new(());
    *request.method_mut() =
        Method::from_bytes(head.method(buf).as_bytes()).map_err(|_| Reason::RequestLine)?;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.reserve(16);
    request_lines(head, buf, spec, &mut |name, value| append(headers, name, value));
    if let Some(protocol) = head.upgrade_to(buf).filter(|_| spec.upgrade) {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from(protocol.to_ascii_lowercase().as_str()));
        return Ok(request);
    }
    let headers = request.headers_mut();
    if head.te_trailers() {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Framing::Length(length) = head.framing() {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(request)
}

/// An answer as it leaves over HTTP/2.
pub(super) fn response(head: &ResponseHead, buf: &[u8], spec: &ResponseOut<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = match head.status() {
        101 => StatusCode::OK,
        // The codec lets no status below 100 pass, and none has more than three digits.
        status => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
    };
    let headers = response.headers_mut();
    headers.reserve(16);
    response_lines(head, buf, spec, &mut |name, value| append(headers, name, value));
    let length = match head.framing() {
        ResponseFraming::Length(length) => Some(length),
        ResponseFraming::None if head.status() >= 200 && head.status() != 204 => head.declared_length(),
        _ => None,
    };
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// Trailers as they leave over HTTP/2.
pub(super) fn trailers<'a>(lines: impl Iterator<Item = (&'a str, &'a [u8])>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines.filter(|(name, _)| may_trail(name)) {
        append(&mut map, name.as_bytes(), value);
    }
    map
}

/// A line that does not fit is left out, as the codec leaves it out: only an operator's edits can be such.
fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        // Fails beyond 32,768 lines, which the codec's limits exclude.
        let _ = headers.try_append(name, value);
    }
}

#[cfg(test)]
mod tests;

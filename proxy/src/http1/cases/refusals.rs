//! Requests that are refused, and why.

use super::*;
use Reason as R;

#[test]
fn a_message_with_two_framings_or_a_doubtful_one_is_refused() {
    refused(&[
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            R::TwoFramings,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
            R::TwoFramings,
        ),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", R::ChunkedInHttp10),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", R::SeveralLengths),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\ncontent-length: 6\r\n\r\n",
            R::SeveralLengths,
        ),
    ]);
    for length in [
        "",
        "5, 5",
        "5,5",
        "5,",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5 5",
        "5.0",
        "5e1",
        "five",
        "5;",
        "\"5\"",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
        "1_000",
        "0b1",
        "५",
    ] {
        let raw = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        refused(&[(raw.as_bytes(), R::ContentLength)]);
    }
    for coding in [
        "",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "identity, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "xchunked",
        "chunkedx",
        "chunked chunked",
        "chunke",
        "'chunked'",
        "chunked\u{a0}",
        "c\thunked",
    ] {
        let raw = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
        refused(&[(raw.as_bytes(), R::TransferEncoding)]);
    }
    refused(&[
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", R::TransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", R::TransferEncoding),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n", R::HeaderValue),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", R::SpaceBeforeColon),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", R::SpaceBeforeColon),
        (b"POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n", R::FoldedLine),
        (b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tTransfer-Encoding: chunked\r\n\r\n", R::FoldedLine),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", R::FoldedLine),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n", R::SpaceBeforeColon),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n 6\r\n\r\n", R::FoldedLine),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length\x00: 5\r\n\r\n", R::HeaderName),
    ]);
}

#[test]
fn host_is_one_valid_authority() {
    refused(&[
        (b"GET / HTTP/1.1\r\n\r\n", R::NoHost),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", R::NoHost),
        (b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", R::NoHost),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", R::SeveralHosts),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOsT: b\r\n\r\n", R::SeveralHosts),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", R::SeveralHosts),
        (b"GET / HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n", R::SeveralHosts),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", R::SeveralHosts),
        (b"GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", R::Host),
        (b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", R::Host),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", R::FoldedLine),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", R::SpaceBeforeColon),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", R::HeaderValue),
    ]);
    for host in [
        "", "a/b", "u@a", "a, b", "a,b", "a b", "a:b", "a:80:80", "a#b", "a?b", "a\\b", ":80", "[::1",
        "a:65536", "http://a", "é",
    ] {
        let raw = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        refused(&[(raw.as_bytes(), R::Host)]);
    }
}

#[test]
fn other_targets_are_refused() {
    for target in [
        "*",
        "a",
        "a/b",
        "a:80",
        "example.com:443",
        "ftp://a/",
        "http:/a",
        "http:a",
        "http://",
        "http:///a",
        "http://u@a/",
        "http://u:p@a/",
        "http://a b/",
        "http://a,b/",
        "http://a:b/",
        "http://a#b",
        "http://a/#b",
        "/#",
        "/a#b",
        "/?#",
        "/é",
        "?a",
        "../a",
        "\\a",
        "://a",
        "file:///a",
        "javascript:x",
        "httpx://a/",
        "//a\u{2028}",
    ] {
        let raw = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let spaced = target.contains(' ');
        refused(&[(raw.as_bytes(), if spaced { R::RequestLine } else { R::Target })]);
    }
    refused(&[
        (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
        (b"GET /\x1b HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", R::Connect),
        (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", R::Connect),
        (b"CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", R::Connect),
    ]);
}

#[test]
fn request_lines_have_one_form() {
    refused(&[
        (b"GET /\r\n", R::RequestLine),
        (b"GET / \r\n\r\n", R::RequestLine),
        (b"GET\r\n\r\n", R::RequestLine),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET / HTTP/1,1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET / HTTP /1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET / XTTP/1.1\r\nHost: a\r\n\r\n", R::RequestLine),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", R::Version),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", R::Version),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", R::Version),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", R::Version),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R::Version),
        (b"\x16\x03\x01\x02\x00\x01\x00", R::RequestLine),
        (b"HTTP/1.1 200 OK\r\n\r\n", R::RequestLine),
    ]);
}

#[test]
fn lines_end_in_cr_lf_and_nothing_else_is_in_them() {
    refused(&[
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", R::LineEnd),
        (b"GET / HTTP/1.1\nHost: a\n\n", R::LineEnd),
        (b"GET / HTTP/1.1\n\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA:\nB: c\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: \nB: c\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b \nB: c\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", R::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", R::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", R::LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", R::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x08\r\n\r\n", R::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x7f\r\n\r\n", R::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA:\x0cb\r\n\r\n", R::HeaderValue),
    ]);
}

#[test]
fn header_names_are_tokens_right_before_their_colon() {
    refused(&[
        (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n:\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", R::SpaceBeforeColon),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA\x00: b\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\x00A: b\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\xc3\xa9: b\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n(A): b\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA/B: c\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\"A\": b\r\n\r\n", R::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", R::FoldedLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n", R::FoldedLine),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", R::FoldedLine),
        (b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", R::FoldedLine),
    ]);
}

#[test]
fn heads_beyond_a_limit_are_refused_as_soon_as_they_are() {
    let limits = Limits { max_head: 64, max_headers: 3 };
    let check = |raw: &str, expected: Result<Parse, R>| {
        let found = parse_request(raw.as_bytes(), &limits, &mut RequestHead::default());
        assert_eq!(found.map_err(|malformed| malformed.reason), expected, "{raw:?}");
    };
    let of_length = |length: usize| {
        let around = "GET / HTTP/1.1\r\nHost: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(length - around))
    };
    check(&of_length(64), Ok(Parse::Complete));
    check(&format!("{}body", of_length(64)), Ok(Parse::Complete));
    check(&of_length(65), Err(R::HeadTooLarge));
    check(&of_length(64)[..63], Ok(Parse::Partial));
    check(&format!("GET /{}", "a".repeat(58)), Ok(Parse::Partial));
    check(&format!("GET /{}", "a".repeat(59)), Err(R::HeadTooLarge));
    check("GET / HTTP/1.1\r\nHost: a\r\na:b\r\nc:d\r\n\r\n", Ok(Parse::Complete));
    check("GET / HTTP/1.1\r\nHost: a\r\na:b\r\nc:d\r\ne:f\r\n\r\n", Err(R::TooManyHeaders));
    check("\r\n\r\n", Ok(Parse::Partial));
    check("", Ok(Parse::Partial));
    check("\r", Ok(Parse::Partial));
    assert_eq!((R::HeadTooLarge.status(), R::TooManyHeaders.status(), R::Host.status()), (431, 431, 400));
}

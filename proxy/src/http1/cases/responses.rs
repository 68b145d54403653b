//! Responses as they arrive.

use super::*;
use Reason as R;
use ResponseFraming as F;

const GET: RequestFacts = RequestFacts { method_is_head: false, method_is_connect: false, upgrade: false };
const HEAD: RequestFacts = RequestFacts { method_is_head: true, ..GET };
const CONNECT: RequestFacts = RequestFacts { method_is_connect: true, ..GET };
const UPGRADE: RequestFacts = RequestFacts { upgrade: true, ..GET };

fn accepted(cases: &[(&str, &str)]) {
    for (raw, expected) in cases {
        let written = respond(raw.as_bytes(), UPGRADE).map(|(written, _)| written);
        assert_eq!(written.as_deref(), Ok(*expected), "{raw:?}");
    }
}

fn refused(request: RequestFacts, cases: &[(&[u8], Reason)]) {
    for (raw, reason) in cases {
        let result = respond(raw, request).map(|(written, _)| written);
        assert_eq!(result, Err(*reason), "{:?}", raw.escape_ascii().to_string());
    }
}

#[test]
fn responses_pass_with_generated_framing() {
    accepted(&[
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 03\r\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 3\r\n\r\n",
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"),
        ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"),
        (
            "HTTP/1.1 404 Not  Found, é\tx\r\nContent-Length:0\r\n\r\n",
            "HTTP/1.1 404 Not  Found, é\tx\r\ncontent-length: 0\r\n\r\n",
        ),
        ("HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n\r\nuntil close",
            "HTTP/1.1 200 OK\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        ),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\nA: b\r\n\r\n",
            "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n",
        ),
        ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (
            "HTTP/1.1 200 OK\r\nConnection: close, A\r\nKeep-Alive: x\r\nA: b\r\nUpgrade: h2c\r\nContent-Length: 1\r\nTE: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nExpect: c\r\nHost: d\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nExpect: c\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nX-Forwarded-Client-Cert: x\r\nContent_Length: 4\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
        (
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n",
        ),
    ]);
}

#[test]
fn a_response_that_could_be_read_in_two_ways_is_refused() {
    refused(
        GET,
        &[
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", R::TwoFramings),
            (
                b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                R::TwoFramings,
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", R::SeveralLengths),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", R::ContentLength),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", R::ContentLength),
            (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", R::ContentLength),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", R::TransferEncoding),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", R::TransferEncoding),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                R::TransferEncoding,
            ),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", R::ChunkedInHttp10),
            (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", R::InformationalBody),
            (b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", R::InformationalBody),
            (b"\r\nHTTP/1.1 200 OK\r\n\r\n", R::StatusLine),
            (b"\nHTTP/1.1 200 OK\r\n\r\n", R::StatusLine),
            (b" HTTP/1.1 200 OK\r\n\r\n", R::StatusLine),
            (b"200 OK\r\n\r\n", R::StatusLine),
            (b"<html>", R::StatusLine),
            (b"HTTP/1.1  200 OK\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 99 Low\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 099 Low\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 000 Low\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 2000 High\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 2x0 Odd\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 200 O\x00K\r\n\r\n", R::StatusLine),
            (b"HTTP/1.1 200 O\rK\r\n\r\n", R::StatusLine),
            (b"HTTP/2.0 200 OK\r\n\r\n", R::Version),
            (b"HTTP/0.9 200 OK\r\n\r\n", R::Version),
            (b"HTTP/1.1\t200 OK\r\n\r\n", R::Version),
            (b"HTTX/1.1 200 OK\r\n\r\n", R::Version),
            (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", R::LineEnd),
            (b"HTTP/1.1 200\nContent-Length: 0\r\n\r\n", R::LineEnd),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", R::LineEnd),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", R::LineEnd),
            (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", R::SpaceBeforeColon),
            (b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", R::HeaderName),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", R::FoldedLine),
            (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", R::HeaderName),
            (b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", R::HeaderValue),
            (b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", R::HeaderValue),
        ],
    );
}

#[test]
fn protocols_are_switched_only_for_who_asked() {
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    refused(GET, &[(switch, R::Upgrade)]);
    refused(
        UPGRADE,
        &[
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", R::Upgrade),
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", R::Upgrade),
            (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n", R::Upgrade),
            (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", R::Upgrade),
            (
                b"HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                R::Upgrade,
            ),
            (
                b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\n",
                R::InformationalBody,
            ),
        ],
    );
    let (_, head) = respond(switch, UPGRADE).expect("it was asked for");
    assert!(head.upgraded() && !head.is_informational() && !head.keep_alive());
}

#[test]
fn method_and_status_decide_how_a_body_is_delimited() {
    for (request, lines, framing, keep_alive) in [
        (GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", F::Length(5), true),
        (GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", F::Length(0), true),
        (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", F::Chunked, true),
        (GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n", F::Chunked, false),
        (GET, "HTTP/1.1 200 OK\r\n", F::UntilClose, false),
        (GET, "HTTP/1.0 200 OK\r\n", F::UntilClose, false),
        (GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", F::UntilClose, false),
        (GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", F::Length(5), false),
        (GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n", F::Length(5), true),
        (GET, "HTTP/1.1 204 No Content\r\n", F::None, true),
        (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", F::None, true),
        (GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", F::None, false),
        (GET, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", F::None, false),
        (GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", F::None, true),
        (GET, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n", F::None, true),
        (GET, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n", F::Length(0), true),
        (GET, "HTTP/1.1 100 Continue\r\n", F::None, true),
        (HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", F::None, true),
        (HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", F::None, true),
        (HEAD, "HTTP/1.1 200 OK\r\n", F::None, true),
        (HEAD, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n", F::None, true),
        (CONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", F::None, false),
        (CONNECT, "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n", F::Length(5), true),
        (UPGRADE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", F::Length(5), true),
    ] {
        let (_, head) = respond(format!("{lines}\r\n").as_bytes(), request).expect(lines);
        assert_eq!((head.framing(), head.keep_alive()), (framing, keep_alive), "{request:?} {lines}");
    }
}

#[test]
fn informational_responses_are_told_from_final_ones() {
    for (status, informational) in
        [(100, true), (102, true), (103, true), (199, true), (200, false), (999, false)]
    {
        let raw = format!("HTTP/1.1 {status} x\r\n\r\n");
        let (_, head) = respond(raw.as_bytes(), GET).expect("well formed");
        assert_eq!((head.is_informational(), head.status()), (informational, status));
    }
}

#[test]
fn response_heads_have_limits() {
    let limits = Limits { max_head: 64, max_headers: 2 };
    let check = |raw: &str, expected: Result<Parse, R>| {
        let found = parse_response(raw.as_bytes(), &limits, GET, &mut ResponseHead::default());
        assert_eq!(found.map_err(|malformed| malformed.reason), expected, "{raw:?}");
    };
    check(&format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(47)), Ok(Parse::Complete));
    check(&format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(48)), Err(R::HeadTooLarge));
    check("HTTP/1.1 200 OK\r\na:b\r\nc:d\r\n\r\n", Ok(Parse::Complete));
    check("HTTP/1.1 200 OK\r\na:b\r\nc:d\r\ne:f\r\n\r\n", Err(R::TooManyHeaders));
    check("", Ok(Parse::Partial));
}

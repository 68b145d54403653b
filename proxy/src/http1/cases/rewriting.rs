//! What callers may change on the way out, and what they cannot.

use spillway_core::table::{EditValue, HeaderEdits, Headers};

use super::*;

fn names(list: &[&str]) -> Box<[Box<str>]> {
    list.iter().map(|&name| name.into()).collect()
}

fn lines(list: &[(&str, &str)]) -> Box<[(Box<str>, EditValue)]> {
    list.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

fn edits(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderEdits {
    HeaderEdits { remove: names(remove), set: lines(set), add: lines(add) }
}

/// Sends `lines` on with `out`; gives what follows the request line and Host.
fn rewritten(lines: &str, out: &RequestOut<'_>) -> String {
    let raw = format!("GET /foo/x?q HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let (written, _) = forward(raw.as_bytes(), out).expect("well formed");
    let written = String::from_utf8(written).expect("ASCII in, ASCII out");
    let rest =
        written.strip_prefix("GET /foo/x?q HTTP/1.1\r\nhost: a\r\n").expect("the start is as received");
    rest.strip_suffix("\r\n").expect("an empty line ends it").replace("\r\n", ";")
}

#[test]
fn edits_remove_then_set_then_add_and_the_route_wins_over_the_leg() {
    let leg = edits(&["gone"], &[("both", "leg"), ("leg", "1")], &[("more", "leg"), ("late", "leg")]);
    let route = edits(&["late"], &[("both", "route")], &[("more", "route")]);
    for (edits, received, expected) in [
        ([None, None], "A: 1\r\nBoth: 0\r\n", "A: 1;Both: 0;"),
        (
            [Some(&leg), None],
            "A: 1\r\nGone: 0\r\nBOTH: 0\r\nMore: 0\r\n",
            "A: 1;More: 0;both: leg;leg: 1;more: leg;late: leg;",
        ),
        ([None, Some(&route)], "Late: 0\r\nBoth: 0\r\nboth: 00\r\n", "both: route;more: route;"),
        ([Some(&leg), Some(&route)], "A: 1\r\nLate: 0\r\n", "A: 1;leg: 1;more: leg;both: route;more: route;"),
    ] {
        let out = RequestOut { edits, ..RequestOut::default() };
        assert_eq!(rewritten(received, &out), expected, "{received:?}");
    }
}

#[test]
fn no_edit_touches_what_is_generated_or_breaks_out_of_its_line() {
    let all = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "expect",
        "keep-alive",
        "proxy-connection",
        "x-forwarded-client-cert",
        "transfer_encoding",
    ];
    let evil = [
        ("a", "b\r\nc: d"),
        ("a\r\nb", "c"),
        ("a", "b\0"),
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("é", "x"),
        ("a", "\n"),
    ];
    let set: Vec<_> = all.iter().map(|&name| (name, "1")).chain(evil).collect();
    let edits = edits(&all, &set, &set);
    let out = RequestOut {
        edits: [Some(&edits), Some(&edits)],
        extra: &set,
        xfcc: Some(b"URI=x"),
        ..RequestOut::default()
    };
    assert_eq!(rewritten("Content-Length: 3\r\n", &out), "x-forwarded-client-cert: URI=x;content-length: 3;");
}

#[test]
fn what_we_vouch_for_takes_the_place_of_what_came() {
    let received = "X-Request-ID: theirs\r\nx-forwarded-client-cert: URI=theirs\r\nX-Spillway-A: b\r\n";
    for (out, expected) in [
        (RequestOut::default(), "X-Request-ID: theirs;X-Spillway-A: b;"),
        (
            RequestOut { request_id: Some(b"ours"), strip_own: true, ..RequestOut::default() },
            "x-request-id: ours;",
        ),
        (
            RequestOut { xfcc: Some(b"URI=ours"), strip_own: true, ..RequestOut::default() },
            "X-Request-ID: theirs;x-forwarded-client-cert: URI=ours;",
        ),
        // A certificate must not write a header of its own (CVE-2023-27493): better none than that.
        (
            RequestOut { xfcc: Some(b"URI=x\r\nA: b"), strip_own: true, ..RequestOut::default() },
            "X-Request-ID: theirs;",
        ),
    ] {
        assert_eq!(rewritten(received, &out), expected, "{out:?}");
    }
    let set = edits(&[], &[("x-request-id", "edited")], &[]);
    let out = RequestOut { request_id: Some(b"ours"), edits: [Some(&set), None], ..RequestOut::default() };
    assert_eq!(rewritten("X-Request-Id: theirs\r\n", &out), "x-request-id: edited;");
}

#[test]
fn a_rewritten_path_keeps_the_query_and_stays_a_path() {
    for (target, path, expected) in [
        ("/foo/x?q", PathOut::AsReceived, "/foo/x?q"),
        ("/foo/x?q", PathOut::Parts("/bar", "/x"), "/bar/x?q"),
        ("/foo?", PathOut::Parts("/", ""), "/?"),
        ("/foo", PathOut::Parts("", ""), "/"),
        ("/foo", PathOut::Parts("", "/x"), "/x"),
        ("/foo", PathOut::Parts("", "x"), "/x"),
        ("/foo", PathOut::Parts("bar", "/x"), "/bar/x"),
        ("/foo", PathOut::Parts("/a b\r\nc#", "/\u{e9}\0"), "/a%20b%0D%0Ac%23/%C3%A9%00"),
        ("http://h/foo?q", PathOut::Parts("/bar", ""), "/bar?q"),
    ] {
        let raw = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let (written, _) =
            forward(raw.as_bytes(), &RequestOut { path, ..RequestOut::default() }).expect("well formed");
        let expected = format!("GET {expected} HTTP/1.1\r\nhost: h\r\n\r\n");
        assert_eq!(String::from_utf8_lossy(&written), expected, "{target} {path:?}");
    }
    let asterisk = b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n";
    let out = RequestOut { path: PathOut::Parts("/bar", ""), host: Some("new"), ..RequestOut::default() };
    let (written, _) = forward(asterisk, &out).expect("well formed");
    assert_eq!(String::from_utf8_lossy(&written), "OPTIONS * HTTP/1.1\r\nhost: new\r\n\r\n");
}

#[test]
fn upgrade_and_expectation_pass_only_when_the_caller_says_so() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let expect = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    for (raw, expected) in [
        (&upgrade[..], "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        (&expect[..], "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n"),
    ] {
        let (written, _) = forward(raw, &RequestOut::default()).expect("well formed");
        assert_eq!(String::from_utf8_lossy(&written), expected);
    }
}

#[test]
fn a_response_ends_as_its_downstream_can_tell() {
    let check = |raw: &str, keep_alive: bool, expected: [&str; 2]| {
        for (downstream, expected) in [Version::Http10, Version::Http11].into_iter().zip(expected) {
            let mut head = ResponseHead::default();
            let parsed =
                parse_response(raw.as_bytes(), &Limits::default(), RequestFacts::default(), &mut head);
            assert_eq!(parsed, Ok(Parse::Complete), "{raw:?}");
            let framing = head.framing_for(downstream);
            let mut written = Vec::new();
            let out =
                ResponseOut { downstream, keep_alive, framing, strip_own: true, ..ResponseOut::default() };
            write_response(&head, raw.as_bytes(), &out, &mut written);
            assert_eq!(
                String::from_utf8_lossy(&written).replace("\r\n", ";"),
                expected,
                "{raw:?} {downstream:?}"
            );
        }
    };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Spillway-A: b\r\n\r\n";
    let both = "HTTP/1.1 200 OK;content-length: 2;;";
    check(length, true, ["HTTP/1.1 200 OK;connection: keep-alive;content-length: 2;;", both]);
    check(length, false, ["HTTP/1.1 200 OK;connection: close;content-length: 2;;"; 2]);
    let close = "HTTP/1.1 200 OK;connection: close;;";
    let chunked = "HTTP/1.1 200 OK;transfer-encoding: chunked;;";
    check("HTTP/1.1 200 OK\r\n\r\n", true, [close, chunked]);
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, [close, chunked]);
    check("HTTP/1.1 103 x\r\nLink: y\r\n\r\n", true, ["", "HTTP/1.1 103 x;Link: y;;"]);
}

#[test]
fn response_edits_apply_as_request_edits_do() {
    let leg = edits(&["server"], &[("both", "leg")], &[]);
    let route = edits(&[], &[("both", "route")], &[("content-length", "9"), ("new", "1")]);
    let raw = b"HTTP/1.1 200 OK\r\nServer: x\r\nBoth: 0\r\nContent-Length: 2\r\nA: b\r\n\r\n";
    let mut head = ResponseHead::default();
    parse_response(raw, &Limits::default(), RequestFacts::default(), &mut head).expect("well formed");
    let edits = [Some(&leg), Some(&route)];
    let out = ResponseOut {
        edits,
        keep_alive: true,
        framing: head.framing(),
        extra: &[("x", "y")],
        ..ResponseOut::default()
    };
    let mut written = Vec::new();
    write_response(&head, raw, &out, &mut written);
    let expected = "HTTP/1.1 200 OK\r\nA: b\r\nboth: route\r\nnew: 1\r\nx: y\r\ncontent-length: 2\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&written), expected);
}

#[test]
fn our_own_answers_are_whole_messages() {
    let plain = RefusalOut {
        status: 503,
        body: "no endpoint of api",
        downstream: Version::Http11,
        keep_alive: true,
        head_request: false,
        extra: &[("x-spillway-unprocessed", "UH"), ("content-length", "0"), ("a", "b\r\nc: d")],
    };
    let answer = |refusal: RefusalOut<'_>| {
        let mut written = Vec::new();
        write_refusal(&refusal, &mut written);
        String::from_utf8(written).expect("text").replace("\r\n", ";")
    };
    let start = "HTTP/1.1 503 Service Unavailable;content-type: text/plain;x-spillway-unprocessed: UH;";
    let body = "no endpoint of api\n";
    assert_eq!(answer(plain), format!("{start}content-length: 19;;{body}"));
    assert_eq!(answer(RefusalOut { head_request: true, ..plain }), format!("{start}content-length: 19;;"));
    assert_eq!(
        answer(RefusalOut { keep_alive: false, ..plain }),
        format!("{start}connection: close;content-length: 19;;{body}")
    );
    let old = RefusalOut { downstream: Version::Http10, ..plain };
    assert_eq!(answer(old), format!("{start}connection: keep-alive;content-length: 19;;{body}"));
    let ended = answer(RefusalOut { body: "x\n", extra: &[], ..plain });
    assert!(ended.ends_with("content-length: 2;;x\n"), "{ended}");
}

#[test]
fn routing_sees_what_is_forwarded_and_nothing_else() {
    let raw = b"GET http://h/p?q HTTP/1.1\r\nHost: other\r\nA: 1\r\na:2\r\nB: 3\r\nConnection: b\r\nX-Forwarded-Client-Cert: URI=x\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(raw, &Limits::default(), &mut head).expect("well formed");
    let view = HeadView { head: &head, buf: raw };
    for (name, value) in [
        ("a", Some("1,2")),
        ("b", None),
        ("connection", None),
        ("x-forwarded-client-cert", None),
        ("host", Some("h")),
        (":authority", Some("h")),
        (":method", Some("GET")),
        (":path", Some("/p?q")),
        ("missing", None),
    ] {
        assert_eq!(view.value(name).as_deref(), value.map(str::as_bytes), "{name}");
    }
    let seen = view.table_head();
    assert_eq!((seen.method, seen.path, seen.query), ("GET", "/p", Some("q")));
    assert_eq!(view.end_to_end().collect::<Vec<_>>(), [("A", &b"1"[..]), ("a", b"2")]);
    assert_eq!(head.forwarded_certs(raw).collect::<Vec<_>>(), [b"URI=x"]);
}

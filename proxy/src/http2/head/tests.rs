use super::*;

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a request")
}

/// The words of a request that is taken, or why it is not.
fn read(request: &Request<()>, ended: bool) -> Result<String, Reason> {
    let (mut text, mut head) = (Vec::new(), RequestHead::default());
    match read_request(request, ended, &mut text, &mut head) {
        Ok(()) => Ok(String::from_utf8(text).expect("ASCII")),
        Err(malformed) => Err(malformed.reason),
    }
}

#[test]
fn a_head_is_put_into_http1s_words() {
    for (request, ended, words) in [
        (
            request("GET", "http://web/a?b", &[("x", "y")]),
            true,
            "GET /a?b HTTP/1.1\r\nhost: web\r\nx: y\r\n\r\n",
        ),
        (request("GET", "/", &[("host", "web")]), true, "GET / HTTP/1.1\r\nhost: web\r\n\r\n"),
        (request("GET", "http://web/", &[("host", "WEB")]), true, "GET / HTTP/1.1\r\nhost: web\r\n\r\n"),
        (
            request("GET", "http://web/", &[("cookie", "a=1"), ("cookie", "b=2")]),
            true,
            "GET / HTTP/1.1\r\nhost: web\r\ncookie: a=1; b=2\r\n\r\n",
        ),
        (
            request("POST", "http://web/", &[]),
            false,
            "POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            request("POST", "http://web/", &[]),
            true,
            "POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            request("PUT", "http://web/", &[("content-length", "3")]),
            false,
            "PUT / HTTP/1.1\r\nhost: web\r\ncontent-length: 3\r\n\r\n",
        ),
    ] {
        assert_eq!(read(&request, ended).as_deref(), Ok(words));
    }
}

#[test]
fn an_extended_connect_becomes_an_upgrade_and_nothing_else() {
    for (protocol, headers, words) in [
        (
            "websocket",
            &[][..],
            Ok("GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
        ),
        ("websocket\r\nx: forged", &[], Err(Reason::Upgrade)),
        ("websocket, h2c", &[], Err(Reason::Upgrade)),
        ("h2c", &[], Err(Reason::Upgrade)),
        ("", &[], Err(Reason::Upgrade)),
        ("websocket", &[("content-length", "3")], Err(Reason::Upgrade)),
    ] {
        let mut request = request("CONNECT", "http://web/", headers);
        request.extensions_mut().insert(Protocol::from(protocol));
        assert_eq!(read(&request, false), words.map(str::to_owned), "{protocol:?}");
    }
}

#[test]
fn what_names_two_hosts_or_none_is_refused() {
    for (request, reason) in [
        (request("GET", "/", &[]), Reason::NoHost),
        (request("GET", "/", &[("host", "a"), ("host", "a")]), Reason::SeveralHosts),
        (request("GET", "http://a/", &[("host", "b")]), Reason::SeveralHosts),
        (request("GET", "http://a/", &[("host", "a"), ("host", "b")]), Reason::SeveralHosts),
        (request("GET", "http://u@a/", &[]), Reason::Host),
        (request("CONNECT", "a:80", &[]), Reason::Connect),
        (request("GET", "*", &[("host", "a")]), Reason::Target),
        (request("GET", "http://a/\u{e9}", &[]), Reason::Target),
        (request("POST", "http://a/", &[("content-length", "+1")]), Reason::ContentLength),
        (
            request("POST", "http://a/", &[("content-length", "1"), ("content-length", "1")]),
            Reason::SeveralLengths,
        ),
    ] {
        assert_eq!(read(&request, true), Err(reason), "{request:?}");
    }
}

#[test]
fn a_request_leaves_with_what_the_codec_would_write() {
    let text = b"POST /old?q HTTP/1.1\r\nHost: web\r\nX-Kept: 1\r\nConnection: x-dropped, te\r\nX-Dropped: 1\r\n\
        TE: trailers\r\nX-Forwarded-Client-Cert: By=forged\r\nContent-Length: 3\r\nUpgrade: websocket\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(text, &Limits::default(), &mut head).expect("a request");
    let spec = RequestOut {
        path: crate::http1::PathOut::Parts("/new", "/x"),
        xfcc: Some(b"By=us"),
        request_id: Some(b"id"),
        strip_own: true,
        ..RequestOut::default()
    };
    let out = request_out(&head, text, &spec);
    assert_eq!(out.uri(), "https://web/new/x?q");
    let mut lines: Vec<_> = out.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "content-length: \"3\"",
            "te: \"trailers\"",
            "x-forwarded-client-cert: \"By=us\"",
            "x-kept: \"1\"",
            "x-request-id: \"id\"",
        ]
    );
}

fn request_out(head: &RequestHead, buf: &[u8], spec: &RequestOut<'_>) -> Request<()> {
    super::request(&HeadView { head, buf }, spec, true).expect("it fits")
}

#[test]
fn an_answer_keeps_its_length_only_where_it_has_one() {
    for (status, headers, method_is_head, framing) in [
        (200, &[("content-length", "3")][..], false, ResponseFraming::Length(3)),
        (200, &[("content-length", "3")], true, ResponseFraming::None),
        (200, &[], false, ResponseFraming::Chunked),
        (204, &[], false, ResponseFraming::None),
        (304, &[("content-length", "3")], false, ResponseFraming::None),
    ] {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (mut text, mut head) = (Vec::new(), ResponseHead::default());
        let facts = RequestFacts { method_is_head, ..RequestFacts::default() };
        let received = builder.body(()).expect("a response");
        read_response(&received, facts, None, &mut text, &mut head).expect("it is taken");
        assert_eq!(head.framing(), framing, "{status}");
        let out = response(&head, &text, &ResponseOut::default());
        assert_eq!(out.headers().contains_key("content-length"), !headers.is_empty(), "{status}");
        assert!(!out.headers().contains_key("transfer-encoding"));
    }
}

#[test]
fn only_what_may_trail_trails() {
    let lines: [(&str, &[u8]); 3] = [("grpc-status", b"0"), ("content-length", b"1"), ("x-ok", b"\xe9")];
    let map = trailers(lines.into_iter());
    assert_eq!(map.len(), 2);
    assert!(map.contains_key("grpc-status") && map.contains_key("x-ok"));
}

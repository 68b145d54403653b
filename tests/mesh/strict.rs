//! Messages that break HTTP/1.1, as raw bytes through two sidecars: each rule of the codec's table, seen from outside.
//!
//! A request's fault is told to its caller, counted once by its reason, and reaches no application. An answer's fault
//! is a 502, counted by the application's own sidecar, and costs nobody else an answer.

use std::collections::HashSet;

use spillway_harness::{Connection, Mesh, Reply, Then};
use spillway_proxy::http1::Reason as R;

/// One instance of api, and web to call it.
async fn mesh() -> Mesh {
    Mesh::builder().cluster("dc1", |c| c.service("api", 1).service("web", 1)).start().await
}

/// A POST whose chunked body begins with `body`.
fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n{body}")
}

/// A GET with these lines besides Host.
fn with(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: api\r\n{lines}\r\n")
}

/// What is refused, by the reason for it.
fn refused() -> Vec<(R, Vec<String>)> {
    let asked = |targets: &[&str]| -> Vec<String> {
        targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nhost: api\r\n\r\n")).collect()
    };
    let hosts = |hosts: &[&str]| -> Vec<String> {
        hosts.iter().map(|host| format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).collect()
    };
    let raw = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    let lines = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| with(line)).collect() };
    let bodies = |bodies: &[&str]| -> Vec<String> { bodies.iter().map(|body| chunked(body)).collect() };
    vec![
        (R::HeadTooLarge, vec![with(&format!("x: {}\r\n", "x".repeat(61 * 1024)))]),
        (R::TooManyHeaders, vec![with(&"x: y\r\n".repeat(100))]),
        (
            R::LineEnd,
            raw(&[
                "GET / HTTP/1.1\nhost: api\n\n",
                "GET / HTTP/1.1\r\nhost: api\nx: y\r\n\r\n",
                "GET / HTTP/1.1\r\nhost: api\r\n\n",
                "\nGET / HTTP/1.1\r\nhost: api\r\n\r\n",
                "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: api\r\n\r\n",
                "GET / HTTP/1.1 \r\nhost: api\r\n\r\n",
                "GET / HTTP/1.1\rhost: api\r\n\r\n",
            ]),
        ),
        (
            R::RequestLine,
            raw(&[
                "GET /\r\n\r\n",
                "GET  / HTTP/1.1\r\nhost: api\r\n\r\n",
                "GET /  HTTP/1.1\r\nhost: api\r\n\r\n",
                "GET\t/\tHTTP/1.1\r\nhost: api\r\n\r\n",
                "G@T / HTTP/1.1\r\nhost: api\r\n\r\n",
                "GET / http/1.1\r\nhost: api\r\n\r\n",
                "\u{1}\u{2}\r\n\r\n",
            ]),
        ),
        (
            R::Version,
            raw(&[
                "GET / HTTP/2.0\r\nhost: api\r\n\r\n",
                "GET / HTTP/1.2\r\nhost: api\r\n\r\n",
                "GET / HTTP/0.9\r\nhost: api\r\n\r\n",
            ]),
        ),
        (
            R::Target,
            asked(&[
                "/a#b",
                "a",
                "*",
                "a:80",
                "http://u@api/",
                "http://",
                "ftp://api/",
                "/\u{7f}",
                "/é",
                "/\0",
            ]),
        ),
        (
            R::Connect,
            raw(&[
                "CONNECT api:80 HTTP/1.1\r\nhost: api:80\r\n\r\n",
                "CONNECT / HTTP/1.1\r\nhost: api\r\n\r\n",
                "CONNECT http://api/ HTTP/1.1\r\nhost: api\r\n\r\n",
            ]),
        ),
        (R::NoHost, raw(&["GET / HTTP/1.1\r\n\r\n", "GET http://api/ HTTP/1.1\r\n\r\n"])),
        (R::SeveralHosts, lines(&["host: api\r\n", "Host: other\r\n"])),
        (R::Host, hosts(&["", "a b", "a,b", "a/b", "u@a", "a:b", "a:65536", "[::1", "a#b", "a\\b"])),
        (R::HeaderName, lines(&["x\r\n", ": y\r\n", "x y: z\r\n", "x\0: y\r\n", "(x): y\r\n", "é: y\r\n"])),
        (
            R::SpaceBeforeColon,
            lines(&["x : y\r\n", "x\t: y\r\n", "transfer-encoding : chunked\r\n", "content-length : 5\r\n"]),
        ),
        (
            R::FoldedLine,
            [lines(&["x: y\r\n z\r\n", "x:\r\n\ty\r\n"]), raw(&["GET / HTTP/1.1\r\n host: api\r\n\r\n"])]
                .concat(),
        ),
        (R::HeaderValue, lines(&["x: y\0z\r\n", "x: y\rz\r\n", "x: y\u{8}\r\n", "x: \u{7f}\r\n"])),
        (R::ConnectionOptions, vec![with(&format!("connection: {}\r\n", "x,".repeat(33)))]),
        (
            R::ContentLength,
            lines(&[
                "content-length: +5\r\n",
                "content-length: -5\r\n",
                "content-length: 5, 5\r\n",
                "content-length: 5 5\r\n",
                "content-length: 0x5\r\n",
                "content-length:\r\n",
                "content-length: 9223372036854775808\r\n",
            ]),
        ),
        (
            R::SeveralLengths,
            lines(&[
                "content-length: 5\r\ncontent-length: 5\r\n",
                "content-length: 5\r\nContent-Length: 6\r\n",
            ]),
        ),
        (
            R::TransferEncoding,
            lines(&[
                "transfer-encoding: identity\r\n",
                "transfer-encoding: gzip, chunked\r\n",
                "transfer-encoding: chunked, identity\r\n",
                "transfer-encoding: chunked,\r\n",
                "transfer-encoding: xchunked\r\n",
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                "transfer-encoding:\r\n",
            ]),
        ),
        (
            R::TwoFramings,
            lines(&[
                "content-length: 5\r\ntransfer-encoding: chunked\r\n",
                "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
            ]),
        ),
        (
            R::ChunkedInHttp10,
            raw(&["POST / HTTP/1.0\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"]),
        ),
        (
            R::ChunkSize,
            bodies(&[
                "x\r\n\r\n",
                "\r\n\r\n",
                "0x5\r\nhello\r\n0\r\n\r\n",
                "-1\r\n\r\n",
                "5 \r\nhello\r\n0\r\n\r\n",
                "5\nhello\r\n0\r\n\r\n",
                "5\r\rhello\r\n0\r\n\r\n",
                "00000000000000005\r\nhello\r\n0\r\n\r\n",
                "fffffffffffffffff\r\n",
                " 5\r\nhello\r\n0\r\n\r\n",
            ]),
        ),
        (
            R::ChunkExtension,
            [
                bodies(&[
                    "5;a\nhello\r\n0\r\n\r\n",
                    "5;a\0\r\nhello\r\n0\r\n\r\n",
                    "5;\u{7f}\r\nhello\r\n0\r\n\r\n",
                ]),
                vec![chunked(&format!("1;{}\r\n", "x".repeat(4096)))],
            ]
            .concat(),
        ),
        (
            R::ChunkEnd,
            bodies(&[
                "5\r\nhello!\r\n0\r\n\r\n",
                "5\r\nhello0\r\n\r\n",
                "5\r\nhello\n0\r\n\r\n",
                "5\r\nhello\r0\r\n\r\n",
            ]),
        ),
        (
            R::Trailer,
            bodies(&["0\r\nx\r\n\r\n", "0\r\nx : y\r\n\r\n", "0\r\nx: y\n\r\n", "0\r\nx: y\r\n z\r\n\r\n"]),
        ),
        (
            R::TrailersTooLarge,
            vec![
                chunked(&format!("0\r\nx: {}\r\n\r\n", "x".repeat(8192))),
                chunked(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(65))),
            ],
        ),
    ]
}

/// What no request can show at once: faults of answers, of slow clients and of HTTP/2.
const OTHERS: [R; 8] = [
    R::StatusLine,
    R::InformationalBody,
    R::TooManyInformational,
    R::Upgrade,
    R::NoUpgrade,
    R::SlowHead,
    R::SlowBody,
    R::Http2,
];

#[tokio::test]
async fn each_way_to_break_a_request_has_its_status_its_count_and_its_word() {
    let mesh = mesh().await;
    let (web, client) = (mesh.sidecar("dc1/web"), mesh.client("dc1/web"));
    let refused = refused();
    let shown: HashSet<R> = refused.iter().map(|(reason, _)| *reason).chain(OTHERS).collect();
    assert_eq!(shown.len(), R::ALL.len(), "a rule without a request that breaks it");
    for (reason, requests) in refused {
        for request in requests {
            let shown: String = request.escape_debug().take(120).collect();
            let before = (web.malformed("downstream", reason), web.refusals("DPE"));
            let mut connection = client.connect("api").await;
            connection.send(&request).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, reason.status(), "{reason:?}: {shown}");
            assert_eq!(answer.text(), format!("malformed request: {}\n", reason.as_str()), "{shown}");
            assert!(!answer.keeps_alive() && connection.is_closed().await, "{reason:?}: {shown}");
            let after = (web.malformed("downstream", reason), web.refusals("DPE"));
            assert_eq!(after, (before.0 + 1, before.1 + 1), "{reason:?}: {shown}");
        }
    }
    assert_eq!(mesh.app("dc1/api").count(), 0, "none of them reached the application");
    assert_eq!(client.get("http://api/").await.served_by(), "dc1/api/0");
    let endpoint = web.endpoint(mesh.instance("dc1/api").address());
    assert!(!endpoint.outlier().is_out(), "a client's faults are not the upstream's");
}

/// What an application may say that is no answer, by the reason.
const ANSWERS: &[(R, &str)] = &[
    (R::StatusLine, "HTTP/1.1 abc\r\n\r\n"),
    (R::StatusLine, "HTTP/1.1 099 Low\r\n\r\n"),
    (R::StatusLine, "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    (R::StatusLine, "hello\r\n"),
    (R::Version, "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n"),
    (R::LineEnd, "HTTP/1.1 200 OK\ncontent-length: 0\n\n"),
    (R::FoldedLine, "HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: 0\r\n\r\n"),
    (R::SpaceBeforeColon, "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n"),
    (R::HeaderName, "HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 0\r\n\r\n"),
    (R::HeaderValue, "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
    (R::SeveralLengths, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx"),
    (R::ContentLength, "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nx"),
    (R::TwoFramings, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (R::TransferEncoding, "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (R::TransferEncoding, "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n"),
    (R::ChunkedInHttp10, "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (R::InformationalBody, "HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\nhello"),
    (R::Upgrade, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
];

#[tokio::test]
async fn each_way_to_break_an_answer_is_a_502_and_nobody_elses_answer() {
    let mesh = mesh().await;
    let (app, sidecar) = (mesh.app("dc1/api"), mesh.sidecar("dc1/api"));
    let mut api = mesh.client("dc1/web").connect("api").await;
    for &(reason, raw) in ANSWERS {
        let before = sidecar.malformed("upstream", reason);
        app.reply_times(1, Reply::Bytes(raw, Then::GoOn));
        let answer = api.request("POST", "/", &[("content-length", "0")]).await;
        assert_eq!(answer.status, 502, "{raw:?}");
        assert!(answer.text().ends_with(&format!("{}\n", reason.as_str())), "{raw:?}: {}", answer.text());
        assert_eq!(sidecar.malformed("upstream", reason), before + 1, "{raw:?}");
        assert_eq!(api.get("/").await.served_by(), "dc1/api/0", "after {raw:?}");
    }
    let total = sidecar.sum(|counters| &counters.refusals[5]);
    assert_eq!(total, ANSWERS.len() as u64, "each is an UPE");
}

/// Sends an endless row of informational answers, for as long as they are taken.
#[tokio::test]
async fn an_application_that_never_comes_to_its_answer_is_cut_off() {
    let mesh = mesh().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(65);
    mesh.app("dc1/api").reply_times(1, Reply::Bytes(hints.leak(), Then::GoOn));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    for _ in 0..64 {
        assert_eq!(api.answer().await.status, 103);
    }
    assert_eq!(api.answer().await.status, 502);
    assert_eq!(mesh.sidecar("dc1/api").malformed("upstream", R::TooManyInformational), 1);
}

#[tokio::test]
async fn a_body_that_breaks_in_the_middle_of_an_answer_does_not_look_whole() {
    for raw in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx\r\n\r\n",
    ] {
        let mesh = mesh().await;
        mesh.app("dc1/api").reply_times(1, Reply::Bytes(raw, Then::GoOn));
        let mut api = mesh.client("dc1/web").connect("api").await;
        api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
        let answer = api.try_answer().await;
        assert!(answer.as_ref().is_none_or(|it| it.status != 200 || !it.is_whole), "{raw:?}: {answer:?}");
        assert_eq!(mesh.client("dc1/web").get("http://api/").await.served_by(), "dc1/api/0");
    }
}

/// What a caller puts behind a request for another protocol, before anyone has agreed to it.
#[tokio::test]
async fn nothing_goes_upstream_behind_an_upgrade_before_it_is_granted() {
    let mesh = mesh().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let upgrade = "GET /chat HTTP/1.1\r\nhost: api\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: api\r\nx-request-id: smuggled\r\n\r\n";
    mesh.app("dc1/api").reply(Reply::Status(200));
    api.send(&format!("{upgrade}{smuggled}")).await;
    assert_eq!(api.answer().await.served_by(), "dc1/api/0");
    assert_eq!(api.answer().await.header("x-answers"), Some("smuggled"));
    let seen = mesh.app("dc1/api").received();
    assert_eq!(seen.len(), 2, "what is not granted is another request, framed and sent as such");
    assert!(seen[1].header("x-forwarded-client-cert").is_some(), "and vouched for as such");
}

#[tokio::test]
async fn an_upgrade_to_another_http_is_not_asked_for() {
    let (mesh, headers) = (mesh().await, [("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]);
    let mut api = mesh.client("dc1/web").connect("api").await;
    let headers = [&headers[..], &[("http2-settings", "AAMAAABk")]].concat();
    assert_eq!(api.request("GET", "/", &headers).await.served_by(), "dc1/api/0");
    let seen = mesh.app("dc1/api").last();
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
}

#[tokio::test]
async fn trailers_that_frame_or_vouch_are_dropped() {
    let mesh = mesh().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let trailers = "content-length: 5\r\ntransfer-encoding: chunked\r\nhost: other\r\nconnection: close\r\n\
                    x-forwarded-client-cert: By=forged\r\nX_Forwarded_Client_Cert: By=forged\r\nte: trailers\r\n\
                    authorization: Basic x\r\nx-spillway-unprocessed: UF\r\nx-kept: yes\r\n";
    api.send(&chunked(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n"))).await;
    assert_eq!(api.answer().await.served_by(), "dc1/api/0");
    assert_eq!(mesh.app("dc1/api").last().trailers, [("x-kept".to_owned(), "yes".to_owned())]);
}

#[tokio::test]
async fn an_absolute_target_says_who_is_asked() {
    let mesh = mesh().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET http://real.example:80/a?b HTTP/1.1\r\nhost: other\r\n\r\n").await;
    assert_eq!(api.answer().await.status, 200);
    let seen = mesh.app("dc1/api").last();
    assert_eq!((seen.target.as_str(), seen.headers("host")), ("/a?b", vec!["real.example:80"]));
}

/// Two requests in one write, of which the first is one that other programs would read otherwise.
#[tokio::test]
async fn what_stands_behind_a_refused_request_is_never_looked_at() {
    let mesh = mesh().await;
    let behind = "GET /smuggled HTTP/1.1\r\nhost: api\r\n\r\n";
    for first in [
        "POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n5;\nxx\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: api\r\nx: y\nhost: b\r\n\r\n",
    ] {
        let mut api: Connection = mesh.client("dc1/web").connect("api").await;
        api.send(&format!("{first}{behind}")).await;
        assert_eq!(api.answer().await.status, 400, "{first:?}");
        assert!(api.is_closed().await, "{first:?}");
    }
    assert_eq!(mesh.app("dc1/api").count(), 0);
}

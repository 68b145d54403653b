//! HTTP/1.1 through two sidecars: what passes unchanged, what ends at a hop, and what is refused.

use spillway_harness::{Connection, Mesh, Reply, Then};

/// One instance of api, and a connection of web's to it.
async fn api() -> (Mesh, Connection) {
    let mesh = Mesh::builder().cluster("dc1", |c| c.service("api", 1).service("web", 1)).start().await;
    let connection = mesh.client("dc1/web").connect("api").await;
    (mesh, connection)
}

#[tokio::test]
async fn what_concerns_one_hop_goes_no_further() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply_times(
        1,
        Reply::Bytes(
            "HTTP/1.1 200 OK\r\nconnection: x-private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\n\
             proxy-authenticate: Basic\r\nx-public: 1\r\ncontent-length: 0\r\n\r\n",
            Then::GoOn,
        ),
    );
    let headers = [
        ("Connection", "X-Private, keep-alive"),
        ("X-Private", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("X-Public", "1"),
    ];
    let answer = api.request("GET", "/", &headers).await;
    let seen = mesh.app("dc1/api").last();
    for name in ["connection", "x-private", "keep-alive", "proxy-connection"] {
        assert_eq!(seen.header(name), None, "{name} reached the application");
    }
    assert_eq!((seen.header("x-public"), answer.header("x-public")), (Some("1"), Some("1")));
    for name in ["x-private", "keep-alive"] {
        assert_eq!(answer.header(name), None, "{name} reached the caller");
    }
}

#[tokio::test]
async fn a_body_is_sent_once_the_application_says_continue() {
    let (mesh, mut api) = api().await;
    api.send("POST / HTTP/1.1\r\nhost: api\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
    assert_eq!(api.answer().await.status, 100);
    api.send("hello").await;
    assert_eq!(api.answer().await.served_by(), "dc1/api/0");
    assert_eq!(mesh.app("dc1/api").last().text(), "hello");
}

#[tokio::test]
async fn chunks_and_trailers_pass_both_ways() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply(Reply::Chunked(&["spill", "way"], &[("x-answered", "yes")]));
    api.send(
        "POST / HTTP/1.1\r\nhost: api\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x-asked\r\n\r\n\
         5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-asked: yes\r\n\r\n",
    )
    .await;
    let answer = api.answer().await;
    let seen = mesh.app("dc1/api").last();
    assert_eq!((seen.text().as_str(), answer.text().as_str()), ("hello world", "spillway"));
    assert_eq!(seen.trailers, [("x-asked".to_owned(), "yes".to_owned())]);
    assert_eq!(answer.trailers, [("x-answered".to_owned(), "yes".to_owned())]);
    assert_eq!(api.get("/").await.text(), "spillway", "the connection goes on");
}

#[tokio::test]
async fn an_answer_streams_while_it_is_being_made() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply(Reply::Halves);
    api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    while api.line().await.expect("a head").trim() != "" {}
    assert_eq!(api.bytes(4).await, "dc1/");
    mesh.app("dc1/api").release();
    assert_eq!(api.bytes(5).await, "api/0");
}

#[tokio::test]
async fn a_websocket_passes_both_ways_until_both_sides_have_ended() {
    let (mesh, mut api) = api().await;
    let upgrade =
        [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZQ==")];
    let answer = api.request("GET", "/chat", &upgrade).await;
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    for word in ["one", "two"] {
        api.send(&format!("{word}\n")).await;
        assert_eq!(api.line().await.as_deref(), Some(word));
    }
    api.half_close().await;
    assert!(api.is_closed().await);
    assert_eq!(mesh.app("dc1/api").last().header("sec-websocket-key"), Some("dGhlIHNhbXBsZQ=="));
}

#[tokio::test]
async fn a_caller_that_has_said_all_still_gets_its_answer() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply_times(1, Reply::Nothing(Then::Stall));
    api.send("POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 5\r\n\r\nhello").await;
    api.half_close().await;
    mesh.app("dc1/api").has_received(1).await;
    mesh.app("dc1/api").release();
    assert_eq!(api.answer().await.served_by(), "dc1/api/0");
    assert!(api.is_closed().await);
}

#[tokio::test]
async fn an_application_that_half_closes_has_answered_whole() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply(Reply::Own(Then::HalfClose));
    for _ in 0..3 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    }
}

#[tokio::test]
async fn http_1_0_gets_an_answer_that_it_understands() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply(Reply::Chunked(&["spill", "way"], &[]));
    api.send("GET / HTTP/1.0\r\nhost: api\r\n\r\n").await;
    let answer = api.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "spillway"));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(mesh.app("dc1/api").last().version, "HTTP/1.1");
    assert!(api.is_closed().await);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (mesh, mut api) = api().await;
    for status in [201, 202, 203] {
        mesh.app("dc1/api").reply_times(1, Reply::Status(status));
    }
    api.send(
        "GET /1 HTTP/1.1\r\nhost: api\r\n\r\nPOST /2 HTTP/1.1\r\nhost: api\r\ncontent-length: 2\r\n\r\nhi\
         GET /3 HTTP/1.1\r\nhost: api\r\n\r\n",
    )
    .await;
    for status in [201, 202, 203] {
        assert_eq!(api.answer().await.status, status);
    }
    let targets: Vec<String> = mesh.app("dc1/api").received().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn an_answer_that_was_cut_short_does_not_look_whole() {
    for cut in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        for then in [Then::Close, Then::Reset] {
            let (mesh, mut api) = api().await;
            mesh.app("dc1/api").reply(Reply::Bytes(cut, then));
            api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
            let answer = api.try_answer().await;
            assert!(answer.as_ref().is_none_or(|it| !it.is_whole), "{cut:?}, {then:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_application_that_closes_after_each_answer_costs_no_get_its_answer() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply(Reply::Own(Then::Close));
    for _ in 0..20 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    }
}

#[tokio::test]
async fn faults_of_the_application_are_answered_as_the_contract_says() {
    let (mesh, mut api) = api().await;
    for (reply, status, flag) in [
        (Reply::Nothing(Then::Close), 503, "UC"),
        (Reply::Nothing(Then::Reset), 503, "UC"),
        (Reply::Bytes("HTTP/1.1 abc\r\n\r\n", Then::GoOn), 502, "UPE"),
        (
            Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", Then::GoOn),
            502,
            "UPE",
        ),
    ] {
        let before = mesh.sidecar("dc1/api").refusals(flag);
        mesh.app("dc1/api").reply_times(1, reply.clone());
        let answer = api.request("POST", "/", &[("content-length", "0")]).await;
        assert_eq!(answer.status, status, "{reply:?}");
        assert_eq!(mesh.sidecar("dc1/api").refusals(flag), before + 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (mesh, mut api) = api().await;
        api.send(request).await;
        assert_eq!(api.answer().await.status, 400, "{request:?}");
        assert!(api.is_closed().await);
        assert_eq!((mesh.sidecar("dc1/web").refusals("DPE"), mesh.app("dc1/api").count()), (1, 0));
    }
}

#[tokio::test]
async fn a_large_body_arrives_whole_both_ways() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply(Reply::Echo);
    let body: String = (0..200_000).map(|i| format!("{i:010}")).collect();
    for framing in ["length", "chunks"] {
        let request = match framing {
            "length" => {
                format!("POST / HTTP/1.1\r\nhost: api\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            _ => format!(
                "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        };
        api.send(&request).await;
        let answer = api.answer().await;
        assert!(answer.is_whole && answer.text() == body, "{framing}: {} bytes", answer.body.len());
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_passed_on() {
    let (mesh, mut api) = api().await;
    mesh.app("dc1/api").reply_times(1, Reply::Early(413));
    let part = "x".repeat(100_000);
    api.send(&format!("POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 10000000\r\n\r\n{part}")).await;
    assert_eq!(api.answer().await.status, 413);
    let mut next = mesh.client("dc1/web").connect("api").await;
    assert_eq!(next.get("/").await.served_by(), "dc1/api/0");
}

/// The caller leaves; what was on its way to it is given to nobody.
#[tokio::test]
async fn an_answer_that_nobody_waits_for_reaches_nobody() {
    let (mesh, mut next) = api().await;
    next.get("/").await;
    mesh.app("dc1/api").reply_times(1, Reply::Nothing(Then::Stall));
    let mut api = mesh.client("dc1/web").connect_to_die("api").await;
    api.send("GET / HTTP/1.1\r\nhost: api\r\nx-request-id: left\r\n\r\n").await;
    mesh.app("dc1/api").has_received(2).await;
    drop(api);
    spillway_harness::eventually("the sidecar lets it go", || {
        mesh.sidecar("dc1/web").sum(|counters| &counters.requests_active) == 0
    })
    .await;
    mesh.app("dc1/api").release();
    for id in ["one", "two", "three"] {
        let answer = next.request("GET", "/", &[("x-request-id", id)]).await;
        assert_eq!(answer.header("x-answers"), Some(id));
    }
}

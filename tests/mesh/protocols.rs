//! Every version of HTTP towards every protocol of a service: what one side says reaches the other, whichever
//! words each has for it.

use spillway_harness::{Answer, App, Call, Client, InstanceBuilder, Mesh, Reply, Then, Version, within};

/// A caller of one kind, and a service of one protocol.
struct Pair<'a> {
    name: String,
    client: Client,
    app: &'a App,
    upstream: &'static str,
    version: Version,
    /// The caller makes gRPC calls.
    grpc: bool,
}

/// One service of each protocol: the application of `lines` speaks HTTP/1.1, those of the others HTTP/2.
pub(super) async fn mesh() -> Mesh {
    let cluster = Mesh::builder().cluster("dc1", |c| {
        c.service("web", 1)
            .service("lines", 1)
            .http2_service("frames", 1, "http2")
            .http2_service("calls", 1, "grpc")
    });
    cluster.start().await
}

/// All pairs.
fn pairs(mesh: &Mesh) -> Vec<Pair<'_>> {
    let callers = [
        ("HTTP/1.0", Version::Http10, false),
        ("HTTP/1.1", Version::Http11, false),
        ("HTTP/2", Version::Http2, false),
        ("gRPC", Version::Http2, true),
    ];
    let mut pairs = Vec::new();
    for (caller, version, grpc) in callers {
        for upstream in ["lines", "frames", "calls"] {
            let name = format!("{caller} to {upstream}");
            let (client, app) = (mesh.client("dc1/web"), mesh.app(&format!("dc1/{upstream}")));
            pairs.push(Pair { name, client, app, upstream, version, grpc });
        }
    }
    pairs
}

impl Pair<'_> {
    async fn call(&self, call: Call) -> Answer {
        self.call_informed(call).await.1
    }

    async fn call_informed(&self, call: Call) -> (Vec<u16>, Answer) {
        let call = if self.grpc {
            call.header("content-type", "application/grpc").header("te", "trailers")
        } else {
            call
        };
        self.client.call_informed(self.version, self.upstream, &call).await
    }

    /// Whether both sides know trailers and informational answers.
    fn is_modern(&self) -> bool {
        self.version != Version::Http10
    }
}

#[tokio::test]
async fn requests_and_answers_pass() {
    let mesh = mesh().await;
    for pair in pairs(&mesh) {
        let name = &pair.name;
        let answer = pair.call(Call::new("GET", "/a?b=c").header("x-asked", "yes")).await;
        assert_eq!((answer.status, answer.served_by()), (200, pair.app.name()), "{name}");
        assert_eq!(answer.text(), pair.app.name(), "{name}");
        let seen = pair.app.last();
        let host = seen.header("host").or(seen.header(":authority"));
        assert_eq!((seen.target.as_str(), host), ("/a?b=c", Some(pair.upstream)), "{name}");
        assert_eq!(seen.header("x-asked"), Some("yes"), "{name}");
        let version = if pair.upstream == "lines" { "HTTP/1.1" } else { "HTTP/2.0" };
        assert_eq!(seen.version, version, "{name}");

        pair.app.reply_times(1, Reply::Echo);
        let answer = pair.call(Call::new("POST", "/").pieces(&["hello ", "world"])).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello world"), "{name}");
        assert!(answer.is_whole, "{name}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let mesh = mesh().await;
    for pair in pairs(&mesh) {
        let name = &pair.name;
        pair.app
            .reply_times(1, Reply::Chunked(&["spill", "way"], &[("grpc-status", "0"), ("x-after", "yes")]));
        let call = Call::new("POST", "/").pieces(&["hello ", "world"]).trailer("x-behind", "yes");
        let call = if pair.version == Version::Http11 { call.header("te", "trailers") } else { call };
        let answer = pair.call(call).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "spillway"), "{name}");
        let seen = pair.app.last();
        assert_eq!(seen.text(), "hello world", "{name}");
        if pair.is_modern() {
            assert_eq!(seen.trailers, [("x-behind".to_owned(), "yes".to_owned())], "{name}");
            let trailer =
                |key: &str| answer.trailers.iter().find(|(name, _)| name == key).map(|(_, it)| it.as_str());
            assert_eq!((trailer("grpc-status"), trailer("x-after")), (Some("0"), Some("yes")), "{name}");
        }
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let mesh = mesh().await;
    for pair in pairs(&mesh) {
        let name = &pair.name;
        let answer = pair.call(Call::new("HEAD", "/")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{name}");
        if pair.upstream == "lines" {
            let length = pair.app.name().len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()), "{name}");
        }
        pair.app.reply_times(1, Reply::Chunked(&[], &[]));
        let answer = pair.call(Call::new("GET", "/")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{name}");
        for status in [204, 304] {
            pair.app.reply_times(1, Reply::Status(status));
            let answer = pair.call(Call::new("GET", "/")).await;
            assert_eq!((answer.status, answer.text().as_str()), (status, ""), "{name}");
            assert!(answer.is_whole, "{name}: {status}");
        }
    }
}

#[tokio::test]
async fn informational_answers_pass_to_who_knows_them() {
    let mesh = mesh().await;
    for pair in pairs(&mesh) {
        let name = &pair.name;
        pair.app.reply_times(1, Reply::Hints);
        let (informed, answer) = pair.call_informed(Call::new("GET", "/")).await;
        assert_eq!(answer.status, 200, "{name}");
        let expected: &[u16] = if pair.is_modern() { &[103] } else { &[] };
        assert_eq!(informed, expected, "{name}");
    }
}

#[tokio::test]
async fn who_expects_a_continue_is_answered_whether_the_application_says_one_or_not() {
    let mesh = mesh().await;
    for pair in pairs(&mesh) {
        let name = &pair.name;
        for says in [true, false] {
            pair.app.says_continue(says);
            let call = Call::new("POST", "/").header("expect", "100-continue").pieces(&["hello"]);
            let (informed, answer) = pair.call_informed(call).await;
            assert_eq!((answer.status, pair.app.last().text().as_str()), (200, "hello"), "{name}");
            let most = if pair.is_modern() { 1 } else { 0 };
            assert!(informed.len() <= most && informed.iter().all(|it| *it == 100), "{name}: {informed:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_reaches_the_caller() {
    let mesh = mesh().await;
    for pair in pairs(&mesh) {
        pair.app.reply_times(1, Reply::Early(413));
        let answer = pair.call(Call::new("POST", "/").pieces(&["hello"])).await;
        assert_eq!(answer.status, 413, "{}", pair.name);
        assert_eq!(pair.call(Call::new("GET", "/")).await.status, 200, "{}", pair.name);
    }
}

#[tokio::test]
async fn an_answer_streams_while_it_is_made() {
    let mesh = mesh().await;
    for pair in pairs(&mesh).into_iter().filter(|pair| pair.version == Version::Http2) {
        pair.app.reply_times(1, Reply::Mirror);
        let http2 = pair.client.http2(pair.upstream).await;
        let request = http::Request::post(format!("http://{}/", pair.upstream)).body(()).expect("a request");
        let (answer, mut up) = http2.open(request, false);
        let mut down =
            within("an answer before the request ends", answer).await.expect("an answer").into_body();
        for word in ["one", "two", "three"] {
            up.send_data(bytes::Bytes::from_static(word.as_bytes()), false).expect("the stream is open");
            let echoed = within("an echo", down.data()).await.expect("more").expect("data");
            assert_eq!(echoed, word, "{}", pair.name);
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-behind", http::HeaderValue::from_static("yes"));
        up.send_trailers(trailers).expect("the stream is open");
        assert!(within("the end", down.data()).await.is_none(), "{}", pair.name);
        let trailers = within("trailers", down.trailers()).await.expect("a good end").expect("trailers");
        assert_eq!(trailers["x-behind"], "yes", "{}", pair.name);
    }
}

#[tokio::test]
async fn http1_streams_both_ways_at_once() {
    let mesh = mesh().await;
    for pair in pairs(&mesh).into_iter().filter(|pair| pair.version == Version::Http11) {
        pair.app.reply_times(1, Reply::Mirror);
        let mut connection = pair.client.connect(pair.upstream).await;
        connection
            .send("POST / HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        while connection.line().await.expect("a head").trim() != "" {}
        for word in ["one", "two"] {
            connection.send(&format!("3\r\n{word}\r\n")).await;
            assert_eq!(connection.bytes(8).await, format!("3\r\n{word}\r\n"), "{}", pair.name);
        }
        connection.send("0\r\nx-behind: yes\r\n\r\n").await;
        assert_eq!(connection.bytes(20).await, "0\r\nx-behind: yes\r\n\r\n", "{}", pair.name);
    }
}

#[tokio::test]
async fn what_nobody_reads_is_not_taken_and_delays_nobody() {
    /// Sockets' buffers and HTTP/2's windows at each hop hold some of it.
    const MOST: usize = 24 * 1024 * 1024;
    let mesh = mesh().await;
    for pair in pairs(&mesh).into_iter().filter(|pair| pair.version == Version::Http11) {
        let before = pair.app.count();
        pair.app.reply_times(1, Reply::Unread);
        let mut stalled = pair.client.connect(pair.upstream).await;
        let piece = "x".repeat(256 * 1024);
        let mut taken = 0;
        let length = 1024 * 1024 * 1024;
        stalled.send(&format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")).await;
        pair.app.has_received(before + 1).await;
        let upload = async {
            while taken < MOST && stalled.try_send(&piece).await.is_ok() {
                taken += piece.len();
            }
        };
        let others = async {
            for _ in 0..20 {
                let answer = pair.client.call(pair.version, pair.upstream, &Call::new("GET", "/")).await;
                assert_eq!(answer.status, 200, "{}", pair.name);
            }
        };
        tokio::select! {
            () = upload => panic!("{}: {taken} bytes were taken that nobody reads", pair.name),
            () = others => {}
        }
    }
}

#[tokio::test]
async fn gateways_pass_every_protocol_on() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            let peers = |_, web: InstanceBuilder| {
                ["lines", "frames", "calls"].into_iter().fold(web, |web, name| web.peer_upstream(name, "dc2"))
            };
            c.service_with("web", 1, peers)
        })
        .cluster("dc2", |c| {
            c.service("lines", 1)
                .http2_service("frames", 1, "http2")
                .http2_service("calls", 1, "grpc")
                .exports("lines", "dc1")
                .exports("frames", "dc1")
                .exports("calls", "dc1")
        })
        .start()
        .await;
    let web = mesh.client("dc1/web");
    for (service, upstream) in [("lines", "lines.dc2"), ("frames", "frames.dc2"), ("calls", "calls.dc2")] {
        let app = mesh.app(&format!("dc2/{service}"));
        app.reply(Reply::Mirror);
        for version in [Version::Http11, Version::Http2] {
            let call = Call::new("POST", "/").pieces(&["hello ", "world"]).trailer("x-behind", "yes");
            let call = if version == Version::Http11 { call.header("te", "trailers") } else { call };
            let answer = web.call(version, upstream, &call).await;
            assert_eq!(answer.served_by(), app.name(), "{version:?} to {upstream}");
            assert_eq!(answer.text(), "hello world", "{version:?} to {upstream}");
            let trailers = [("x-behind".to_owned(), "yes".to_owned())];
            assert_eq!(answer.trailers, trailers, "{version:?} to {upstream}");
        }
    }
}

#[tokio::test]
async fn an_application_that_speaks_no_http2_is_named_at_fault_where_it_was_registered_to() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("web", 1).service("lines", 1))
        .entry("dc1", "Kind = \"service-defaults\"\nName = \"lines\"\nProtocol = \"http2\"\n")
        .start()
        .await;
    for version in [Version::Http11, Version::Http2] {
        let answer = mesh.client("dc1/web").call(version, "lines", &Call::new("GET", "/")).await;
        assert_eq!(answer.status, 502, "{version:?}");
        assert!(answer.text().starts_with("malformed answer from"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_stalled_answer_leaves_the_connection_to_others() {
    let mesh = mesh().await;
    for upstream in ["lines", "frames", "calls"] {
        let app = mesh.app(&format!("dc1/{upstream}"));
        app.reply_times(1, Reply::Nothing(Then::Stall));
        let http2 = mesh.client("dc1/web").http2(upstream).await;
        let (stalled, call) = (Call::new("GET", "/stalled"), Call::new("GET", "/"));
        let (other, first) = tokio::join!(
            async {
                app.has_received(1).await;
                let (_, answer) = http2.call(&call).await;
                app.release();
                answer
            },
            http2.call(&stalled)
        );
        assert_eq!((other.status, first.1.status), (200, 200), "{upstream}");
    }
}

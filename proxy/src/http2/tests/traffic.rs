use super::applications::{by_hand, http1, http2};
use super::*;

/// What a client of either version sends to an application of either version.
const HTTP1: Front =
    Front { role: Role::Outbound, xfcc: None, protocol: Protocol::Http, thresholds: Thresholds::UNLIMITED };

fn megabyte() -> String {
    "0123456789abcdef".repeat(64 * 1024)
}

async fn check_http2_client(front: Front, application: SocketAddr, version: &str) {
    let proxy = Proxy::start(front, &[application]);
    let mut client = proxy.http2().await;
    let get = request("GET", "/head?q=1", &[("accept", "*/*")], "");
    let answer = soon(client.send_request(get)).await.expect("an answer");
    let answer = soon(Answer::read(answer)).await.expect("a whole answer");
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with(&format!("GET /head?q=1 {version}\n")), "{}", answer.body);
    assert!(answer.body.contains("web.example\n"), "{}", answer.body);
    assert!(answer.body.contains("x-request-id: "), "{}", answer.body);
    assert!(answer.header("connection").is_none() && answer.header("transfer-encoding").is_none());

    let post = request("POST", "/echo", &[], megabyte());
    let answer = soon(client.send_request(post)).await.expect("an answer");
    let answer = soon(Answer::read(answer)).await.expect("a whole answer");
    assert!(answer.body == megabyte(), "{} bytes came back", answer.body.len());
}

#[tokio::test]
async fn http2_reaches_an_http1_application() {
    check_http2_client(HTTP1, http1().await, "HTTP/1.1").await;
}

#[tokio::test]
async fn http2_reaches_an_http2_application() {
    check_http2_client(Front::default(), http2().await, "HTTP/2.0").await;
}

#[tokio::test]
async fn http1_reaches_an_http2_application_request_after_request() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut client = proxy.http1().await;
    for (path, body) in [("/head", String::new()), ("/echo", megabyte()), ("/echo", "short".to_owned())] {
        let request = origin(request("POST", path, &[], body.clone()));
        soon(client.ready()).await.expect("the connection stays open");
        let answer = soon(client.send_request(request)).await.expect("an answer");
        let answer = soon(Answer::read(answer)).await.expect("a whole answer");
        assert_eq!(answer.status, 200);
        if path == "/echo" {
            assert!(answer.body == body, "{} bytes came back", answer.body.len());
        } else {
            assert!(
                answer.body.starts_with("POST /head HTTP/2.0\n:authority: web.example\n"),
                "{}",
                answer.body
            );
        }
    }
}

#[tokio::test]
async fn head_and_empty_answers_end_at_once() {
    for (front, application) in [(HTTP1, http1().await), (Front::default(), http2().await)] {
        let proxy = Proxy::start(front, &[application]);
        let mut client = proxy.http2().await;
        let head = request("HEAD", "/head", &[], "");
        let answer = soon(client.send_request(head)).await.expect("an answer");
        assert!(hyper::body::Body::is_end_stream(answer.body()));
        assert!(answer.headers().contains_key("content-length"));
        let mut client = proxy.http1().await;
        let head = origin(request("HEAD", "/head", &[], ""));
        let answer = soon(client.send_request(head)).await.expect("an answer");
        let answer = soon(Answer::read(answer)).await.expect("a whole answer");
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        let get = origin(request("GET", "/missing", &[], ""));
        let answer = soon(client.send_request(get)).await.expect("the connection carries another");
        assert_eq!(answer.status(), 404);
    }
}

#[tokio::test]
async fn a_grpc_call_keeps_its_trailers() {
    let proxy = Proxy::start(Front { protocol: Protocol::Grpc, ..Front::default() }, &[http2().await]);
    let mut client = proxy.http2().await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let call = request("POST", "/call", &headers, "message");
    let answer = soon(client.send_request(call)).await.expect("an answer");
    let answer = soon(Answer::read(answer)).await.expect("a whole answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "message"));
    assert_eq!(answer.trailers["grpc-status"], "0");
    assert_eq!(answer.trailers["x-trailing"], "yes");
    assert!(!answer.trailers.contains_key("x-forwarded-client-cert"));

    let call = request("POST", "/refused-call", &headers, "message");
    let answer = soon(client.send_request(call)).await.expect("an answer");
    assert!(hyper::body::Body::is_end_stream(answer.body()), "trailers only");
    assert_eq!(answer.headers()["grpc-status"], "12");
}

#[tokio::test]
async fn trailers_cross_the_bridge_to_http1() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut client = proxy.http1().await;
    let call = origin(request("POST", "/call", &[("te", "trailers")], "message"));
    let answer = soon(client.send_request(call)).await.expect("an answer");
    let answer = soon(Answer::read(answer)).await.expect("a whole answer");
    assert_eq!(answer.trailers["x-trailing"], "yes");
}

#[tokio::test]
async fn a_call_is_judged_by_its_trailers() {
    let proxy = Proxy::start(Front { protocol: Protocol::Grpc, ..Front::default() }, &[http2().await]);
    let mut client = proxy.http2().await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    for (path, server_errors) in [("/failing-call", 1), ("/failing-call", 2), ("/call", 0)] {
        let call = request("POST", path, &headers, "message");
        let answer = soon(client.send_request(call)).await.expect("an answer");
        soon(Answer::read(answer)).await.expect("a whole answer");
        assert_eq!(proxy.endpoints[0].outlier().server_errors, server_errors, "{path}");
    }
}

#[tokio::test]
async fn a_thousand_interleaved_streams_stay_apart() {
    for (front, application) in [(HTTP1, http1().await), (Front::default(), http2().await)] {
        let proxy = Proxy::start(front, &[application]);
        let client = proxy.http2().await;
        let streams = (0..1_000).map(|n| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let body = format!("{n} ").repeat(500);
                let answer = client.send_request(request("POST", "/echo", &[], body.clone())).await;
                let answer = Answer::read(answer.expect("an answer")).await.expect("a whole answer");
                assert!(answer.body == body, "stream {n} got another's answer");
            })
        });
        for stream in streams.collect::<Vec<_>>() {
            soon(stream).await.expect("every stream gets its own answer");
        }
    }
}

#[tokio::test]
async fn both_directions_stream_at_the_same_time() {
    for (front, application) in [(HTTP1, http1().await), (Front::default(), http2().await)] {
        let proxy = Proxy::start(front, &[application]);
        let mut client = soon(proxy.raw().await.ready()).await.expect("ready");
        let request = Request::post("http://web.example/echo").body(()).expect("a request");
        let (answer, mut up) = client.send_request(request, false).expect("a stream");
        let mut down = soon(answer).await.expect("an answer before the request has ended").into_body();
        for word in ["one", "two", "three"] {
            up.send_data(Bytes::from_static(word.as_bytes()), false).expect("the stream is open");
            let echoed = soon(down.data()).await.expect("more").expect("data");
            assert_eq!(echoed, word);
        }
        up.send_data(Bytes::new(), true).expect("the stream is open");
        let end = soon(down.data()).await.transpose().expect("a good end");
        assert!(end.is_none_or(|data| data.is_empty() && down.is_end_stream()), "the end follows the end");
    }
}

#[tokio::test]
async fn informational_answers_pass() {
    let application = by_hand(h2::server::Builder::new(), |_, mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let hints = Response::builder().status(103).header("link", "</a>").body(()).expect("a response");
            respond.send_informational(hints).expect("it may be sent");
            respond.send_response(Response::new(()), true).expect("it may be sent");
        }
    })
    .await;
    let proxy = Proxy::start(Front::default(), &[application]);
    let mut client = soon(proxy.raw().await.ready()).await.expect("ready");
    let request = Request::get("http://web.example/").body(()).expect("a request");
    let (mut answer, _) = client.send_request(request, true).expect("a stream");
    let hints = soon(std::future::poll_fn(|cx| answer.poll_informational(cx))).await;
    let hints = hints.expect("one comes").expect("it is well-formed");
    assert_eq!((hints.status().as_u16(), &hints.headers()["link"]), (103, &"</a>".parse().expect("a value")));
    assert_eq!(soon(answer).await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_waiting_client_is_told_to_go_on() {
    for (front, application) in [(HTTP1, http1().await), (Front::default(), http2().await)] {
        let proxy = Proxy::start(front, &[application]);
        let mut client = soon(proxy.raw().await.ready()).await.expect("ready");
        let request = Request::post("http://web.example/echo").header("expect", "100-continue");
        let (mut answer, mut up) =
            client.send_request(request.body(()).expect("a request"), false).expect("a stream");
        let go_on = soon(std::future::poll_fn(|cx| answer.poll_informational(cx))).await;
        assert_eq!(go_on.expect("one comes").expect("it is well-formed").status(), 100);
        up.send_data(Bytes::from_static(b"now"), true).expect("the stream is open");
        let mut body = soon(answer).await.expect("an answer").into_body();
        assert_eq!(soon(body.data()).await.expect("more").expect("data"), "now");
    }
}

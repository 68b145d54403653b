use super::applications::{http1, http2, nowhere};
use super::*;

const INBOUND: Front = Front {
    role: Role::Inbound,
    xfcc: Some("By=us;URI=them"),
    protocol: Protocol::Http2,
    thresholds: Thresholds::UNLIMITED,
};

#[tokio::test]
async fn a_forged_client_certificate_does_not_pass() {
    let forged: &[(&str, &str)] = &[
        ("x-forwarded-client-cert", "By=forged"),
        ("x-forwarded-client-cert", "By=again"),
        ("x_forwarded_client_cert", "By=underscored"),
        ("x-spillway-unprocessed", "UF"),
        ("x-kept", "yes"),
    ];
    let over_http1 = Front { protocol: Protocol::Http, ..INBOUND };
    for (front, application) in [(over_http1, http1().await), (INBOUND, http2().await)] {
        let proxy = Proxy::start(front, &[application]);
        let over_http2 = soon(proxy.http2().await.send_request(request("GET", "/head", forged, ""))).await;
        let over_http1 =
            soon(proxy.http1().await.send_request(origin(request("GET", "/head", forged, "")))).await;
        for answer in [over_http2, over_http1] {
            let body = Answer::read(answer.expect("an answer")).await.expect("a whole answer").body;
            assert!(body.contains("x-forwarded-client-cert: By=us;URI=them\n"), "{body}");
            assert!(body.contains("x-kept: yes\n"), "{body}");
            assert!(!body.contains("forged") && !body.contains("By=again"), "{body}");
            assert!(!body.contains("underscored") && !body.contains("x-spillway"), "{body}");
        }
    }
}

#[tokio::test]
async fn an_application_cannot_say_that_nothing_was_processed() {
    let application = http2().await;
    let proxy = Proxy::start(INBOUND, &[application, application]);
    let answer = soon(proxy.http2().await.send_request(request("GET", "/pretend", &[], ""))).await;
    let answer = Answer::read(answer.expect("an answer")).await.expect("a whole answer");
    assert_eq!((answer.status, answer.header("x-own")), (503, Some("kept")));
    assert_eq!(answer.header("x-spillway-unprocessed"), None);
    assert_eq!(proxy.stats.sum(|counters| &counters.moved_on), 0, "it was not tried elsewhere");
}

/// The answer of ours to a request that nobody can serve.
async fn refused(front: Front, headers: &[(&str, &str)]) -> Answer {
    let proxy = Proxy::start(front, &[nowhere().await]);
    let answer = soon(proxy.http2().await.send_request(request("POST", "/", headers, "body"))).await;
    Answer::read(answer.expect("an answer")).await.expect("a whole answer")
}

#[tokio::test]
async fn our_own_answers_name_their_cause() {
    let answer = refused(Front::default(), &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("text/plain")));
    assert!(answer.body.starts_with("every connection attempt failed: cannot connect to"), "{}", answer.body);
    assert_eq!(answer.header("x-spillway-unprocessed"), None, "an application is not told");
    assert_eq!(refused(INBOUND, &[]).await.header("x-spillway-unprocessed"), Some("UF"));
}

#[tokio::test]
async fn a_grpc_call_is_refused_in_its_own_words() {
    let answer = refused(Front::default(), &[("content-type", "application/grpc+proto")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")));
    assert_eq!((answer.header("grpc-status"), answer.body.as_str()), (Some("14"), ""));
    let message = answer.header("grpc-message").expect("it says why");
    assert!(message.starts_with("every connection attempt failed"), "{message}");
}

#[tokio::test]
async fn http1_is_answered_by_ourselves_over_the_bridge() {
    let proxy = Proxy::start(Front::default(), &[nowhere().await]);
    let mut client = proxy.http1().await;
    for _ in 0..2 {
        soon(client.ready()).await.expect("a request without a body leaves the connection open");
        let answer = soon(client.send_request(origin(request("GET", "/", &[], "")))).await;
        let answer = Answer::read(answer.expect("an answer")).await.expect("a whole answer");
        assert_eq!(answer.status, 503);
        assert!(answer.body.starts_with("every connection attempt failed"), "{}", answer.body);
    }
}

#[tokio::test]
async fn what_the_codec_refuses_is_refused_over_http2() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let client = soon(proxy.raw().await.ready()).await.expect("ready");
    let connect = Request::connect("web.example:80").body(()).expect("a request");
    let another_host = Request::get("http://web.example/").header("host", "admin.example").body(());
    let user = Request::get("http://user@web.example/").body(());
    let lengths = Request::post("http://web.example/").header("content-length", "0");
    let lengths = lengths.header("content-length", "0").body(());
    for (request, status) in [
        (connect, 400),
        (another_host.expect("a request"), 400),
        (user.expect("a request"), 400),
        (lengths.expect("a request"), 400),
    ] {
        let described = format!("{request:?}");
        let (answer, _) = client.clone().send_request(request, true).expect("a stream");
        let answer = soon(answer).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{described}");
    }
    assert_eq!(proxy.stats.sum(|counters| &counters.requests), 4);
}

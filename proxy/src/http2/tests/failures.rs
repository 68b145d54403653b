use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::applications::{by_hand, http2, listener};
use super::*;

async fn answer_to_all(mut connection: h2::server::Connection<TcpStream, Bytes>) {
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        drop(tokio::spawn(async move {
            let mut body = request.into_body();
            let mut text = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                text.extend_from_slice(&data);
            }
            let mut answer = respond.send_response(Response::new(()), false).expect("it may be sent");
            answer.send_data(text.into(), true).expect("it may be sent");
        }));
    }
}

/// Empty SETTINGS, and GOAWAY with NO_ERROR and 0 as the last stream: what was sent was not looked at.
const SETTINGS_AND_GOAWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[tokio::test]
async fn a_stream_that_goaway_left_behind_goes_elsewhere() {
    let (listener, application) = listener().await;
    drop(tokio::spawn(async move {
        let (mut leaving, _) = listener.accept().await.expect("the proxy dials");
        // A frame of 9 bytes and more behind the preface of 24: SETTINGS, and perhaps the request.
        let mut bytes = [0; 24 + 9];
        leaving.read_exact(&mut bytes).await.expect("a preface");
        leaving.write_all(SETTINGS_AND_GOAWAY).await.expect("it is read");
        let (tcp, _) = listener.accept().await.expect("the proxy dials again");
        answer_to_all(h2::server::handshake(tcp).await.expect("a preface")).await;
        // Open until now: a reset could overtake the GOAWAY.
        drop(leaving);
    }));
    let proxy = Proxy::start(Front::default(), &[application]);
    let post = request("POST", "/", &[], "once");
    let answer = soon(proxy.http2().await.send_request(post)).await.expect("an answer");
    let answer = soon(Answer::read(answer)).await.expect("a whole answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "once"));
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_with_its_body() {
    let application = by_hand(h2::server::Builder::new(), |index, mut connection| async move {
        if index == 0 {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_reset(Reason::REFUSED_STREAM);
            }
        } else {
            answer_to_all(connection).await;
        }
    })
    .await;
    let proxy = Proxy::start(Front::default(), &[application]);
    let post = request("POST", "/", &[], "once");
    let answer = soon(proxy.http2().await.send_request(post)).await.expect("an answer");
    let answer = soon(Answer::read(answer)).await.expect("a whole answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "once"));
    assert_eq!(proxy.endpoints[0].outlier().server_errors, 0, "who refuses is not at fault");
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let application = by_hand(h2::server::Builder::new(), move |_, mut connection| {
        let counted = Arc::clone(&counted);
        async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
        }
    })
    .await;
    let proxy = Proxy::start(Front::default(), &[application, application]);
    let answer = soon(proxy.http2().await.send_request(request("POST", "/", &[], "once"))).await;
    let answer = soon(Answer::read(answer.expect("an answer"))).await.expect("a whole answer");
    assert_eq!((answer.status, seen.load(Ordering::Relaxed)), (503, 1));
    assert!(answer.body.contains("closed the connection before its answer"), "{}", answer.body);
}

#[tokio::test]
async fn a_full_connection_gets_a_second_beside_it() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1);
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let application = by_hand(builder, move |index, mut connection| {
        counted.fetch_max(index + 1, Ordering::Relaxed);
        async move {
            let mut held = Vec::new();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                if request.uri().path() == "/hold" {
                    held.push((request, respond));
                } else {
                    respond.send_response(Response::new(()), true).expect("it may be sent");
                }
            }
        }
    })
    .await;
    let proxy = Proxy::start(Front::default(), &[application]);
    let mut client = proxy.http2().await;
    let first = soon(client.send_request(request("GET", "/", &[], ""))).await;
    assert_eq!(first.expect("an answer").status(), 200);
    let held = tokio::spawn(client.send_request(request("GET", "/hold", &[], "")));
    let second = soon(client.send_request(request("GET", "/", &[], ""))).await;
    assert_eq!(second.expect("an answer").status(), 200);
    assert_eq!(opened.load(Ordering::Relaxed), 2);
    held.abort();
}

#[tokio::test]
async fn a_reset_stream_leaves_the_others() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let client = soon(proxy.raw().await.ready()).await.expect("ready");
    let get = |path: &str| Request::get(format!("http://web.example{path}")).body(()).expect("a request");
    let (held, mut stream) = client.clone().send_request(get("/hold"), true).expect("a stream");
    let (echoed, mut up) = client.clone().send_request(get("/echo"), false).expect("a stream");
    let mut down = soon(echoed).await.expect("an answer").into_body();
    stream.send_reset(Reason::CANCEL);
    drop(held);
    up.send_data(Bytes::from_static(b"still here"), true).expect("the stream is open");
    assert_eq!(soon(down.data()).await.expect("more").expect("data"), "still here");
    soon(async {
        while proxy.stats.sum(|counters| &counters.requests_active) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(proxy.endpoints[0].in_flight(), 0, "the reset one was let go as well");
}

#[tokio::test]
async fn a_truncated_answer_does_not_look_whole() {
    let (listener, address) = listener().await;
    drop(tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _read = tcp.read(&mut head).await.expect("a request");
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.expect("it is read");
        }
    }));
    let proxy = Proxy::start(Front { protocol: Protocol::Http, ..Front::default() }, &[address]);
    // A reset may overtake the head.
    let read = async |answer| Answer::read(answer?).await;
    let answer = soon(proxy.http2().await.send_request(request("GET", "/", &[], ""))).await;
    let error = soon(read(answer)).await.expect_err("it was cut short");
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
}

#[tokio::test]
async fn an_application_that_speaks_no_http2_is_at_fault() {
    let (listener, address) = listener().await;
    drop(tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            let _ = tcp.read(&mut [0; 1024]).await;
        }
    }));
    let proxy = Proxy::start(Front::default(), &[address]);
    let answer = soon(proxy.http2().await.send_request(request("POST", "/", &[], "body"))).await;
    let status = answer.expect("an answer").status().as_u16();
    assert!(matches!(status, 502 | 503), "{status}");
}

#[tokio::test]
async fn a_drain_lets_what_is_in_flight_finish() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut client = soon(proxy.raw().await.ready()).await.expect("ready");
    let post = Request::post("http://web.example/echo").body(()).expect("a request");
    let (answer, mut up) = client.send_request(post, false).expect("a stream");
    let mut down = soon(answer).await.expect("an answer").into_body();
    proxy.workers.drain();
    soon(async {
        while client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    up.send_data(Bytes::from_static(b"the rest"), true).expect("the stream is open");
    assert_eq!(soon(down.data()).await.expect("more").expect("data"), "the rest");
    assert!(soon(down.data()).await.is_none());
    soon(async {
        while proxy.workers.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_nobody_holds_is_closed() {
    let (closed, told) = tokio::sync::oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let application = by_hand(h2::server::Builder::new(), move |_, mut connection| {
        let closed = closed.lock().expect("nobody panics").take();
        async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(Response::new(()), true).expect("it may be sent");
            }
            closed.expect("there is one connection").send(()).expect("the test waits");
        }
    })
    .await;
    let proxy = Proxy::start(Front::default(), &[application]);
    let answer = soon(proxy.http2().await.send_request(request("GET", "/", &[], ""))).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    proxy.workers.run_on(0, |worker| worker.pools.clear());
    soon(told).await.expect("the application sees the end");
}

#[tokio::test]
async fn streams_that_wait_for_a_dial_share_it() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let application = by_hand(h2::server::Builder::new(), move |index, connection| {
        counted.fetch_max(index + 1, Ordering::Relaxed);
        answer_to_all(connection)
    })
    .await;
    let proxy = Proxy::start(Front::default(), &[application]);
    let client = proxy.http2().await;
    let streams = (0..50).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.send_request(request("GET", "/", &[], "")).await })
    });
    for stream in streams.collect::<Vec<_>>() {
        let answer = soon(stream).await.expect("it ran").expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

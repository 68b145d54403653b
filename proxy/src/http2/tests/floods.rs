use h2::Reason;

use super::applications::http2;
use super::*;

/// Opens streams and resets each, after `wait` has let it be served or not, until the connection ends; why it did,
/// and after how many.
async fn flood(proxy: &Proxy, served: bool) -> (Option<Reason>, usize) {
    let mut client = proxy.raw().await;
    for sent in 0..5_000 {
        client = match soon(client.ready()).await {
            Ok(client) => client,
            Err(error) => return (error.reason(), sent),
        };
        let get = Request::get("http://web.example/hold").body(()).expect("a request");
        let Ok((answer, mut stream)) = client.send_request(get, true) else { continue };
        if served {
            let before = proxy.stats.sum(|counters| &counters.requests);
            soon(async {
                while proxy.stats.sum(|counters| &counters.requests) == before
                    && client.clone().ready().await.is_ok()
                {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        } else {
            tokio::task::yield_now().await;
        }
        stream.send_reset(Reason::CANCEL);
        drop(answer);
    }
    (None, 5_000)
}

#[tokio::test]
async fn a_flood_of_resets_ends_its_connection_and_no_other() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut other = proxy.http2().await;
    // What is sent without a look at the answer is sent for a while after the end.
    for (served, most) in [(false, 5_000), (true, 300)] {
        let (reason, sent) = flood(&proxy, served).await;
        assert!(sent < most, "{sent} streams were taken");
        assert!(matches!(reason, Some(Reason::ENHANCE_YOUR_CALM) | None), "{reason:?}");
        let answer = soon(other.send_request(request("GET", "/head", &[], ""))).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn the_number_of_streams_is_limited() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut client = soon(proxy.raw().await.ready()).await.expect("ready");
    let get = Request::get("http://web.example/head").body(()).expect("a request");
    let (answer, _) = client.send_request(get, true).expect("a stream");
    soon(answer).await.expect("settings have come with the answer");
    assert_eq!(client.current_max_send_streams(), 200);
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let client = soon(proxy.raw().await.ready()).await.expect("ready");
    for size in [61 * 1024, 70 * 1024] {
        let get = Request::get("http://web.example/").header("x-large", "x".repeat(size));
        let get = get.body(()).expect("a request");
        let (answer, _) = client.clone().send_request(get, true).expect("a stream");
        let answer = soon(answer).await.expect("an answer");
        assert_eq!(answer.status(), 431, "{size}");
    }
}

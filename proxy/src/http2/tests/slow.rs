//! Clients that take their time, over HTTP/1.1: each deadline, without waiting for it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::applications::{http1, http2};
use super::*;

const OUTBOUND: Front =
    Front { role: Role::Outbound, xfcc: None, protocol: Protocol::Http, thresholds: Thresholds::UNLIMITED };

/// Lets `each` pass again and again, as the proxy sees it, until the connection ends; what it says until then.
async fn outwait(proxy: &Proxy, mut tcp: TcpStream, each: Duration) -> String {
    let mut said = Vec::new();
    let pass = async {
        loop {
            proxy.shared.skip(each);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = async {
        tokio::select! {
            read = tcp.read_to_end(&mut said) => read,
            () = pass => unreachable!("time does not end"),
        }
    };
    soon(ended).await.expect("it is closed in good order");
    String::from_utf8_lossy(&said).into_owned()
}

/// What a client that sends `begun`, and nothing more, is told.
async fn told(proxy: &Proxy, begun: &str, each: Duration) -> String {
    let mut tcp = TcpStream::connect(proxy.address).await.expect("it listens");
    tcp.write_all(begun.as_bytes()).await.expect("it reads");
    outwait(proxy, tcp, each).await
}

#[tokio::test]
async fn a_head_has_ten_seconds_from_its_first_byte() {
    let proxy = Proxy::start(OUTBOUND, &[http1().await]);
    let answer = told(&proxy, "GET / HTTP/1.1\r\nhost: a", Duration::from_secs(3)).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("head not whole in time"), "{answer}");
    assert_eq!(proxy.stats.sum(|counters| &counters.head_timeouts), 1);
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_is_closed_without_a_word() {
    let proxy = Proxy::start(OUTBOUND, &[http1().await]);
    let answer = told(&proxy, "GET /head HTTP/1.1\r\nhost: a\r\n\r\n", Duration::from_secs(10)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("HTTP/1.1 400"), "{answer}");
    assert_eq!(proxy.stats.sum(|counters| &counters.idle_timeouts), 1);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_its_senders_fault() {
    for (protocol, application) in [(Protocol::Http, http1().await), (Protocol::Http2, http2().await)] {
        let proxy = Proxy::start(Front { protocol, ..OUTBOUND }, &[application]);
        let begun = "POST /hold HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
        let mut tcp = TcpStream::connect(proxy.address).await.expect("it listens");
        tcp.write_all(begun.as_bytes()).await.expect("it reads");
        soon(async {
            while proxy.stats.sum(|counters| &counters.requests_active) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let answer = outwait(&proxy, tcp, Duration::from_secs(120)).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("body not sent in time"), "{answer}");
        assert_eq!(proxy.stats.sum(|counters| &counters.body_timeouts), 1);
        assert_eq!(proxy.stats.sum(|counters| &counters.refusals[6]), 0, "it is nobody else's");
    }
}

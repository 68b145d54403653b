use super::applications::http2;
use super::frames::*;
use super::*;
use crate::http2::abuse::Abuse;
use spillway_core::Tick;

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

/// A client's way to cost more than it asks for.
struct Flood {
    name: &'static str,
    /// What is sent first.
    first: Vec<u8>,
    /// What is sent again and again.
    then: Box<dyn Fn(u32) -> Vec<u8>>,
    abuse: Abuse,
    /// Error codes of RFC 9113 section 7 that the GOAWAY may have.
    codes: &'static [u32],
}

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const COMPRESSION_ERROR: u32 = 9;
const CALM: &[u32] = &[11];

/// The stream that the `n`th request of a client has.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

fn floods() -> Vec<Flood> {
    let same = |name, frame: Vec<u8>| Flood {
        name,
        first: Vec::new(),
        then: Box::new(move |_| frame.clone()),
        abuse: Abuse::Frames,
        codes: CALM,
    };
    let open = |lines: &[(&str, &str)]| frame(HEADERS, END_HEADERS, 1, &block("POST", "/hold", lines));
    let long = "x".repeat(16_000);
    let large = block("GET", "/", &[("a", &long), ("b", &long), ("c", &long), ("d", &long), ("e", &long)]);
    let parts: Vec<Vec<u8>> = large.chunks(16_384).map(<[u8]>::to_vec).collect();
    vec![
        same("PING", frame(PING, 0, 0, &[0; 8])),
        same("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        same("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        same("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        same("frames of no known type", frame(0xfa, 0, 0, &[0; 8])),
        Flood { first: open(&[]), ..same("DATA without data", frame(DATA, 0, 1, &[])) },
        Flood {
            first: frame(HEADERS, END_STREAM, 1, &block("GET", "/", &[])),
            abuse: Abuse::HeaderBlock,
            ..same("CONTINUATION", frame(CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b']))
        },
        Flood {
            first: frame(HEADERS, END_STREAM, 1, &block("GET", "/", &[])),
            abuse: Abuse::HeaderBlock,
            ..same("empty CONTINUATION", frame(CONTINUATION, 0, 1, &[]))
        },
        Flood {
            name: "a header block beyond the limit",
            first: frame(HEADERS, END_STREAM, 1, &parts[0]),
            then: Box::new(move |n| {
                let part = parts.get(n as usize + 1).cloned().unwrap_or_default();
                frame(CONTINUATION, if n == 4 { END_HEADERS } else { 0 }, 1, &part)
            }),
            abuse: Abuse::HeaderBlock,
            codes: CALM,
        },
        Flood {
            name: "streams reset at once",
            then: Box::new(|n| {
                let cancel = frame(RST_STREAM, 0, stream(n), &[0, 0, 0, 8]);
                [get(stream(n), "/hold"), cancel].concat()
            }),
            abuse: Abuse::Resets,
            ..same("", Vec::new())
        },
        Flood {
            name: "streams that we are made to reset",
            then: Box::new(|n| {
                let provoke = frame(WINDOW_UPDATE, 0, stream(n), &[0x7f, 0xff, 0xff, 0xff]);
                [get(stream(n), "/hold"), provoke].concat()
            }),
            abuse: Abuse::Resets,
            ..same("", Vec::new())
        },
        Flood {
            abuse: Abuse::Protocol,
            codes: &[FLOW_CONTROL_ERROR],
            ..same("a window beyond 2^31 - 1", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]))
        },
        Flood {
            abuse: Abuse::Protocol,
            codes: &[COMPRESSION_ERROR, PROTOCOL_ERROR],
            ..same("no HPACK", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 8]))
        },
        Flood {
            abuse: Abuse::Protocol,
            codes: &[PROTOCOL_ERROR],
            ..same("DATA on a stream that was never opened", frame(DATA, 0, 7, b"data"))
        },
        Flood {
            abuse: Abuse::Protocol,
            codes: &[PROTOCOL_ERROR],
            ..same("a stream with an even number", get(2, "/"))
        },
    ]
}

#[tokio::test]
async fn a_flood_costs_its_connection_and_nobody_else_anything() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut other = proxy.http2().await;
    for Flood { name, first, then, abuse, codes } in floods() {
        let mut client = Frames::connect(&proxy, &[]).await;
        assert!(client.send(&first).await, "{name}");
        let expelled = |kind| {
            let counts = proxy.shared.stats.expelled.counts();
            counts.filter(|(abuse, _)| *abuse == kind).map(|(_, count)| count).sum::<u64>()
        };
        let before = expelled(abuse);
        let (code, sent) = client.flood(then).await;
        assert!(code.is_some_and(|code| codes.contains(&code)), "{name}: {code:?} after {sent}");
        assert!(sent < 60_000, "{name}: {sent} were taken");
        assert_eq!(expelled(abuse), before + 1, "{name}: {:?}", proxy.shared.stats.expelled);
        let answer = soon(other.send_request(request("GET", "/head", &[], ""))).await;
        assert_eq!(answer.expect("an answer").status(), 200, "beside {name}");
    }
    let expelled = proxy.shared.stats.expelled.counts().map(|(_, count)| count).sum::<u64>();
    assert_eq!(proxy.stats.sum(|counters| &counters.protocol_errors), expelled);
}

#[tokio::test]
async fn a_client_most_of_whose_requests_are_malformed_is_sent_away() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut client = Frames::connect(&proxy, &[]).await;
    let two_hosts = block("GET", "/", &[("host", "another.example")]);
    let mut answers = 0;
    let code = 'sent: loop {
        client.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream(answers), &two_hosts)).await;
        loop {
            match client.next().await {
                Some((HEADERS, _)) => break,
                Some((GOAWAY, payload)) => break 'sent payload[7],
                Some(_) => {}
                None => panic!("no GOAWAY after {answers}"),
            }
        }
        answers += 1;
    };
    assert_eq!((code, answers), (11, 101));
}

#[tokio::test]
async fn a_header_block_that_is_left_unfinished_ends_its_connection() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let mut client = Frames::connect(&proxy, &[]).await;
    assert!(client.send(&frame(HEADERS, END_STREAM, 1, &block("GET", "/", &[])[..4])).await);
    let dawdle = async {
        for _ in 0..4 {
            proxy.shared.skip(Duration::from_secs(4));
            tokio::time::sleep(Duration::from_millis(Tick::MILLIS)).await;
        }
    };
    let (code, ()) = tokio::join!(client.goaway(), dawdle);
    assert_eq!(code, Some(11));
    let slow = proxy.shared.stats.expelled.counts().find(|(abuse, _)| *abuse == Abuse::SlowHead);
    assert_eq!(slow, Some((Abuse::SlowHead, 1)));
}

/// Streams that may send nothing, as many as there may be, do not keep others from theirs.
#[tokio::test]
async fn zero_windows_stall_their_own_streams_until_these_are_given_up() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut client = Frames::connect(&proxy, &no_window).await;
    for n in 0..200 {
        assert!(client.send(&get(stream(n), "/head")).await);
    }
    client.await_frames(HEADERS, 200).await;
    let answer = soon(proxy.http2().await.send_request(request("GET", "/head", &[], ""))).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    proxy.shared.skip(Duration::from_secs(301));
    client.await_frames(RST_STREAM, 200).await;
    assert_eq!(proxy.stats.sum(|counters| &counters.refusals[6]), 0, "and nobody else is blamed");
}

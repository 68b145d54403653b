//! Heads that RFC 9113 §8.2 and §8.3 call malformed, frame by frame: no client library would send them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::applications::http2;
use super::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, frame};
use super::*;

/// What becomes of a request.
#[derive(Debug, Eq, PartialEq)]
enum Fate {
    /// The application answered this.
    Served(String),
    /// It got a 400 of ours.
    Refused,
    /// Its stream was reset as malformed.
    Reset,
    /// So was its connection.
    Closed,
}

type Lines<'a> = Vec<(&'a str, &'a str)>;

/// Lines as HPACK has them that indexes and compresses nothing (RFC 7541 section 6.2.2).
fn block(lines: &Lines<'_>) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("it is short")], text.as_bytes()].concat();
    lines.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

async fn fate(proxy: &Proxy, lines: &Lines<'_>) -> Fate {
    let mut tcp = TcpStream::connect(proxy.address).await.expect("it listens");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(lines));
    let request = [&preface[..], &frame(SETTINGS, 0, 0, b""), &head].concat();
    tcp.write_all(&request).await.expect("it is taken");
    loop {
        let mut head = [0; 9];
        tcp.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        tcp.read_exact(&mut payload).await.expect("the whole of it");
        // RFC 7541 appendix A: 8 is `:status: 200`, 12 is 400.
        match (head[3], payload.as_slice()) {
            (DATA, body) if !body.is_empty() => {
                return Fate::Served(String::from_utf8_lossy(body).into_owned());
            }
            (HEADERS, [0x8c, ..]) => return Fate::Refused,
            (RST_STREAM, [0, 0, 0, 1]) => return Fate::Reset,
            (GOAWAY, [_, _, _, _, 0, 0, 0, 1, ..]) => return Fate::Closed,
            _ => {}
        }
    }
}

/// A good request, with one line in another's place, or behind the others.
fn with(name: &'static str, value: &'static str) -> Lines<'static> {
    let mut lines = vec![(":method", "GET"), (":scheme", "http"), (":authority", "web"), (":path", "/head")];
    match lines.iter_mut().find(|line| line.0 == name) {
        Some(line) => line.1 = value,
        None => lines.push((name, value)),
    }
    lines
}

fn without(name: &str) -> Lines<'static> {
    with("x", "y").into_iter().filter(|line| line.0 != name).collect()
}

#[tokio::test]
async fn malformed_heads_reach_no_application() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    let [twice, behind] = [(":path", "/b"), (":path", "/head")];
    for (lines, expected) in [
        (with(":path", "/a b"), Fate::Reset),
        (with(":path", "/a\u{1}b"), Fate::Reset),
        (with(":path", "/a\u{7f}b"), Fate::Reset),
        (with(":path", "/a\r\nx: y"), Fate::Reset),
        (with(":path", "/\0"), Fate::Reset),
        (with(":path", ""), Fate::Reset),
        (with(":path", "head"), Fate::Reset),
        (with(":path", "http://web/head"), Fate::Reset),
        (with(":path", "*"), Fate::Refused),
        (without(":path"), Fate::Reset),
        (with(":method", "GE T"), Fate::Closed),
        (with(":method", "GET / HTTP/1.1\r\nx: y"), Fate::Closed),
        (without(":method"), Fate::Reset),
        (with(":scheme", "h ttp"), Fate::Reset),
        (without(":scheme"), Fate::Reset),
        (with(":authority", "user@web"), Fate::Refused),
        (with(":authority", "a,b"), Fate::Refused),
        (with(":authority", "we b"), Fate::Reset),
        (without(":authority"), Fate::Refused),
        (with("host", "other"), Fate::Refused),
        (with("X-Upper", "1"), Fate::Closed),
        (with("connection", "close"), Fate::Reset),
        (with("keep-alive", "1"), Fate::Reset),
        (with("proxy-connection", "close"), Fate::Reset),
        (with("transfer-encoding", "chunked"), Fate::Reset),
        (with("upgrade", "websocket"), Fate::Reset),
        (with("te", "gzip"), Fate::Reset),
        (with(":unknown", "1"), Fate::Closed),
        (with(":status", "200"), Fate::Reset),
        (with(":protocol", "websocket"), Fate::Reset),
        ([with("x", "y"), vec![twice]].concat(), Fate::Reset),
        ([without(":path"), vec![behind]].concat(), Fate::Reset),
        (with("x y", "1"), Fate::Closed),
        (with("x:y", "1"), Fate::Closed),
        (with("", "1"), Fate::Closed),
        (with("x", "a\rb"), Fate::Closed),
        (with("x", "a\nb"), Fate::Closed),
        (with("x", "a\0b"), Fate::Closed),
        (with("x", " a"), Fate::Refused),
        (with("x", "a\t"), Fate::Refused),
        (with("content-length", "5"), Fate::Reset),
        (with("content-length", "x"), Fate::Reset),
    ] {
        assert_eq!(soon(fate(&proxy, &lines)).await, expected, "{lines:?}");
    }
}

#[tokio::test]
async fn what_is_no_part_of_a_path_does_not_travel() {
    let proxy = Proxy::start(Front::default(), &[http2().await]);
    for (lines, line) in [
        (with(":path", "/head#fragment?q"), "GET /head HTTP/2.0\n"),
        (with(":path", "/head?q#fragment"), "GET /head?q HTTP/2.0\n"),
        (with("te", "trailers"), "GET /head HTTP/2.0\n"),
        (with("host", "WEB"), "GET /head HTTP/2.0\n"),
    ] {
        let Fate::Served(body) = soon(fate(&proxy, &lines)).await else { panic!("{lines:?} was refused") };
        assert!(body.starts_with(line), "{lines:?}: {body}");
    }
}

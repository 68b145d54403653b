//! A client that writes the frames of HTTP/2 by hand, whatever they are.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::*;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block: HPACK's static names for `METHOD http://web.example/`, and lines without an index.
pub(super) fn block(method: &str, path: &str, lines: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x86];
    for (index, value) in [(2, method), (4, path), (1, "web.example")] {
        block.push(index);
        text(value, &mut block);
    }
    for (name, value) in lines {
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    block
}

/// RFC 7541 §5.2, without Huffman's code.
fn text(text: &str, block: &mut Vec<u8>) {
    match text.len() {
        short @ 0..127 => block.push(u8::try_from(short).expect("below 127")),
        long => {
            block.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).expect("below 128") | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).expect("below 128"));
        }
    }
    block.extend(text.as_bytes());
}

/// `GET http://web.example/PATH` on a stream, whole.
pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block("GET", path, &[]))
}

/// A connection on which preface and SETTINGS have been sent.
pub(super) struct Frames {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Frames {
    /// With these settings, each a name of two bytes and a value of four.
    pub(super) async fn connect(proxy: &Proxy, settings: &[u8]) -> Self {
        let tcp = TcpStream::connect(proxy.address).await.expect("it listens");
        let (reader, writer) = tcp.into_split();
        let mut frames = Self { reader, writer };
        let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, settings)[..]].concat();
        assert!(frames.send(&preface).await, "it takes the preface");
        frames
    }

    /// Sends bytes; whether they were taken.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        soon(self.writer.write_all(bytes)).await.is_ok()
    }

    /// The next frame: its type and payload; None at the end.
    pub(super) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        soon(next(&mut self.reader)).await
    }

    /// Reads until so many frames of one type have come.
    pub(super) async fn await_frames(&mut self, wanted: u8, mut n: u32) {
        while n > 0 {
            let (kind, _) = self.next().await.expect("the connection stays");
            n -= u32::from(kind == wanted);
        }
    }

    /// Reads until GOAWAY or the end; the error code.
    pub(super) async fn goaway(&mut self) -> Option<u32> {
        soon(goaway(&mut self.reader)).await
    }

    /// Sends what `make` makes, again and again and whatever comes back, until the connection says GOAWAY or ends; the
    /// error code, and how often something was sent.
    pub(super) async fn flood(mut self, make: impl Fn(u32) -> Vec<u8>) -> (Option<u32>, u32) {
        /// More than any limit allows.
        const MOST: u32 = 100_000;
        let mut sent = 0;
        let write = async {
            while sent < MOST && self.writer.write_all(&make(sent)).await.is_ok() {
                sent += 1;
            }
        };
        let code = soon(async {
            tokio::select! {
                biased;
                code = goaway(&mut self.reader) => code,
                () = write => goaway(&mut self.reader).await,
            }
        });
        (code.await, sent)
    }
}

async fn next(reader: &mut OwnedReadHalf) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).expect("a length")];
    reader.read_exact(&mut payload).await.ok()?;
    Some((head[3], payload))
}

async fn goaway(reader: &mut OwnedReadHalf) -> Option<u32> {
    loop {
        let (kind, payload) = next(reader).await?;
        if kind == GOAWAY {
            return payload.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
        }
    }
}

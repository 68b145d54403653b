//! Calls that any version of HTTP can carry, and callers that speak HTTP/2.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::TcpStream;

use super::{Answer, Client, Connection, Headers};
use crate::wait::{eventually, within};

/// What a caller speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A request in no particular version.
#[derive(Clone, Debug)]
pub struct Call {
    method: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    pieces: Vec<&'static str>,
    trailers: Vec<(&'static str, &'static str)>,
}

impl Call {
    /// A call without a body.
    pub fn new(method: &'static str, target: &'static str) -> Self {
        Self { method, target, headers: Vec::new(), pieces: Vec::new(), trailers: Vec::new() }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With this body, which has no length unless HTTP/1.0 needs one.
    #[must_use]
    pub fn pieces(mut self, pieces: &[&'static str]) -> Self {
        self.pieces = pieces.to_vec();
        self
    }

    /// With this trailer, where the version has such.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        self.trailers.push((name, value));
        self
    }

    fn has_body(&self) -> bool {
        !self.pieces.is_empty() || !self.trailers.is_empty()
    }

    /// The call as HTTP/1.x has it.
    fn text(&self, host: &str, version: Version) -> String {
        let name = if version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let line = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
        let headers: String = self.headers.iter().map(line).collect();
        let (framing, body) = if !self.has_body() {
            (String::new(), String::new())
        } else if version == Version::Http10 {
            let body = self.pieces.concat();
            (format!("content-length: {}\r\n", body.len()), body)
        } else {
            let chunk = |piece: &&str| format!("{:x}\r\n{piece}\r\n", piece.len());
            let chunks: String = self.pieces.iter().map(chunk).collect();
            let trailers: String = self.trailers.iter().map(line).collect();
            ("transfer-encoding: chunked\r\n".to_owned(), format!("{chunks}0\r\n{trailers}\r\n"))
        };
        let Self { method, target, .. } = self;
        format!("{method} {target} {name}\r\nhost: {host}\r\n{headers}{framing}\r\n{body}")
    }

    fn request(&self, host: &str) -> Request<()> {
        let mut builder = Request::builder().method(self.method).uri(format!("http://{host}{}", self.target));
        for (name, value) in &self.headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Client {
    /// Calls `upstream` in this version, over a connection of its own.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call(&self, version: Version, upstream: &str, call: &Call) -> Answer {
        self.call_informed(version, upstream, call).await.1
    }

    /// The same, with the statuses of the informational answers that came before.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call_informed(&self, version: Version, upstream: &str, call: &Call) -> (Vec<u16>, Answer) {
        if version == Version::Http2 {
            return self.http2(upstream).await.call(call).await;
        }
        let mut connection: Connection = self.connect(upstream).await;
        connection.send(&call.text(upstream, version)).await;
        let mut informed = Vec::new();
        loop {
            match connection.answer_to(call.method).await {
                answer if matches!(answer.status, 100..=199) => informed.push(answer.status),
                answer => return (informed, answer),
            }
        }
    }

    /// A connection to the sidecar for calls to `upstream` over HTTP/2.
    ///
    /// # Panics
    /// When the sidecar refuses it.
    pub async fn http2(&self, upstream: &str) -> Http2 {
        Http2::new(upstream, self.dial(upstream).await).await
    }
}

/// A connection that speaks HTTP/2, driven as far down as `h2` goes.
pub struct Http2 {
    host: String,
    sender: SendRequest<Bytes>,
}

impl Http2 {
    async fn new(host: &str, stream: TcpStream) -> Self {
        let shaken = within("a preface", h2::client::handshake(stream)).await;
        let (sender, connection) = shaken.unwrap_or_else(|error| panic!("{host}: {error}"));
        // It ends with the last handle to it.
        drop(tokio::spawn(connection));
        let sender = within("HTTP/2 to begin", sender.ready()).await;
        Self { host: host.to_owned(), sender: sender.unwrap_or_else(|error| panic!("{host}: {error}")) }
    }

    /// Asks for a tunnel by extended CONNECT (RFC 8441), once that is announced.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn tunnel(&self, target: &str, protocol: &str) -> Tunnel {
        eventually("extended CONNECT is announced", || self.sender.is_extended_connect_protocol_enabled())
            .await;
        let mut request = Request::new(());
        let uri = format!("http://{}{target}", self.host).parse();
        *request.uri_mut() = uri.unwrap_or_else(|error| panic!("{target}: {error}"));
        *request.method_mut() = http::Method::CONNECT;
        request.extensions_mut().insert(h2::ext::Protocol::from(protocol));
        let (answer, up) = self.open(request, false);
        let response = within("an answer", answer).await;
        let (parts, down) = response.unwrap_or_else(|error| panic!("{}: {error}", self.host)).into_parts();
        Tunnel { status: parts.status.as_u16(), headers: lines(&parts.headers), up, down, ahead: Vec::new() }
    }

    /// Begins a stream with this head; `last` when nothing follows it.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn open(&self, request: Request<()>, last: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let opened = self.sender.clone().send_request(request, last);
        opened.unwrap_or_else(|error| panic!("{}: {error}", self.host))
    }

    /// Sends a call, with the statuses of the informational answers and the last answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn call(&self, call: &Call) -> (Vec<u16>, Answer) {
        let called = within("an answer", self.try_call(call)).await;
        called.unwrap_or_else(|error| panic!("{}: {error}", self.host))
    }

    /// The same; an error when the stream is reset instead.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_call(&self, call: &Call) -> Result<(Vec<u16>, Answer), h2::Error> {
        let (mut answer, mut body) = self.open(call.request(&self.host), !call.has_body());
        for (index, piece) in call.pieces.iter().enumerate() {
            let last = index + 1 == call.pieces.len() && call.trailers.is_empty();
            body.send_data(Bytes::from_static(piece.as_bytes()), last)?;
        }
        if !call.trailers.is_empty() {
            let name = HeaderName::from_static;
            let lines = call.trailers.iter().map(|(key, value)| (name(key), HeaderValue::from_static(value)));
            body.send_trailers(lines.collect())?;
        }
        let mut informed = Vec::new();
        let response = std::future::poll_fn(|cx| {
            while let std::task::Poll::Ready(Some(Ok(response))) = answer.poll_informational(cx) {
                informed.push(response.status().as_u16());
            }
            std::pin::Pin::new(&mut answer).poll(cx)
        })
        .await?;
        Ok((informed, read(response).await))
    }
}

/// What an extended CONNECT was answered with, and the tunnel behind it if that was granted.
pub struct Tunnel {
    /// The status.
    pub status: u16,
    /// As they came, in order.
    pub headers: Vec<(String, String)>,
    up: SendStream<Bytes>,
    down: RecvStream,
    ahead: Vec<u8>,
}

impl Tunnel {
    /// Sends exactly this.
    ///
    /// # Panics
    /// When the other side does not take it.
    pub fn send(&mut self, text: &str) {
        let sent = self.up.send_data(Bytes::copy_from_slice(text.as_bytes()), false);
        sent.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Says that nothing more will be sent, and still reads.
    ///
    /// # Panics
    /// When the stream is gone.
    pub fn end(&mut self) {
        self.up.send_data(Bytes::new(), true).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The next `n` bytes, or those until the stream ends.
    pub async fn bytes(&mut self, n: usize) -> String {
        while self.ahead.len() < n {
            match within("bytes", self.down.data()).await {
                Some(Ok(data)) => self.ahead.extend_from_slice(&data),
                Some(Err(_)) | None => break,
            }
        }
        let rest = self.ahead.split_off(n.min(self.ahead.len()));
        String::from_utf8_lossy(&std::mem::replace(&mut self.ahead, rest)).into_owned()
    }

    /// Whether the other side ends in good order, having sent nothing more.
    pub async fn is_ended(&mut self) -> bool {
        let end = within("the end of a tunnel", self.down.data()).await;
        self.ahead.is_empty() && end.is_none_or(|data| data.is_ok_and(|data| data.is_empty()))
    }
}

/// Reads an answer to its end.
async fn read(response: Response<RecvStream>) -> Answer {
    let (parts, mut stream) = response.into_parts();
    let (mut body, mut is_whole) = (Vec::new(), true);
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) => {
                body.extend_from_slice(&data);
                // Fails only for bytes that never came.
                let _ = stream.flow_control().release_capacity(data.len());
            }
            Err(error) => {
                // After a whole answer a server may say that it wants no more of the request.
                is_whole = error.reason() == Some(Reason::NO_ERROR);
                break;
            }
        }
    }
    let trailers = stream.trailers().await.ok().flatten().unwrap_or_default();
    Answer {
        line: format!("HTTP/2.0 {}", parts.status.as_u16()),
        status: parts.status.as_u16(),
        headers: lines(&parts.headers),
        body,
        trailers: lines(&trailers),
        is_whole,
    }
}

/// Header lines as HTTP/1.1 would have them.
pub(crate) fn lines(map: &HeaderMap) -> Headers {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    map.iter().map(line).collect()
}

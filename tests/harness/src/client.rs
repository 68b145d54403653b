//! Callers: an instance's application calling its upstreams, raw enough to send anything.

mod call;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub(crate) use self::call::lines;
pub use self::call::{Call, Http2, Tunnel, Version};
use crate::wait::within;
use crate::wire::{self, Ending, Headers, Io, Wire, header};

/// Plays the application of one instance: calls upstreams through its sidecar.
#[derive(Clone, Debug)]
pub struct Client {
    name: String,
    /// Where the sidecar listens, by upstream.
    upstreams: BTreeMap<String, SocketAddr>,
}

impl Client {
    pub(crate) fn new(name: String, upstreams: BTreeMap<String, SocketAddr>) -> Self {
        Self { name, upstreams }
    }

    /// Where the sidecar listens for calls to `upstream`.
    ///
    /// # Panics
    /// When it has no such upstream.
    pub fn address(&self, upstream: &str) -> SocketAddr {
        let known = || self.upstreams.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let address = self.upstreams.get(upstream);
        *address.unwrap_or_else(|| panic!("{} has no upstream {upstream}, but {}", self.name, known()))
    }

    /// A connection to the sidecar for calls to `upstream`.
    ///
    /// # Panics
    /// When the sidecar refuses it.
    pub async fn connect(&self, upstream: &str) -> Connection {
        Connection::new(upstream, self.dial(upstream).await)
    }

    /// The same, but dropping it resets it: the caller has died.
    ///
    /// # Panics
    /// When the sidecar refuses it.
    pub async fn connect_to_die(&self, upstream: &str) -> Connection {
        let stream = self.dial(upstream).await;
        wire::reset(&stream);
        Connection::new(upstream, stream)
    }

    async fn dial(&self, upstream: &str) -> TcpStream {
        let address = self.address(upstream);
        let stream = TcpStream::connect(address).await;
        let stream = stream.unwrap_or_else(|error| panic!("{upstream} of {}: {error}", self.name));
        stream.set_nodelay(true).unwrap_or_else(|error| panic!("{error}"));
        stream
    }

    /// Whether the sidecar accepts connections for calls to `upstream`.
    pub async fn can_connect(&self, upstream: &str) -> bool {
        TcpStream::connect(self.address(upstream)).await.is_ok()
    }

    /// `GET http://UPSTREAM/PATH`, over a connection of its own.
    pub async fn get(&self, url: &str) -> Answer {
        self.request("GET", url).send().await
    }

    /// A request to `http://UPSTREAM/PATH`, over a connection of its own.
    pub fn request(&self, method: &str, url: &str) -> RequestBuilder<'_> {
        RequestBuilder { client: self, request: Request::new(method, url) }
    }
}

/// A request that is being put together.
#[derive(Debug)]
pub struct RequestBuilder<'a> {
    client: &'a Client,
    request: Request,
}

impl RequestBuilder<'_> {
    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body, framed by `content-length`.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.request.body = Some(body.to_owned());
        self
    }

    /// Sends it and waits for the answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn send(self) -> Answer {
        let mut connection = self.client.connect(&self.request.upstream).await;
        connection.send(&self.request.to_string()).await;
        connection.answer_to(&self.request.method).await
    }
}

#[derive(Debug)]
struct Request {
    method: String,
    upstream: String,
    target: String,
    headers: Headers,
    body: Option<String>,
}

impl Request {
    fn new(method: &str, url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is no http:// URL"));
        let (upstream, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let target = if target.is_empty() { "/" } else { target };
        Self {
            method: method.to_owned(),
            upstream: upstream.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.target, self.upstream)?;
        for (name, value) in &self.headers {
            write!(f, "{name}: {value}\r\n")?;
        }
        if let Some(body) = &self.body {
            write!(f, "content-length: {}\r\n", body.len())?;
        }
        write!(f, "\r\n{}", self.body.as_deref().unwrap_or_default())
    }
}

/// A connection to a sidecar or gateway. It is kept alive for as long as the other side does so.
pub struct Connection {
    host: String,
    wire: Wire<Box<dyn Io>>,
}

impl Connection {
    /// A connection over anything that carries bytes.
    pub fn new(host: &str, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { host: host.to_owned(), wire: Wire::new(Box::new(stream)) }
    }

    /// Sends exactly this.
    ///
    /// # Panics
    /// When the other side does not take it.
    pub async fn send(&mut self, text: &str) {
        let sent = within("to send", self.wire.write(text.as_bytes())).await;
        sent.unwrap_or_else(|error| panic!("cannot send to {}: {error}", self.host));
    }

    /// Sends this, if the other side still takes it.
    pub async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        within("to send", self.wire.write(text.as_bytes())).await
    }

    /// Says that nothing more will be sent, and still reads.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn half_close(&mut self) {
        self.wire.half_close().await.unwrap_or_else(|error| panic!("{}: {error}", self.host));
    }

    /// Sends a GET and waits for the answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn get(&mut self, target: &str) -> Answer {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.send(&request).await;
        self.answer().await
    }

    /// Sends a request without a body and waits for the answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            // Writing to a String cannot fail.
            let _ = write!(request, "{name}: {value}\r\n");
        }
        self.send(&(request + "\r\n")).await;
        self.answer_to(method).await
    }

    /// The next answer.
    ///
    /// # Panics
    /// When the connection ends before its head does.
    pub async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// The next answer, to a request with this method.
    ///
    /// # Panics
    /// When the connection ends before its head does.
    pub async fn answer_to(&mut self, method: &str) -> Answer {
        let answer = self.try_answer_to(method).await;
        answer.unwrap_or_else(|| panic!("{} closed the connection without an answer", self.host))
    }

    /// The next answer, informational ones included; None when the connection ends before its head does.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        self.try_answer_to("GET").await
    }

    async fn try_answer_to(&mut self, method: &str) -> Option<Answer> {
        let answer = within("an answer", read_answer(&mut self.wire, method)).await;
        // A connection that was reset has no answer either.
        answer.unwrap_or_default()
    }

    /// The next line, without its end; None when the connection ends before it.
    pub async fn line(&mut self) -> Option<String> {
        within("a line", self.wire.line()).await.unwrap_or_default()
    }

    /// The next `n` bytes, or those until the connection ends.
    pub async fn bytes(&mut self, n: usize) -> String {
        let bytes = within("bytes", self.wire.bytes(n)).await;
        String::from_utf8_lossy(&bytes.map(|(bytes, _)| bytes).unwrap_or_default()).into_owned()
    }

    /// Whether the other side closes the connection, having sent nothing more.
    pub async fn is_closed(&mut self) -> bool {
        within("the end of a connection", self.wire.rest()).await.is_ok_and(|rest| rest.is_empty())
    }

    /// Everything that comes until the end, a reset included.
    pub async fn rest(&mut self) -> String {
        let rest = within("the end of a connection", self.wire.rest()).await.unwrap_or_default();
        String::from_utf8_lossy(&rest).into_owned()
    }
}

async fn read_answer(wire: &mut Wire<Box<dyn Io>>, method: &str) -> std::io::Result<Option<Answer>> {
    let Some(head) = wire.head().await? else { return Ok(None) };
    let status = head.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let headers = head.headers;
    let length: Option<usize> = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let empty = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
    let (mut trailers, mut whole) = (Headers::new(), Ending::Whole);
    let body = if empty {
        Vec::new()
    } else if header(&headers, "transfer-encoding").is_some() {
        let (body, more, ending) = wire.chunked().await.unwrap_or((Vec::new(), Vec::new(), Ending::CutShort));
        (trailers, whole) = (more, ending);
        body
    } else if let Some(length) = length {
        let (body, ending) = wire.bytes(length).await.unwrap_or((Vec::new(), Ending::CutShort));
        whole = ending;
        body
    } else {
        wire.rest().await.unwrap_or_else(|_| {
            whole = Ending::CutShort;
            Vec::new()
        })
    };
    let is_whole = whole == Ending::Whole;
    Ok(Some(Answer { line: head.line, status, headers, body, trailers, is_whole }))
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status line.
    pub line: String,
    /// The status.
    pub status: u16,
    /// As they came, in order.
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Behind a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Whether it ended as its framing says.
    pub is_whole: bool,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Which application answered: `CLUSTER/SERVICE/INDEX`.
    ///
    /// # Panics
    /// When none did.
    pub fn served_by(&self) -> &str {
        let served_by = self.header("x-served-by");
        served_by.unwrap_or_else(|| panic!("no application answered, but: {} {}", self.line, self.text()))
    }

    /// Whether the other side means to keep the connection open.
    pub fn keeps_alive(&self) -> bool {
        self.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"))
    }
}

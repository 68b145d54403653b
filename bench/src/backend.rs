//! The backend: the same answer to every request, on one thread, as cheaply as is decent.
//!
//! HTTP/1.1, with TLS as well where a gateway is to pass it on, and HTTP/2 for gRPC. It runs as a process of its own, so
//! that its CPU time is apart from that of what is measured. It counts what it answers: whoever wants to know how many
//! requests a stretch of time held asks it before and after.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::load::http2::OnThisThread;

/// Bytes of an answer's body, unless told otherwise.
pub(crate) const BODY: usize = 1024;

/// What the line begins with that says where a backend listens.
pub(crate) const LISTENING: &str = "listening on ";

/// Asked for this, a backend says how many other requests it has answered, and with how many bytes.
pub(crate) const COUNT: &str = "/.count";

/// The longest request head that is read.
const MOST_HEAD: usize = 64 * 1024;

/// What is written at once, and counted.
const PIECE: usize = 256 * 1024;

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8; 4] = b"PRI ";

/// Where to listen with TLS, and as whom.
pub(crate) struct Tls {
    pub(crate) listen: SocketAddr,
    pub(crate) acceptor: TlsAcceptor,
}

/// What is answered, and how often it was.
struct State {
    answer: Bytes,
    body: Bytes,
    requests: Cell<u64>,
    bytes: Cell<u64>,
}

/// Serves until the process ends. Says on stdout where.
pub(crate) fn run(listen: SocketAddr, size: usize, tls: Option<Tls>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await?;
        let encrypted = match tls {
            Some(tls) => Some((TcpListener::bind(tls.listen).await?, tls.acceptor)),
            None => None,
        };
        println!("{LISTENING}{}", listener.local_addr()?);
        serve(listener, size, encrypted).await
    })
}

/// Serves on `listener`, and with TLS on `encrypted`, on the local set that it is called on.
pub(crate) async fn serve(
    listener: TcpListener,
    size: usize,
    encrypted: Option<(TcpListener, TlsAcceptor)>,
) -> io::Result<()> {
    let body = "x".repeat(size);
    let state = Rc::new(State {
        answer: answer(&body).into(),
        body: body.into(),
        requests: Cell::default(),
        bytes: Cell::default(),
    });
    if let Some((listener, acceptor)) = encrypted {
        tokio::task::spawn_local(serve_tls(listener, acceptor, Rc::clone(&state)));
    }
    loop {
        let (stream, _) = listener.accept().await?;
        let state = Rc::clone(&state);
        // A connection that breaks concerns whoever was at its other end.
        tokio::task::spawn_local(async move {
            stream.set_nodelay(true)?;
            let mut begin = [0; PREFACE.len()];
            match stream.peek(&mut begin).await? {
                4 if begin == *PREFACE => converse_http2(stream, state).await,
                _ => converse(stream, &state).await,
            }
        });
    }
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, state: Rc<State>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, state) = (acceptor.clone(), Rc::clone(&state));
        tokio::task::spawn_local(async move {
            stream.set_nodelay(true)?;
            converse(acceptor.accept(stream).await?, &state).await
        });
    }
}

fn answer(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Answers requests until the other side has no more.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) -> io::Result<()> {
    let mut unread = Vec::with_capacity(4096);
    loop {
        let Some(request) = Request::parse(&unread)? else {
            if unread.len() > MOST_HEAD || stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let Request { length, closes, path } = request;
        let counts = path == COUNT;
        let mut missing = length.saturating_sub(unread.len());
        unread.drain(..length.min(unread.len()));
        while missing > 0 {
            unread.clear();
            match stream.read_buf(&mut unread).await? {
                0 => return Ok(()),
                read => {
                    unread.drain(..read.min(missing));
                    missing -= read.min(missing);
                }
            }
        }
        if counts {
            let count = format!("{} {}", state.requests.get(), state.bytes.get());
            stream.write_all(answer(&count).as_bytes()).await?;
        } else {
            state.requests.set(state.requests.get() + 1);
            for piece in state.answer.chunks(PIECE) {
                stream.write_all(piece).await?;
                state.bytes.set(state.bytes.get() + piece.len() as u64);
            }
        }
        // TLS has a buffer of its own.
        stream.flush().await?;
        if closes {
            return stream.shutdown().await;
        }
    }
}

/// Answers calls until the other side has no more: a message, and status 0 in the trailers.
async fn converse_http2(stream: TcpStream, state: Rc<State>) -> io::Result<()> {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let state = Rc::clone(&state);
        async move {
            // A call that breaks off gets an answer that nobody reads.
            let _ = request.into_body().collect().await;
            state.requests.set(state.requests.get() + 1);
            state.bytes.set(state.bytes.get() + state.body.len() as u64);
            let trailers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            let body = Full::new(state.body.clone()).with_trailers(async { Some(Ok(trailers)) });
            let mut response = Response::new(body);
            let kind = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http2::Builder::new(OnThisThread);
    connection.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

/// What matters of a request.
pub(crate) struct Request<'b> {
    /// Bytes of head and body.
    pub(crate) length: usize,
    /// Whether no other request follows.
    pub(crate) closes: bool,
    /// What it asks for.
    pub(crate) path: &'b str,
}

impl<'b> Request<'b> {
    /// None: there is more of the head to come.
    pub(crate) fn parse(bytes: &'b [u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(bytes).map_err(io::Error::other)? {
            httparse::Status::Complete(head) => head,
            httparse::Status::Partial => return Ok(None),
        };
        let mut request = Self { length: head, closes: false, path: parsed.path.unwrap_or_default() };
        for header in parsed.headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = std::str::from_utf8(header.value).ok().and_then(|it| it.parse::<usize>().ok());
                let length = length.ok_or_else(|| io::Error::other("a length that is no number"))?;
                request.length = head.saturating_add(length);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(io::Error::other("chunks are not read here"));
            } else if header.name.eq_ignore_ascii_case("connection") {
                request.closes = header.value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(Some(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a backend of three-byte answers says to all of this.
    async fn told(parts: &[&str]) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let local = LocalSet::new();
        local.spawn_local(serve(listener, 3, None));
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            for part in parts {
                stream.write_all(part.as_bytes()).await?;
            }
            let mut answers = String::new();
            stream.read_to_string(&mut answers).await?;
            Ok(answers)
        };
        local.run_until(asked).await
    }

    #[tokio::test]
    async fn requests_that_arrive_together_or_in_parts_are_each_answered_once() -> io::Result<()> {
        let answers = told(&[
            "GET / HTTP/1.1\r\n\r\nPOST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\n12",
            "345GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        ]);
        assert_eq!(answers.await?, answer("xxx").repeat(3));
        Ok(())
    }

    #[tokio::test]
    async fn the_count_is_of_all_requests_but_those_for_it() -> io::Result<()> {
        let count = "GET /.count HTTP/1.1\r\n\r\n";
        let last = "GET /.count HTTP/1.1\r\nconnection: close\r\n\r\n";
        let answers = told(&[count, "GET / HTTP/1.1\r\n\r\n", count, last]).await?;
        let one = format!("1 {}", answer("xxx").len());
        assert_eq!(answers, [answer("0 0"), answer("xxx"), answer(&one), answer(&one)].concat());
        Ok(())
    }
}

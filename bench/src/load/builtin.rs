//! The load generator that is always there: a closed loop over keep-alive connections, on two threads.
//!
//! It reads HTTP/1.1 answers that have a Content-Length, and gRPC ones, and counts every other one as failed.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

use super::histogram::Histogram;
use super::http2::Calls;
use super::tls::Mesh;
use super::{Answered, How, Load, THREADS, Target};

/// How long a connection that failed waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest answer's head that is read.
const MOST_HEAD: usize = 64 * 1024;

/// The longest answer that is read whole.
const MOST_ANSWER: u64 = 1 << 30;

/// What is read at once, and of what a large body is left.
const READ: usize = 16 * 1024;
const READ_BULK: usize = 256 * 1024;

/// What one thread has seen.
#[derive(Debug, Default)]
struct Tally {
    latencies: Histogram,
    failed: u64,
}

impl Tally {
    fn count(&mut self, status: u16, took: Duration) {
        match status {
            200..300 => self.latencies.record(took),
            _ => self.failed += 1,
        }
    }
}

/// Asks on the calling thread and one more until the time is over.
pub(crate) fn run(load: &Load) -> io::Result<Answered> {
    let begin = Instant::now();
    let end = begin + load.duration;
    let threads = THREADS.min(load.connections);
    let share = |index| load.connections / threads + usize::from(index < load.connections % threads);
    let tallies = std::thread::scope(|scope| {
        let work = |index| {
            let connections = share(index);
            scope.spawn(move || ask_until(load, connections, end))
        };
        let working: Vec<_> = (0..threads).map(work).collect();
        let done = |it: std::thread::ScopedJoinHandle<'_, io::Result<Tally>>| {
            it.join().unwrap_or_else(|_| Err(io::Error::other("a thread broke")))
        };
        working.into_iter().map(done).collect::<io::Result<Vec<Tally>>>()
    })?;
    let mut all = Tally::default();
    for tally in &tallies {
        all.latencies.merge(&tally.latencies);
        all.failed += tally.failed;
    }
    Ok(Answered {
        requests: all.latencies.total(),
        failed: all.failed,
        elapsed: begin.elapsed(),
        p50: all.latencies.quantile(0.50),
        p99: all.latencies.quantile(0.99),
    })
}

fn ask_until(load: &Load, connections: usize, end: Instant) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let local = LocalSet::new();
    for _ in 0..connections {
        let (load, tally) = (load.clone(), Rc::clone(&tally));
        local.spawn_local(async move {
            loop {
                // What ends here is a connection that failed; the answers before it count.
                if loop_on(&load, &tally).await.is_err() {
                    tally.borrow_mut().failed += 1;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
    }
    local.block_on(&runtime, async { tokio::time::sleep_until(end.into()).await });
    drop(local);
    Ok(Rc::try_unwrap(tally).map(RefCell::into_inner).unwrap_or_default())
}

/// Asks on one connection for as long as both sides keep it, or once, when each request has its own.
async fn loop_on(Load { target, how, .. }: &Load, tally: &RefCell<Tally>) -> io::Result<()> {
    let fresh = matches!(how, How::Mesh(mesh) if mesh.fresh);
    let request = if fresh { target.last_request() } else { target.request() };
    let mut begin = Instant::now();
    let mut connection = Connection::open(target, how).await?;
    loop {
        let answer = connection.ask(target, request.as_bytes()).await?;
        tally.borrow_mut().count(answer.status, begin.elapsed());
        if answer.closes || fresh {
            return connection.close().await;
        }
        begin = Instant::now();
    }
}

/// One request on a connection of its own: status and body of its answer.
pub(crate) async fn ask(target: &Target, how: &How) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = match Connection::open(target, how).await? {
        Connection::Http1 { stream, .. } => stream,
        Connection::Http2(mut calls) => {
            return calls.ask(target).await.map(|(status, body)| (status, body.into()));
        }
    };
    stream.write_all(target.last_request().as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    stream.take(MOST_ANSWER).read_to_end(&mut bytes).await?;
    let (head, answer) = Answer::parse(&bytes)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = bytes.split_off(head);
    if body.len() == answer.length {
        Ok((answer.status, body))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A byte stream, with TLS or without.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection to ask on.
pub(crate) enum Connection {
    /// HTTP/1.1.
    Http1 {
        /// TLS included.
        stream: Box<dyn Stream>,
        /// For answers.
        buffer: Vec<u8>,
    },
    /// HTTP/2.
    Http2(Calls),
}

/// What matters of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of the body.
    length: usize,
    closes: bool,
}

impl Connection {
    pub(crate) async fn open(target: &Target, how: &How) -> io::Result<Self> {
        if matches!(how, How::Grpc) {
            return Calls::open(target).await.map(Self::Http2);
        }
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match how {
            How::Mesh(Mesh { config, name, .. }) => {
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await?)
            }
            How::Plain | How::Grpc => Box::new(stream),
        };
        Ok(Self::Http1 { stream, buffer: Vec::new() })
    }

    /// Sends `request`, which is for `target`, and reads its answer to the end.
    pub(crate) async fn ask(&mut self, target: &Target, request: &[u8]) -> io::Result<Answer> {
        let (stream, buffer) = match self {
            Self::Http1 { stream, buffer } => (stream, buffer),
            Self::Http2(calls) => {
                let (status, body) = calls.ask(target).await?;
                return Ok(Answer { status, length: body.len(), closes: false });
            }
        };
        stream.write_all(request).await?;
        // TLS has a buffer of its own.
        stream.flush().await?;
        buffer.clear();
        buffer.reserve(READ);
        let (head, answer) = loop {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match Answer::parse(buffer)? {
                Some(parsed) => break parsed,
                None if buffer.len() > MOST_HEAD => return Err(io::Error::other("a head without end")),
                None => {}
            }
        };
        let mut missing = answer.length.saturating_sub(buffer.len() - head);
        if missing > READ {
            buffer.reserve(READ_BULK);
        }
        while missing > 0 {
            buffer.clear();
            match stream.read_buf(buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => missing = missing.saturating_sub(read),
            }
        }
        Ok(answer)
    }

    /// Gives the memory back that only answers need.
    pub(crate) fn rest(&mut self) {
        if let Self::Http1 { buffer, .. } = self {
            *buffer = Vec::new();
        }
    }

    /// Waits until the other side has closed, too.
    async fn close(self) -> io::Result<()> {
        let Self::Http1 { mut stream, mut buffer } = self else { return Ok(()) };
        stream.shutdown().await?;
        buffer.clear();
        // How the other side ends is its own affair.
        while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {}
        Ok(())
    }
}

impl Answer {
    /// The length of the head, and the answer; None: there is more of the head to come.
    fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Self)>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let head = match parsed.parse(bytes).map_err(io::Error::other)? {
            httparse::Status::Complete(head) => head,
            httparse::Status::Partial => return Ok(None),
        };
        let value = |name: &str| {
            let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let length = value("content-length").and_then(|it| it.parse().ok());
        let answer = Self {
            status: parsed.code.unwrap_or_default(),
            length: length.ok_or_else(|| io::Error::other("an answer without a length"))?,
            closes: value("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")),
        };
        Ok(Some((head, answer)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;

    fn plain(target: Target) -> Load {
        Load { target, how: How::Plain, connections: 3, duration: Duration::from_millis(50) }
    }

    /// A server that gives these answers, one a request, then leaves; and how often it was asked.
    async fn scripted(answers: &'static [&'static str]) -> io::Result<(SocketAddr, Rc<Cell<usize>>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 4096];
            for answer in answers {
                if stream.read(&mut request).await? > 0 {
                    count.set(count.get() + 1);
                    stream.write_all(answer.as_bytes()).await?;
                }
            }
            io::Result::Ok(())
        });
        Ok((address, asked))
    }

    #[tokio::test]
    async fn each_request_is_counted_once_by_how_it_was_answered() -> io::Result<()> {
        let conversation = async {
            let (address, asked) = scripted(&[
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 204 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ])
            .await?;
            let target = format!("http://{address}/").parse().map_err(io::Error::other)?;
            let tally = RefCell::default();
            loop_on(&plain(target), &tally).await?;
            Ok((tally.into_inner(), asked.get()))
        };
        let (tally, asked) = LocalSet::new().run_until(conversation).await.map_err(|e: io::Error| e)?;
        assert_eq!((tally.latencies.total(), tally.failed, asked), (2, 1, 3));
        Ok(())
    }

    #[tokio::test]
    async fn an_answer_without_a_length_or_cut_short_is_an_error() -> io::Result<()> {
        for answer in
            [&["HTTP/1.1 200 OK\r\n\r\n"], &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"], &[""]]
        {
            let conversation = async {
                let (address, _) = scripted(answer).await?;
                ask(&format!("http://{address}/").parse().map_err(io::Error::other)?, &How::Plain).await
            };
            assert!(LocalSet::new().run_until(conversation).await.is_err(), "{answer:?}");
        }
        Ok(())
    }

    #[test]
    fn what_the_generator_counts_is_what_the_backend_served() -> io::Result<()> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        // Ends with the test's process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, async {
                crate::backend::serve(TcpListener::from_std(listener)?, 1024, None).await
            })
        });
        let target = format!("http://{address}/").parse().map_err(io::Error::other)?;
        let answered = run(&plain(target))?;
        assert!(answered.requests > 0 && answered.failed == 0, "{answered}");
        assert!(answered.p50 <= answered.p99 && answered.p50 > Duration::ZERO, "{answered}");
        Ok(())
    }
}

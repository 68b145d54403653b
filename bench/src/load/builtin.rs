//! The load generator that is always there: a closed loop over keep-alive connections, on two threads.
//!
//! It reads HTTP/1.1 answers that have a Content-Length and counts every other one as failed.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::histogram::Histogram;
use super::{Answered, Load, THREADS, Target};

/// How long a connection that failed waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest answer's head that is read.
const MOST_HEAD: usize = 64 * 1024;

/// The longest answer that is read whole.
const MOST_ANSWER: u64 = 1 << 20;

/// What one thread has seen.
#[derive(Debug, Default)]
struct Tally {
    latencies: Histogram,
    failed: u64,
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
            scope.spawn(move || ask_until(&load.target, connections, end))
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

fn ask_until(target: &Target, connections: usize, end: Instant) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let local = LocalSet::new();
    for _ in 0..connections {
        let (target, tally) = (target.clone(), Rc::clone(&tally));
        local.spawn_local(async move {
            loop {
                // What ends here is a connection that failed; the answers before it count.
                if loop_on(&target, &tally).await.is_err() {
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

/// Asks on one connection for as long as both sides keep it.
async fn loop_on(target: &Target, tally: &RefCell<Tally>) -> io::Result<()> {
    let mut connection = Connection::open(target.address).await?;
    let request = target.request();
    loop {
        let begin = Instant::now();
        let answer = connection.ask(request.as_bytes()).await?;
        let mut tally = tally.borrow_mut();
        if (200..300).contains(&answer.status) {
            tally.latencies.record(begin.elapsed());
        } else {
            tally.failed += 1;
        }
        if answer.closes {
            return Ok(());
        }
    }
}

/// One request on a connection of its own: status and body of its answer.
pub(crate) async fn ask(target: &Target) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(target.address).await?;
    stream.write_all(target.last_request().as_bytes()).await?;
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

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What matters of an answer.
struct Answer {
    status: u16,
    /// Bytes of the body.
    length: usize,
    closes: bool,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head, answer) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match Answer::parse(&self.buffer)? {
                Some(parsed) => break parsed,
                None if self.buffer.len() > MOST_HEAD => return Err(io::Error::other("a head without end")),
                None => {}
            }
        };
        let mut missing = answer.length.saturating_sub(self.buffer.len() - head);
        while missing > 0 {
            self.buffer.clear();
            match self.stream.read_buf(&mut self.buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => missing = missing.saturating_sub(read),
            }
        }
        Ok(answer)
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

    use tokio::net::TcpListener;

    use super::*;

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
            loop_on(&target, &tally).await?;
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
                ask(&format!("http://{address}/").parse().map_err(io::Error::other)?).await
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
                crate::backend::serve(TcpListener::from_std(listener)?, 1024).await
            })
        });
        let target = format!("http://{address}/").parse().map_err(io::Error::other)?;
        let answered = run(&Load { target, connections: 3, duration: Duration::from_millis(50) })?;
        assert!(answered.requests > 0 && answered.failed == 0, "{answered}");
        assert!(answered.p50 <= answered.p99 && answered.p50 > Duration::ZERO, "{answered}");
        Ok(())
    }
}

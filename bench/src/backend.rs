//! The backend: the same answer to every HTTP/1.1 request, on one thread, as cheaply as is decent.
//!
//! It runs as a process of its own, so that its CPU time is apart from that of what is measured. It counts what it
//! answers: whoever wants to know how many requests a stretch of time held asks it before and after.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Bytes of an answer's body, unless told otherwise.
pub(crate) const BODY: usize = 1024;

/// What the line begins with that says where a backend listens.
pub(crate) const LISTENING: &str = "listening on ";

/// Asked for this, a backend says how many other requests it has answered.
pub(crate) const COUNT: &str = "/.count";

/// The longest request head that is read.
const MOST_HEAD: usize = 64 * 1024;

/// Serves until the process ends. Says on stdout where.
pub(crate) fn run(listen: SocketAddr, size: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await?;
        println!("{LISTENING}{}", listener.local_addr()?);
        serve(listener, size).await
    })
}

/// Serves on `listener`, on the local set that it is called on.
pub(crate) async fn serve(listener: TcpListener, size: usize) -> io::Result<()> {
    let answer: Rc<str> = answer(&"x".repeat(size)).into();
    let count = Rc::new(Cell::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        let (answer, count) = (Rc::clone(&answer), Rc::clone(&count));
        // A connection that breaks concerns whoever was at its other end.
        tokio::task::spawn_local(async move { converse(stream, &answer, &count).await });
    }
}

fn answer(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// Answers requests until the other side has no more.
async fn converse(mut stream: TcpStream, usual: &str, count: &Cell<u64>) -> io::Result<()> {
    stream.set_nodelay(true)?;
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
            stream.write_all(answer(&count.get().to_string()).as_bytes()).await?;
        } else {
            count.set(count.get() + 1);
            stream.write_all(usual.as_bytes()).await?;
        }
        if closes {
            return Ok(());
        }
    }
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
        local.spawn_local(serve(listener, 3));
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
        assert_eq!(answers, [answer("0"), answer("xxx"), answer("1"), answer("1")].concat());
        Ok(())
    }
}

//! An application that speaks HTTP/1.1.

use std::fmt::Write as _;
use std::io;

use tokio::net::TcpStream;

use super::{Reply, State, Then, lock};
use crate::wire::{self, Ending, Head, Wire, header};

/// A request as it reached an application, body and trailers included.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// `GET`
    pub method: String,
    /// `/path?query`, as it came.
    pub target: String,
    /// `HTTP/1.1`
    pub version: String,
    /// As they came, in order.
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Behind a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Received {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Every value of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Answers requests until one side has had enough.
pub(super) async fn converse(state: &State, stream: TcpStream) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head().await? {
        let early = lock(&state.script).early();
        match early {
            Some(Reply::Early(status)) => {
                let answer =
                    format!("HTTP/1.1 {status} Early\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                wire.write(answer.as_bytes()).await?;
                wire.half_close().await?;
                return wire.rest().await.map(drop);
            }
            Some(Reply::Mirror) => {
                lock(&state.log).received.push(begun(head));
                mirror(state, &mut wire).await?;
                continue;
            }
            Some(_) => {
                lock(&state.log).received.push(begun(head.clone()));
                released(state).await;
            }
            None => {}
        }
        let request = receive(state, &mut wire, head).await?;
        let upgrade = request.header("upgrade").is_some();
        let closing = request.header("connection") == Some("close");
        if early.is_none() {
            lock(&state.log).received.push(request.clone());
        }
        let reply = if early.is_some() { Reply::Own(Then::GoOn) } else { lock(&state.script).next() };
        if upgrade && matches!(reply, Reply::Own(Then::GoOn)) {
            return echo(state, &mut wire).await;
        }
        let then = answer(state, &mut wire, reply, &request).await?;
        match then {
            Then::GoOn if closing => return Ok(()),
            Then::GoOn => {}
            Then::Stall => {
                released(state).await;
                answer(state, &mut wire, Reply::Own(Then::GoOn), &request).await?;
            }
            Then::Close => return Ok(()),
            Then::HalfClose => {
                wire.half_close().await?;
                return wire.rest().await.map(drop);
            }
            Then::Reset => {
                wire::reset(&wire.stream);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A request of which only the head has been read.
fn begun(head: Head) -> Received {
    let Head { line, headers } = head;
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    Received { method: word(), target: word(), version: word(), headers, ..Received::default() }
}

/// Answers at once, and sends each chunk back as it comes.
async fn mirror(state: &State, wire: &mut Wire<TcpStream>) -> io::Result<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\nx-served-by: {}\r\ntransfer-encoding: chunked\r\n\r\n", state.name);
    wire.write(head.as_bytes()).await?;
    loop {
        match wire.chunk().await? {
            (_, Ending::CutShort) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (data, Ending::Whole) if data.is_empty() => break,
            (data, Ending::Whole) => {
                let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
                wire.write(&chunk).await?;
            }
        }
    }
    let (trailers, _) = wire.trailers().await?;
    let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    wire.write(format!("0\r\n{lines}\r\n").as_bytes()).await
}

async fn receive(state: &State, wire: &mut Wire<TcpStream>, head: Head) -> io::Result<Received> {
    let mut request = begun(head);
    let says_continue = lock(&state.script).says_continue;
    if request.header("expect").is_some() && says_continue {
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    let ending = if request.header("transfer-encoding").is_some() {
        let (body, trailers, ending) = wire.chunked().await?;
        (request.body, request.trailers) = (body, trailers);
        ending
    } else {
        let (body, ending) = wire.bytes(length.unwrap_or(0)).await?;
        request.body = body;
        ending
    };
    match ending {
        Ending::Whole => Ok(request),
        Ending::CutShort => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn answer(
    state: &State,
    wire: &mut Wire<TcpStream>,
    reply: Reply,
    request: &Received,
) -> io::Result<Then> {
    let name = &state.name;
    let id = request.header("x-request-id").unwrap_or_default();
    let head = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} Reply\r\nx-served-by: {name}\r\nx-answers: {id}\r\n{more}\r\n")
    };
    let whole = |status: u16, more: &str| {
        if matches!(status, 204 | 304) {
            return head(status, more);
        }
        let body = if request.method == "HEAD" { "" } else { name };
        head(status, &format!("{more}content-length: {}\r\n", name.len())) + body
    };
    let (bytes, then) = match reply {
        Reply::Own(then) => (whole(200, ""), then),
        Reply::Mirror | Reply::Unread => (whole(200, ""), Then::GoOn),
        Reply::Hints => {
            let hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
            (hints.to_owned() + &whole(200, ""), Then::GoOn)
        }
        Reply::Status(status) | Reply::Early(status) => (whole(status, ""), Then::GoOn),
        Reply::Header(name, value) => (whole(200, &format!("{name}: {value}\r\n")), Then::GoOn),
        Reply::Echo => {
            let length = request.body.len();
            wire.write(head(200, &format!("content-length: {length}\r\n")).as_bytes()).await?;
            wire.write(&request.body).await?;
            return Ok(Then::GoOn);
        }
        Reply::Chunked(chunks, trailers) => {
            (head(200, "transfer-encoding: chunked\r\n") + &chunked(chunks, trailers), Then::GoOn)
        }
        Reply::Halves => {
            let (first, second) = name.split_at(name.len() / 2);
            let head = head(200, &format!("content-length: {}\r\n", name.len()));
            wire.write((head + first).as_bytes()).await?;
            released(state).await;
            (second.to_owned(), Then::GoOn)
        }
        Reply::Bytes(bytes, then) => (bytes.to_owned(), then),
        Reply::Nothing(then) => return Ok(then),
    };
    wire.write(bytes.as_bytes()).await?;
    Ok(then)
}

fn chunked(chunks: &[&str], trailers: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for chunk in chunks {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:x}\r\n{chunk}\r\n", chunk.len());
    }
    text.push_str("0\r\n");
    for (name, value) in trailers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// Switches protocols, and says back whatever it is told.
async fn echo(state: &State, wire: &mut Wire<TcpStream>) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nx-served-by: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        state.name
    );
    wire.write(head.as_bytes()).await?;
    while let Some(line) = wire.line().await? {
        wire.write(format!("{line}\n").as_bytes()).await?;
    }
    wire.half_close().await
}

pub(super) async fn released(state: &State) {
    // An error would mean that the application is gone, and this task with it.
    let mut released = state.released.subscribe();
    let _ = released.wait_for(|released| *released).await;
}

//! The applications: they write down what they execute before they answer, and misbehave on demand.
//!
//! They live in this process, so that what they have written down outlives them. To the sidecar, an application that
//! is dead looks as one does that was killed: its listener and all its connections are gone at once.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::link::until;
use super::weather::{Mood, Sky};
use crate::backend::Request;

/// Below this, ids are asked for.
pub(crate) const PATH: &str = "/do/";

/// In every answer of an application: which request it answers.
pub(crate) const ID: &str = "x-id";

/// In every answer of an application: which instance it is.
pub(crate) const INSTANCE: &str = "x-instance";

/// Longer than the request timeout of the route.
const STALL: Duration = Duration::from_millis(1500);

/// One in so many answers does not fit into the buffers between two sockets.
const LARGE: u32 = 500;

/// What an application does with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Act {
    /// Executes and answers.
    Serve,
    /// The same, and closes without having said so.
    ServeAndClose,
    /// Executes and answers 503.
    Fail,
    /// Closes, and has done nothing.
    Close,
    /// Resets, and has done nothing.
    Reset,
    /// Executes and closes.
    ExecuteAndClose,
    /// Executes and resets.
    ExecuteAndReset,
    /// Executes, and answers when nobody waits any more.
    Stall,
    /// Executes and sends half an answer, then closes.
    CutShort,
    /// Executes and answers what is no HTTP.
    Garble,
}

impl Act {
    const WRONG: [Self; 9] = [
        Self::ServeAndClose,
        Self::Fail,
        Self::Close,
        Self::Reset,
        Self::ExecuteAndClose,
        Self::ExecuteAndReset,
        Self::Stall,
        Self::CutShort,
        Self::Garble,
    ];

    /// Every second request goes well; which, and what happens to the others, depends on `chance` alone.
    fn draw(chance: u64) -> Self {
        match chance % 2 {
            0 => Self::Serve,
            _ => Self::WRONG[(chance >> 8) as usize % Self::WRONG.len()],
        }
    }

    fn executes(self) -> bool {
        !matches!(self, Self::Close | Self::Reset)
    }
}

/// One instance's application.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) instance: usize,
    pub(crate) listen: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) seed: u64,
}

impl Application {
    /// Serves whenever it is alive. Only ends by an error.
    pub(crate) async fn run(self, sky: watch::Receiver<Sky>) -> io::Result<()> {
        let app = Rc::new(self);
        loop {
            until(sky.clone(), |sky| sky.mood(app.instance) != Mood::Dead).await?;
            let listener = TcpListener::bind(app.listen).await?;
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (app, sky, (stream, _)) = (Rc::clone(&app), sky.clone(), accepted?);
                        connections.spawn_local(async move { app.converse(stream, sky).await });
                    }
                    // A connection that breaks concerns its two ends.
                    Some(_) = connections.join_next() => {}
                    dead = until(sky.clone(), |sky| sky.mood(app.instance) == Mood::Dead) => {
                        dead?;
                        break;
                    }
                }
            }
        }
    }

    async fn converse(&self, mut stream: TcpStream, sky: watch::Receiver<Sky>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut unread = Vec::new();
        loop {
            let (length, id) = match Request::parse(&unread)? {
                Some(request) if unread.len() >= request.length => (request.length, id_of(request.path)?),
                _ => match stream.read_buf(&mut unread).await? {
                    0 => return Ok(()),
                    _ => continue,
                },
            };
            unread.drain(..length);
            let moody = sky.borrow().mood(self.instance) == Mood::Moody;
            if !self.answer(&mut stream, id, moody).await? {
                return Ok(());
            }
        }
    }

    /// Does something with a request; whether the connection goes on.
    async fn answer(&self, stream: &mut TcpStream, id: u32, moody: bool) -> io::Result<bool> {
        let chance = mix(self.seed ^ u64::from(id) << 8 ^ self.instance as u64);
        let act = if moody { Act::draw(chance) } else { Act::Serve };
        if act.executes() {
            self.ledger.execute(id).ok_or_else(|| io::Error::other("an id that was never given out"))?;
        }
        let answer = answer(id, self.instance);
        match act {
            Act::Serve => {}
            Act::Close | Act::ExecuteAndClose => return Ok(false),
            Act::Reset | Act::ExecuteAndReset => return stream.set_zero_linger().map(|()| false),
            Act::Stall => tokio::time::sleep(STALL).await,
            Act::Fail => {
                let failed = answer.replacen("200 OK", "503 Service Unavailable", 1);
                return stream.write_all(failed.as_bytes()).await.map(|()| true);
            }
            Act::CutShort => {
                let half = &answer.as_bytes()[..answer.len() - 2];
                return stream.write_all(half).await.map(|()| false);
            }
            Act::Garble => return stream.write_all(b"HTTP/1.1 abc\r\n\r\n").await.map(|()| false),
            Act::ServeAndClose => return stream.write_all(answer.as_bytes()).await.map(|()| false),
        }
        stream.write_all(answer.as_bytes()).await.map(|()| true)
    }
}

fn id_of(path: &str) -> io::Result<u32> {
    let id = path.strip_prefix(PATH).and_then(|id| id.parse().ok());
    id.ok_or_else(|| io::Error::other("not what is asked for here"))
}

/// The body of the answer to a request: nobody else's.
pub(crate) fn body(id: u32) -> String {
    let times = if id.is_multiple_of(LARGE) { 40_000 } else { 1 + mix(id.into()) % 100 };
    format!("{id} ").repeat(times as usize)
}

/// Every third answer is chunked.
fn answer(id: u32, instance: usize) -> String {
    let body = body(id);
    let mut answer = format!("HTTP/1.1 200 OK\r\n{ID}: {id}\r\n{INSTANCE}: {instance}\r\n");
    // Writing to a string cannot fail.
    let _ = match id % 3 {
        0 => {
            let (one, other) = body.split_at(body.len() / 2);
            let chunks = format!("{:x}\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n", one.len(), other.len());
            write!(answer, "transfer-encoding: chunked\r\n\r\n{chunks}")
        }
        _ => write!(answer, "content-length: {}\r\n\r\n{body}", body.len()),
    };
    answer
}

/// A number that depends on every bit of another: the finaliser of SplitMix64.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moods_bring_every_act_and_half_of_them_are_right() {
        let acts: Vec<Act> = (0..10_000).map(|id| Act::draw(mix(id))).collect();
        let count = |act| acts.iter().filter(|it| **it == act).count();
        assert!((4_800..5_200).contains(&count(Act::Serve)), "{}", count(Act::Serve));
        for act in Act::WRONG {
            assert!(count(act) > 400, "{act:?}: {}", count(act));
        }
    }

    #[test]
    fn the_body_of_a_chunk_is_at_least_a_byte() {
        for id in (0..3_000).step_by(3) {
            assert!(body(id).len() / 2 > 0, "{id}");
        }
    }
}

//! The task of a session: reads what the other side sends, and writes what substreams have put together.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use spillway_core::Tick;
use tokio::io::AsyncWrite;

use super::Substream;
use super::frame::{HEAD, Head, Kind, Violation};
use super::pulse::{BEAT, Pulse, Verdict};
use super::session::{Received, Session, Side, Stage};
use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::worker::Worker;

/// How long the end of a connection may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// After so many bytes substreams get their turn to read, so that what has arrived does not pile up.
const TURN: usize = 64 * 1024;

/// Why a session ended before its time.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the other side broke the rules of the hop: {0}")]
    Violation(#[from] Violation),
    #[error("the other side closed the connection")]
    Closed,
    #[error("the other side gave no sign of life")]
    Silent,
}

/// Drives `session` over `conn` until it ends; `accept` is given each substream that the other side opens.
pub(super) async fn drive(
    worker: Rc<Worker>,
    session: Rc<Session>,
    side: Side,
    conn: Conn,
    accept: impl FnMut(Substream),
) {
    let deadline = worker.deadline().await;
    let mut driver = Driver {
        payload: None,
        pulse: Pulse::new(side, worker.now()),
        said_farewell: false,
        worker,
        session,
        side,
        conn,
        deadline,
        accept,
    };
    // Whatever ends this task, the end of the session's connection or our own gateway's word, ends the session.
    let ending = Ending(Rc::clone(&driver.session));
    let ended = std::future::poll_fn(|cx| driver.poll(cx)).await;
    drop(ending);
    match ended {
        Ok(()) => {}
        Err(error @ Broken::Violation(_)) => {
            return tracing::warn!(%error, "ended a session with another sidecar");
        }
        Err(error) => return tracing::debug!(%error, "a session with another sidecar ended early"),
    }
    driver.deadline.set_at(driver.worker.deadline_tick(FAREWELL));
    let Driver { mut conn, deadline, worker, .. } = driver;
    std::future::poll_fn(|cx| match conn.poll_shutdown(cx) {
        Poll::Pending if !deadline.expired(worker.now()) => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

struct Ending(Rc<Session>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended();
    }
}

struct Driver<A> {
    worker: Rc<Worker>,
    session: Rc<Session>,
    side: Side,
    conn: Conn,
    /// The data frame whose payload has not arrived whole: its substream, and what is missing.
    payload: Option<(u32, usize)>,
    pulse: Pulse,
    said_farewell: bool,
    deadline: Deadline,
    accept: A,
}

impl<A: FnMut(Substream)> Driver<A> {
    /// Ready when the session has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.look_at_the_clock()?;
        let read = self.poll_read(cx)?;
        if read.is_ready() {
            let in_order = self.session.substreams() == 0;
            return Poll::Ready(if in_order { Ok(()) } else { Err(Broken::Closed) });
        }
        let flushed = self.poll_flush(cx)?;
        let through = self.session.stage() != Stage::Open && self.session.substreams() == 0;
        let done = through && flushed.is_ready() && self.pulse.may_hang_up(self.worker.now());
        // What is put together from here on is for the next turn.
        self.session.drive(cx);
        if done { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Ends what has idled, asks a silent other side for a sign of life, and says when we are about to end.
    fn look_at_the_clock(&mut self) -> Result<(), Broken> {
        // Relaxed: whoever waits is woken after it was set.
        if self.side == Side::Accepting && self.worker.shared.draining.load(Ordering::Relaxed) {
            self.leave();
        }
        let now = self.worker.now();
        if self.deadline.at() <= now || self.deadline.at() == Tick(u32::MAX) {
            self.deadline.set_at(now.after(BEAT));
            match self.pulse.look(now, self.session.substreams()) {
                Verdict::GoOn => {}
                Verdict::Ask => self.session.say(Kind::Ping),
                Verdict::Leave => self.leave(),
                Verdict::GiveUp => return Err(Broken::Silent),
            }
        }
        Ok(())
    }

    /// Takes no more substreams, and lets the other side know.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.said_farewell, true) {
            self.session.say(Kind::GoingAway);
            self.session.end();
        }
    }

    /// Reads and hands on what has arrived. Ready at the end of the connection.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let mut taken = 0;
        loop {
            taken += self.take_frames()?;
            if taken >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if ready!(self.conn.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
            self.pulse.hear(self.worker.now());
        }
    }

    /// Hands on what is at hand, and returns how many bytes that were.
    fn take_frames(&mut self) -> Result<usize, Violation> {
        let before = self.conn.input.len();
        while !self.conn.input.is_empty() {
            let data = self.conn.input.data();
            if let Some((id, missing)) = self.payload {
                let n = missing.min(data.len());
                let received = self.session.receive_data(id, &data[..n])?;
                self.conn.input.consume(n);
                self.payload = (n < missing).then_some((id, missing - n));
                if let Received::Opened(id) = received {
                    (self.accept)(self.session.accept(id));
                }
                continue;
            }
            let Some(head) = Head::parse(data)? else { break };
            if head.kind == Kind::Data {
                self.conn.input.consume(HEAD);
                self.payload = (head.length > 0).then_some((head.id, head.length));
                continue;
            }
            let Some(payload) = data.get(HEAD..HEAD + head.length) else { break };
            let credit = payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            self.session.receive(head.kind, head.id, credit)?;
            self.conn.input.consume(HEAD + head.length);
        }
        Ok(before - self.conn.input.len())
    }

    /// Writes what waits, down to the socket.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let stream = &mut self.conn.stream;
        ready!(self.session.poll_write(|bytes| Pin::new(&mut *stream).poll_write(cx, bytes)))?;
        ready!(Pin::new(stream).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }
}

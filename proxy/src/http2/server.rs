//! A downstream connection that speaks HTTP/2: its streams are accepted here, and its limits kept.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use spillway_core::Tick;

use super::exchange::Bridge;
use super::stream::{StreamRequest, read};
use super::transport::Transport;
use super::{
    CONNECTION_WINDOW, MAX_EARLY_RESETS, MAX_HEADER_LIST, MAX_PROVOKED_RESETS, MAX_STREAMS, SEND_BUFFER,
    STREAM_WINDOW,
};
use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::dial::until;
use crate::downstream::{Facts, HEAD, IDLE, LINGER, note_malformed};
use crate::forward::{forward, forward_nowhere};
use crate::http1::{HeadView, Malformed};
use crate::worker::Worker;

/// Serves HTTP/2 on `conn`, preface included, until it ends.
pub async fn serve(worker: Rc<Worker>, conn: Conn, facts: Facts) {
    let deadline = worker.deadline().await;
    deadline.set_at(worker.deadline_tick(HEAD));
    // Streams know nothing of their connection but its facts.
    facts.ends(&conn.stream);
    let handshake = builder().handshake::<_, Bytes>(Transport::new(conn));
    let connection = match until(&worker, &deadline, handshake).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return tracing::debug!(%error, "no HTTP/2 preface"),
        None => return,
    };
    let tally = Rc::new(Tally::new(worker.now()));
    let mut server =
        Server { worker, deadline, facts: Rc::new(facts), tally, connection, phase: Phase::Open };
    std::future::poll_fn(|cx| server.poll(cx)).await;
}

fn builder() -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_EARLY_RESETS)
        .max_local_error_reset_streams(Some(MAX_PROVOKED_RESETS));
    builder
}

struct Server {
    worker: Rc<Worker>,
    deadline: Deadline,
    facts: Rc<Facts>,
    tally: Rc<Tally>,
    connection: Connection<Transport, Bytes>,
    phase: Phase,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// It takes new streams.
    Open,
    /// GOAWAY was said; what is in flight goes on.
    Leaving,
    /// It is closed for what the other side did.
    Expelled,
}

impl Server {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.phase == Phase::Open && self.worker.draining() {
                self.leave();
            }
            if self.phase != Phase::Expelled && self.tally.is_flood(self.worker.now()) {
                tracing::debug!("a connection is closed for its resets");
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                self.phase = Phase::Expelled;
                self.deadline.set_at(self.worker.deadline_tick(LINGER));
            }
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.accept(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "an HTTP/2 connection ended early");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending if !self.deadline.expired(self.worker.now()) => return Poll::Pending,
                Poll::Pending => {
                    if self.is_over() {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }

    /// Says GOAWAY; without streams the connection closes when the other side has heard it.
    fn leave(&mut self) {
        self.phase = Phase::Leaving;
        self.connection.graceful_shutdown();
        self.deadline.set_at(self.worker.deadline_tick(LINGER));
    }

    /// What a deadline that has come means: the connection is over, or the deadline moves.
    fn is_over(&mut self) -> bool {
        let (worker, tally) = (&self.worker, &self.tally);
        match self.phase {
            Phase::Expelled => return true,
            Phase::Leaving if tally.live.get() == 0 => return true,
            Phase::Leaving => self.deadline.set_at(worker.deadline_tick(LINGER)),
            Phase::Open if tally.live.get() > 0 => self.deadline.set_at(worker.deadline_tick(IDLE)),
            Phase::Open => match tally.idle_since.get().after(IDLE) {
                due if due > worker.now() => self.deadline.set_at(due),
                _ => self.leave(),
            },
        }
        false
    }

    fn accept(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (worker, facts) = (Rc::clone(&self.worker), Rc::clone(&self.facts));
        let live = Live::begin(&self.tally, &worker);
        self.deadline.set_at(worker.deadline_tick(IDLE));
        drop(tokio::task::spawn_local(async move {
            let reset = serve_stream(&worker, facts, request, respond).await;
            live.end(reset);
        }));
    }
}

/// Serves one stream; whether the downstream reset it.
async fn serve_stream(
    worker: &Rc<Worker>,
    facts: Rc<Facts>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> bool {
    let (head, text) = match read(&facts, &request, &mut respond) {
        Ok(read) => read,
        Err(Malformed { reason }) => {
            note_malformed(worker, &facts, facts.known_ends(), reason);
            return false;
        }
    };
    let deadline = worker.deadline().await;
    let view = HeadView { head: &head, buf: &text };
    let received = StreamRequest::new(&facts, deadline, view, request.into_body(), respond);
    let mut exchange = Bridge::new(worker, received);
    let snapshot = worker.snapshot();
    match snapshot.service(facts.slot) {
        Some(service) => forward(worker, service, &mut exchange).await,
        None => forward_nowhere(worker, &snapshot, &mut exchange).await,
    }
    exchange.received.reset
}

/// What a connection's streams add up to.
#[derive(Debug)]
struct Tally {
    live: Cell<u32>,
    idle_since: Cell<Tick>,
    /// Since when the next two count.
    window: Cell<Tick>,
    opened: Cell<u32>,
    reset: Cell<u32>,
}

/// Resets are counted over so long, and so many of them are a flood when most streams end so. A sidecar carries
/// many clients on one connection, some of which cancel: a count alone would punish them all.
const RESET_WINDOW: Duration = Duration::from_secs(10);
const MAX_RESETS: u32 = 200;

impl Tally {
    fn new(now: Tick) -> Self {
        Self {
            live: Cell::new(0),
            idle_since: Cell::new(now),
            window: Cell::new(now),
            opened: Cell::new(0),
            reset: Cell::new(0),
        }
    }

    fn is_flood(&self, now: Tick) -> bool {
        if now > self.window.get().after(RESET_WINDOW) {
            self.window.set(now);
            self.opened.set(0);
            self.reset.set(0);
        }
        let reset = self.reset.get();
        reset > MAX_RESETS && reset.saturating_mul(2) > self.opened.get()
    }
}

/// A stream that is being served.
struct Live {
    tally: Rc<Tally>,
    worker: Rc<Worker>,
}

impl Live {
    fn begin(tally: &Rc<Tally>, worker: &Rc<Worker>) -> Self {
        tally.live.set(tally.live.get() + 1);
        tally.opened.set(tally.opened.get().saturating_add(1));
        Self { tally: Rc::clone(tally), worker: Rc::clone(worker) }
    }

    fn end(self, reset: bool) {
        let resets = &self.tally.reset;
        resets.set(resets.get().saturating_add(u32::from(reset)));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tally.live.set(self.tally.live.get() - 1);
        self.tally.idle_since.set(self.worker.now());
    }
}

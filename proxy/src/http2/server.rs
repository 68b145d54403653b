//! A downstream connection that speaks HTTP/2: its streams are accepted here, and its limits kept.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use spillway_core::Tick;

use super::abuse::Abuse;
use super::exchange::Bridge;
use super::stream::{StreamRequest, read};
use super::tally::{Ended, Live, Tally};
use super::transport::{Transport, Watched};
use super::{
    CONNECTION_WINDOW, MAX_EARLY_RESETS, MAX_HEADER_LIST, MAX_PROVOKED_RESETS, MAX_STREAMS, SEND_BUFFER,
    STREAM_WINDOW,
};
use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::dial::until;
use crate::downstream::{Facts, HEAD, IDLE, LINGER, count_idle, linger, note_malformed};
use crate::forward::{forward, forward_nowhere};
use crate::http1::{HeadView, Malformed};
use crate::malformed::Sender;
use crate::worker::Worker;

/// Serves HTTP/2 on `conn`, preface included, until it ends.
pub async fn serve(worker: Rc<Worker>, conn: Conn, facts: Facts) {
    let deadline = worker.deadline().await;
    deadline.set_at(worker.deadline_tick(HEAD));
    // Streams know nothing of their connection but its facts.
    facts.ends(&conn.stream);
    let (transport, watched) = Transport::watched(conn);
    let handshake = builder().handshake::<_, Bytes>(transport);
    let connection = match until(&worker, &deadline, handshake).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return tracing::debug!(%error, "no HTTP/2 preface"),
        None => return,
    };
    let tally = Rc::new(Tally::new(worker.now()));
    let (facts, phase) = (Rc::new(facts), Phase::Open);
    let mut server = Server { worker, deadline, facts, tally, watched, head: None, connection, phase };
    std::future::poll_fn(|cx| server.poll(cx)).await;
    let Server { worker, deadline, watched, connection, phase, .. } = server;
    drop(connection);
    let released = watched.released.take();
    if let (Phase::Expelled, Some(mut conn)) = (phase, released) {
        linger(&worker, &mut conn, &deadline).await;
    }
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
    watched: Rc<Watched>,
    /// The header block that is unfinished, by number, and since when.
    head: Option<(u32, Tick)>,
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
            let accepted = self.connection.poll_accept(cx);
            // Looked at before it sleeps, as well as between streams: nothing more is read behind a verdict.
            if let Some(abuse) = self.abuse()
                && self.phase != Phase::Expelled
            {
                self.expel(abuse);
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => self.accept(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "an HTTP/2 connection ended early");
                    let last = self.watched.meter.borrow().last_kind();
                    if let Some(abuse) = Abuse::found_by_h2(&error, last)
                        && self.phase != Phase::Expelled
                    {
                        self.expel(abuse);
                    }
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

    /// What the connection is to be closed for, if anything.
    fn abuse(&mut self) -> Option<Abuse> {
        let now = self.worker.now();
        let mut meter = self.watched.meter.borrow_mut();
        if self.tally.turn(now) {
            meter.renew();
        }
        self.head = match (meter.open_block(), self.head) {
            (None, _) => None,
            (Some(block), Some((seen, since))) if block == seen => Some((seen, since)),
            (Some(block), _) => Some((block, now)),
        };
        let late = self.head.is_some_and(|(_, since)| {
            // Data does not restart it.
            let due = Tick(since.after(HEAD).0.saturating_add(1));
            self.deadline.set_at(self.deadline.at().min(due));
            due <= now
        });
        meter.verdict().or(self.tally.verdict()).or(late.then_some(Abuse::SlowHead))
    }

    /// Closes the connection for what its other side did.
    fn expel(&mut self, abuse: Abuse) {
        let Self { worker, facts, .. } = self;
        let stats = &worker.shared.stats;
        stats.expelled.note(Sender::Downstream(facts.caller()), abuse, worker.now());
        if let Some(service) = worker.snapshot().service(facts.slot) {
            let counters = service.stats.of(worker.index);
            counters.protocol_errors.add(1);
            counters.premature_resets.add(u64::from(abuse == Abuse::Resets));
        }
        self.phase = Phase::Expelled;
        self.deadline.set_at(self.worker.deadline_tick(LINGER));
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
                _ => {
                    count_idle(worker, &self.facts);
                    self.leave();
                }
            },
        }
        false
    }

    fn accept(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (worker, facts) = (Rc::clone(&self.worker), Rc::clone(&self.facts));
        let live = Live::begin(&self.tally, &worker);
        self.deadline.set_at(worker.deadline_tick(IDLE));
        drop(tokio::task::spawn_local(async move {
            live.end(serve_stream(&worker, facts, request, respond).await);
        }));
    }
}

/// Serves one stream; how it ended.
async fn serve_stream(
    worker: &Rc<Worker>,
    facts: Rc<Facts>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Ended {
    let (head, text) = match read(&facts, &request, &mut respond) {
        Ok(read) => read,
        Err(Malformed { reason }) => {
            note_malformed(worker, &facts, facts.known_ends(), reason);
            return Ended::Malformed;
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
    if exchange.received.reset { Ended::Reset } else { Ended::Well }
}

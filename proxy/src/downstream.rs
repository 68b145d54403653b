//! A downstream connection: what is known of it, how it is refused, and how it ends.
//!
//! Shared by every protocol that serves one. Kept out: requests and where they go.

use std::cell::OnceCell;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use spillway_core::table::Caller;

use crate::access_log::{self, Ends};
use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::generation::{Role, ServiceSlot};
use crate::http1::{HeadView, Reason, RefusalOut, write_refusal};
use crate::malformed::Sender;
use crate::refusal::Refusal;
use crate::stream::Stream;
use crate::vouch::Vouched;
use crate::worker::Worker;

/// The header by which one Spillway tells another that no application saw the request: it may be sent elsewhere.
/// Believed only of an endpoint that proved its identity, and never passed on to an application.
pub const UNPROCESSED: &str = "x-spillway-unprocessed";

/// What Envoy says of a request that met a limit, for clients that know it.
const OVERLOADED: &str = "x-envoy-overloaded";
const RATE_LIMITED: &str = "x-envoy-ratelimited";

/// How long a connection may be silent between requests. Longer than our own pools keep a connection.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// How long a request's head may take from its first byte; data does not restart it.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// How long, and how much, is read and thrown away before a connection is closed, so that the answer is not lost
/// to a reset (RFC 9112 section 9.6): as much as two kernels may hold of a sender that has not read it yet.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// What is known of a downstream connection besides its bytes.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which service it asks for.
    pub slot: ServiceSlot,
    /// On which side of an application it came in.
    pub role: Role,
    /// What its requests say in `x-forwarded-client-cert`; none is sent without one.
    pub vouched: Option<Vouched>,
    /// The address at its other end; none of a Unix socket.
    pub address: Option<IpAddr>,
    /// The SPIFFE id of whoever sends its requests: as proved, or our own where our application does.
    pub identity: Option<Arc<str>>,
    /// Its ends, once the access log has asked for them.
    pub ends: OnceCell<Box<Ends>>,
}

impl Facts {
    /// Nothing is known of a connection but what it is for.
    pub fn of(slot: ServiceSlot, role: Role) -> Self {
        Self { slot, role, vouched: None, address: None, identity: None, ends: OnceCell::new() }
    }

    /// Its ends, which are those of `stream`.
    pub(crate) fn ends(&self, stream: &Stream) -> &Ends {
        self.ends.get_or_init(|| Box::new(stream.ends()))
    }

    /// Its ends, as far as they have been asked for.
    pub(crate) fn known_ends(&self) -> &Ends {
        const NOWHERE: &Ends = &Ends { local: None, remote: None, name: None };
        self.ends.get().map_or(NOWHERE, |ends| ends)
    }

    /// Who sends its requests, as routing sees it.
    pub fn caller(&self) -> Caller<'_> {
        Caller { address: self.address, identity: self.identity.as_deref() }
    }
}

/// A downstream connection.
#[derive(Debug)]
pub struct Downstream {
    /// Its bytes.
    pub conn: Conn,
    /// Its one deadline.
    pub deadline: Deadline,
    /// What else is known of it.
    pub facts: Facts,
}

/// Envoy's default for a stream's silence, where a route says nothing.
pub(crate) const STREAM_IDLE: Duration = Duration::from_secs(300);

/// What becomes of a downstream connection after a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It carries the next one.
    KeepAlive,
    /// It is closed in good order.
    Close,
    /// It is reset: what was sent must not look whole.
    Abort,
    /// It has ended already.
    Done,
}

/// Counts and logs a request that was refused before it could be forwarded.
pub(crate) fn note_malformed(worker: &Worker, facts: &Facts, ends: &Ends, reason: Reason) {
    let refusal = &Refusal::Malformed { reason };
    if let Some(service) = worker.snapshot().service(facts.slot) {
        let counters = service.stats.of(worker.index);
        counters.requests.add(1);
        counters.refused(refusal);
        counters.answered(refusal.status());
    }
    access_log::refused_request(worker, ends, facts.identity.as_deref(), refusal);
    worker.shared.stats.malformed.note(Sender::Downstream(facts.caller()), reason, worker.now());
}

/// Counts a connection that is closed for its silence between requests.
pub(crate) fn count_idle(worker: &Worker, facts: &Facts) {
    if let Some(service) = worker.snapshot().service(facts.slot) {
        service.stats.of(worker.index).idle_timeouts.add(1);
    }
}

/// Whether an answer of our own says that no application saw the request. The application's side is never told:
/// the header is between Spillways.
fn marked_unprocessed(facts: &Facts, refusal: &Refusal) -> bool {
    facts.role != Role::Outbound && refusal.nothing_was_sent()
}

/// The lines of our own that an answer of our own has.
pub(crate) fn own_lines(
    facts: &Facts,
    refusal: &Refusal,
) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let unprocessed = marked_unprocessed(facts, refusal).then_some((UNPROCESSED, refusal.flag()));
    let overloaded = matches!(refusal, Refusal::Overflow { .. }).then_some((OVERLOADED, "true"));
    let limited = matches!(refusal, Refusal::RateLimited { .. }).then_some((RATE_LIMITED, "true"));
    unprocessed.into_iter().chain(overloaded).chain(limited)
}

/// Answers a request ourselves, down to the socket; what becomes of the connection.
pub(crate) async fn refuse(
    worker: &Worker,
    downstream: &mut Downstream,
    refusal: &Refusal,
    keep_alive: bool,
    request: HeadView<'_>,
) -> End {
    write_own_answer(downstream, refusal, keep_alive, Some(request));
    let Downstream { conn, deadline, .. } = downstream;
    deadline.set_at(worker.deadline_tick(STREAM_IDLE));
    let flushed = std::future::poll_fn(|cx| match conn.poll_flush(cx) {
        Poll::Pending if deadline.expired(worker.now()) => Poll::Ready(false),
        flushed => flushed.map(|result| result.is_ok()),
    })
    .await;
    match flushed {
        true if keep_alive => End::KeepAlive,
        true => End::Close,
        false => End::Done,
    }
}

/// Puts an answer of our own into the downstream's output; `request` is what it answers, when that was understood.
pub(crate) fn write_own_answer(
    downstream: &mut Downstream,
    refusal: &Refusal,
    keep_alive: bool,
    request: Option<HeadView<'_>>,
) {
    let extra: Vec<(&str, &str)> = own_lines(&downstream.facts, refusal).collect();
    let answer = RefusalOut {
        status: refusal.status(),
        body: &refusal.to_string(),
        downstream: request.map(|it| it.head.version()).unwrap_or_default(),
        keep_alive,
        head_request: request.is_some_and(|it| it.head.is_head(it.buf)),
        extra: &extra,
    };
    write_refusal(&answer, downstream.conn.output());
}

/// Sends what is left, says that nothing more will come, and reads what the other side still sends for a moment.
pub(crate) async fn close(worker: &Worker, downstream: &mut Downstream) {
    linger(worker, &mut downstream.conn, &downstream.deadline).await;
}

/// The same for a connection that is not a [`Downstream`].
pub(crate) async fn linger(worker: &Worker, conn: &mut Conn, deadline: &Deadline) {
    deadline.set_at(worker.deadline_tick(LINGER));
    let mut thrown_away = 0;
    let mut shut = false;
    std::future::poll_fn(|cx| {
        if deadline.expired(worker.now()) {
            return Poll::Ready(());
        }
        if !shut {
            match ready!(conn.poll_shutdown(cx)) {
                Ok(()) => shut = true,
                Err(_) => return Poll::Ready(()),
            }
        }
        while thrown_away < LINGER_BYTES {
            let n = conn.input.len();
            conn.input.consume(n);
            match ready!(conn.poll_fill(cx)) {
                Ok(n) if n > 0 => thrown_away += n,
                _ => break,
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// Ends a connection so that the other side cannot take what it got for whole: by a reset.
pub(crate) fn abort(stream: &Stream) {
    let linger = |socket: &tokio::net::TcpStream| -> io::Result<()> { socket.set_zero_linger() };
    let _best_effort = match stream {
        Stream::Tcp(socket) => linger(socket),
        Stream::Accepted(tls) => linger(tls.get_ref().0.tcp()),
        Stream::Dialed(tls) => linger(tls.get_ref().0),
        Stream::Unix(_) => Ok(()),
        // Dropped without an end, it is reset.
        Stream::Multiplexed(_) => Ok(()),
    };
}

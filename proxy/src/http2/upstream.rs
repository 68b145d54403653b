//! Multiplexed connections to endpoints: many streams share one, and a second is dialed when the first is full.
//!
//! They stand beside the pools of idle HTTP/1.1 connections, by worker and endpoint, and go with the endpoint. A
//! connection that ended, or was told to go away, is not used for another stream; those that it carries go on.
//! Dialing is done once for all streams that wait for it, by a task of its own: a downstream that leaves takes no
//! other stream's connection along.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use spillway_core::Tick;
use spillway_core::breaker::{Load, Overflow, Thresholds};
use spillway_core::pick::{Pick, Via};

use super::transport::{Heard, Transport};
use super::{
    CONNECTION_WINDOW, MAX_EARLY_RESETS, MAX_HEADER_LIST, MAX_PROVOKED_RESETS, SEND_BUFFER, STREAM_WINDOW,
};
use crate::conn::Conn;
use crate::connect::overflow;
use crate::deadline::Deadline;
use crate::dial::{DialError, dial, until};
use crate::dialing::Dialing;
use crate::forward::Failure;
use crate::slot::{Room, Slot, room};
use crate::stats::{EndpointCounters, OpenUpstream};
use crate::worker::Worker;

/// How long a connection without streams is kept. Shorter than our own servers keep theirs, so that it is the
/// dialer who closes.
const IDLE: Duration = Duration::from_secs(55);

/// How many connections one worker keeps to one endpoint; streams beyond what these carry wait in `h2`.
const MOST: usize = 8;

/// A connection through a gateway that does not terminate it is pinned to one instance behind it. Several of them,
/// and not for ever, spread the load all the same.
const SPREAD: usize = 4;
const PINNED_FOR: Duration = Duration::from_secs(300);

/// A worker's multiplexed connections to one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: RefCell<Vec<Rc<Connection>>>,
    dialing: RefCell<Option<Rc<Dialing<Rc<Connection>>>>>,
}

/// One connection. It closes when nobody holds it, its streams included.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    streams: Cell<usize>,
    /// Since when it has had no streams, as far as the sweep has seen.
    idle_since: Cell<Option<Tick>>,
    /// When it takes no more streams.
    retires: Option<Tick>,
    /// What it has read.
    heard: Rc<Heard>,
    used: Cell<bool>,
    given_up: Cell<bool>,
    /// Our end.
    local: Option<SocketAddr>,
    counters: Arc<EndpointCounters>,
    /// Its target's.
    load: Arc<Load>,
    /// What it is one of.
    among: Weak<Connections>,
}

impl Connection {
    /// A sender for one more stream; None when the connection takes none.
    fn sender(&self) -> Option<SendRequest<Bytes>> {
        let mut sender = self.sender.clone();
        // A new handle waits for nothing: it is ready, or the connection has ended or is about to.
        let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        (!self.given_up.get() && matches!(ready, Poll::Ready(Ok(())))).then_some(sender)
    }

    /// Takes no more streams, and closes with the last of those that it carries.
    fn retire(&self) {
        if let Some(among) = self.among.upgrade() {
            among.open.borrow_mut().retain(|other| !std::ptr::eq(&**other, self));
        }
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.sender.current_max_send_streams()
    }
}

/// A place on a connection, held while its stream lives.
#[derive(Debug)]
pub(super) struct Place {
    connection: Rc<Connection>,
    /// Whether the target counts it as a request.
    counted: bool,
    heard: u64,
    /// Whether it has carried a stream before: the other side may be closing it just now.
    pub(super) reused: bool,
}

impl Place {
    fn take(connection: Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.counters.requests.add(1);
        let heard = connection.heard.reads();
        let reused = connection.used.replace(true);
        Self { connection, counted: false, heard, reused }
    }

    /// Counts its stream as one of the target's requests, until it is dropped.
    fn begin_request(&mut self, thresholds: Thresholds) -> Result<(), Overflow> {
        self.connection.load.begin_request(thresholds)?;
        self.counted = true;
        Ok(())
    }

    /// Our end of the connection.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.connection.local
    }

    /// Says that the stream got no answer in time. When nothing at all was heard meanwhile, the connection may be
    /// dead without a word, and takes no other stream.
    pub(super) fn timed_out(&self) {
        if self.connection.heard.reads() == self.heard {
            self.connection.given_up.set(true);
        }
    }
}

impl Place {
    /// Waits until the other side has said something, and with that its SETTINGS, which come first (RFC 9113 §3.4), or
    /// has ended.
    pub(super) fn poll_spoken(&self, cx: &Context<'_>) -> Poll<()> {
        self.connection.heard.poll_first(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get() - 1);
        if self.counted {
            self.connection.load.end_request();
        }
        if self.connection.load.is_waited_for() {
            self.connection.retire();
        }
    }
}

/// What a stream begins with.
pub(super) struct Opened {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) place: Place,
}

impl Opened {
    fn on(connection: &Rc<Connection>) -> Option<Self> {
        let sender = connection.sender()?;
        Some(Self { sender, place: Place::take(Rc::clone(connection)) })
    }
}

impl Connections {
    /// Forgets connections that ended, that idled too long, and those that are to be replaced.
    pub(crate) fn sweep(&self, now: Tick) {
        self.open.borrow_mut().retain(|connection| {
            if connection.streams.get() > 0 {
                connection.idle_since.set(None);
            } else if connection.idle_since.get().is_none() {
                connection.idle_since.set(Some(now));
            }
            let idled = connection.idle_since.get().is_some_and(|since| now > since.after(IDLE));
            let retired = connection.retires.is_some_and(|at| now > at);
            let in_the_way = connection.streams.get() == 0 && connection.load.is_waited_for();
            !idled && !retired && !in_the_way && connection.sender().is_some()
        });
    }

    /// Forgets all connections; the streams on them go on.
    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }

    /// Takes no more streams on the connection with the fewest, if these are no more than `streams`; it closes with the
    /// last of them.
    pub(crate) fn give_up_one(&self, streams: usize) -> bool {
        let mut open = self.open.borrow_mut();
        let least = (0..open.len()).min_by_key(|&index| open[index].streams.get());
        let given_up = least.filter(|&index| open[index].streams.get() <= streams);
        given_up.map(|index| open.swap_remove(index)).is_some()
    }

    /// A place on an open connection: the first that has room, so that those beyond need can idle away; when as
    /// many are open as may be, the one with the fewest streams.
    fn place(&self, most: usize) -> Option<Opened> {
        let mut open = self.open.borrow_mut();
        loop {
            let streams = |&index: &usize| open[index].streams.get();
            let chosen = if open.len() >= most {
                (0..open.len()).min_by_key(streams)
            } else {
                open.iter().position(|connection| connection.has_room())
            };
            match Opened::on(&open[chosen?]) {
                None => drop(open.swap_remove(chosen?)),
                opened => return opened,
            }
        }
    }

    /// A place on the connection with the fewest streams, for targets whose connections are pinned, and for those who
    /// cannot have another.
    fn least(&self) -> Option<Opened> {
        self.place(1)
    }

    /// Whether another connection would spread a pinned target's load better.
    fn could_spread(&self) -> bool {
        let open = self.open.borrow();
        open.len() < SPREAD && open.iter().all(|connection| connection.streams.get() > 1)
    }

    /// The dial that is under way.
    fn under_way(&self) -> Option<Rc<Dialing<Rc<Connection>>>> {
        self.dialing.borrow().clone()
    }

    /// Dials another connection, for which there is room. No other dial is under way.
    fn dial(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        pick: &Pick<'_>,
        counters: Arc<EndpointCounters>,
        slot: Slot,
    ) -> Rc<Dialing<Rc<Connection>>> {
        let dialing = Rc::new(Dialing::default());
        *self.dialing.borrow_mut() = Some(Rc::clone(&dialing));
        let (connections, worker, awaited) = (Rc::clone(self), Rc::clone(worker), Rc::clone(&dialing));
        let (target, endpoint) = (Arc::clone(pick.target), Arc::clone(pick.endpoint));
        drop(tokio::task::spawn_local(async move {
            let deadline = worker.deadline().await;
            let outcome = match dial(&worker, &target, &endpoint, &deadline).await {
                Ok(stream) => {
                    deadline.set_at(worker.deadline_tick(target.connect_timeout));
                    let conn = Conn::new(stream, &worker.buffers);
                    let shaken = until(
                        &worker,
                        &deadline,
                        begin(&worker, target.via, conn, counters, slot, &connections),
                    )
                    .await;
                    let shaken = shaken.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
                    let (id, address) = (target.id.to_string(), endpoint.address.clone());
                    shaken.map_err(|source| DialError::Connect { target: id, endpoint: address, source })
                }
                Err(error) => Err(error),
            };
            let outcome = outcome
                .inspect(|connection| connections.open.borrow_mut().push(Rc::clone(connection)))
                .inspect_err(|error| tracing::debug!("{error}"));
            *connections.dialing.borrow_mut() = None;
            awaited.settle(outcome);
            worker.shared.line.tell_all(worker.index, endpoint.uid);
        }));
        dialing
    }
}

/// Waits for a place on a connection to the pick's endpoint, on a new one when `fresh`, and counts a request there.
///
/// # Errors
/// When there is no connection to be had, a limit is reached, or the deadline comes first.
pub(super) async fn open(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
    fresh: bool,
) -> Result<Opened, Failure> {
    let mut opened = place(worker, pick, deadline, fresh).await?;
    let thresholds = pick.target.breaker.thresholds;
    opened.place.begin_request(thresholds).map_err(|limit| overflow(pick, limit))?;
    Ok(opened)
}

async fn place(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
    fresh: bool,
) -> Result<Opened, Failure> {
    /// Those who wait for a dial may be more than fit on the connection, and have to wait for another.
    const DIALS: usize = 3;
    let (connections, counters) = worker.pools.multiplexed(pick.endpoint, &worker.shared.stats);
    let mut pending = None;
    for dials in 0..=DIALS {
        let opened = match pick.target.via {
            _ if fresh && dials == 0 && connections.open.borrow().len() < MOST => None,
            Via::Direct => connections.place(if dials < DIALS { MOST } else { 1 }),
            Via::LocalGateway | Via::RemoteGateway => connections.least(),
        };
        if let Some(opened) = opened {
            if pick.target.via != Via::Direct
                && connections.could_spread()
                && connections.under_way().is_none()
                && let Some(slot) = Slot::spare(worker, pick.target)
            {
                // For those that come later.
                drop(connections.dial(worker, pick, counters, slot));
            }
            return Ok(opened);
        }
        if pending.is_none() {
            pending = Some(pick.target.breaker.pending().map_err(|limit| overflow(pick, limit))?);
        }
        let dialing = match another(&connections, worker, pick, deadline, &counters).await? {
            Another::Open(opened) => return Ok(opened),
            Another::Dialing(dialing) => dialing,
        };
        let dialed = until(worker, deadline, std::future::poll_fn(|cx| dialing.poll(cx))).await;
        let dialed = dialed.ok_or_else(|| Failure::TimedOut { target: pick.target.id.to_string() })??;
        if dialed.has_room()
            && let Some(opened) = Opened::on(&dialed)
        {
            return Ok(opened);
        }
    }
    Err(Failure::Dial(DialError::ended_early(pick)))
}

/// What a stream gets that found no connection with room for it.
enum Another {
    /// A place all the same, where there may not be another connection.
    Open(Opened),
    /// A connection that is being made.
    Dialing(Rc<Dialing<Rc<Connection>>>),
}

/// The dial that is under way, or a new one as soon as there is room for another connection.
async fn another(
    connections: &Rc<Connections>,
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
    counters: &Arc<EndpointCounters>,
) -> Result<Another, Failure> {
    let under_way = || connections.under_way().map(Another::Dialing);
    if let Some(dialing) = under_way() {
        return Ok(dialing);
    }
    let at_hand = || connections.least().map(Another::Open).or_else(under_way);
    Ok(match room(worker, pick, deadline, at_hand).await? {
        Room::AtHand(another) => another,
        Room::New(slot) => Another::Dialing(connections.dial(worker, pick, Arc::clone(counters), slot)),
    })
}

/// Begins HTTP/2 on a dialed connection, and sets a task to drive it.
async fn begin(
    worker: &Rc<Worker>,
    via: Via,
    conn: Conn,
    counters: Arc<EndpointCounters>,
    slot: Slot,
    among: &Rc<Connections>,
) -> io::Result<Rc<Connection>> {
    let local = conn.stream.local();
    let transport = Transport::new(conn);
    let heard = transport.heard();
    let (sender, connection) = builder().handshake::<_, Bytes>(transport).await.map_err(io::Error::other)?;
    let load = Arc::clone(slot.load());
    let counted = (OpenUpstream::begin(Arc::clone(&counters)), slot);
    drop(tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP/2 connection to an upstream ended early");
        }
        drop(counted);
    }));
    let retires = (via != Via::Direct).then(|| worker.now().after(PINNED_FOR));
    Ok(Rc::new(Connection {
        sender,
        streams: Cell::default(),
        idle_since: Cell::default(),
        retires,
        heard,
        used: Cell::default(),
        given_up: Cell::default(),
        local,
        counters,
        load,
        among: Rc::downgrade(among),
    }))
}

fn builder() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_EARLY_RESETS)
        .max_local_error_reset_streams(Some(MAX_PROVOKED_RESETS));
    builder
}

//! Idle upstream connections, kept per worker and endpoint: no lock, no sharing, no lookup by name.
//!
//! An endpoint's slot indexes the worker's pools; its `uid` guards against a slot that another endpoint took over.

use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use spillway_core::Tick;
use spillway_core::breaker::{Overflow, Thresholds};
use spillway_core::endpoint::Endpoint;
use spillway_core::pick::Target;

use crate::conn::Conn;
use crate::http2::Connections;
use crate::mux::Sessions;
use crate::slot::Slot;
use crate::stats::{EndpointCounters, OpenUpstream, Stats};

/// How long an idle connection is kept. Shorter than what servers in use keep theirs open, so that it is we who
/// close, and a request seldom meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(55);

/// How many idle connections one worker keeps to one endpoint.
const IDLE_MAX: usize = 1024;

/// How many ticks pass between two sweeps of the pools.
const SWEEP_EVERY: u32 = 10;

/// A worker's idle upstream connections.
#[derive(Debug, Default)]
pub struct Pools {
    by_slot: RefCell<Vec<Option<Pool>>>,
}

#[derive(Debug)]
struct Pool {
    uid: u64,
    endpoint: Weak<Endpoint>,
    counters: Arc<EndpointCounters>,
    /// The latest last: the one used most recently is the least likely to be closed.
    idle: Vec<Idle>,
    /// HTTP/2.
    multiplexed: Rc<Connections>,
    /// HTTP/1.1 to another Spillway.
    sessions: Rc<Sessions>,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Tick,
}

/// A connection to an endpoint, counted while it lives.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub conn: Conn,
    /// Whether it has carried a request before: the other side may be closing it just now.
    pub reused: bool,
    /// Our end; asked for once, and only for the access log.
    local: OnceCell<Option<SocketAddr>>,
    counters: Arc<EndpointCounters>,
    /// None of a substream: its session is counted.
    _open: Option<OpenUpstream>,
    slot: Slot,
    /// Whether it carries a request just now.
    busy: bool,
}

impl Upstream {
    /// Counts a new connection, made for this slot.
    pub fn new(conn: Conn, counters: Arc<EndpointCounters>, slot: Slot) -> Self {
        let open = OpenUpstream::begin(Arc::clone(&counters));
        Self { conn, reused: false, local: OnceCell::new(), counters, _open: Some(open), slot, busy: false }
    }

    /// A substream on a session, which is counted already; `reused` as the session.
    pub fn substream(conn: Conn, counters: Arc<EndpointCounters>, reused: bool, slot: Slot) -> Self {
        Self { conn, reused, local: OnceCell::new(), counters, _open: None, slot, busy: false }
    }

    /// Our end of the connection.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        *self.local.get_or_init(|| self.conn.stream.local())
    }

    /// Counts a request that is about to be sent over it, until it is given back or dropped.
    ///
    /// # Errors
    /// When the target has as many as it may have.
    pub fn begin_request(&mut self, thresholds: Thresholds) -> Result<(), Overflow> {
        self.end_request();
        self.slot.load().begin_request(thresholds)?;
        self.busy = true;
        self.counters.requests.add(1);
        Ok(())
    }

    fn end_request(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.slot.load().end_request();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.end_request();
    }
}

impl Pools {
    fn with<R>(&self, endpoint: &Arc<Endpoint>, stats: &Stats, f: impl FnOnce(&mut Pool) -> R) -> R {
        let mut pools = self.by_slot.borrow_mut();
        let slot = endpoint.slot as usize;
        if pools.len() <= slot {
            pools.resize_with(slot + 1, || None);
        }
        match &mut pools[slot] {
            Some(pool) if pool.uid == endpoint.uid => f(pool),
            other => f(other.insert(Pool {
                uid: endpoint.uid,
                endpoint: Arc::downgrade(endpoint),
                counters: stats.endpoint(endpoint),
                idle: Vec::new(),
                multiplexed: Rc::default(),
                sessions: Rc::default(),
            })),
        }
    }

    /// An idle connection that is still open.
    pub fn checkout(&self, endpoint: &Arc<Endpoint>, stats: &Stats) -> Option<Upstream> {
        self.with(endpoint, stats, |pool| {
            std::iter::from_fn(|| pool.idle.pop())
                .find_map(|mut idle| idle.upstream.conn.is_idle_and_open().then_some(idle.upstream))
        })
    }

    /// The endpoint's multiplexed connections, and its counters.
    pub(crate) fn multiplexed(
        &self,
        endpoint: &Arc<Endpoint>,
        stats: &Stats,
    ) -> (Rc<Connections>, Arc<EndpointCounters>) {
        self.with(endpoint, stats, |pool| (Rc::clone(&pool.multiplexed), Arc::clone(&pool.counters)))
    }

    /// The endpoint's sessions, and its counters.
    pub(crate) fn sessions(
        &self,
        endpoint: &Arc<Endpoint>,
        stats: &Stats,
    ) -> (Rc<Sessions>, Arc<EndpointCounters>) {
        self.with(endpoint, stats, |pool| (Rc::clone(&pool.sessions), Arc::clone(&pool.counters)))
    }

    /// The endpoint's counters.
    pub fn counters(&self, endpoint: &Arc<Endpoint>, stats: &Stats) -> Arc<EndpointCounters> {
        self.with(endpoint, stats, |pool| Arc::clone(&pool.counters))
    }

    /// Lets `count` count for the endpoint.
    pub fn with_counters(
        &self,
        endpoint: &Arc<Endpoint>,
        stats: &Stats,
        count: impl FnOnce(&EndpointCounters),
    ) {
        self.with(endpoint, stats, |pool| count(&pool.counters));
    }

    /// Keeps a connection for the next request.
    pub fn checkin(&self, endpoint: &Arc<Endpoint>, stats: &Stats, mut upstream: Upstream, now: Tick) {
        upstream.end_request();
        upstream.reused = true;
        self.with(endpoint, stats, |pool| {
            if pool.idle.len() < IDLE_MAX {
                pool.idle.push(Idle { upstream, since: now });
            }
        });
    }

    /// Makes room for a connection that somebody needs: closes one of `target` that is idle, or, when there is none,
    /// lets one end with the streams that it carries.
    pub(crate) fn make_room(&self, target: &Target) {
        let mut pools = self.by_slot.borrow_mut();
        let of_target = |pool: &&mut Pool| target.endpoints.iter().any(|endpoint| endpoint.uid == pool.uid);
        let mut pools: Vec<&mut Pool> = pools.iter_mut().flatten().filter(of_target).collect();
        // The one that has idled longest.
        let idle = pools.iter_mut().find(|pool| !pool.idle.is_empty()).map(|pool| pool.idle.remove(0));
        let _made = idle.is_some()
            || pools.iter().any(|pool| pool.multiplexed.give_up_one(0))
            || pools.iter().any(|pool| pool.multiplexed.give_up_one(usize::MAX));
    }

    /// Closes what has idled too long or is in the way of somebody in line, what the other side closed, and what belongs
    /// to endpoints that are gone.
    pub fn sweep(&self, now: Tick) {
        if !now.0.is_multiple_of(SWEEP_EVERY) {
            return;
        }
        for entry in self.by_slot.borrow_mut().iter_mut() {
            let Some(pool) = entry else { continue };
            if pool.endpoint.strong_count() == 0 {
                *entry = None;
                continue;
            }
            pool.multiplexed.sweep(now);
            pool.sessions.sweep();
            pool.idle.retain_mut(|Idle { upstream, since }| {
                now <= since.after(IDLE)
                    && !upstream.slot.load().is_waited_for()
                    && upstream.conn.is_idle_and_open()
            });
        }
    }

    /// Closes every idle connection.
    pub fn clear(&self) {
        for pool in self.by_slot.borrow_mut().iter_mut().flatten() {
            pool.idle.clear();
            pool.multiplexed.clear();
            pool.sessions.clear();
        }
    }
}

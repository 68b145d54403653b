//! A connection for one request over HTTP/1.1: an idle one, one among those of a session, or a new one, within the
//! target's limits.

use std::rc::Rc;

use spillway_core::Tick;
use spillway_core::breaker::Overflow;
use spillway_core::pick::Pick;

use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::dial::{DialError, dial, multiplexes};
use crate::forward::Failure;
use crate::mux::{self, Hop};
use crate::pool::Upstream;
use crate::slot::{Room, Slot, room};
use crate::stream::Stream;
use crate::worker::Worker;

/// A connection for one request over HTTP/1.1: an idle one unless `fresh`, else a new one. When the request's time,
/// which ends at `expires`, runs out meanwhile, that is the failure.
pub(crate) async fn connect(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    fresh: bool,
    deadline: &Deadline,
    expires: Option<Tick>,
) -> Result<Upstream, Failure> {
    let mut upstream = match idle(worker, pick).filter(|_| !fresh) {
        Some(upstream) => upstream,
        None => new_connection(worker, pick, fresh, deadline, expires).await?,
    };
    let breaker = &pick.target.breaker;
    upstream.begin_request(breaker.thresholds).map_err(|limit| overflow(pick, limit))?;
    Ok(upstream)
}

/// An idle connection to the pick's endpoint; none while others wait for one.
fn idle(worker: &Worker, pick: &Pick<'_>) -> Option<Upstream> {
    let free = !pick.target.breaker.load.is_waited_for();
    free.then(|| worker.pools.checkout(pick.endpoint, &worker.shared.stats)).flatten()
}

/// The failure of a request that met this limit.
pub(crate) fn overflow(pick: &Pick<'_>, limit: Overflow) -> Failure {
    Failure::Overflow { target: pick.target.id.to_string(), limit }
}

/// A connection that is made for a request, or becomes idle while it waits for room.
async fn new_connection(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    fresh: bool,
    deadline: &Deadline,
    expires: Option<Tick>,
) -> Result<Upstream, Failure> {
    let _pending = pick.target.breaker.pending().map_err(|limit| overflow(pick, limit))?;
    let stats = &worker.shared.stats;
    let slot = match room(worker, pick, deadline, || worker.pools.checkout(pick.endpoint, stats)).await? {
        Room::AtHand(upstream) => return Ok(upstream),
        Room::New(slot) => slot,
    };
    let timed_out = || Failure::TimedOut { target: pick.target.id.to_string() };
    let Some(dialed) = dial_for_one(worker, pick, deadline, fresh, slot).await else {
        return Err(timed_out());
    };
    dialed.map_err(|error| {
        tracing::debug!("{error}");
        let out_of_time = expires.is_some_and(|expires| expires <= worker.now());
        if out_of_time { timed_out() } else { error.into() }
    })
}

/// A new connection for one request: one among those of a session, where the other side knows sessions. None when the
/// deadline comes first.
async fn dial_for_one(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
    fresh: bool,
    slot: Slot,
) -> Option<Result<Upstream, DialError>> {
    let conn = |stream| Conn::new(stream, &worker.buffers);
    let counters = worker.pools.counters(pick.endpoint, &worker.shared.stats);
    let hop = if multiplexes(pick.target) {
        mux::open(worker, pick, deadline, fresh).await?
    } else {
        dial(worker, pick.target, pick.endpoint, deadline).await.map(Hop::Plain)
    };
    Some(hop.map(|hop| match hop {
        Hop::Plain(stream) => Upstream::new(conn(stream), counters, slot),
        Hop::Substream(substream, used) => {
            Upstream::substream(conn(Stream::Multiplexed(substream)), counters, used && !fresh, slot)
        }
    }))
}

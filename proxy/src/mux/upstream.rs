//! The asking end: a worker's sessions to one endpoint, and how a request gets a substream on one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use spillway_certs::MULTIPLEXED;
use spillway_core::pick::Pick;

use super::driver::drive;
use super::session::{Session, Side, Stage, Substream};
use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::dial::{DialError, dial, until};
use crate::dialing::Dialing;
use crate::stats::{EndpointCounters, OpenUpstream};
use crate::stream::Stream;
use crate::worker::Worker;

/// A worker's sessions to one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: RefCell<Vec<Rc<Session>>>,
    dialing: RefCell<Option<Rc<Dialing<Dialed>>>>,
    /// The endpoint does not know of sessions, as far as was seen last: each request dials for itself.
    plain: Cell<bool>,
}

/// What came of a dial.
#[derive(Clone, Debug)]
enum Dialed {
    Session(Rc<Session>),
    /// The other side picked HTTP/1.1; for whoever takes it first.
    Plain(Rc<RefCell<Option<Stream>>>),
}

/// What a request is sent over.
#[derive(Debug)]
pub(crate) enum Hop {
    /// A substream, and whether its session has carried others before: the other side may be closing it just now.
    Substream(Substream, bool),
    /// A connection of its own, not counted yet.
    Plain(Stream),
}

impl Sessions {
    /// Forgets sessions that take no more substreams.
    pub(crate) fn sweep(&self) {
        self.open.borrow_mut().retain(|session| session.stage() == Stage::Open);
    }

    /// Forgets all sessions; what they carry goes on.
    pub(crate) fn clear(&self) {
        self.open.take().iter().for_each(|session| session.end());
    }

    fn substream(&self) -> Option<Hop> {
        let open = self.open.borrow();
        open.iter()
            .find_map(|session| session.open())
            .map(|(substream, used)| Hop::Substream(substream, used))
    }

    /// Begins a session if that is what the other side has picked.
    fn welcome(
        &self,
        worker: &Rc<Worker>,
        stream: Stream,
        counters: &Arc<EndpointCounters>,
    ) -> Result<Rc<Session>, Stream> {
        let multiplexed = stream.alpn() == Some(MULTIPLEXED);
        self.plain.set(!multiplexed);
        if !multiplexed {
            return Err(stream);
        }
        let session = Session::new(Side::Dialing, &worker.buffers);
        session.local.set(stream.local());
        let counted = OpenUpstream::begin(Arc::clone(counters));
        let conn = Conn::new(stream, &worker.buffers);
        let driven = drive(Rc::clone(worker), Rc::clone(&session), Side::Dialing, conn, drop);
        drop(tokio::task::spawn_local(async move {
            driven.await;
            drop(counted);
        }));
        self.open.borrow_mut().push(Rc::clone(&session));
        Ok(session)
    }

    /// The dial that is under way, or a new one. A task of its own: whoever began it may leave.
    fn dial(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        pick: &Pick<'_>,
        counters: &Arc<EndpointCounters>,
    ) -> Rc<Dialing<Dialed>> {
        if let Some(dialing) = &*self.dialing.borrow() {
            return Rc::clone(dialing);
        }
        let dialing = Rc::new(Dialing::default());
        *self.dialing.borrow_mut() = Some(Rc::clone(&dialing));
        let (sessions, worker, awaited) = (Rc::clone(self), Rc::clone(worker), Rc::clone(&dialing));
        let (target, endpoint) = (Arc::clone(pick.target), Arc::clone(pick.endpoint));
        let counters = Arc::clone(counters);
        drop(tokio::task::spawn_local(async move {
            let deadline = worker.deadline().await;
            let outcome = dial(&worker, &target, &endpoint, &deadline).await;
            let outcome = outcome.map(|stream| match sessions.welcome(&worker, stream, &counters) {
                Ok(session) => Dialed::Session(session),
                Err(stream) => Dialed::Plain(Rc::new(RefCell::new(Some(stream)))),
            });
            *sessions.dialing.borrow_mut() = None;
            awaited.settle(outcome);
        }));
        dialing
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A way to the pick's endpoint: a substream on an open session unless it is to be `fresh`, else on a new one; a
/// connection of its own where the other side knows no sessions. None when the deadline comes first.
///
/// # Errors
/// When there is no connection to be had.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    pick: &Pick<'_>,
    deadline: &Deadline,
    fresh: bool,
) -> Option<Result<Hop, DialError>> {
    /// A dialed session may be full when it is one's turn, or told to go away at once.
    const DIALS: usize = 3;
    let (sessions, counters) = worker.pools.sessions(pick.endpoint, &worker.shared.stats);
    for dials in 0..DIALS {
        if (!fresh || dials > 0)
            && let Some(hop) = sessions.substream()
        {
            return Some(Ok(hop));
        }
        if sessions.plain.get() {
            return Some(match dial(worker, pick.target, pick.endpoint, deadline).await {
                Ok(stream) => match sessions.welcome(worker, stream, &counters) {
                    Ok(_) => continue,
                    Err(stream) => Ok(Hop::Plain(stream)),
                },
                Err(error) => Err(error),
            });
        }
        let dialing = sessions.dial(worker, pick, &counters);
        match until(worker, deadline, std::future::poll_fn(|cx| dialing.poll(cx))).await? {
            Ok(Dialed::Session(session)) => {
                if let Some((substream, used)) = session.open() {
                    return Some(Ok(Hop::Substream(substream, used)));
                }
            }
            Ok(Dialed::Plain(stream)) => {
                if let Some(stream) = stream.take() {
                    return Some(Ok(Hop::Plain(stream)));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Err(DialError::ended_early(pick)))
}

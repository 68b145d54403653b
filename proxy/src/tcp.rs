//! TCP services: a connection is the request. Pick, dial, and go on to the next endpoint until one accepts; then
//! copy bytes both ways.

use std::rc::Rc;

use spillway_core::outlier::Outcome;
use spillway_core::pick::Tried;

use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::dial::{dial, dial_below_tls};
use crate::forward::Attempt;
use crate::generation::{Service, ServiceSlot};
use crate::pool::Upstream;
use crate::relay::{self, copy_both};
use crate::stats::ServiceCounters;
use crate::worker::Worker;

/// Serves one connection of a tcp service.
pub async fn serve_tcp(worker: Rc<Worker>, mut downstream: Conn, slot: ServiceSlot) {
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(slot) else { return };
    let deadline = worker.deadline().await;
    let counters = service.stats.of(worker.index);
    let Some(mut upstream) = connect(&worker, service, counters, &deadline, Tls::Ours).await else { return };
    // A connection outlives the generation that it was placed by.
    drop(snapshot);
    if let Err(error) = copy_both(&worker, &mut downstream, &mut upstream.conn, &deadline, relay::IDLE).await
    {
        tracing::debug!(%error, "a tcp connection ended early");
    }
}

/// Passes a connection through, TLS and all. `prelude` is what was read of it to decide where it goes.
pub async fn pass_through(worker: Rc<Worker>, mut downstream: Conn, prelude: Vec<u8>, slot: ServiceSlot) {
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(slot) else { return };
    let _counted = service.stats.connection(worker.index);
    let deadline = worker.deadline().await;
    let counters = service.stats.of(worker.index);
    let Some(mut upstream) = connect(&worker, service, counters, &deadline, Tls::Theirs).await else {
        return;
    };
    drop(snapshot);
    *upstream.conn.output() = prelude;
    if let Err(error) = copy_both(&worker, &mut downstream, &mut upstream.conn, &deadline, relay::IDLE).await
    {
        tracing::debug!(%error, "a passed-through connection ended early");
    }
}

/// Whose TLS a connection to an upstream carries.
#[derive(Clone, Copy)]
enum Tls {
    /// Ours, as the target asks for it.
    Ours,
    /// The downstream's, which we cannot look into.
    Theirs,
}

/// A connection to the first endpoint, in failover order, that accepts one.
async fn connect(
    worker: &Rc<Worker>,
    service: &Service,
    counters: &ServiceCounters,
    deadline: &Deadline,
    tls: Tls,
) -> Option<Upstream> {
    let resolver = service.table.decide_connection(worker.draw()).resolver;
    let mut tried = Tried::default();
    while let Some(pick) = resolver.pick(&tried, worker.draw(), worker.now()) {
        tried.push(pick.endpoint);
        let attempt = Attempt::begin(worker, &pick);
        let pool = worker.pools.counters(pick.endpoint, &worker.shared.stats);
        let dialed = match tls {
            Tls::Ours => dial(worker, pick.target, pick.endpoint, deadline).await,
            Tls::Theirs => dial_below_tls(worker, pick.target, pick.endpoint, deadline).await,
        };
        match dialed {
            Ok(stream) => {
                attempt.end(Outcome::Served);
                counters.failovers.add(u64::from(pick.rank > 0));
                return Some(Upstream::new(Conn::new(stream, &worker.buffers), pool));
            }
            Err(error) => {
                tracing::debug!("{error}");
                attempt.end(Outcome::ConnectFailed);
                counters.moved_on.add(1);
            }
        }
    }
    tracing::debug!(service = %service.table.service, "no endpoint accepted a tcp connection");
    None
}

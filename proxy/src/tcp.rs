//! TCP services: a connection is the request. Pick, dial, and go on to the next endpoint until one accepts; then
//! copy bytes both ways.

use std::rc::Rc;

use spillway_core::outlier::Outcome;
use spillway_core::pick::Tried;

use crate::access_log::Relayed;
use crate::conn::Conn;
use crate::deadline::Deadline;
use crate::dial::{dial, dial_below_tls};
use crate::downstream::Facts;
use crate::forward::{Attempt, no_endpoint};
use crate::generation::Service;
use crate::pool::Upstream;
use crate::refusal::Refusal;
use crate::relay::{self, copy_both};
use crate::slot::Slot;
use crate::stats::ServiceCounters;
use crate::worker::Worker;

/// Serves one connection of a tcp service.
pub async fn serve_tcp(worker: Rc<Worker>, downstream: Conn, facts: Facts) {
    relay_to_upstream(worker, downstream, facts, Tls::Ours, None).await;
}

/// Passes a connection through, TLS and all. `prelude` is what was read of it to decide where it goes.
pub async fn pass_through(worker: Rc<Worker>, downstream: Conn, facts: Facts, prelude: Vec<u8>) {
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(facts.slot) else { return };
    let _counted = service.stats.connection(worker.index);
    drop(snapshot);
    relay_to_upstream(worker, downstream, facts, Tls::Theirs, Some(prelude)).await;
}

/// Connects to an upstream and copies bytes, those of `prelude` first.
async fn relay_to_upstream(
    worker: Rc<Worker>,
    mut downstream: Conn,
    facts: Facts,
    tls: Tls,
    prelude: Option<Vec<u8>>,
) {
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(facts.slot) else { return };
    let deadline = worker.deadline().await;
    let counters = service.stats.of(worker.index);
    let mut relayed = Relayed::begin(&service.table.service);
    let connected = connect(&worker, service, counters, &deadline, tls, &mut relayed).await;
    // A connection outlives the generation that it was placed by.
    drop(snapshot);
    let ended = match connected {
        Ok(mut upstream) => {
            if let Some(prelude) = prelude {
                *upstream.conn.output() = prelude;
            }
            Ok(copy_both(&worker, &mut downstream, &mut upstream.conn, &deadline, relay::IDLE).await)
        }
        Err(refusal) => Err(refusal),
    };
    match &ended {
        Ok((_, Ok(()))) => {}
        Ok((_, Err(error))) => tracing::debug!(%error, "a tcp connection ended early"),
        Err(refusal) => tracing::debug!(flag = refusal.flag(), "{refusal}"),
    }
    relayed.end(&worker, &facts, &downstream.stream, &ended);
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
    relayed: &mut Relayed,
) -> Result<Upstream, Refusal> {
    let resolver = service.table.decide_connection(worker.draw()).resolver;
    let mut tried = Tried::default();
    let mut refusal = None;
    while let Some(pick) = resolver.pick(&tried, worker.draw(), worker.now()) {
        tried.push(pick.endpoint);
        relayed.tries(&pick);
        let attempt = Attempt::begin(worker, &pick);
        let pool = worker.pools.counters(pick.endpoint, &worker.shared.stats);
        let slot = match Slot::take(worker, pick.target) {
            Ok(slot) => slot,
            Err(limit) => {
                // Nobody waits for as long as a connection may take to end.
                let refusal = Refusal::Overflow { target: pick.target.id.to_string(), limit };
                counters.refused(&refusal);
                return Err(refusal);
            }
        };
        let dialed = match tls {
            Tls::Ours => dial(worker, pick.target, pick.endpoint, deadline).await,
            Tls::Theirs => dial_below_tls(worker, pick.target, pick.endpoint, deadline).await,
        };
        match dialed {
            Ok(stream) => {
                attempt.end(Outcome::Served);
                counters.failovers.add(u64::from(pick.rank > 0));
                let upstream = Upstream::new(Conn::new(stream, &worker.buffers), pool, slot);
                relayed.connected(&upstream);
                return Ok(upstream);
            }
            Err(error) => {
                tracing::debug!("{error}");
                relayed.failed(&error);
                refusal = Some(Refusal::ConnectFailed { cause: error.to_string() });
                attempt.end(error.outcome());
                counters.moved_on.add(1);
            }
        }
    }
    let refusal = refusal.unwrap_or_else(|| no_endpoint(resolver));
    counters.refused(&refusal);
    Err(refusal)
}

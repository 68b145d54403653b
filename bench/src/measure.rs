//! Rounds: what a request costs each pair while the load is steady.
//!
//! Pairs take turns, so that what the machine does to one it does to all. In a round the load begins first; once it has
//! settled (connections and handshakes are behind it), CPU clocks and the backend's count are read, and read again a
//! little before it ends. System calls are counted in a pass of their own, since tracing slows what it counts.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::backend;
use crate::calls::Trace;
use crate::error::BenchError;
use crate::group::Group;
use crate::load::{Load, Target, Tool, builtin};
use crate::peers::{PREFIXES, Pair};
use crate::table::{Row, Sample};

/// What is asked for below one of the prefixes.
const ASKED: &str = "items/42";

/// Unmeasured load for each connection before the first round: a pair needs a handshake for each, of a few
/// milliseconds a side.
const HANDSHAKE: Duration = Duration::from_millis(10);

/// How long the load takes to settle.
const SETTLE: Duration = Duration::from_secs(1);

/// How long before the load's end clocks are read: load generators take a while to start.
const MARGIN: Duration = Duration::from_millis(200);

/// How long one side's system calls are counted.
const TRACED: Duration = Duration::from_millis(700);

/// Load for that: both sides, attaching and settling.
const TRACED_LOAD: Duration = Duration::from_secs(4);

/// How long a pair may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// More failures than one in so many requests end the run.
const TOLERABLE: u64 = 1_000;

/// A run with everything started.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// How often each pair is measured.
    pub(crate) rounds: usize,
    /// For how long each time.
    pub(crate) time: Duration,
    /// Who asks.
    pub(crate) tool: Tool,
    /// Who is measured.
    pub(crate) pairs: &'a [Pair],
    /// Who answers.
    pub(crate) backend: &'a Group,
    /// Where.
    pub(crate) address: SocketAddr,
    /// For what tracing leaves behind.
    pub(crate) dir: &'a Path,
}

/// Clocks and count at one moment.
struct Reading {
    requests: u64,
    /// Client side, server side, backend.
    cpu: [Duration; 3],
}

/// Waits until a pair answers to each of the rules as the backend does.
pub(crate) async fn ready(pair: &Pair) -> Result<(), BenchError> {
    let begin = Instant::now();
    for prefix in PREFIXES {
        let target = Target::new(pair.entry, &format!("{prefix}{ASKED}"));
        loop {
            let found = match builtin::ask(&target).await {
                Ok((200, body)) if body.len() == backend::BODY => break,
                Ok((status, body)) => format!("status {status} with {} bytes to {target}", body.len()),
                Err(error) => format!("{error} at {target}"),
            };
            pair.client.check_runs()?;
            pair.server.check_runs()?;
            if begin.elapsed() > PATIENCE {
                let found = format!("{found}\n{}{}", pair.client.said(), pair.server.said());
                return Err(BenchError::NotReady { name: format!("the pair of {}", pair.peer), found });
            }
            sleep(LOOK).await;
        }
    }
    Ok(())
}

impl Run<'_> {
    /// Every pair at one number of connections.
    pub(crate) async fn rows(&self, connections: usize) -> Result<Vec<Row>, BenchError> {
        let mut rows = Vec::new();
        for pair in self.pairs {
            let handshakes = HANDSHAKE * u32::try_from(connections).unwrap_or(u32::MAX);
            Tool::Builtin.run(&load(pair, connections, handshakes)).await?;
            let (peer, rounds) = (pair.peer, Vec::new());
            rows.push(Row { connections, peer, rounds, calls: None, resident: [0; 2] });
        }
        for round in 0..self.rounds {
            eprintln!("{connections} connections, round {} of {}", round + 1, self.rounds);
            for at in 0..rows.len() {
                // Each goes first in turn.
                let index = (at + round) % rows.len();
                let sample = self.measure(&self.pairs[index], connections).await?;
                rows[index].rounds.push(sample);
            }
        }
        for (pair, row) in self.pairs.iter().zip(&mut rows) {
            row.resident = [pair.client.usage()?.resident, pair.server.usage()?.resident];
            row.calls = self.count_calls(pair, connections).await?;
        }
        Ok(rows)
    }

    async fn measure(&self, pair: &Pair, connections: usize) -> Result<Sample, BenchError> {
        let load = load(pair, connections, SETTLE + self.time);
        let steady = async {
            sleep(SETTLE).await;
            let before = self.reading(pair).await?;
            sleep(self.time.saturating_sub(MARGIN)).await;
            Ok((before, self.reading(pair).await?))
        };
        let (answered, (before, after)) = tokio::try_join!(self.tool.run(&load), steady)?;
        let requests = after.requests.saturating_sub(before.requests);
        if requests == 0 || answered.failed > answered.requests / TOLERABLE {
            return Err(BenchError::Failures { peer: pair.peer.to_string(), failed: answered.failed });
        }
        let cpu = std::array::from_fn(|at| after.cpu[at].saturating_sub(before.cpu[at]));
        Ok(Sample { cpu, requests, answered })
    }

    async fn reading(&self, pair: &Pair) -> Result<Reading, BenchError> {
        let requests = self.count().await?;
        let cpu = [pair.client.usage()?.cpu, pair.server.usage()?.cpu, self.backend.usage()?.cpu];
        Ok(Reading { requests, cpu })
    }

    /// How many requests have come through to the backend.
    async fn count(&self) -> Result<u64, BenchError> {
        let target = Target::new(self.address, backend::COUNT);
        let asked = builtin::ask(&target).await;
        let (_, body) = asked.map_err(|source| BenchError::io("ask the backend for its count", source))?;
        let said = String::from_utf8_lossy(&body);
        said.parse()
            .map_err(|_| BenchError::NotReady { name: "the backend".to_owned(), found: said.into_owned() })
    }

    /// System calls a request of client and server side; None where they cannot be traced.
    async fn count_calls(&self, pair: &Pair, connections: usize) -> Result<Option<[f64; 2]>, BenchError> {
        if !Trace::is_possible() {
            return Ok(None);
        }
        let load = load(pair, connections, TRACED_LOAD);
        let traced = async {
            sleep(SETTLE).await;
            let client = self.calls_of(&pair.client).await?;
            Ok(client.zip(self.calls_of(&pair.server).await?))
        };
        let (_, calls) = tokio::try_join!(self.tool.run(&load), traced)?;
        Ok(calls.map(|(client, server)| [client, server]))
    }

    /// System calls a request of one side, under the load that is on.
    async fn calls_of(&self, side: &Group) -> Result<Option<f64>, BenchError> {
        let Some(trace) = Trace::attach(side, self.dir).await else { return Ok(None) };
        let before = self.count().await?;
        sleep(TRACED).await;
        let requests = self.count().await?.saturating_sub(before);
        let calls = trace.finish().await;
        Ok(calls.filter(|_| requests > 0).map(|calls| calls as f64 / requests as f64))
    }
}

fn load(pair: &Pair, connections: usize, duration: Duration) -> Load {
    let target = Target::new(pair.entry, &format!("{}{ASKED}", PREFIXES[PREFIXES.len() - 1]));
    Load { target, connections, duration }
}

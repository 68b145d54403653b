//! Rounds: what a unit of work costs each proxy while the load is steady.
//!
//! Proxies take turns, so that what the machine does to one it does to all. In a round the load begins first; once it
//! has settled (connections and handshakes are behind it), CPU clocks and the backend's count are read, and read again
//! a little before it ends. System calls are counted in a pass of their own, since tracing slows what it counts.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::backend;
use crate::calls::Trace;
use crate::error::BenchError;
use crate::group::Group;
use crate::load::{How, Load, Target, Tool, builtin};
use crate::peers::Setup;
use crate::shape::Case;
use crate::stage::Stage;
use crate::table::{Row, Sample};

/// Unmeasured load for each connection before the first round: a pair needs a handshake for each, of a few
/// milliseconds a side.
const HANDSHAKE: Duration = Duration::from_millis(10);

/// How long the load takes to settle.
const SETTLE: Duration = Duration::from_secs(1);

/// How long before the load's end clocks are read: load generators take a while to start.
const MARGIN: Duration = Duration::from_millis(200);

/// How long one side's system calls are counted.
const TRACED: Duration = Duration::from_millis(700);

/// Load for that on each side: attaching and settling.
const TRACED_LOAD: Duration = Duration::from_secs(2);

/// More failures than one in so many requests end the run.
const TOLERABLE: u64 = 1_000;

/// How often and how long it is measured, and who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// How often each proxy is measured.
    pub(crate) rounds: usize,
    /// For how long each time.
    pub(crate) time: Duration,
    /// Who asks, if it can.
    pub(crate) tool: Tool,
}

/// Clocks and counts at one moment.
struct Reading {
    at: Instant,
    requests: u64,
    bytes: u64,
    /// CPU time of the sides, in order.
    sides: Vec<Duration>,
    backend: Duration,
}

/// One case on a stage.
pub(crate) struct Run<'a> {
    stage: &'a Stage,
    case: &'a Case,
    how: How,
    rounds: Rounds,
}

impl<'a> Run<'a> {
    pub(crate) fn new(stage: &'a Stage, case: &'a Case, rounds: Rounds) -> Result<Self, BenchError> {
        Ok(Self { stage, case, how: case.how(&stage.site)?, rounds })
    }

    /// What every proxy costs, when each of them answers as the backend does.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>, BenchError> {
        let Self { stage, case, .. } = self;
        let mut rows = Vec::new();
        for setup in &stage.setups {
            self.ready(setup).await?;
            let handshakes = HANDSHAKE * u32::try_from(case.connections).unwrap_or(u32::MAX);
            Tool::Builtin.run(&self.load(setup, handshakes)).await?;
            rows.push(Row::new(&case.label, setup.peer));
        }
        for round in 0..self.rounds.rounds {
            eprintln!("{}, round {} of {}", case.label, round + 1, self.rounds.rounds);
            for at in 0..rows.len() {
                // Each goes first in turn.
                let index = (at + round) % rows.len();
                let sample = self.measure(&stage.setups[index]).await?;
                rows[index].rounds.push(sample);
            }
        }
        for (setup, row) in stage.setups.iter().zip(&mut rows) {
            for side in &setup.sides {
                row.resident.push(side.usage()?.resident);
                row.calls.push(self.count_calls(setup, side).await?);
            }
        }
        Ok(rows)
    }

    /// Waits until a proxy answers to the first and the last of its rules as the backend does.
    async fn ready(&self, setup: &Setup) -> Result<(), BenchError> {
        let first = self.case.job.prefixes().swap_remove(0);
        for path in [first, self.case.path()] {
            let target = Target::new(self.case.address(setup), &path);
            self.stage.ready(setup, &target, &self.how, self.case.body).await?;
        }
        Ok(())
    }

    async fn measure(&self, setup: &Setup) -> Result<Sample, BenchError> {
        let load = self.load(setup, SETTLE + self.rounds.time);
        let steady = async {
            sleep(SETTLE).await;
            let before = self.reading(setup).await?;
            sleep(self.rounds.time.saturating_sub(MARGIN)).await;
            Ok((before, self.reading(setup).await?))
        };
        let (answered, (before, after)) = tokio::try_join!(self.rounds.tool.run(&load), steady)?;
        let amount = self.case.unit.of(after.requests - before.requests, after.bytes - before.bytes);
        if amount == 0.0 || answered.failed > answered.requests / TOLERABLE {
            return Err(BenchError::Failures { peer: setup.peer.to_string(), failed: answered.failed });
        }
        let sides =
            after.sides.iter().zip(&before.sides).map(|(after, before)| after.saturating_sub(*before));
        Ok(Sample {
            sides: sides.collect(),
            backend: after.backend.saturating_sub(before.backend),
            amount,
            elapsed: after.at - before.at,
            answered,
        })
    }

    async fn reading(&self, setup: &Setup) -> Result<Reading, BenchError> {
        let (requests, bytes) = self.count().await?;
        let sides = setup.sides.iter().map(|side| Ok(side.usage()?.cpu));
        let sides = sides.collect::<Result<_, BenchError>>()?;
        let backend = self.stage.backend.usage()?.cpu;
        Ok(Reading { at: Instant::now(), requests, bytes, sides, backend })
    }

    /// How many requests have come through to the backend, and how many bytes it has answered.
    async fn count(&self) -> Result<(u64, u64), BenchError> {
        let target = Target::new(self.stage.site.backend[0], backend::COUNT);
        let asked = builtin::ask(&target, &How::Plain).await;
        let (_, body) = asked.map_err(|source| BenchError::io("ask the backend for its count", source))?;
        let said = String::from_utf8_lossy(&body);
        let counts = said
            .split_once(' ')
            .and_then(|(requests, bytes)| Some((requests.parse().ok()?, bytes.parse().ok()?)));
        counts.ok_or_else(|| BenchError::NotReady {
            name: "the backend".to_owned(),
            found: said.clone().into_owned(),
        })
    }

    /// System calls a unit of one side; None where they cannot be traced.
    async fn count_calls(&self, setup: &Setup, side: &Group) -> Result<Option<f64>, BenchError> {
        if !Trace::is_possible() {
            return Ok(None);
        }
        let load = self.load(setup, TRACED_LOAD);
        let traced = async {
            sleep(SETTLE).await;
            let Some(trace) = Trace::attach(side, &self.stage.site.dir).await else { return Ok(None) };
            let before = self.count().await?;
            sleep(TRACED).await;
            let after = self.count().await?;
            let amount = self.case.unit.of(after.0 - before.0, after.1 - before.1);
            let calls = trace.finish().await;
            Ok(calls.filter(|_| amount > 0.0).map(|calls| calls as f64 / amount))
        };
        Ok(tokio::try_join!(self.rounds.tool.run(&load), traced)?.1)
    }

    fn load(&self, setup: &Setup, duration: Duration) -> Load {
        let target = Target::new(self.case.address(setup), &self.case.path());
        Load { target, how: self.how.clone(), connections: self.case.connections, duration }
    }
}

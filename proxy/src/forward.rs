//! A request's story: decide, pick, attempt, and go on to the next endpoint until somebody answers.
//!
//! [`forward`] is the same for every protocol: an [`Exchange`] knows how a request is sent and an answer passed on.
//! Nothing here names a configuration source, and nothing is looked up by name.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use spillway_core::Draw;
use spillway_core::breaker::Overflow;
use spillway_core::endpoint::Endpoint;
use spillway_core::outlier::Outcome;
use spillway_core::pick::{Pick, Resolver, Target, Tried};
use spillway_core::table::{Caller, Decision, Request, RequestHead};

use crate::access_log::{Ended, Record, Story};
use crate::deadline::Deadline;
use crate::dial::DialError;
use crate::generation::{Service, Snapshot};
use crate::http1::Reason;
use crate::malformed::Sender;
use crate::refusal::Refusal;
use crate::retry::Retries;
use crate::stats::ServiceCounters;
use crate::worker::Worker;

/// One request and its answer, in whatever protocol it came.
#[expect(async_fn_in_trait, reason = "an exchange stays on its worker: its futures need not be Send")]
pub trait Exchange {
    /// What routing sees of the request.
    fn head(&self) -> RequestHead<'_>;

    /// Who sent it.
    fn caller(&self) -> Caller<'_>;

    /// Whether the whole request can be sent once more.
    fn replayable(&self) -> bool;

    /// Whether it can be sent once more, and no hop before us does that.
    fn may_retry(&self) -> bool;

    /// Whether sending it twice does what sending it once does (RFC 9110 section 9.2.2).
    fn idempotent(&self) -> bool;

    /// Sends the request to one endpoint and waits for the head of an answer, until the request's time is up.
    async fn attempt(
        &mut self,
        pick: &Pick<'_>,
        decision: &Decision<'_>,
        timeout: Option<Duration>,
    ) -> Result<Answer, Failure>;

    /// Waits before a retry. What is sent and answered from then on is marked as retried.
    async fn back_off(&mut self, wait: Duration);

    /// Passes the answer of the last attempt on; `grpc-status` of its trailers, when it had one. An error means
    /// that the downstream did not get all of it.
    async fn respond(&mut self, pick: &Pick<'_>, decision: &Decision<'_>) -> Result<Option<u8>, Failure>;

    /// Answers ourselves.
    async fn refuse(&mut self, refusal: &Refusal);

    /// A header of the answer whose head is at hand.
    fn answer_header(&self, name: &str) -> Option<&[u8]>;

    /// Our end of the connection that the answer comes on.
    fn upstream_local(&self) -> Option<SocketAddr>;

    /// Says that the answer's trailers will be asked for.
    fn keep_trailers(&mut self);

    /// A trailer of the answer that was passed on.
    fn trailer(&self, name: &str) -> Option<&[u8]>;

    /// Tells the access log what it knows of the request.
    fn tell<'e>(&'e self, record: &mut Record<'e>);
}

/// The head of an upstream's answer, as far as the next step depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `grpc-status`, when the answer's head has one.
    pub grpc_status: Option<u8>,
    /// The upstream's sidecar or gateway says that no application saw the request.
    pub unprocessed: bool,
    /// A hop behind us has retried it in vain.
    pub retried: bool,
    /// Whether the call failed stands behind the answer, in its trailers: gRPC.
    pub verdict_follows: bool,
}

impl Answer {
    /// What it says about the endpoint, with what its trailers said when it was passed on.
    fn outcome_with(self, trailing: Option<u8>) -> Outcome {
        outcome(Self { grpc_status: trailing.or(self.grpc_status), ..self })
    }
}

/// Why an attempt gave no answer, or an answer did not reach the downstream whole.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There was no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The upstream's sidecar or gateway answered that it could not pass the request on.
    #[error("{target} could not pass the request on: {status}")]
    Unprocessed {
        /// Who said so.
        target: String,
        /// With which status.
        status: u16,
    },
    /// The upstream refused the stream, or left it behind with a GOAWAY: it was not processed.
    #[error("{target} refused the stream")]
    RefusedStream {
        /// Who.
        target: String,
    },
    /// The connection ended before an answer, or in the middle of one.
    #[error("{target} closed the connection")]
    Closed {
        /// Whose.
        target: String,
    },
    /// The answer breaks HTTP.
    #[error("malformed answer from {target}: {}", .reason.as_str())]
    Answer {
        /// Whose.
        target: String,
        /// What is wrong with it.
        reason: Reason,
    },
    /// A limit of the target is reached.
    #[error("limit reached: {limit} of {target}")]
    Overflow {
        /// Whose.
        target: String,
        /// Which.
        limit: Overflow,
    },
    /// The request's time was up before there was room for another connection.
    #[error("no connection to {target} was free in time")]
    NoRoom {
        /// To whom.
        target: String,
    },
    /// The request's time is up.
    #[error("no answer from {target} in time")]
    TimedOut {
        /// Whose.
        target: String,
    },
    /// The request's body breaks HTTP.
    #[error("malformed request: {}", .reason.as_str())]
    Request {
        /// What is wrong with it.
        reason: Reason,
    },
    /// The process drains, and the time for that is over.
    #[error("this process is about to stop, without an answer from {target}")]
    Draining {
        /// Whose.
        target: String,
    },
    /// The downstream left.
    #[error("the downstream left")]
    Abandoned,
    /// The downstream stays, and takes nothing of its answer for as long as its route allows.
    #[error("the downstream does not take its answer")]
    Unread,
}

impl Failure {
    /// Whether the request certainly reached no application.
    fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::Dial(_) | Self::Unprocessed { .. } | Self::RefusedStream { .. })
    }

    /// What it says about the endpoint.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Dial(error) => error.outcome(),
            Self::Unprocessed { .. } => Outcome::ConnectFailed,
            Self::Closed { .. } => Outcome::Reset,
            Self::Answer { .. } => Outcome::ServerError,
            Self::TimedOut { .. } => Outcome::TimedOut,
            // Who refuses a stream is there, and says nothing of how it would have served it.
            Self::RefusedStream { .. }
            | Self::Overflow { .. }
            | Self::NoRoom { .. }
            | Self::Request { .. }
            | Self::Draining { .. }
            | Self::Abandoned
            | Self::Unread => Outcome::Abandoned,
        }
    }

    /// The answer that the downstream gets when there is no other; None when it is gone.
    fn refusal(&self) -> Option<Refusal> {
        Some(match self {
            Self::Dial(_) | Self::Unprocessed { .. } | Self::RefusedStream { .. } => {
                Refusal::ConnectFailed { cause: self.to_string() }
            }
            Self::Closed { target } => Refusal::UpstreamClosed { target: target.clone() },
            Self::Answer { target, reason } => {
                Refusal::UpstreamMalformed { target: target.clone(), reason: *reason }
            }
            Self::Overflow { target, limit } => Refusal::Overflow { target: target.clone(), limit: *limit },
            Self::NoRoom { target } | Self::TimedOut { target } => {
                Refusal::Timeout { target: target.clone() }
            }
            Self::Request { reason } => Refusal::Malformed { reason: *reason },
            Self::Draining { target } => Refusal::Draining { target: Some(target.clone()) },
            Self::Abandoned | Self::Unread => return None,
        })
    }
}

/// Why an upstream that has the request may not be waited for any longer, if so.
pub(crate) fn overdue(
    worker: &Worker,
    deadline: &Deadline,
    target: &dyn std::fmt::Display,
) -> Option<Failure> {
    if worker.drain_is_over() {
        return Some(Failure::Draining { target: target.to_string() });
    }
    deadline.expired(worker.now()).then(|| Failure::TimedOut { target: target.to_string() })
}

/// Serves one request of `service`: from the decision to the end of the answer.
///
/// Failing to connect sends nothing, so going on to the next endpoint or failover target is always safe. After
/// something was sent, only the route's retry policy permits another attempt.
pub async fn forward<E: Exchange>(worker: &Rc<Worker>, service: &Service, exchange: &mut E) {
    let counters = service.stats.of(worker.index);
    let request = InFlight::begin(counters);
    let draw = worker.draw();
    let mut decision = service.table.decide_for(&asked(exchange, draw));
    let timeout = decision.route.request_timeout;
    let mut retries = Retries::new(&decision.route.retry, exchange.idempotent());
    let mut tried = Tried::default();
    let mut last: Option<Failure> = None;
    let mut detours = 0;
    let mut story = Story::begin(service.log.as_ref(), request.begun);

    let refusal = loop {
        if worker.drain_is_over() {
            break Refusal::Draining { target: None };
        }
        if tried.is_empty()
            && let Some(refusal) = over_rate(worker, service, &exchange.head(), request.begun)
        {
            break refusal;
        }
        let hash = decision.endpoint_hash;
        let Some(pick) = decision.resolver.pick_for(hash, &tried, worker.draw(), worker.now()) else {
            detours += 1;
            if let Some(other) = other_leg(worker, service, &decision, &asked(exchange, draw), &tried)
                && detours <= MAX_DETOURS
            {
                decision = other;
                continue;
            }
            break last.as_ref().and_then(Failure::refusal).unwrap_or_else(|| no_endpoint(decision.resolver));
        };
        tried.push(pick.endpoint);
        story.tries(&pick);
        let mut attempt = Attempt::begin(worker, &pick);
        match exchange.attempt(&pick, &decision, timeout).await {
            // A body of which some is gone cannot begin anew elsewhere: then the answer stands.
            Ok(answer) if answer.unprocessed && exchange.replayable() => {
                attempt.end(Outcome::ConnectFailed);
                counters.moved_on.add(1);
                last =
                    Some(Failure::Unprocessed { target: pick.target.id.to_string(), status: answer.status });
            }
            Ok(answer)
                if retries.wants_after_answer(answer)
                    && exchange.may_retry()
                    && decision.resolver.has_another(&tried, worker.now())
                    && let Some(wait) = retries.take(pick.target, worker) =>
            {
                attempt.end(outcome(answer));
                counters.retries.add(1);
                last = Some(Failure::Closed { target: pick.target.id.to_string() });
                exchange.back_off(wait).await;
            }
            Ok(answer) => {
                if !answer.verdict_follows {
                    attempt.record(outcome(answer));
                }
                counters.failovers.add(u64::from(pick.rank > 0));
                counters.answered(answer.status);
                story.answered(worker, exchange);
                let passed_on = exchange.respond(&pick, &decision).await;
                attempt.passed_on(answer, &passed_on);
                // What went elsewhere before took the time of others, too, and a tunnel that of its users.
                if let Some(took) = request.done(passed_on.is_ok())
                    && tried.len() == 1
                    && answer.status != 101
                {
                    let trailing = passed_on.as_ref().ok().copied().flatten();
                    let failed = answer.outcome_with(trailing) != Outcome::Served;
                    pick.target.answered(pick.endpoint, took, failed, worker.now());
                }
                let ended = Ended::Answered(answer, &passed_on);
                return story.end(worker, exchange, Some((service, &decision)), &ended);
            }
            Err(failure) => {
                attempt.fail(&failure);
                story.failed(&failure);
                let Some(refusal) = failure.refusal() else {
                    counters.answered(0);
                    return story.end(worker, exchange, Some((service, &decision)), &Ended::Left);
                };
                if failure.nothing_was_sent() && exchange.replayable() {
                    counters.moved_on.add(1);
                } else if retries.wants_after_failure(&failure)
                    && exchange.may_retry()
                    && let Some(wait) = retries.take(pick.target, worker)
                {
                    counters.retries.add(1);
                    exchange.back_off(wait).await;
                } else {
                    break refusal;
                }
                last = Some(failure);
            }
        }
    };
    refuse(worker, counters, exchange, &refusal).await;
    story.end(worker, exchange, Some((service, &decision)), &Ended::Refused(&refusal));
}

/// Answers a request that no service takes any more: its listener is gone from the configuration.
pub async fn forward_nowhere<E: Exchange>(worker: &Rc<Worker>, snapshot: &Snapshot, exchange: &mut E) {
    let story = Story::begin(snapshot.log(), Instant::now());
    // Relaxed: a count stands for itself.
    worker.shared.stats.unrouted.fetch_add(1, Ordering::Relaxed);
    exchange.refuse(&Refusal::NoRoute).await;
    story.end(worker, exchange, None, &Ended::Refused(&Refusal::NoRoute));
}

/// What the table is asked.
fn asked<E: Exchange>(exchange: &E, draw: Draw) -> Request<'_> {
    Request { head: exchange.head(), caller: exchange.caller(), draw: Some(draw) }
}

/// The refusal of a request that comes too soon after others.
fn over_rate(worker: &Worker, service: &Service, head: &RequestHead<'_>, begun: Instant) -> Option<Refusal> {
    let admitted = service.intake.rates.as_ref()?.admit(head, worker.shared.age(begun));
    let service = &service.table.service;
    admitted.err().map(|per_second| Refusal::RateLimited { service: service.to_string(), per_second })
}

/// Legs that a request may be sent on to: one found empty has nothing more to offer, so only legs that lose their last
/// endpoint at this very moment need more than one.
const MAX_DETOURS: usize = 8;

/// What takes the place of a splitter's leg that has no endpoint left, if anything does. Counted either way.
fn other_leg<'t>(
    worker: &Worker,
    service: &'t Service,
    decision: &Decision<'t>,
    request: &Request<'_>,
    tried: &Tried,
) -> Option<Decision<'t>> {
    decision.leg_index?;
    service.stats.empty_leg(decision.resolver.name());
    service.table.instead(decision, request, tried, worker.now())
}

async fn refuse<E: Exchange>(
    worker: &Worker,
    counters: &ServiceCounters,
    exchange: &mut E,
    refusal: &Refusal,
) {
    if let Refusal::Malformed { reason } = refusal {
        worker.shared.stats.malformed.note(Sender::Downstream(exchange.caller()), *reason, worker.now());
    }
    counters.refused(refusal);
    counters.answered(refusal.status());
    tracing::debug!(flag = refusal.flag(), "{refusal}");
    exchange.refuse(refusal).await;
}

/// That none of the resolver's targets has an endpoint to offer.
pub(crate) fn no_endpoint(resolver: &Resolver) -> Refusal {
    let describe = |target: &Arc<Target>| match &target.absent {
        Some(why) => format!("{} ({why})", target.id),
        None => target.id.to_string(),
    };
    Refusal::NoEndpoint { target: resolver.targets.iter().map(describe).collect::<Vec<_>>().join(", ") }
}

fn outcome(answer: Answer) -> Outcome {
    let failed_call = |status: u8| matches!(status, 4 | 8 | 13 | 14);
    if answer.status >= 500 || answer.grpc_status.is_some_and(failed_call) {
        Outcome::ServerError
    } else {
        Outcome::Served
    }
}

/// Counts a request for as long as it is in flight, and its latency when it was served.
struct InFlight<'a> {
    counters: &'a ServiceCounters,
    begun: Instant,
}

impl<'a> InFlight<'a> {
    fn begin(counters: &'a ServiceCounters) -> Self {
        counters.requests.add(1);
        counters.requests_active.add(1);
        Self { counters, begun: Instant::now() }
    }

    /// How long it took, unless it was not served.
    fn done(self, served: bool) -> Option<Duration> {
        let took = served.then(|| self.begun.elapsed())?;
        self.counters.latency.record(took);
        Some(took)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counters.requests_active.sub(1);
    }
}

/// One attempt at an endpoint: in flight until it ends, and its outcome recorded exactly once. Dropped without an
/// outcome, as when the connection's task ends, it counts as abandoned.
pub(crate) struct Attempt<'a> {
    worker: &'a Worker,
    target: &'a Target,
    endpoint: &'a Arc<Endpoint>,
    outcome: Outcome,
    /// An outcome has been recorded, and none is outstanding.
    recorded: bool,
}

impl<'a> Attempt<'a> {
    pub(crate) fn begin(worker: &'a Worker, pick: &Pick<'a>) -> Self {
        pick.endpoint.begin();
        let (target, endpoint) = (pick.target, pick.endpoint);
        Self { worker, target, endpoint, outcome: Outcome::Abandoned, recorded: false }
    }

    /// Records what is known of the endpoint so far; the attempt goes on.
    fn record(&mut self, outcome: Outcome) {
        self.recorded = true;
        let Worker { pools, shared, .. } = self.worker;
        pools.with_counters(self.endpoint, &shared.stats, |counters| counters.ended(outcome));
        if let Some(change) = self.target.record(self.endpoint, outcome, self.worker.now()) {
            let (target, endpoint) = (&self.target.id, &self.endpoint.address);
            tracing::info!(%target, %endpoint, ?change, "outlier ejection");
        }
    }

    /// Ends it by what became of its answer: as its verdict says where that stood behind it, else as it was recorded.
    fn passed_on(self, answer: Answer, passed_on: &Result<Option<u8>, Failure>) {
        match passed_on {
            Ok(trailing) if answer.verdict_follows => self.end(answer.outcome_with(*trailing)),
            Ok(_) => self.end(Outcome::Abandoned),
            Err(failure) => self.fail(failure),
        }
    }

    /// Ends it by a failure. An answer that breaks HTTP is seen here, whatever becomes of the request.
    fn fail(self, failure: &Failure) {
        if let Failure::Answer { reason, .. } = failure {
            let Worker { shared, .. } = self.worker;
            shared.stats.malformed.note(Sender::Upstream(&self.target.id), *reason, self.worker.now());
        }
        self.end(failure.outcome());
    }

    /// Ends it. `Abandoned` adds nothing to what was recorded.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.endpoint.end();
        if !self.recorded || self.outcome != Outcome::Abandoned {
            self.record(self.outcome);
        }
    }
}

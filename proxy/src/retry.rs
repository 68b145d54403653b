//! What is left of a request's retries: its route's policy, its target's budget, and whose turn it is to retry.
//!
//! What failed without saying how far it got may have done its work: only an idempotent request is sent again then,
//! whatever the policy. An answer that the policy names one by one (a status code, 409, a gRPC status) is the
//! operator's word that nothing was done.
//!
//! Retries multiply along a path where every hop retries, so only one hop does: a sidecar marks what it sends once more,
//! and a gateway does not retry what is marked; a gateway marks the answer of a request that it retried, and the sidecar
//! does not retry that. Kept out: going on after nothing was sent, which is no retry ([`crate::forward`]).

use std::time::Duration;

use spillway_core::breaker::Permit;
use spillway_core::pick::Target;
use spillway_core::table::RetryPolicy;

use crate::forward::{Answer, Failure};
use crate::worker::Worker;

/// The header by which one Spillway tells another that a request has been sent before. Believed only of those who
/// proved their identity, and never passed on to an application.
pub(crate) const RETRIED: &str = "x-spillway-retried";

/// The lines that say so.
pub(crate) fn mark(retried: bool) -> &'static [(&'static str, &'static str)] {
    if retried { &[(RETRIED, "true")] } else { &[] }
}

/// Envoy's backoff: a random wait below 25 ms times 2^n - 1, at most 250 ms.
const BACKOFF_BASE: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// What is left of a request's retries.
pub(crate) struct Retries<'a> {
    policy: &'a RetryPolicy,
    idempotent: bool,
    left: u32,
    made: u32,
    /// Holds the place of the retry under way in its target's budget.
    permit: Option<Permit>,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(policy: &'a RetryPolicy, idempotent: bool) -> Self {
        Self { policy, idempotent, left: policy.retries, made: 0, permit: None }
    }

    /// Whether the policy wants another answer instead of this one.
    pub(crate) fn wants_after_answer(&self, answer: Answer) -> bool {
        let failed = self.policy.on_5xx && answer.status >= 500
            || self.policy.on_gateway_error && matches!(answer.status, 502..=504);
        self.left > 0
            && !answer.retried
            && (failed && self.idempotent
                || self.policy.on_retriable_4xx && answer.status == 409
                || self.policy.on_status_codes.contains(&answer.status)
                || answer.grpc_status.is_some_and(|status| self.policy.on_grpc.contains(&status)))
    }

    /// Whether the policy wants an answer after this.
    pub(crate) fn wants_after_failure(&self, failure: &Failure) -> bool {
        self.left > 0
            && self.idempotent
            && match failure {
                Failure::Closed { .. } => self.policy.on_reset || self.policy.on_5xx,
                Failure::Answer { .. } => self.policy.on_5xx || self.policy.on_gateway_error,
                _ => false,
            }
    }

    /// Takes one retry out of the policy and out of the budget of the target that failed; how long to wait before it.
    /// None, counted, when the budget is spent.
    pub(crate) fn take(&mut self, target: &Target, worker: &Worker) -> Option<Duration> {
        // The place of a retry that has failed is free again.
        self.permit = None;
        self.permit = Some(target.breaker.retry()?);
        self.left = self.left.saturating_sub(1);
        self.made += 1;
        let longest = BACKOFF_BASE.saturating_mul((1 << self.made.min(10)) - 1).min(BACKOFF_MAX);
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(worker.draw().0 % micros.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_the_hop_behind_has_retried_is_final() {
        let policy = RetryPolicy { retries: 1, on_5xx: true, ..RetryPolicy::default() };
        let retries = Retries::new(&policy, true);
        let answer = |retried| Answer {
            status: 503,
            grpc_status: None,
            unprocessed: false,
            retried,
            verdict_follows: false,
        };
        assert!(retries.wants_after_answer(answer(false)));
        assert!(!retries.wants_after_answer(answer(true)));
    }
}

//! From a resolver to an endpoint: the first target in failover order that has one to offer.
//!
//! Once per attempt, on the hot path: no lock, no allocation, and as a rule two endpoints looked at, however many
//! a target has. An endpoint that has just returned yields to others, in its target and behind it in failover order, so
//! that a target that was left gets its traffic back as its endpoints do. Kept out: how an endpoint is reached (the shell dials what a [`Pick`] says) and whether a
//! request may be tried again (its route says).

mod balance;

use std::sync::Arc;
use std::time::Duration;

use balance::Returning;
pub use balance::{Balance, Seeds, Weights};
pub(crate) use balance::{hash, mix};

use crate::breaker::Breaker;
use crate::endpoint::{Change, Endpoint};
use crate::entry::Protocol;
use crate::name::{Sni, SpiffeId, TargetId};
use crate::outlier::{Availability, Outcome, OutlierPolicy};
use crate::{Draw, Tick};

/// A resolver node as requests read it: a target, and those that take over from it in order.
#[derive(Debug)]
pub struct Resolver {
    /// The primary target first, then the failover targets.
    pub targets: Box<[Arc<Target>]>,
    /// In force only where the chain starts at this resolver.
    pub request_timeout: Option<Duration>,
}

/// How a target's endpoints are reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Via {
    /// The instances' sidecars (or, for a local application, the application).
    Direct,
    /// Our own cluster's gateways.
    LocalGateway,
    /// The other cluster's gateways.
    RemoteGateway,
}

/// What a chain resolves to, with its endpoints.
#[derive(Debug)]
pub struct Target {
    /// Consul's id.
    pub id: TargetId,
    /// The name of its cluster in the admin API and metrics, as Consul names it for Envoy.
    pub cluster: Arc<str>,
    /// How its endpoints are reached.
    pub via: Via,
    /// None is plaintext: a local application.
    pub tls: Option<TargetTls>,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// TCP and TLS together.
    pub connect_timeout: Duration,
    /// When to eject.
    pub outlier: OutlierPolicy,
    /// How much at once.
    pub breaker: Breaker,
    /// In the order of registration.
    pub endpoints: Box<[Arc<Endpoint>]>,
    /// What share of the requests each endpoint gets.
    pub weights: Weights,
    /// How it is chosen.
    pub balance: Balance,
    /// Why there are no endpoints, in words, when that is an error of configuration (local mode without a
    /// local gateway, a peer that is not there).
    pub absent: Option<String>,
}

/// Who a target must prove to be.
#[derive(Debug)]
pub struct TargetTls {
    /// What to ask for.
    pub sni: Sni,
    /// One of these, by a certificate that its trust domain's bundle vouches for.
    pub identities: Arc<[SpiffeId]>,
}

/// The endpoints that a request has tried: none is tried twice. Holds a bounded number without allocating.
#[derive(Debug, Default)]
pub struct Tried {
    uids: [u64; Self::LIMIT],
    len: usize,
}

impl Tried {
    /// How many attempts a request may make in all, connection attempts included.
    pub const LIMIT: usize = 16;

    /// Notes that `endpoint` is being tried. Once [`Self::LIMIT`] are noted there is nothing left to pick, so
    /// there is nothing more to note.
    pub fn push(&mut self, endpoint: &Endpoint) {
        if let Some(free) = self.uids.get_mut(self.len) {
            *free = endpoint.uid;
            self.len += 1;
        }
    }

    /// Whether it has been tried.
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        self.uids[..self.len].contains(&endpoint.uid)
    }

    /// How many have been tried.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether this is the first attempt.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the request has made all the attempts that it may make.
    pub fn is_full(&self) -> bool {
        self.len == Self::LIMIT
    }
}

/// The endpoint picked for an attempt.
#[derive(Debug)]
pub struct Pick<'a> {
    /// Whose it is.
    pub target: &'a Arc<Target>,
    /// 0 for the primary target, then the failover targets.
    pub rank: usize,
    /// What to dial.
    pub endpoint: &'a Arc<Endpoint>,
}

impl Resolver {
    /// An endpoint of the first target that has one available and untried, chosen as its `balance` says.
    ///
    /// An ejected endpoint whose time is over is handed to one request as its probe: the outcome must be recorded,
    /// `Abandoned` included. None when every target is out of endpoints, or `tried` is full.
    pub fn pick(&self, tried: &Tried, draw: Draw, now: Tick) -> Option<Pick<'_>> {
        self.pick_for(None, tried, draw, now)
    }

    /// [`Self::pick`] for a request with this hash (see [`crate::table::HashPolicies`]): equal hashes go to the same
    /// endpoint as long as it is available, in targets that balance by hash. Others take no notice.
    pub fn pick_for(&self, hash: Option<u64>, tried: &Tried, draw: Draw, now: Tick) -> Option<Pick<'_>> {
        if tried.is_full() {
            return None;
        }
        let first = |returning| {
            let mut targets = self.targets.iter().enumerate();
            targets.find_map(|(rank, target)| {
                let endpoint = target.pick(hash, tried, draw, now, returning)?;
                Some(Pick { target, rank, endpoint })
            })
        };
        first(Returning::Yield).or_else(|| first(Returning::Serve))
    }

    /// What it is called in metrics: its primary target's id.
    pub fn name(&self) -> String {
        self.targets.first().map_or_else(|| "nowhere".to_owned(), |target| target.id.to_string())
    }

    /// Whether [`Self::pick`] would find an endpoint: asked before an answer is thrown away for another attempt.
    pub fn has_another(&self, tried: &Tried, now: Tick) -> bool {
        let offers = |endpoint: &Arc<Endpoint>| {
            !tried.contains(endpoint) && endpoint.available(now) != Availability::No
        };
        !tried.is_full() && self.targets.iter().any(|target| target.endpoints.iter().any(offers))
    }

    /// The rank of the target that serves at `now`: the first with an available endpoint, else the first with one that
    /// is held down, else the first that may be probed.
    pub fn in_force(&self, now: Tick) -> Option<usize> {
        let first = |wanted: Availability| {
            let offers = |target: &Arc<Target>| target.endpoints.iter().any(|e| e.available(now) == wanted);
            self.targets.iter().position(offers)
        };
        let order = [Availability::Yes, Availability::Held, Availability::MayProbe];
        order.into_iter().find_map(first)
    }
}

impl Target {
    /// Records how an attempt at one of this target's endpoints ended. Concurrent failures trip it exactly once.
    ///
    /// 5xx answers eject only as far as `max_ejection_percent` of this target allows, counted as Envoy counts: at
    /// the default of 10 % a target of fewer than ten endpoints loses none. Connection failures always eject.
    pub fn record(&self, endpoint: &Endpoint, outcome: Outcome, now: Tick) -> Option<Change> {
        if outcome.is_server_error() && !self.may_eject_for_5xx(endpoint, outcome, now) {
            endpoint.record(outcome, now, &self.outlier.sparing_server_errors())
        } else {
            endpoint.record(outcome, now, &self.outlier)
        }
    }

    /// Records how long `endpoint` took to answer a request that went nowhere else before, where that matters.
    pub fn answered(&self, endpoint: &Endpoint, took: Duration, failed: bool, now: Tick) {
        if matches!(self.balance, Balance::PeakEwma) {
            endpoint.answered(took, failed, now);
        }
    }

    /// Whether a 5xx answer of `endpoint` may eject it. Only the answer that would is worth counting the others
    /// for; two endpoints that trip at the same moment may both be let go, one over the limit.
    fn may_eject_for_5xx(&self, endpoint: &Endpoint, outcome: Outcome, now: Tick) -> bool {
        let before = endpoint.outlier();
        let after = before.after(outcome, now, &self.outlier);
        if after.ejections == before.ejections && after.is_out() == before.is_out() {
            return true;
        }
        let others_out =
            self.endpoints.iter().filter(|e| e.uid != endpoint.uid && e.outlier().is_out()).count();
        let limit = self.endpoints.len() as u64 * u64::from(self.outlier.max_ejection_percent.min(100));
        // `enforcing_consecutive_5xx` is a chance; endpoint and time serve as its dice.
        let chance = mix(endpoint.uid << 32 ^ u64::from(now.0)) % 100;
        (others_out as u64 + 1) * 100 <= limit && chance < u64::from(self.outlier.enforcing_consecutive_5xx)
    }
}

#[cfg(test)]
mod tests;

//! Why a request goes where it goes: the table's own decision, with every candidate and the reason it lost.
//!
//! Nothing is decided here. Route, leg and target come from [`ServiceTable::peek_for`], what a route lacks from its
//! matcher, who is left out from the rule that builds targets, and values from the settings that the data plane takes
//! the first of. Speed does not matter, and nothing is counted or claimed: explaining leaves no trace.
//! Kept out: how a head is written anew ([`Incoming::depart`] asks the shell) and where files are.

mod effective;
mod legs;
mod redirects;
mod report;
mod routes;
mod targets;
mod text;

use std::time::Duration;

pub use effective::Locate;
use effective::{effective, of_group, overruled, time};
pub use report::{
    Departure, Effective, EndpointOffered, Explanation, Hash, Header, InstanceLeftOut, Lack, LegShare, Named,
    Origin, Outcome, Overridden, Redirected, Request, Retries, RouteMissed, RouteTaken, SplitPassed,
    TargetTried,
};
use serde_json::Value;
pub use text::draw;

use crate::breaker::DEFAULT_THRESHOLD;
use crate::catalog::Catalog;
use crate::chain::{Chain, UpstreamSettings};
use crate::entry::settings::{self, Source};
use crate::entry::{EntrySet, Limits, PassiveHealthCheck, Protocol};
use crate::name::{Datacenter, Locus, PeerName, ServiceName, TargetId};
use crate::outlier::OutlierPolicy;
use crate::pick::Target;
use crate::table::{self, Caller, Decision, RequestHead, ServiceTable};
use crate::{Draw, Tick};

/// What is to be explained, and with what.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What the table was built from. None for an upstream with `destination_peer`.
    pub chain: Option<&'a Chain>,
    /// What decides.
    pub table: &'a ServiceTable,
    /// The entries that the chain was compiled from.
    pub entries: &'a EntrySet,
    /// The instances that the table was built from.
    pub catalog: &'a Catalog,
    /// Where the chain was compiled, or the asker is.
    pub datacenter: &'a Datacenter,
    /// The peer of an upstream with `destination_peer`.
    pub peer: Option<&'a PeerName>,
    /// Whose upstream it is; None for what the entries say to everybody.
    pub upstream: Option<UpstreamSettings<'a>>,
    /// Of the table's protocol: a request, or None for a connection.
    pub request: Option<Incoming<'a>>,
    /// As the endpoints' health goes by.
    pub now: Tick,
    /// Where a field of an entry stands.
    pub locate: &'a Locate<'a>,
}

/// A request, and what the shell makes of it.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// As routing sees it.
    pub head: RequestHead<'a>,
    /// As it is to be shown.
    pub shown: &'a Request,
    /// Whether sending it twice does what sending it once does (RFC 9110 section 9.2.2).
    pub idempotent: bool,
    /// Who asks, for what sticks to that.
    pub caller: Caller<'a>,
    /// The request as it leaves for a target by a decision.
    pub depart: &'a dyn Fn(&Decision<'_>, &Target) -> Departure,
}

impl<'a> Incoming<'a> {
    /// As the table decides on it; no cookie is made for who only asks.
    fn as_request(&self) -> table::Request<'a> {
        table::Request { head: self.head, caller: self.caller, draw: None }
    }
}

/// What happens to the request.
pub fn explain(question: &Question<'_>) -> Explanation {
    let Question { chain, table, upstream, .. } = *question;
    let decisions = question.decisions();
    let mut warnings = Vec::new();
    let outcomes = decisions.iter().map(|decision| question.outcome(decision, &mut warnings)).collect();
    let mut explanation = Explanation {
        service: table.service.to_string(),
        peer: question.peer.map(ToString::to_string),
        datacenter: question.datacenter.to_string(),
        caller: upstream.map(|it| it.sidecar().id.clone()),
        protocol: question.protocol(),
        request: question.request.map(|it| it.shown.clone()),
        route: question.route(decisions.first()),
        split: question.split(decisions.first()),
        outcomes,
        settings: question.settings(),
        warnings: Vec::new(),
    };
    question.warn(&explanation, chain, &mut warnings);
    // Several legs may have the same to say.
    for warning in warnings {
        if !explanation.warnings.contains(&warning) {
            explanation.warnings.push(warning);
        }
    }
    explanation
}

impl<'a> Question<'a> {
    /// What the table decides: one decision for each leg that gets requests, or the only one.
    fn decisions(&self) -> Vec<Decision<'a>> {
        let table = self.table;
        let Some(incoming) = &self.request else {
            return vec![table.decide_connection(Draw(0))];
        };
        let request = incoming.as_request();
        let first = table.peek_for(&request, 0);
        let Some(split) = table.split(first.route_index).filter(|_| !first.sticky) else {
            let others = self.instead(&first);
            return std::iter::once(first).chain(others).collect();
        };
        let mut up_to = 0;
        let mut decisions = Vec::new();
        for leg in split.legs().iter().filter(|leg| leg.points > 0) {
            decisions.push(table.peek_for(&request, up_to));
            up_to += leg.points;
        }
        decisions
    }

    /// Where the requests of a leg without an endpoint go, one decision for each leg that gets some.
    fn instead(&self, decision: &Decision<'a>) -> Vec<Decision<'a>> {
        let Some(incoming) = &self.request else { return Vec::new() };
        if decision.resolver.in_force(self.now).is_some() {
            return Vec::new();
        }
        self.table.peek_instead(decision, &incoming.as_request(), self.now)
    }

    fn protocol(&self) -> Effective {
        let show = |protocol: Protocol| Value::from(protocol.as_str());
        let speaking = self.chain.map(|chain| {
            // A service that is redirected, or split without being resolved, may say nothing: then those that it leads
            // to do, and they agree.
            let agrees = |service: &&ServiceName| self.entries.protocol(service) == chain.protocol;
            let here = chain.targets.keys().filter(|it| it.peer().is_none()).map(|it| &it.service);
            std::iter::once(&chain.service).chain(here).find(agrees).unwrap_or(&chain.service)
        });
        let of_caller = self.upstream.into_iter().flat_map(|it| it.protocols());
        let of_caller = of_caller.filter(|it| !matches!(it.source, Source::Defaults(_) | Source::Global(_)));
        // What a peer's service speaks the peer says, and until then what everybody speaks here counts.
        let speaking = speaking.unwrap_or(&self.table.service);
        let declared = settings::protocols(self.entries, speaking)
            .filter(|it| self.chain.is_some() || matches!(it.source, Source::Global(_)));
        let default = show(self.table.protocol);
        let said = effective(of_caller.chain(declared), show, default.clone(), self.locate);
        let Some(peer) = self.peer.filter(|peer| self.imports(peer)) else { return said };
        let peer = Origin {
            entry: format!("peer {peer}"),
            field: format!("exports {}", self.table.service),
            place: String::new(),
            implied: false,
        };
        overruled(said, default, Some(peer))
    }

    /// Whether the peer has told us of the service, and so what it speaks.
    fn imports(&self, peer: &PeerName) -> bool {
        self.catalog.peers.get(peer).is_some_and(|it| it.imported.contains_key(&self.table.service))
    }

    /// The gateway mode that a target is reached with, as far as it is somewhere else.
    fn mesh_gateway(&self, id: &TargetId) -> Effective {
        let of_upstream = self.upstream.into_iter().flat_map(|it| it.mesh_gateways());
        let own = self.chain.map(|_| settings::mesh_gateways(self.entries, &id.service));
        let default = match id.locus {
            Locus::Peer(_) => "remote",
            Locus::Datacenter(_) => "none",
        };
        let all = of_upstream.chain(own.into_iter().flatten());
        effective(all, |mode| mode.as_str().into(), default.into(), self.locate)
    }

    fn connect_timeout(&self, target: &Target) -> Effective {
        let of_upstream = self.upstream.into_iter().flat_map(|it| it.connect_timeouts());
        let own = self.chain.and_then(|_| settings::connect_timeout(self.entries, &target.id.service));
        let default = time(Some(target.connect_timeout));
        effective(of_upstream.chain(own), |it| time(Some(it)), default, self.locate)
    }

    /// Limits and ejection. Both come as groups.
    fn settings(&self) -> Vec<Named> {
        let limit = |name, field: fn(Limits) -> Option<u32>| {
            let groups = self.upstream.into_iter().flat_map(|it| it.limits());
            Named { name, effective: of_group(groups, name, field, DEFAULT_THRESHOLD, self.locate) }
        };
        let mut all = vec![
            limit("Limits.MaxConnections", |it| it.max_connections),
            limit("Limits.MaxPendingRequests", |it| it.max_pending_requests),
            limit("Limits.MaxConcurrentRequests", |it| it.max_concurrent_requests),
        ];
        all.extend(self.ejection());
        all
    }

    fn ejection(&self) -> [Named; 6] {
        let default = OutlierPolicy::default();
        let number = |name, field: fn(PassiveHealthCheck) -> Option<u32>, default| {
            let groups = self.upstream.into_iter().flat_map(|it| it.passive_health_checks());
            Named { name, effective: of_group(groups, name, field, default, self.locate) }
        };
        let length = |name, field: fn(PassiveHealthCheck) -> Option<Duration>, default| {
            let groups = self.upstream.into_iter().flat_map(|it| it.passive_health_checks());
            let shown = |it: PassiveHealthCheck| field(it).map(|it| time(Some(it)));
            Named { name, effective: of_group(groups, name, shown, time(Some(default)), self.locate) }
        };
        // What endpoints return by depends on how long they are out.
        let written = self.upstream.and_then(|it| it.passive_health_checks().next());
        let returning = written.map_or(default, |it| it.value.into());
        let mut all = [
            number("PassiveHealthCheck.MaxFailures", |it| it.max_failures, default.max_failures),
            number(
                "PassiveHealthCheck.EnforcingConsecutive5xx",
                |it| it.enforcing_consecutive_5xx,
                default.enforcing_consecutive_5xx,
            ),
            number(
                "PassiveHealthCheck.MaxEjectionPercent",
                |it| it.max_ejection_percent,
                default.max_ejection_percent,
            ),
            length("PassiveHealthCheck.BaseEjectionTime", |it| it.base_ejection_time, default.base_ejection),
            length("PassiveHealthCheck.HoldDown", |it| it.hold_down, returning.hold_down),
            length("PassiveHealthCheck.Ramp", |it| it.ramp, returning.ramp),
        ];
        // A peer's gateways may all be ejected, whatever is written.
        let forced = self.table.resolvers.iter().flat_map(|it| &it.targets).map(|it| it.outlier);
        if let Some(policy) = forced.into_iter().next().filter(|_| self.chain.is_none()) {
            let said = all[2].effective.clone();
            all[2].effective = overruled(said, policy.max_ejection_percent.into(), None);
        }
        all
    }
}

#[cfg(test)]
mod tests;

//! The splitter's part of an explanation, and what becomes of a request on each leg.

use super::effective::{effective, origin, time};
use super::report::{Hash, LegShare, Outcome, Retries, SplitPassed};
use super::{Incoming, Question};
use crate::Draw;
use crate::chain::{Node, NodeKey, describe};
use crate::duration::Signed;
use crate::entry::settings::{self, Setting, Source};
use crate::entry::{DEFAULT_REQUEST_TIMEOUT, Destination};
use crate::name::ServiceName;
use crate::outlier::Availability;
use crate::pick::{Balance, Resolver, Tried};
use crate::table::{DEFAULT_IDLE_TIMEOUT, Decision, RetryPolicy};

impl<'a> Question<'a> {
    pub(super) fn split(&self, decision: Option<&Decision<'_>>) -> Option<SplitPassed> {
        self.request?;
        let decision = decision?;
        let split = self.table.split(decision.route_index)?;
        let leg = |(index, leg): (usize, &crate::table::Leg)| LegShare {
            index,
            share: describe::per_cent(leg.points),
            points: leg.points,
            target: first_target(&leg.resolver),
        };
        let service = self.splitter(decision)?;
        let rules = match self.chain?.nodes.get(&NodeKey::Splitter(service.clone()))? {
            Node::Splitter { rules, .. } => rules,
            _ => return None,
        };
        let by = rules.choices.iter().filter(|choice| !choice.by.is_empty()).map(|choice| {
            let by = describe::sticky(&choice.by);
            if choice.splitter == service { by } else { format!("{by} within {}", choice.splitter) }
        });
        Some(SplitPassed {
            service: service.to_string(),
            chosen: if decision.sticky { "sticky" } else { "by turns" },
            sticky_by: by.collect(),
            empty_leg: rules.empty_leg.unwrap_or_default().as_str(),
            legs: split.legs().iter().enumerate().map(leg).collect(),
        })
    }

    /// Whose splitter a decision passes.
    pub(super) fn splitter(&self, decision: &Decision<'_>) -> Option<ServiceName> {
        let chain = self.chain?;
        let key = match (chain.nodes.get(&chain.start)?, decision.route_index) {
            (Node::Router { routes }, Some(index)) => &routes.get(index)?.next,
            _ => &chain.start,
        };
        match key {
            NodeKey::Splitter(service) => Some(service.clone()),
            NodeKey::Router(_) | NodeKey::Resolver(_) => None,
        }
    }

    pub(super) fn outcome(&self, decision: &Decision<'a>, warnings: &mut Vec<String>) -> Outcome {
        let resolver = decision.resolver;
        let (hash, affinity) = self.hash(decision, warnings);
        let request = self.request.as_ref();
        let serves = resolver.in_force(self.now);
        let leaves = request.and_then(|request| {
            let target = resolver.targets.get(serves.unwrap_or(0))?;
            Some((request.depart)(decision, target))
        });
        Outcome {
            leg: decision.leg_index,
            instead: self.instead(decision).iter().filter_map(|it| it.leg_index).collect(),
            redirects: self.redirects(decision),
            resolver: first_target(resolver),
            targets: self.targets(resolver, serves, warnings),
            load_balancer: self.load_balancer(decision, affinity),
            hash,
            request_timeout: request.map(|_| self.request_timeout(decision, warnings)),
            idle_timeout: request.map(|_| self.idle_timeout(decision)),
            retries: request.map(|request| self.retries(decision, request, warnings)),
            leaves,
            response_headers: request.map(|_| response_headers(decision)).unwrap_or_default(),
        }
    }

    /// The hash of the request, and whether its resolver balances by hash at all.
    fn hash(&self, decision: &Decision<'_>, warnings: &mut Vec<String>) -> (Option<Hash>, bool) {
        let resolver = decision.resolver;
        let by_hash =
            |target: &std::sync::Arc<crate::pick::Target>| matches!(target.balance, Balance::Hash(_));
        let balanced = resolver.targets.iter().any(by_hash);
        let Some((policies, incoming)) = decision.hash.zip(self.request) else {
            return (None, balanced);
        };
        if !balanced {
            warnings.push(format!(
                "the hash policies have no effect on {}, whose load balancer does not go by hash",
                first_target(resolver)
            ));
        }
        let hash = policies.hash(&incoming.as_request(), &mut Vec::new());
        // A pick may claim a probe: it is only made where there is none to claim.
        let idle = |target: &std::sync::Arc<crate::pick::Target>| {
            target.endpoints.iter().all(|it| it.available(self.now) != Availability::MayProbe)
        };
        let quiet = balanced && resolver.targets.iter().all(idle);
        let endpoint = hash.filter(|_| quiet).and_then(|hash| {
            let pick = resolver.pick_for(Some(hash), &Tried::default(), Draw(0), self.now)?;
            Some(pick.endpoint.address.to_string())
        });
        (Some(Hash { value: hash.map(|hash| format!("{hash:016x}")), endpoint }), balanced)
    }

    fn load_balancer(&self, decision: &Decision<'_>, by_hash: bool) -> super::Effective {
        let balance = decision.resolver.targets.first().map(|it| &it.balance);
        let default = balance.map_or("least_request", Balance::name);
        let target = decision.resolver.targets.first().filter(|_| self.chain.is_some());
        let written = target.and_then(|it| settings::load_balancer(self.entries, &it.id.service));
        let written = written.map(|it| it.map("LoadBalancer.Policy", |it| it.policy.as_str()));
        // What is balanced in another way than it says, or says nothing, goes by the default.
        let said = written.filter(|it| !it.value.is_empty());
        let said = said.filter(|it| by_hash || !matches!(it.value, "ring_hash" | "maglev"));
        effective(said.into_iter(), |policy| policy.into(), default.into(), self.locate)
    }

    /// The destination of the route that takes the request, as written.
    fn destination(&self, decision: &Decision<'_>) -> Option<(&'a Destination, Source<'a>)> {
        let (router, index) = (self.router()?, decision.route_index?);
        let written = router.routes.get(index)?.destination.as_ref()?;
        Some((written, Source::Route { router, index }))
    }

    fn of_route<T>(
        &self,
        decision: &Decision<'_>,
        field: &'static str,
        value: impl Fn(&'a Destination) -> Option<T>,
    ) -> Option<Setting<'a, T>> {
        let (written, source) = self.destination(decision)?;
        Some(Setting::written(value(written)?, source, field))
    }

    fn request_timeout(&self, decision: &Decision<'_>, warnings: &mut Vec<String>) -> super::Effective {
        let in_force = time(decision.route.request_timeout);
        let of_route = self.of_route(decision, "Destination.RequestTimeout", |it| limit(it.request_timeout));
        let target = decision.resolver.targets.first().filter(|_| self.chain.is_some());
        let of_resolver = target.and_then(|it| settings::request_timeout(self.entries, &it.id.service));
        let starts_there = self.chain.is_some_and(|chain| matches!(chain.start, NodeKey::Resolver(_)));
        if let Some(ignored) = of_resolver.filter(|_| !starts_there) {
            let said = origin(&ignored, self.locate);
            warnings.push(format!(
                "{}: RequestTimeout has no effect here ({}): it counts only where a chain starts at that resolver",
                said.entry, said.place
            ));
        }
        let said = of_route
            .into_iter()
            .chain(of_resolver.filter(|_| starts_there).map(|it| it.map("RequestTimeout", Some)));
        let mut said = effective(said, time, time(Some(DEFAULT_REQUEST_TIMEOUT)), self.locate);
        said.value = in_force;
        said
    }

    fn idle_timeout(&self, decision: &Decision<'_>) -> super::Effective {
        let of_route = self.of_route(decision, "Destination.IdleTimeout", |it| limit(it.idle_timeout));
        let mut said = effective(of_route.into_iter(), time, time(Some(DEFAULT_IDLE_TIMEOUT)), self.locate);
        said.value = time(decision.route.idle_timeout);
        said
    }

    fn retries(
        &self,
        decision: &Decision<'_>,
        request: &Incoming<'_>,
        warnings: &mut Vec<String>,
    ) -> Retries {
        let policy = &decision.route.retry;
        let number =
            self.of_route(decision, "Destination.NumRetries", |it| it.num_retries.filter(|n| *n > 0));
        if number.is_some() && policy.retries == 0 {
            warnings.push("NumRetries has no effect without a condition to retry on".to_owned());
        }
        let condition = || {
            let field = first_condition(self.destination(decision)?.0)?;
            self.of_route(decision, field, |_| Some(0))
        };
        let set_by = number.or_else(condition);
        let after_answers = policy.on_5xx || policy.on_gateway_error || policy.on_reset;
        if policy.retries > 0 && after_answers && !request.idempotent {
            let method = request.head.method;
            warnings.push(format!(
                "{method} is not idempotent: it is sent again only after the status codes and gRPC statuses that the \
                 route names one by one"
            ));
        }
        Retries {
            number: policy.retries,
            on: conditions_of(policy),
            set_by: set_by.filter(|_| policy.retries > 0).map(|it| origin(&it, self.locate)),
        }
    }
}

/// What is done to an answer's headers: first by the leg, then by the route.
fn response_headers(decision: &Decision<'_>) -> Vec<String> {
    let edits = [decision.leg_headers.map(|leg| &leg.response), Some(&decision.route.headers.response)];
    let mut all = Vec::new();
    for it in edits.into_iter().flatten() {
        all.extend(it.remove.iter().map(|name| format!("-{name}")));
        all.extend(it.set.iter().map(|(name, value)| format!("{name}={value}")));
        all.extend(it.add.iter().map(|(name, value)| format!("+{name}={value}")));
    }
    all
}

/// The field that first names a condition to retry on.
fn first_condition(written: &Destination) -> Option<&'static str> {
    if !written.retry_on.is_empty() {
        Some("Destination.RetryOn")
    } else if !written.retry_on_status_codes.is_empty() {
        Some("Destination.RetryOnStatusCodes")
    } else if written.retry_on_connect_failure {
        Some("Destination.RetryOnConnectFailure")
    } else {
        None
    }
}

/// A limit that was written; None within is none at all, and 0 says nothing.
#[expect(clippy::option_option, reason = "whether it is written, and then whether there is a limit")]
fn limit(written: Option<Signed>) -> Option<Option<std::time::Duration>> {
    written.filter(|it| it.nanos != 0).map(Signed::to_duration)
}

/// In Envoy's words.
fn conditions_of(policy: &RetryPolicy) -> Vec<String> {
    let flags = [
        (policy.on_5xx, "5xx"),
        (policy.on_gateway_error, "gateway-error"),
        (policy.on_reset, "reset"),
        (policy.on_connect_failure, "connect-failure"),
        (policy.on_refused_stream, "refused-stream"),
        (policy.on_retriable_4xx, "retriable-4xx"),
    ];
    let grpc = |status: &u8| match status {
        1 => "cancelled".to_owned(),
        4 => "deadline-exceeded".to_owned(),
        8 => "resource-exhausted".to_owned(),
        13 => "internal".to_owned(),
        14 => "unavailable".to_owned(),
        other => format!("grpc-status {other}"),
    };
    let named = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
    let codes = policy.on_status_codes.iter().map(|code| format!("status {code}"));
    named.chain(codes).chain(policy.on_grpc.iter().map(grpc)).collect()
}

/// The id of a resolver's primary target; empty only for a chain that leads nowhere.
fn first_target(resolver: &Resolver) -> String {
    resolver.targets.first().map(|it| it.id.to_string()).unwrap_or_default()
}

//! Routes: those that never match, those that lead nowhere, and words of theirs that have no effect.

use std::collections::HashMap;

use super::Findings;
use super::cover::{Criteria, Regexes};
use super::shadow::shadows as shadows_among;
use super::world::World;
use crate::chain::Named;
use crate::entry::{Destination, EntrySet, Route, ServiceRouter};
use crate::name::ServiceName;

/// Which routes never match, by router.
pub(super) struct Shadows(HashMap<ServiceName, RouterShadows>);

/// Which routes of one router never match.
#[derive(Default)]
pub(super) struct RouterShadows {
    /// By route: the earlier one that takes all that it would take.
    by: Vec<Option<usize>>,
    /// By route: what it asks for twice, in ways that exclude each other.
    impossible: Vec<Option<String>>,
    /// Whether a route takes everything, so that the implicit last one gets nothing.
    pub(super) catch_all: bool,
}

impl RouterShadows {
    fn new(router: &ServiceRouter) -> Self {
        let regexes = Regexes::default();
        let rules: Vec<Criteria<'_>> = router.routes.iter().map(criteria).collect();
        Self {
            by: shadows_among(&rules, &regexes),
            impossible: rules.iter().map(|rule| rule.contradiction(&regexes)).collect(),
            catch_all: rules.iter().any(Criteria::takes_all),
        }
    }

    pub(super) fn is_shadowed(&self, route: usize) -> bool {
        self.by.get(route).copied().flatten().is_some()
    }
}

impl Shadows {
    /// Of a service that has a router.
    pub(super) fn of(&self, service: &ServiceName) -> &RouterShadows {
        const NONE: &RouterShadows =
            &RouterShadows { by: Vec::new(), impossible: Vec::new(), catch_all: false };
        self.0.get(service).unwrap_or(NONE)
    }
}

/// The criteria of a route.
pub(crate) fn criteria(route: &Route) -> Criteria<'_> {
    Criteria::new(route.matches.as_ref().and_then(|it| it.http.as_ref()), None)
}

/// Finds the routes that never match.
pub(super) fn shadows(entries: &EntrySet) -> Shadows {
    Shadows(entries.routers.iter().map(|(name, router)| (name.clone(), RouterShadows::new(router))).collect())
}

pub(super) fn check(world: &World<'_>, shadows: &Shadows, findings: &mut Findings<'_>) {
    for (service, router) in &world.entries.routers {
        let shadowed = shadows.of(service);
        for (i, route) in router.routes.iter().enumerate() {
            if never_matches(router, i, shadowed, findings) {
                continue;
            }
            destination(world, router, i, findings);
            if let Some(it) = route.destination.as_ref().filter(|it| retries_nothing(it)) {
                let times = it.num_retries.unwrap_or_default();
                let message = format!(
                    "{times} retries of nothing: a condition is missing, such as RetryOnConnectFailure, RetryOn or \
                     RetryOnStatusCodes"
                );
                let field = format!("Routes[{i}].Destination.NumRetries");
                findings.warn(&router.place, field, message);
            }
        }
        if !shadowed.catch_all
            && let Some(why) = world.unanswered(Named::bare(service))
        {
            let message = format!("what no route takes goes to {service} itself, and {why}");
            findings.warn(&router.place, "Name", message);
        }
    }
}

/// Warns of a route that no request gets to.
fn never_matches(
    router: &ServiceRouter,
    i: usize,
    shadowed: &RouterShadows,
    findings: &mut Findings<'_>,
) -> bool {
    let earlier = shadowed.by.get(i).copied().flatten();
    let impossible = shadowed.impossible.get(i).and_then(Option::as_ref);
    let message = match (earlier, impossible) {
        (Some(earlier), _) if router.routes[earlier].matches.is_none() => {
            format!("never matches: Routes[{earlier}] has no Match and takes every request before it")
        }
        (Some(earlier), _) => {
            format!("never matches: Routes[{earlier}] takes every request before it that it would take")
        }
        (None, Some(what)) => format!("never matches: what it asks of {what} cannot hold at once"),
        (None, None) => return false,
    };
    findings.warn(&router.place, field_of(&router.routes[i], i), message);
    true
}

/// Where a route says what it takes: its path, else its criteria, else the route.
fn field_of(route: &Route, i: usize) -> String {
    let http = route.matches.as_ref().and_then(|it| it.http.as_ref());
    match http.map(|it| (&it.path_exact, &it.path_prefix, &it.path_regex)) {
        Some((Some(_), _, _)) => format!("Routes[{i}].Match.HTTP.PathExact"),
        Some((_, Some(_), _)) => format!("Routes[{i}].Match.HTTP.PathPrefix"),
        Some((_, _, Some(_))) => format!("Routes[{i}].Match.HTTP.PathRegex"),
        Some(_) => format!("Routes[{i}].Match.HTTP"),
        None => format!("Routes[{i}]"),
    }
}

fn destination(world: &World<'_>, router: &ServiceRouter, i: usize, findings: &mut Findings<'_>) {
    let destination = router.routes[i].destination.as_ref();
    let named = Named::by_route(destination, &router.name);
    let field = format!("Routes[{i}].Destination.Service");
    // A route to the router's own service is what the implicit last one is, too, and that is said once.
    if destination.is_some_and(|it| it.service.is_some() || !named.is_bare())
        && let Some(why) = world.unanswered(named)
    {
        findings.warn(&router.place, field.clone(), format!("leads nowhere: {why}"));
    }
    if let Some(message) = world.bypassed_router(named, &router.name) {
        findings.warn(&router.place, field, message);
    }
}

fn retries_nothing(it: &Destination) -> bool {
    it.num_retries.is_some_and(|times| times > 0)
        && !it.retry_on_connect_failure
        && it.retry_on.is_empty()
        && it.retry_on_status_codes.is_empty()
}

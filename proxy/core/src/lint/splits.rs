//! Splitters: legs that get nothing, legs that lead nowhere, and splitters that nobody asks.

use super::Findings;
use super::reach::Reach;
use super::world::World;
use crate::chain::Named;
use crate::entry::{LoadBalancer, ServiceSplitter, Split};

pub(super) fn check(world: &World<'_>, reach: &Reach, findings: &mut Findings<'_>) {
    for (service, splitter) in &world.entries.splitters {
        if !reach.splitters.contains(service) {
            let message = format!(
                "never used: every request for {service} is taken by a route of its service-router that leads past \
                 this splitter"
            );
            findings.warn(&splitter.place, "Name", message);
        }
        for (i, split) in splitter.splits.iter().enumerate() {
            leg(world, splitter, i, split, findings);
        }
        hashes(world, splitter, findings);
    }
}

fn leg(world: &World<'_>, splitter: &ServiceSplitter, i: usize, split: &Split, findings: &mut Findings<'_>) {
    if split.basis_points() == 0 {
        let message = "a weight that is 0, in hundredths of a per cent: no request takes this leg";
        return findings.warn(&splitter.place, format!("Splits[{i}].Weight"), message);
    }
    let named = Named::by_split(split, &splitter.name);
    let field = format!("Splits[{i}].Service");
    if let Some(why) = world.unanswered(named) {
        findings.warn(&splitter.place, field.clone(), format!("this leg leads nowhere: {why}"));
    }
    if let Some(message) = world.bypassed_router(named, &splitter.name) {
        findings.warn(&splitter.place, field, message);
    }
}

/// Whichever leg is taken, requests are hashed as the first leg says that hashes at all.
fn hashes(world: &World<'_>, splitter: &ServiceSplitter, findings: &mut Findings<'_>) {
    let mut first: Option<(usize, &LoadBalancer)> = None;
    for (i, split) in splitter.splits.iter().enumerate() {
        let Some(own) = hash_policy(world, splitter, split) else { continue };
        match first {
            None => first = Some((i, own)),
            Some((_, used)) if used.hash_policies == own.hash_policies => {}
            Some((used, _)) => {
                let service = split.service.as_ref().unwrap_or(&splitter.name);
                let message = format!(
                    "the HashPolicies of service-resolver {:?} are not used here: a splitter hashes every request as \
                     its first leg with any does, Splits[{used}]",
                    service.as_str()
                );
                findings.warn(&splitter.place, format!("Splits[{i}].Service"), message);
            }
        }
    }
}

/// The hash policy of the resolver that a leg leads straight to.
fn hash_policy<'w>(world: &World<'w>, splitter: &ServiceSplitter, split: &Split) -> Option<&'w LoadBalancer> {
    let named = Named::by_split(split, &splitter.name);
    let nested = named.is_bare()
        && *named.service != splitter.name
        && world.entries.splitters.contains_key(named.service);
    let resolver =
        world.entries.resolvers.get(named.service).filter(|it| !nested && it.redirect.is_none())?;
    let balancer = resolver.load_balancer.as_ref()?;
    matches!(balancer.policy.as_str(), "ring_hash" | "maglev").then_some(balancer)
}

//! Failover that can never trigger, and targets of it that can never take over.

use std::collections::HashMap;

use super::Findings;
use super::reach::{Reach, failover_of};
use super::world::World;
use crate::chain::Rule;
use crate::entry::{Failover, ServiceResolver};
use crate::name::TargetId;

pub(super) fn check(world: &World<'_>, reach: &Reach, findings: &mut Findings<'_>) {
    for (service, entry) in &world.entries.resolvers {
        if !reach.asked.contains(service) {
            continue;
        }
        for (key, failover) in &entry.failover {
            let triggers: Vec<&TargetId> = reach
                .primary(service)
                .filter(|target| failover_of(entry, target).is_some_and(|(it, _)| it == key))
                .collect();
            if triggers.is_empty() {
                let message = never(reach, entry, key);
                findings.warn(&entry.place, format!("Failover[{key:?}]"), message);
            } else {
                targets(world, entry, key, failover, &triggers, findings);
            }
        }
    }
}

/// Why a key of `Failover` is never looked up.
fn never(reach: &Reach, entry: &ServiceResolver, key: &str) -> String {
    let service = &entry.name;
    if reach.primary(service).next().is_none() {
        return format!(
            "never triggers: no request ends at {service} but by failover, which does not fail over again"
        );
    }
    if key == "*" {
        return format!("never triggers: every subset of {service} that requests end at has its own entry");
    }
    format!("never triggers: nothing but failover leads to the subset {key} of {service}")
}

fn targets(
    world: &World<'_>,
    entry: &ServiceResolver,
    key: &str,
    failover: &Failover,
    triggers: &[&TargetId],
    findings: &mut Findings<'_>,
) {
    let mut first_with: HashMap<Vec<TargetId>, usize> = HashMap::new();
    for (i, rule) in Rule::all_of(failover).into_iter().enumerate() {
        let field = field_of(failover, key, i);
        let to: Vec<TargetId> = triggers.iter().map(|target| rule.apply(target, world.home)).collect();
        if to.iter().eq(triggers.iter().copied()) {
            let message = "never takes over: it is the very target that fails, and is left out";
            findings.warn(&entry.place, field, message);
            continue;
        }
        if let Some(earlier) = first_with.get(&to) {
            let message = format!("never takes over: it is {} again", field_of(failover, key, *earlier));
            findings.warn(&entry.place, field, message);
            continue;
        }
        // Where all that it can mean have nobody to answer; of several, one may do.
        let whys: Option<Vec<String>> = to.iter().map(|target| world.unanswered_at(target)).collect();
        if let Some(why) = whys.and_then(|whys| whys.into_iter().next()) {
            findings.warn(&entry.place, field, format!("cannot take over: {why}"));
        }
        first_with.insert(to, i);
    }
}

/// Where the failover names its `i`th target.
fn field_of(failover: &Failover, key: &str, i: usize) -> String {
    if !failover.datacenters.is_empty() {
        format!("Failover[{key:?}].Datacenters[{i}]")
    } else if !failover.targets.is_empty() {
        format!("Failover[{key:?}].Targets[{i}]")
    } else {
        format!("Failover[{key:?}]")
    }
}

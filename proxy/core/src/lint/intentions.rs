//! Intentions that never decide: beaten by others, for services that are not there, or behind a catch-all.
//!
//! An intention of a service itself beats one of `*`, and one from a service itself beats one from `*`. Where the
//! winner has permissions and none of them matches, the default policy decides, not the next intention.

use std::collections::BTreeSet;

use super::Findings;
use super::cover::{Criteria, Regexes};
use super::shadow::shadows;
use super::world::World;
use crate::entry::{Protocol, Registration, ServiceIntentions, Source};
use crate::name::ServiceName;

pub(super) fn check(world: &World<'_>, findings: &mut Findings<'_>) {
    let over_http = over_http(world);
    for (destination, entry) in &world.entries.intentions {
        let service = destination.parse::<ServiceName>().ok();
        if let Some(service) = service.as_ref().filter(|service| world.is_nowhere(service)) {
            let message =
                format!("holds for nobody: no instance of {service} is registered{}", world.hint(service));
            findings.warn(&entry.place, "Name", message);
        }
        for (i, source) in entry.sources.iter().enumerate() {
            caller(world, entry, i, source, findings);
            permissions(entry, i, source, findings);
            let judged = !source.permissions.is_empty();
            if let Some(service) = service.as_ref().filter(|it| judged && speaks_tcp(world, &over_http, it)) {
                let message = format!(
                    "denies every connection: {service} speaks tcp, of which requests cannot be told; set Action, or \
                     its protocol"
                );
                findings.warn(&entry.place, format!("Sources[{i}].Permissions"), message);
            }
        }
    }
    if let Some(any) = world.entries.intentions.get("*") {
        beaten(world, any, findings);
    }
}

/// A caller that is not there.
fn caller(
    world: &World<'_>,
    entry: &ServiceIntentions,
    i: usize,
    source: &Source,
    findings: &mut Findings<'_>,
) {
    if let Some(peer) = &source.peer {
        if !world.has_peer(peer) {
            let message = format!("speaks of nobody: {}", world.unknown_peer(peer));
            findings.warn(&entry.place, format!("Sources[{i}].Peer"), message);
        }
        return;
    }
    let service = source.name.parse::<ServiceName>().ok();
    if let Some(service) = service.filter(|service| world.is_nowhere(service)) {
        let message =
            format!("speaks of nobody: no instance of {service} is registered{}", world.hint(&service));
        findings.warn(&entry.place, format!("Sources[{i}].Name"), message);
    }
}

fn permissions(entry: &ServiceIntentions, i: usize, source: &Source, findings: &mut Findings<'_>) {
    let rules: Vec<Criteria<'_>> =
        source.permissions.iter().map(|it| Criteria::new(it.http.as_ref(), it.jwt.as_ref())).collect();
    for (j, earlier) in shadows(&rules, &Regexes::default()).into_iter().enumerate() {
        if let Some(earlier) = earlier {
            let message = format!(
                "never matches: Sources[{i}].Permissions[{earlier}] takes every request before it that it would take"
            );
            findings.warn(&entry.place, format!("Sources[{i}].Permissions[{j}]"), message);
        }
    }
}

/// Services of which a sidecar takes requests whatever its `service-defaults` say.
fn over_http<'w>(world: &World<'w>) -> BTreeSet<&'w ServiceName> {
    let http = |it: &&Registration| it.proxy.protocol.is_some_and(Protocol::is_http);
    let sidecars = world.sidecars().map(|(sidecar, _)| sidecar).filter(http);
    sidecars.filter_map(|it| it.proxy.destination_service_name.as_ref()).collect()
}

/// Whether all instances here take connections, not requests.
fn speaks_tcp(world: &World<'_>, over_http: &BTreeSet<&ServiceName>, service: &ServiceName) -> bool {
    !world.entries.protocol(service).is_http() && !over_http.contains(service)
}

/// Sources of `*` that decide for no service, since each has its own word about them.
fn beaten(world: &World<'_>, any: &ServiceIntentions, findings: &mut Findings<'_>) {
    let services: BTreeSet<&ServiceName> =
        world.services.iter().copied().filter(|service| world.is_registered(service)).collect();
    for (i, source) in any.sources.iter().enumerate() {
        let has_its_own = |service: &ServiceName| {
            let own = world.entries.intentions.get(service.as_str());
            own.is_some_and(|own| own.sources.iter().any(|it| covers(it, source)))
        };
        if !services.is_empty() && services.iter().all(|service| has_its_own(service)) {
            let message =
                "never decides: every service registered here has its own intention for this source";
            findings.warn(&any.place, format!("Sources[{i}].Name"), message);
        }
    }
}

/// Whether an intention is for every caller that another is for.
fn covers(all: &Source, it: &Source) -> bool {
    all.peer == it.peer && (all.name == "*" || all.name == it.name)
}

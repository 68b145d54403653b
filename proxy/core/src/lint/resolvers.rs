//! Resolvers: fields that a redirect makes void, subsets that nobody asks for, timeouts that never count.

use super::Findings;
use super::reach::Reach;
use super::world::World;
use crate::chain::Named;
use crate::entry::{MeshGatewayMode, ServiceResolver};
use crate::name::TargetId;
use crate::table::filter::Filter;

pub(super) fn check(world: &World<'_>, reach: &Reach, findings: &mut Findings<'_>) {
    for (service, entry) in &world.entries.resolvers {
        if !reach.asked.contains(service) {
            let message = format!(
                "never used: every request for {service} is split or routed to others, and nothing else leads here"
            );
            findings.warn(&entry.place, "Name", message);
            continue;
        }
        redirect(world, entry, findings);
        if redirected(entry, findings) {
            continue;
        }
        subsets(world, reach, entry, findings);
        request_timeout(world, reach, entry, findings);
        let first =
            !world.entries.routers.contains_key(service) && !world.entries.splitters.contains_key(service);
        let here = |target: &TargetId| target.datacenter() == Some(world.home);
        if first
            && entry.redirect.is_none()
            && reach.targets(service).all(here)
            && let Some(why) = world.unanswered(Named::bare(service))
        {
            findings.warn(&entry.place, "Name", why);
        }
    }
    gateway_modes(world, reach, findings);
}

/// Whether every request is sent on to another service, with a warning of each field that has no say then.
fn redirected(entry: &ServiceResolver, findings: &mut Findings<'_>) -> bool {
    let to = entry.redirect.as_ref().and_then(|it| it.service.as_ref()).filter(|to| **to != entry.name);
    let Some(to) = to else { return false };
    for (set, field) in [
        (entry.default_subset.is_some(), "DefaultSubset"),
        (!entry.subsets.is_empty(), "Subsets"),
        (entry.connect_timeout.is_some_and(|it| !it.is_zero()), "ConnectTimeout"),
        (entry.request_timeout.is_some_and(|it| !it.is_zero()), "RequestTimeout"),
        (entry.load_balancer.is_some(), "LoadBalancer"),
    ] {
        if set {
            let message =
                format!("has no effect: Redirect sends every request on to {to}, whose resolver decides");
            findings.warn(&entry.place, field, message);
        }
    }
    true
}

fn redirect(world: &World<'_>, entry: &ServiceResolver, findings: &mut Findings<'_>) {
    let Some(it) = &entry.redirect else { return };
    let named = Named::by_redirect(it, &entry.name);
    let target = named.target(world.home);
    let own = *named.service == entry.name;
    let why = if own { world.unanswered_at(&target) } else { world.unresolved(target) };
    if let Some(why) = why {
        findings.warn(&entry.place, "Redirect", format!("leads nowhere: {why}"));
    }
    if !own && named.is_bare() && world.entries.splitters.contains_key(named.service) {
        let message = format!(
            "the splitter of {} does not hold for these requests: a redirect leads to a service's resolver",
            named.service
        );
        findings.warn(&entry.place, "Redirect.Service", message);
    }
    if let Some(message) = world.bypassed_router(named, &entry.name) {
        findings.warn(&entry.place, "Redirect.Service", message);
    }
}

fn subsets(world: &World<'_>, reach: &Reach, entry: &ServiceResolver, findings: &mut Findings<'_>) {
    let instances = world.catalog.instances.get(&entry.name).map_or(&[][..], Vec::as_slice);
    for (name, subset) in &entry.subsets {
        let field = format!("Subsets[{:?}]", name.as_str());
        if !reach.reaches(&entry.name, name) {
            let message = "never used: no route, split, redirect, failover or DefaultSubset leads to it";
            findings.warn(&entry.place, field, message);
            continue;
        }
        let Ok(filter) = Filter::parse(&subset.filter) else { continue };
        if !instances.is_empty() && !instances.iter().any(|it| filter.takes(it)) {
            let message = match instances.len() {
                1 => format!("takes no instance: the only one of {} does not match", entry.name),
                n => format!("takes no instance: none of the {n} of {} matches", entry.name),
            };
            findings.warn(&entry.place, format!("{field}.Filter"), message);
        }
    }
}

fn request_timeout(world: &World<'_>, reach: &Reach, entry: &ServiceResolver, findings: &mut Findings<'_>) {
    if entry.request_timeout.is_none_or(|it| it.is_zero()) || reach.starts.contains(&entry.name) {
        return;
    }
    let before =
        if world.entries.routers.contains_key(&entry.name) { "service-router" } else { "service-splitter" };
    let message = format!(
        "has no effect: it counts only where a chain starts at this resolver, and here the {before} of {} comes first; \
         set RequestTimeout on a route instead",
        entry.name
    );
    findings.warn(&entry.place, "RequestTimeout", message);
}

/// Modes that cannot be what they say.
fn gateway_modes(world: &World<'_>, reach: &Reach, findings: &mut Findings<'_>) {
    let all = reach.primary.values().chain(reach.failover.values()).flatten();
    let mut global_none = None;
    let mut global_local = None;
    let no_gateway = world.catalog.gateways.get(world.home).is_none_or(Vec::is_empty);
    let global = world.entries.proxy_defaults.as_ref();
    for target in all.filter(|target| target.datacenter() != Some(world.home)) {
        let own = world
            .entries
            .defaults
            .get(&target.service)
            .filter(|it| it.mesh_gateway != MeshGatewayMode::Default);
        let mode = own.map_or(global.map(|it| it.mesh_gateway).unwrap_or_default(), |it| it.mesh_gateway);
        let message = match mode {
            MeshGatewayMode::None if target.peer().is_some() => no_direct_way(target),
            MeshGatewayMode::Local if no_gateway => no_own_gateway(world, target),
            _ => continue,
        };
        match own {
            Some(own) => findings.warn(&own.place, "MeshGateway.Mode", message),
            None if mode == MeshGatewayMode::None => drop(global_none.get_or_insert(message)),
            None => drop(global_local.get_or_insert(message)),
        }
    }
    if let Some((global, message)) = global.zip(global_none.or(global_local)) {
        findings.warn(&global.place, "MeshGateway.Mode", message);
    }
}

fn no_direct_way(target: &TargetId) -> String {
    format!("none has no effect on {target}: a peer is reached by a gateway, as with remote")
}

fn no_own_gateway(world: &World<'_>, target: &TargetId) -> String {
    format!(
        "{target} cannot be reached so: local needs a mesh gateway in {}, and none is registered",
        world.home
    )
}

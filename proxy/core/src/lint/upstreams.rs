//! What sidecars call: upstreams that nobody answers, and words about upstreams that no sidecar has.

use std::collections::{HashMap, HashSet};

use super::Findings;
use super::world::World;
use crate::chain::Named;
use crate::entry::{MeshGatewayMode, Upstream};
use crate::name::{Datacenter, Locus, PeerName, ServiceName, TargetId};

pub(super) fn check(world: &World<'_>, findings: &mut Findings<'_>) {
    for (sidecar, own) in world.sidecars() {
        for upstream in &sidecar.proxy.upstreams {
            if let Some(why) = unanswered(world, own, upstream) {
                findings.warn(&upstream.place, "destination_name", why);
            }
            if upstream.destination_peer.is_some() && upstream.config.mesh_gateway == MeshGatewayMode::None {
                let message = "none has no effect: a peer is reached by a gateway, as with remote";
                findings.warn(&upstream.place, "mesh_gateway.mode", message);
            }
        }
    }
    overrides(world, findings);
}

fn unanswered(world: &World<'_>, own: &Datacenter, upstream: &Upstream) -> Option<String> {
    let service = &upstream.destination_name;
    let datacenter = upstream.datacenter.as_ref().unwrap_or(own);
    let target = Named::bare(service).target(datacenter);
    if let Some(peer) = &upstream.destination_peer {
        // No entry of ours has a say in what a peer's service is.
        return world.absence(&TargetId { locus: Locus::Peer(peer.clone()), ..target });
    }
    if datacenter != world.home {
        return if world.is_routed(service) { None } else { world.absence(&target) };
    }
    // What its own entries lead to is said of in their places.
    if world.entries.routers.contains_key(service) { None } else { world.unanswered(Named::bare(service)) }
}

/// `UpstreamConfig.Overrides` for what no sidecar of the service calls.
fn overrides(world: &World<'_>, findings: &mut Findings<'_>) {
    let mut called: HashMap<&ServiceName, HashSet<(&ServiceName, Option<&PeerName>)>> = HashMap::new();
    for (sidecar, _) in world.sidecars() {
        if let Some(caller) = &sidecar.proxy.destination_service_name {
            let upstreams = sidecar.proxy.upstreams.iter();
            let upstreams = upstreams.map(|it| (&it.destination_name, it.destination_peer.as_ref()));
            called.entry(caller).or_default().extend(upstreams);
        }
    }
    for (service, entry) in &world.entries.defaults {
        // A service whose sidecars name no upstreams may have another way to say what it calls.
        let Some(called) = called.get(service).filter(|called| !called.is_empty()) else { continue };
        for (i, config) in entry.upstream_config.overrides.iter().enumerate() {
            let Some(name) = &config.name else { continue };
            if !called.contains(&(name, config.peer.as_ref())) {
                let at = config.peer.as_ref().map(|peer| format!(" at peer {peer}")).unwrap_or_default();
                let message = format!("never used: no sidecar of {service} has an upstream {name}{at}");
                findings.warn(&entry.place, format!("UpstreamConfig.Overrides[{i}].Name"), message);
            }
        }
    }
}

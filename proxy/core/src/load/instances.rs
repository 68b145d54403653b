//! What registrations get from the whole directory: addresses, sidecars' ports, and that no id is taken twice.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::document::Drafts;
use crate::entry::read::Sink;
use crate::entry::{AgentSettings, Kind, Registration};
use crate::name::Datacenter;
use crate::problem::{Place, Problem};

/// Turns drafts into registrations, each sidecar right after its service. `ports` are those that sidecars without
/// one may get.
pub(super) fn settle(
    drafts: Drafts,
    agent: &AgentSettings,
    ports: Option<RangeInclusive<u16>>,
    sink: &Sink,
) -> Vec<Registration> {
    let Drafts { mut registrations, sidecars, .. } = drafts;
    name_repeated(&registrations, &sidecars, agent, sink);
    for registration in &mut registrations {
        if registration.address.is_empty() {
            registration.address.clone_from(&agent.advertise_addr);
        }
    }
    give_ports(&mut registrations, ports, sink);
    registrations
}

/// An id may be registered once in a datacenter. Of a service that is there twice, its sidecar is not named as well.
fn name_repeated(registrations: &[Registration], sidecars: &[usize], agent: &AgentSettings, sink: &Sink) {
    let mut first: HashMap<(&Datacenter, &str), &Place> = HashMap::with_capacity(registrations.len());
    let mut repeated = false;
    for (index, registration) in registrations.iter().enumerate() {
        if repeated && sidecars.binary_search(&index).is_ok() {
            continue;
        }
        let datacenter = registration.datacenter.as_ref().unwrap_or(&agent.datacenter);
        match first.entry((datacenter, &registration.id)) {
            Entry::Vacant(entry) => {
                entry.insert(&registration.place);
                repeated = false;
            }
            Entry::Occupied(entry) => {
                let message =
                    format!("service id {:?} is registered twice, first at {}", registration.id, entry.get());
                sink.push(Problem::error(&registration.place, "id", message));
                repeated = true;
            }
        }
    }
}

/// A sidecar without a port gets the next that nobody of its address has, in reading order.
fn give_ports(registrations: &mut [Registration], ports: Option<RangeInclusive<u16>>, sink: &Sink) {
    let mut hosts: HashMap<String, HashSet<u16>> = HashMap::new();
    for registration in registrations.iter() {
        match hosts.get_mut(&registration.address) {
            Some(taken) => drop(taken.insert(registration.port)),
            None => drop(hosts.insert(registration.address.clone(), HashSet::from([registration.port]))),
        }
    }
    // By address, what is left of the range.
    let mut left: HashMap<String, RangeInclusive<u16>> = HashMap::new();
    for registration in registrations.iter_mut().filter(|it| lacks_listener(it)) {
        let Some(range) = &ports else {
            let message = "no port provided for sidecar_service and auto-assignment disabled in config";
            sink.push(Problem::error(&registration.place, "port", message));
            continue;
        };
        let Some(taken) = hosts.get(&registration.address) else { continue };
        if !left.contains_key(&registration.address) {
            left.insert(registration.address.clone(), range.clone());
        }
        let free =
            left.get_mut(&registration.address).and_then(|rest| rest.find(|port| !taken.contains(port)));
        match free {
            Some(port) => registration.port = port,
            None => {
                let (min, max) = (range.start(), range.end());
                let message = format!(
                    "no port provided for sidecar_service and none left in the configured range [{min}, {max}]"
                );
                sink.push(Problem::error(&registration.place, "port", message));
            }
        }
    }
}

fn lacks_listener(it: &Registration) -> bool {
    it.kind == Kind::ConnectProxy && it.port == 0 && it.socket_path.is_none()
}

//! What registrations get from the whole directory: addresses, sidecars' ports, and that no id is taken twice.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::entry::read::Sink;
use crate::entry::read::registration::Draft;
use crate::entry::{AgentSettings, Kind, Registration};
use crate::name::Datacenter;
use crate::problem::{Place, Problem};

/// Turns drafts into registrations, each sidecar right after its service. `ports` are those that sidecars without
/// one may get.
pub(super) fn settle(
    drafts: Vec<Draft>,
    agent: &AgentSettings,
    ports: Option<RangeInclusive<u16>>,
    sink: &Sink,
) -> Vec<Registration> {
    let mut ids = Ids { first: HashMap::new(), agent, sink };
    let mut registrations = Vec::new();
    for Draft { registration, sidecar } in drafts {
        // Of a service that is there twice, its sidecar need not be named as well.
        let new = ids.insert(&registration);
        if let Some(sidecar) = sidecar.as_ref().filter(|_| new) {
            ids.insert(sidecar);
        }
        registrations.push(registration);
        registrations.extend(sidecar);
    }
    for registration in &mut registrations {
        if registration.address.is_empty() {
            registration.address.clone_from(&agent.advertise_addr);
        }
    }
    give_ports(&mut registrations, ports, sink);
    registrations
}

/// Where each id of each datacenter is registered first.
struct Ids<'a> {
    first: HashMap<(Datacenter, String), Place>,
    agent: &'a AgentSettings,
    sink: &'a Sink,
}

impl Ids<'_> {
    fn insert(&mut self, registration: &Registration) -> bool {
        let datacenter = registration.datacenter.as_ref().unwrap_or(&self.agent.datacenter).clone();
        match self.first.entry((datacenter, registration.id.clone())) {
            Entry::Vacant(entry) => {
                entry.insert(registration.place.clone());
                true
            }
            Entry::Occupied(entry) => {
                let message =
                    format!("service id {:?} is registered twice, first at {}", registration.id, entry.get());
                self.sink.push(Problem::error(&registration.place, "id", message));
                false
            }
        }
    }
}

/// A sidecar without a port gets the next that nobody of its address has, in reading order.
fn give_ports(registrations: &mut [Registration], ports: Option<RangeInclusive<u16>>, sink: &Sink) {
    let taken: HashSet<(String, u16)> =
        registrations.iter().map(|registration| (registration.address.clone(), registration.port)).collect();
    // By address, what is left of the range.
    let mut left: HashMap<String, RangeInclusive<u16>> = HashMap::new();
    for registration in registrations.iter_mut().filter(|it| lacks_listener(it)) {
        let address = &registration.address;
        let Some(range) = &ports else {
            let message = "no port provided for sidecar_service and auto-assignment disabled in config";
            sink.push(Problem::error(&registration.place, "port", message));
            continue;
        };
        let rest = left.entry(address.clone()).or_insert_with(|| range.clone());
        match rest.find(|port| !taken.contains(&(address.clone(), *port))) {
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

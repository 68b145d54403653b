//! Exports to nobody, and exports of nothing.

use super::Findings;
use super::world::World;

pub(super) fn check(world: &World<'_>, findings: &mut Findings<'_>) {
    let Some(exported) = &world.entries.exported else { return };
    for (i, service) in exported.services.iter().enumerate() {
        if let Some(name) = &service.name
            && !world.is_registered(name)
            && !world.is_routed(name)
        {
            let message = format!("exports nothing: there is no service {name} here{}", world.hint(name));
            findings.warn(&exported.place, format!("Services[{i}].Name"), message);
        }
        for (j, consumer) in service.consumers.iter().enumerate() {
            if !world.has_peer(&consumer.peer) {
                let message = format!("exports to nobody: {}", world.unknown_peer(&consumer.peer));
                findings.warn(&exported.place, format!("Services[{i}].Consumers[{j}].Peer"), message);
            }
        }
    }
}

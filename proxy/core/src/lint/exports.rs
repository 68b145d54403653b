//! Exports to nobody, exports of nothing, and those that Consul writes in one order only.

use super::Findings;
use super::reach::Reach;
use super::world::World;
use crate::chain::Named;
use crate::name::ServiceName;

pub(super) fn check(world: &World<'_>, reach: &mut Reach, findings: &mut Findings<'_>) {
    let Some(exported) = &world.entries.exported else { return };
    for (i, service) in exported.services.iter().enumerate() {
        if let Some(name) = &service.name
            && !world.is_registered(name)
            && !world.is_routed(name)
        {
            let message = format!("exports nothing: there is no service {name} here{}", world.hint(name));
            findings.warn(&exported.place, format!("Services[{i}].Name"), message);
        }
        if let Some(name) = service.name.as_ref().filter(|_| !service.consumers.is_empty())
            && let Some(message) = led_away(world, reach, name)
        {
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

/// Consul lets a service that does not speak HTTP lead to another one only as long as no peer knows it: whoever
/// imported it knows whose certificate to expect.
fn led_away(world: &World<'_>, reach: &mut Reach, name: &ServiceName) -> Option<String> {
    let protocol = world.entries.protocol(name);
    let end = reach.end(world, world.home, Named::bare(name).target(world.home));
    (!protocol.is_http() && end.service != *name).then(|| {
        format!(
            "peer exported service {:?} uses protocol={:?} and cannot introduce new discovery chain targets like {:?}: \
             Consul takes the redirect only if it is written before the export",
            name.as_str(),
            protocol.as_str(),
            end.to_string()
        )
    })
}

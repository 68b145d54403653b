//! What a sidecar compiles an upstream's chain with: whose word counts about protocol, connect timeout and
//! gateway mode.

use super::Overrides;
use crate::entry::{EntrySet, Proxy, Upstream, UpstreamConfig};
use crate::name::ServiceName;

/// The overrides of one upstream of `caller`'s sidecar.
///
/// For each, the first that says something: the upstream's registration; in the caller's own `service-defaults`,
/// `UpstreamConfig.Overrides` for that upstream; for the mode, the sidecar's registration; `UpstreamConfig.Defaults`;
/// for the mode, the entry itself and `proxy-defaults`, which thus beat the upstream's `service-defaults`; for the
/// protocol, the upstream's `service-defaults` if it has one, else `proxy-defaults`. What a peer's service speaks
/// the peer says, so no local entry of its name counts.
pub fn upstream_overrides(
    entries: &EntrySet,
    caller: &ServiceName,
    proxy: &Proxy,
    upstream: &Upstream,
) -> Overrides {
    let own = &upstream.config;
    let defaults = entries.defaults.get(caller);
    let for_this = defaults.and_then(|it| it.upstream_config.overrides.iter().find(|it| names(it, upstream)));
    let for_all = defaults.map(|it| &it.upstream_config.defaults);
    let global = entries.proxy_defaults.as_ref();

    let configs = || [Some(own), for_this, for_all].into_iter().flatten();
    let mode = |config: Option<&UpstreamConfig>| config.map(|it| it.mesh_gateway).unwrap_or_default();
    Overrides {
        protocol: configs().find_map(|it| it.protocol).or_else(|| {
            let declared = || match entries.defaults.get(&upstream.destination_name) {
                Some(entry) => entry.protocol,
                None => global.and_then(|it| it.protocol),
            };
            if upstream.destination_peer.is_some() { None } else { declared() }
        }),
        connect_timeout: configs().find_map(|it| it.connect_timeout.filter(|timeout| !timeout.is_zero())),
        mesh_gateway: own
            .mesh_gateway
            .or(mode(for_this))
            .or(proxy.mesh_gateway)
            .or(mode(for_all))
            .or(defaults.map(|it| it.mesh_gateway).unwrap_or_default())
            .or(global.map(|it| it.mesh_gateway).unwrap_or_default()),
    }
}

fn names(config: &UpstreamConfig, upstream: &Upstream) -> bool {
    config.name.as_ref() == Some(&upstream.destination_name) && config.peer == upstream.destination_peer
}

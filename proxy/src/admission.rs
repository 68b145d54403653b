//! Whose workloads may connect to an application's sidecar, by trust domain.
//!
//! Ours, always. A peer's only where our gateway passes its connections on undecrypted: for a service that is exported
//! to it, speaks tcp, and leads here by its chain. For HTTP protocols it is our own gateway that connects, having
//! judged the peer itself. Kept out: intentions, which judge whom this lets in.

use spillway_core::chain::{self, Context, Overrides};
use spillway_core::name::{Datacenter, PeerName, ServiceName, TargetId, TrustDomain};

use crate::process::Inputs;

/// The trust domains of peers that may connect to the instances that `application` has in `datacenter`.
pub(crate) fn peers_let_in(
    application: &ServiceName,
    datacenter: &Datacenter,
    inputs: &Inputs,
) -> Box<[TrustDomain]> {
    let entries = &inputs.config.entries;
    if entries.exported.is_none() || inputs.catalog.peers.is_empty() {
        return Box::default();
    }
    // Besides its own, only a resolver makes a tcp service's chain lead to somebody else.
    let others = entries.resolvers.keys().filter(|service| *service != application);
    let leading: Vec<&ServiceName> = std::iter::once(application)
        .chain(others)
        .filter(|service| leads_undecrypted(service, application, datacenter, inputs))
        .collect();
    let exported = |peer: &PeerName| leading.iter().any(|service| entries.exports(service, peer));
    let peers = inputs.catalog.peers.iter().filter(|(name, peer)| peer.usable && exported(name));
    peers.map(|(_, peer)| peer.trust_domain.clone()).collect()
}

/// Whether the gateway passes connections for `exported` on to `application` without ending their TLS.
fn leads_undecrypted(
    exported: &ServiceName,
    application: &ServiceName,
    datacenter: &Datacenter,
    inputs: &Inputs,
) -> bool {
    let context = Context {
        service: exported.clone(),
        datacenter: inputs.config.agent.datacenter.clone(),
        trust_domain: inputs.trust_domain.clone(),
        overrides: Overrides::default(),
    };
    // What does not compile is not exported.
    chain::compile(&inputs.config.entries, &context).is_ok_and(|chain| {
        let here =
            |target: &TargetId| target.service == *application && target.datacenter() == Some(datacenter);
        !chain.protocol.is_http() && chain.targets.keys().any(here)
    })
}

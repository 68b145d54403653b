//! Our own side of every peering: who we are, how we are reached, and what each peer gets to see.
//!
//! A pure view of the configuration, rebuilt whenever that changes; streams compare it with what they last told.

use std::collections::{BTreeMap, BTreeSet};

use spillway_core::catalog::PeerRecord;
use spillway_core::entry::{Kind, Registration};
use spillway_core::load::Config;
use spillway_core::name::PeerName;
use spillway_proxy::process::Inputs;

use super::exports::{Own, exports_for};
use super::message::{Export, Facts};

/// What streams tell peers, and of whom they know.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Who we are.
    pub own: Own,
    /// Our roots, PEM.
    pub roots: Vec<String>,
    /// `host:port` of our gateways, as other clusters reach them.
    pub gateways: Vec<String>,
    /// The peerings on disk, whatever their state.
    pub records: BTreeMap<PeerName, PeerRecord>,
    /// What each peer gets to see, also one that is yet to come.
    pub(super) exports: BTreeMap<PeerName, Vec<Export>>,
}

impl Local {
    /// The view of a configuration, with the roots of our trust domain, PEM.
    pub fn of(inputs: &Inputs, roots: Vec<String>) -> Self {
        let config = &inputs.config;
        let own =
            Own { trust_domain: inputs.trust_domain.clone(), datacenter: config.agent.datacenter.clone() };
        let named = |record: &PeerRecord| Some((record.name.parse().ok()?, record.clone()));
        let records: BTreeMap<PeerName, PeerRecord> = inputs.peers.iter().filter_map(named).collect();
        let consumers = config.entries.exported.iter().flat_map(|exported| &exported.services);
        let consumers = consumers.flat_map(|service| &service.consumers).map(|consumer| &consumer.peer);
        let peers: BTreeSet<&PeerName> = consumers.chain(records.keys()).collect();
        let exports = peers.into_iter().map(|peer| {
            let services = exports_for(peer, &config.entries, &inputs.catalog, &own);
            (peer.clone(), services.into_iter().map(Export::from).collect())
        });
        Self { exports: exports.collect(), records, gateways: gateway_addresses(config), own, roots }
    }

    /// The facts that we tell of ourselves.
    pub fn facts(&self) -> Facts {
        Facts {
            trust_domain: self.own.trust_domain.to_string(),
            datacenter: self.own.datacenter.to_string(),
            roots: self.roots.clone(),
            gateways: self.gateways.clone(),
        }
    }

    /// The peering of this name and id, if there is one.
    pub fn record(&self, name: &PeerName, id: &str) -> Option<&PeerRecord> {
        self.records.get(name).filter(|record| record.id == id)
    }

    /// Says how many instances of each exported service would be picked from; what `of` does not know stays.
    pub fn set_healthy(&mut self, of: impl Fn(&str) -> Option<u32>) {
        for export in self.exports.values_mut().flatten() {
            export.healthy = of(&export.name).unwrap_or(export.healthy);
        }
    }

    /// What every peer gets to see, also one that is yet to come.
    pub fn all_exports(&self) -> impl Iterator<Item = (&PeerName, &[Export])> {
        self.exports.iter().map(|(peer, exports)| (peer, exports.as_slice()))
    }

    /// What a peer gets to see.
    pub fn exports(&self, peer: &PeerName) -> &[Export] {
        self.exports.get(peer).map_or(&[], Vec::as_slice)
    }
}

/// Where other clusters reach the gateways of our own datacenter.
fn gateway_addresses(config: &Config) -> Vec<String> {
    let ours = |it: &&Registration| {
        it.kind == Kind::MeshGateway
            && it.datacenter.as_ref().is_none_or(|datacenter| *datacenter == config.agent.datacenter)
    };
    config.registrations.iter().filter(ours).map(wan_address).collect()
}

/// A gateway's WAN address, as far as one is tagged; a tagged address without a port means the gateway's own.
fn wan_address(gateway: &Registration) -> String {
    let tagged = |tag| gateway.tagged_addresses.get(tag);
    let (host, port) = match tagged("wan").or_else(|| tagged("lan")) {
        Some((host, 0)) => (host, gateway.port),
        Some((host, port)) => (host, *port),
        None => (&gateway.address, gateway.port),
    };
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

//! The catalog: which instances, gateways and peers there are, read from registrations and `peers/`.
//!
//! Tables take their endpoints from here. Addresses are text, `host:port`: host names are resolved when a table is
//! built. Kept out: health that this process measured itself.

mod change;
mod health;
mod peers;
mod registrations;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use change::CatalogChange;
pub use health::{HealthCheck, HealthEntry};
use serde::{Deserialize, Serialize};

use crate::entry::{AgentSettings, HealthStatus, Protocol, Registration};
use crate::name::{Datacenter, PeerName, ServiceName, Sni, SpiffeId, TrustDomain};
use crate::problem::Problem;

/// What this cluster knows of a peer: the contents of `peers/NAME.json`, secrets left out.
///
/// Written by `spillway peering` and the gateway, read by every process of the cluster.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PeerRecord {
    /// Our name for it.
    pub name: String,
    /// UUID of this peering in our cluster.
    #[serde(rename = "ID")]
    pub id: String,
    /// UUID of this peering in the other cluster, once known.
    #[serde(rename = "PeerID", default)]
    pub peer_id: String,
    /// `PENDING`, `ESTABLISHING`, `ACTIVE`, `FAILING`, `DELETING` or `TERMINATED`.
    pub state: String,
    /// Its trust domain, once known.
    #[serde(default)]
    pub trust_domain: String,
    /// Its own name of its datacenter, once known.
    #[serde(default)]
    pub datacenter: String,
    /// Its roots.
    #[serde(rename = "PeerCAPems", default)]
    pub ca_pems: Vec<String>,
    /// SNI of its peering server.
    #[serde(default)]
    pub peer_server_name: String,
    /// `host:port` of its gateways, for service traffic and for the peering stream.
    #[serde(default)]
    pub peer_server_addresses: Vec<String>,
    /// What it exports to us.
    #[serde(default)]
    pub imported: Vec<ImportedService>,
}

/// A service that a peer exports to us.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ImportedService {
    /// Its name over there.
    pub name: String,
    /// `tcp`, `http`, `http2` or `grpc`: overrides what we think.
    pub protocol: String,
    /// What to ask the gateway for.
    #[serde(rename = "SNI")]
    pub sni: String,
    /// Who may answer.
    #[serde(rename = "SpiffeID")]
    pub spiffe_ids: Vec<String>,
    /// Instances that the exporter's gateway would pick now.
    #[serde(default)]
    pub healthy: u32,
}

/// The catalog of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By service, in the order of registration.
    pub instances: BTreeMap<ServiceName, Vec<Instance>>,
    /// `host:port` of mesh gateways by datacenter: LAN for our own, WAN for others.
    pub gateways: BTreeMap<Datacenter, Vec<String>>,
    /// By our name for them.
    pub peers: BTreeMap<PeerName, Peer>,
    /// Peerings that have not told us their trust domain yet, with their states.
    pub unknown_peers: BTreeMap<PeerName, String>,
}

impl Catalog {
    /// The catalog that registrations and `peers/` describe. What cannot be used is left out and named.
    pub fn from_registrations(
        registrations: &[Registration],
        agent: &AgentSettings,
        peers: &[PeerRecord],
    ) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut catalog = registrations::read(registrations, agent, &mut problems);
        for record in peers {
            peers::read(record, &mut catalog, &mut problems);
        }
        (catalog, problems)
    }
}

/// An instance that has a sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its registration's id.
    pub id: String,
    /// What it is an instance of.
    pub service: ServiceName,
    /// The id of its sidecar's registration.
    pub sidecar_id: String,
    /// The name of its sidecar's registration.
    pub sidecar_service: ServiceName,
    /// Where it runs.
    pub datacenter: Datacenter,
    /// The node it runs on, empty when the agent has no name.
    pub node: String,
    /// Its own address, without the port.
    pub host: String,
    /// Its own port; 0 when it has none.
    pub port: u16,
    /// `host:port` of its sidecar, or `unix://PATH`.
    pub address: String,
    /// Its own and its sidecar's words; shared with its registration where the sidecar adds none, as in most.
    pub tags: Arc<[String]>,
    /// Its own pairs, and over them its sidecar's; shared likewise.
    pub meta: Arc<BTreeMap<String, String>>,
    /// Share of the traffic while passing.
    pub weight_passing: u32,
    /// Share of the traffic while warning.
    pub weight_warning: u32,
    /// The worst of its checks and its sidecar's.
    pub status: HealthStatus,
    /// What only subset filters ask about.
    pub health: HealthEntry,
}

impl Instance {
    /// Its share of the traffic; 0 takes it out.
    pub fn weight(&self) -> u32 {
        match self.status {
            HealthStatus::Passing => self.weight_passing,
            HealthStatus::Warning => self.weight_warning,
            HealthStatus::Critical => 0,
        }
    }
}

/// A peer as tables need it: parsed from a [`PeerRecord`].
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its trust domain.
    pub trust_domain: TrustDomain,
    /// `host:port` of its gateways.
    pub gateways: Vec<String>,
    /// What it exports to us.
    pub imported: BTreeMap<ServiceName, Imported>,
    /// Whether traffic may flow: not before it is established, nor once it is deleted.
    pub usable: bool,
    /// The peering's state, as recorded.
    pub state: String,
}

/// An imported service, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What it speaks.
    pub protocol: Protocol,
    /// What to ask the gateway for.
    pub sni: Sni,
    /// Who may answer.
    pub identities: Vec<SpiffeId>,
    /// Instances that the exporter's gateway would pick now.
    pub healthy: u32,
}

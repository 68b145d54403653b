//! Which names a gateway answers to, and the services behind them.
//!
//! | name | leads to |
//! |---|---|
//! | `[SUBSET.]SERVICE.default.DC.internal.TD`, our datacenter | the instances' sidecars, undecrypted |
//! | the same, and `DC.internal.TD`, another datacenter | that datacenter's gateways, undecrypted |
//! | `SERVICE.default.default.PEER.external.TD`, exported, tcp | the end of the service's chain, undecrypted |
//! | the same, an HTTP protocol | terminated, then the service's chain |
//! | what a peer exports to us, by the peer's name for it | the peer's gateways, undecrypted (mode `local`) |
//! | `server.DC.peering.TD` | the peering server |
//!
//! Only peers whose peering stands are here: what is deleted has no name any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use spillway_core::breaker::{Breaker, Thresholds};
use spillway_core::catalog::PeerRecord;
use spillway_core::chain::{Chain, ChainTarget, DEFAULT_CONNECT_TIMEOUT, Node, NodeKey};
use spillway_core::endpoint::Address;
use spillway_core::entry::{MeshGatewayMode, Protocol, Subset};
use spillway_core::name::{InvalidName, Locus, PeerName, ServiceName, Sni, SpiffeId, SubsetName, TargetId};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::pick::{Balance, Target, TargetTls, Via, Weights};
use spillway_core::sni::SniTable;
use spillway_core::table::ServiceTable;
use spillway_proxy::assembly::{Recipe, Source};
use spillway_proxy::generation::{Role, ServiceSlot};
use spillway_proxy::process::{Assembly, Inputs};
use spillway_proxy::sidecar::resolve;

use crate::peering::exports::{Own, exported_chain, exports_for};
use crate::route::Route;

/// The name table in the making.
pub(crate) struct Routes<'a> {
    /// Where names lead.
    pub(crate) table: SniTable<Route>,
    /// The services that are exported to anybody.
    pub(crate) exported: BTreeMap<ServiceName, ServiceSlot>,
    inputs: &'a Inputs,
    assembly: &'a mut Assembly,
    own: Own,
}

impl<'a> Routes<'a> {
    /// Puts all that the gateway routes to into `assembly`.
    pub(crate) fn build(inputs: &'a Inputs, assembly: &'a mut Assembly) -> Self {
        let own = Own {
            trust_domain: inputs.trust_domain.clone(),
            datacenter: inputs.config.agent.datacenter.clone(),
        };
        let table = SniTable::new(&own.trust_domain);
        let mut routes = Self { table, exported: BTreeMap::new(), inputs, assembly, own };
        routes.services();
        routes.datacenters();
        for record in &inputs.peers {
            if let Err(error) = routes.peer(record) {
                // Named as a problem where the record was read.
                tracing::debug!(peer = record.name, %error, "a peering is left out");
            }
        }
        if inputs.config.agent.peering {
            let name = Sni::peering(&routes.own.datacenter, &routes.own.trust_domain);
            routes.table.insert(name, Route::Peering);
        }
        routes
    }

    /// The services of our own datacenter and their subsets, for other datacenters' gateways and sidecars.
    fn services(&mut self) {
        let own = self.own.datacenter.clone();
        let here = self
            .inputs
            .catalog
            .instances
            .iter()
            .filter(|(_, instances)| instances.iter().any(|instance| instance.datacenter == own));
        let whole = Subset::default();
        for (service, _) in here {
            let resolver = self.inputs.config.entries.resolvers.get(service);
            let subsets = resolver.into_iter().flat_map(|resolver| &resolver.subsets);
            let subsets = subsets.map(|(name, subset)| (Some(name), subset));
            for (name, subset) in std::iter::once((None, &whole)).chain(subsets) {
                let connect_timeout = resolver.and_then(|resolver| resolver.connect_timeout);
                let chain = self.chain_to(service, name, subset, connect_timeout.filter(|it| !it.is_zero()));
                let name = Sni::internal(name, service, &own, &self.own.trust_domain);
                let stats = format!("mesh_gateway_local.{name}");
                let slot = self.serve(name.as_str(), &stats, chain, false);
                self.table.insert(name, Route::Pass { slot, peering: None });
            }
        }
    }

    /// A chain that leads to one target of our datacenter: whoever asks for it has followed the service's own.
    fn chain_to(
        &self,
        service: &ServiceName,
        subset_name: Option<&SubsetName>,
        subset: &Subset,
        connect_timeout: Option<std::time::Duration>,
    ) -> Chain {
        let Own { trust_domain, datacenter } = &self.own;
        let connect_timeout = connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        let id = TargetId {
            service: service.clone(),
            subset: subset_name.cloned(),
            locus: Locus::Datacenter(datacenter.clone()),
            tenancy: None,
        };
        let name = Sni::internal(subset_name, service, datacenter, trust_domain);
        let target = ChainTarget {
            id: id.clone(),
            subset: subset.clone(),
            mesh_gateway: MeshGatewayMode::Default,
            dialed_directly: false,
            connect_timeout,
            external: false,
            sni: Some(name.clone()),
            name: Some(name),
        };
        let resolver = Node::Resolver {
            default: true,
            connect_timeout,
            request_timeout: None,
            target: id.clone(),
            failover: Vec::new(),
            load_balancer: None,
        };
        let start = NodeKey::Resolver(id.clone());
        Chain {
            service: service.clone(),
            datacenter: datacenter.clone(),
            protocol: Protocol::Tcp,
            default: true,
            customization_hash: None,
            service_meta: BTreeMap::new(),
            envoy_extensions: Vec::new(),
            start: start.clone(),
            nodes: BTreeMap::from([(start, resolver)]),
            targets: BTreeMap::from([(id, target)]),
        }
    }

    /// Other datacenters of our trust domain, by their gateways.
    fn datacenters(&mut self) {
        let (inputs, own) = (self.inputs, self.own.datacenter.clone());
        for (datacenter, gateways) in inputs.catalog.gateways.iter().filter(|(there, _)| **there != own) {
            let name = Sni::datacenter(datacenter, &self.own.trust_domain);
            let identity = SpiffeId::mesh_gateway(&self.own.trust_domain, datacenter);
            let Ok(service) = "mesh-gateway".parse::<ServiceName>() else { continue };
            let id = TargetId {
                service,
                subset: None,
                locus: Locus::Datacenter(datacenter.clone()),
                tenancy: None,
            };
            let tls = TargetTls { sni: name.clone(), identities: [identity].into() };
            let table = self.gateways(name.as_str(), name.as_str(), id, tls, gateways);
            let slot = self.insert(name.as_str(), "mesh_gateway_remote", table);
            self.table.insert_datacenter(datacenter.clone(), Route::Pass { slot, peering: None });
        }
    }

    /// A peer whose peering stands: what it exports to us, and what we export to it.
    fn peer(&mut self, record: &PeerRecord) -> Result<(), InvalidName> {
        let peer: PeerName = record.name.parse()?;
        let inputs = self.inputs;
        let Some(known) = inputs.catalog.peers.get(&peer).filter(|known| known.usable) else { return Ok(()) };
        let peering: Arc<str> = record.id.as_str().into();
        let health = format!("{peer}.external.{}", known.trust_domain);
        for (service, imported) in &known.imported {
            let id = TargetId {
                service: service.clone(),
                subset: None,
                locus: Locus::Peer(peer.clone()),
                tenancy: None,
            };
            let identities = imported.identities.as_slice().into();
            let tls = TargetTls { sni: imported.sni.clone(), identities };
            let name = &imported.sni;
            let table = self.gateways(name.as_str(), &health, id, tls, &known.gateways);
            let slot = self.insert(name.as_str(), "mesh_gateway_remote", table);
            self.table.insert(name.clone(), Route::Pass { slot, peering: Some(Arc::clone(&peering)) });
        }
        for export in exports_for(&peer, &inputs.config.entries, &inputs.catalog, &self.own) {
            let service: ServiceName = export.name.parse()?;
            let Some((slot, protocol)) = self.export(&service) else { continue };
            let name = Sni::exported(&service, &peer, &self.own.trust_domain);
            let peering = Arc::clone(&peering);
            let route = if protocol.is_http() {
                Route::Terminate { slot, protocol, peer: known.trust_domain.clone(), peering }
            } else {
                Route::Pass { slot, peering: Some(peering) }
            };
            self.table.insert(name, route);
        }
        Ok(())
    }

    /// The slot of an exported service, the same for all peers, and what the service speaks.
    fn export(&mut self, service: &ServiceName) -> Option<(ServiceSlot, Protocol)> {
        let chain = exported_chain(service, &self.inputs.config.entries, &self.own)?;
        if let Some(slot) = self.exported.get(service) {
            return Some((*slot, chain.protocol));
        }
        let protocol = chain.protocol;
        let name = format!("{service}.default.default.{}", self.own.datacenter);
        let stats = format!("mesh_gateway_local_peered.{name}");
        let slot = self.serve(&format!("exported~{service}"), &stats, chain, true);
        self.exported.insert(service.clone(), slot);
        Some((slot, protocol))
    }

    fn serve(&mut self, key: &str, stats: &str, chain: Chain, exported: bool) -> ServiceSlot {
        let recipe = Recipe {
            source: Source::Chain(Arc::new(chain)),
            datacenter: self.own.datacenter.clone(),
            trust_domain: self.own.trust_domain.clone(),
            outlier: OutlierPolicy::default(),
            thresholds: Thresholds::UNLIMITED,
            exported,
        };
        self.assembly.serve(key, stats, Role::Gateway, recipe, &self.inputs.catalog)
    }

    /// A service whose endpoints are gateways of another cluster. Those that share `health` share endpoints: when a
    /// gateway is out, it is out for all that it leads to.
    fn gateways(
        &mut self,
        cluster: &str,
        health: &str,
        id: TargetId,
        tls: TargetTls,
        gateways: &[String],
    ) -> ServiceTable {
        let mut addresses = Vec::new();
        for gateway in gateways {
            match gateway.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => addresses.extend(resolve(gateway)),
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        let endpoints = &mut self.assembly.endpoints;
        let endpoints =
            addresses.into_iter().map(|address| endpoints.endpoint(health, &Address::Ip(address)));
        let endpoints: Box<[_]> = endpoints.collect();
        let cluster: Arc<str> = cluster.into();
        let load = self.assembly.endpoints.load(&cluster);
        let target = Target {
            via: Via::RemoteGateway,
            tls: Some(tls),
            protocol: Protocol::Tcp,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            outlier: OutlierPolicy::default(),
            breaker: Breaker::new(Thresholds::UNLIMITED, load),
            endpoints,
            weights: Weights::default(),
            balance: Balance::default(),
            absent: gateways.is_empty().then(|| format!("no mesh gateway is known for {cluster}")),
            id: id.clone(),
            cluster,
        };
        ServiceTable::single(id.service, Protocol::Tcp, target)
    }

    fn insert(&mut self, key: &str, stats: &str, table: ServiceTable) -> ServiceSlot {
        self.assembly.insert(key, &format!("{stats}.{key}"), Role::Gateway, table)
    }
}

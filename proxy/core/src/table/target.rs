//! A target of a chain with its endpoints: who is dialed, under what name, and who must answer.
//!
//! Mesh gateway mode is settled here, so that the data path dials what it is told. What cannot be reached has no
//! endpoints and says why in [`Target::absent`]; it is never dialed in another way instead.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::filter::Filter;
use crate::breaker::{Breaker, Thresholds};
use crate::catalog::{Catalog, Instance, Peer};
use crate::chain::ChainTarget;
use crate::endpoint::{Address, Endpoints};
use crate::entry::{HealthStatus, LoadBalancer, MeshGatewayMode, Protocol, Subset};
use crate::name::{Datacenter, Locus, PeerName, Sni, SpiffeId, TargetId, TrustDomain};
use crate::outlier::OutlierPolicy;
use crate::pick::{Balance, Target, TargetTls, Via, Weights};

/// What a table is built for and with, besides chain and catalog.
#[derive(Clone, Copy)]
pub struct BuildSettings<'a> {
    /// Our own datacenter.
    pub datacenter: &'a Datacenter,
    /// Our own trust domain.
    pub trust_domain: &'a TrustDomain,
    /// When endpoints are ejected (`passive_health_check` of the upstream).
    pub outlier: OutlierPolicy,
    /// How much each target may have at once (`limits` of the upstream).
    pub thresholds: Thresholds,
    /// Whether a gateway serves an exported service by this table: its clusters' names say so, and it does not
    /// go through itself to reach another cluster.
    pub exported: bool,
    /// The addresses of a `host:port` whose host is a name; the shell looks them up. IP addresses are not asked.
    pub resolve: &'a dyn Fn(&str) -> Vec<SocketAddr>,
}

impl<'a> BuildSettings<'a> {
    /// Settings of a sidecar's upstream that says nothing of its own.
    pub fn new(
        datacenter: &'a Datacenter,
        trust_domain: &'a TrustDomain,
        resolve: &'a dyn Fn(&str) -> Vec<SocketAddr>,
    ) -> Self {
        Self {
            datacenter,
            trust_domain,
            outlier: OutlierPolicy::default(),
            thresholds: Thresholds::default(),
            exported: false,
            resolve,
        }
    }
}

/// What is asked of a target, wherever it is.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) id: &'a TargetId,
    pub(super) subset: Option<&'a Subset>,
    /// None: the name within our trust domain.
    pub(super) sni: Option<&'a Sni>,
    pub(super) mode: MeshGatewayMode,
    pub(super) protocol: Protocol,
    pub(super) connect_timeout: Duration,
    pub(super) outlier: OutlierPolicy,
    pub(super) load_balancer: Option<&'a LoadBalancer>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(
        target: &'a ChainTarget,
        load_balancer: Option<&'a LoadBalancer>,
        protocol: Protocol,
        outlier: OutlierPolicy,
    ) -> Self {
        Self {
            id: &target.id,
            subset: Some(&target.subset),
            sni: target.sni.as_ref(),
            mode: target.mesh_gateway,
            protocol,
            connect_timeout: target.connect_timeout,
            outlier,
            load_balancer,
        }
    }
}

/// How a target is reached.
struct Reach {
    via: Via,
    tls: Option<TargetTls>,
    protocol: Protocol,
    /// As [`Instance::address`], and weight.
    addresses: Vec<(String, u32)>,
    absent: Option<String>,
}

impl Reach {
    fn absent(via: Via, tls: Option<TargetTls>, protocol: Protocol, reason: String) -> Self {
        Self { via, tls, protocol, addresses: Vec::new(), absent: Some(reason) }
    }

    /// By gateways, all weighing the same; `missing` says what it means to have none.
    fn gateways(via: Via, tls: TargetTls, protocol: Protocol, gateways: &[String], missing: String) -> Self {
        if gateways.is_empty() {
            return Self::absent(via, Some(tls), protocol, missing);
        }
        let addresses = gateways.iter().map(|gateway| (gateway.clone(), 1)).collect();
        Self { via, tls: Some(tls), protocol, addresses, absent: None }
    }
}

/// Builds targets against one catalog.
pub(super) struct Targets<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) settings: &'a BuildSettings<'a>,
    pub(super) endpoints: &'a mut Endpoints,
}

impl Targets<'_> {
    /// The name of a target's cluster, prefixes aside, as Consul has it.
    pub(super) fn cluster(&self, id: &TargetId) -> String {
        match &id.locus {
            Locus::Datacenter(datacenter) => {
                let subset = id.subset.as_ref();
                let sni = Sni::internal(subset, &id.service, datacenter, self.settings.trust_domain);
                sni.to_string()
            }
            Locus::Peer(peer) => match self.catalog.peers.get(peer) {
                Some(known) => format!("{}.default.{peer}.external.{}", id.service, known.trust_domain),
                None => format!("{}.default.{peer}.external", id.service),
            },
        }
    }

    pub(super) fn build(&mut self, wanted: Wanted<'_>, cluster: Arc<str>) -> Target {
        let reach = match &wanted.id.locus {
            Locus::Datacenter(datacenter) => self.in_datacenter(&wanted, datacenter),
            Locus::Peer(peer) => self.at_peer(&wanted, peer),
        };
        self.reached(wanted, cluster, reach)
    }

    fn reached(&mut self, wanted: Wanted<'_>, cluster: Arc<str>, reach: Reach) -> Target {
        let key: Arc<str> = key(&cluster, reach.tls.as_ref()).into();
        let (mut endpoints, mut weights) = (Vec::new(), Vec::new());
        let (mut seen, mut unresolved) = (BTreeSet::new(), Vec::new());
        for (text, weight) in &reach.addresses {
            let addresses = self.resolve(text);
            if addresses.is_empty() {
                unresolved.push(text.as_str());
            }
            for address in addresses.into_iter().filter(|address| seen.insert(address.clone())) {
                endpoints.push(self.endpoints.endpoint(Arc::clone(&key), &address));
                weights.push(*weight);
            }
        }
        let nowhere = || format!("cannot resolve {}", unresolved.join(", "));
        let absent = reach.absent.or_else(|| (endpoints.is_empty() && !unresolved.is_empty()).then(nowhere));
        let load = self.endpoints.load(&cluster);
        Target {
            id: wanted.id.clone(),
            cluster,
            via: reach.via,
            tls: reach.tls,
            protocol: reach.protocol,
            connect_timeout: wanted.connect_timeout,
            outlier: wanted.outlier,
            breaker: Breaker::new(self.settings.thresholds, load),
            weights: Weights::new(&weights),
            balance: Balance::compile(wanted.load_balancer, &endpoints),
            endpoints: endpoints.into(),
            absent,
        }
    }

    fn resolve(&self, text: &str) -> Vec<Address> {
        if let Some(path) = text.strip_prefix("unix://") {
            return vec![Address::Unix(Path::new(path).into())];
        }
        let ips = text.parse().map_or_else(|_| (self.settings.resolve)(text), |address| vec![address]);
        ips.into_iter().map(Address::Ip).collect()
    }

    fn mode(&self, wanted: &Wanted<'_>) -> MeshGatewayMode {
        // Our own gateway is the one that asks.
        let itself = self.settings.exported && wanted.mode == MeshGatewayMode::Local;
        if itself { MeshGatewayMode::Remote } else { wanted.mode }
    }

    fn own_gateways(&self) -> &[String] {
        self.gateways_of(self.settings.datacenter)
    }

    fn gateways_of(&self, datacenter: &Datacenter) -> &[String] {
        self.catalog.gateways.get(datacenter).map_or(&[], Vec::as_slice)
    }

    fn in_datacenter(&self, wanted: &Wanted<'_>, datacenter: &Datacenter) -> Reach {
        let (service, trust_domain) = (&wanted.id.service, self.settings.trust_domain);
        let internal = || Sni::internal(wanted.id.subset.as_ref(), service, datacenter, trust_domain);
        let tls = TargetTls {
            sni: wanted.sni.cloned().unwrap_or_else(internal),
            identities: [SpiffeId::service(trust_domain, datacenter, service)].into(),
        };
        let all = self.catalog.instances.get(service).map_or(&[][..], Vec::as_slice);
        let here: Vec<&Instance> = all.iter().filter(|it| it.datacenter == *datacenter).collect();
        let offered = offered(&here, wanted.subset);
        let protocol = wanted.protocol;
        if *datacenter == *self.settings.datacenter {
            return direct(tls, protocol, offered);
        }
        let (via, gateways, missing) = match self.mode(wanted) {
            MeshGatewayMode::None | MeshGatewayMode::Default => return direct(tls, protocol, offered),
            MeshGatewayMode::Local => (Via::LocalGateway, self.own_gateways(), self.no_own_gateway()),
            MeshGatewayMode::Remote => {
                let missing = format!("datacenter {datacenter} has no mesh gateway");
                (Via::RemoteGateway, self.gateways_of(datacenter), missing)
            }
        };
        // Of another datacenter we may know no more than its gateway. Where instances are known, a gateway cannot
        // make up for them all being out.
        if !here.is_empty() && offered.as_ref().is_ok_and(Vec::is_empty) {
            return Reach { via, tls: Some(tls), protocol, addresses: Vec::new(), absent: None };
        }
        Reach::gateways(via, tls, protocol, gateways, missing)
    }

    fn at_peer(&self, wanted: &Wanted<'_>, name: &PeerName) -> Reach {
        let via =
            if self.mode(wanted) == MeshGatewayMode::Local { Via::LocalGateway } else { Via::RemoteGateway };
        let Some(peer) = self.catalog.peers.get(name) else {
            let reason = match self.catalog.unknown_peers.get(name) {
                Some(state) => format!("the peering {name} is {state}: it has not been established"),
                None => format!("there is no peering {name}"),
            };
            return Reach::absent(via, None, wanted.protocol, reason);
        };
        self.at_known_peer(wanted, name, peer, via)
    }

    fn at_known_peer(&self, wanted: &Wanted<'_>, name: &PeerName, peer: &Peer, via: Via) -> Reach {
        let service = &wanted.id.service;
        let Some(imported) = peer.imported.get(service) else {
            let reason = format!("peer {name} does not export {service} to us");
            return Reach::absent(via, None, wanted.protocol, reason);
        };
        let tls = TargetTls { sni: imported.sni.clone(), identities: imported.identities.as_slice().into() };
        if !peer.usable {
            let reason = format!("the peering {name} is {}", peer.state);
            return Reach::absent(via, Some(tls), imported.protocol, reason);
        }
        if imported.healthy == 0 {
            let reason = format!("peer {name} has no healthy instance of {service}");
            return Reach::absent(via, Some(tls), imported.protocol, reason);
        }
        let (gateways, missing) = match via {
            Via::LocalGateway => (self.own_gateways(), self.no_own_gateway()),
            Via::Direct | Via::RemoteGateway => {
                (peer.gateways.as_slice(), format!("no mesh gateway of peer {name} is known"))
            }
        };
        Reach::gateways(via, tls, imported.protocol, gateways, missing)
    }

    fn no_own_gateway(&self) -> String {
        format!(
            "mesh gateway mode local needs a mesh gateway in {}, which has none",
            self.settings.datacenter
        )
    }
}

fn direct(tls: TargetTls, protocol: Protocol, offered: Result<Vec<&Instance>, String>) -> Reach {
    match offered {
        Ok(instances) => {
            let addresses = instances.iter().map(|it| (it.address.clone(), it.weight())).collect();
            Reach { via: Via::Direct, tls: Some(tls), protocol, addresses, absent: None }
        }
        Err(reason) => Reach::absent(Via::Direct, Some(tls), protocol, reason),
    }
}

/// Those of `instances` that are healthy and of the subset.
fn offered<'a>(instances: &[&'a Instance], subset: Option<&Subset>) -> Result<Vec<&'a Instance>, String> {
    let filter = Filter::parse(subset.map_or("", |subset| &subset.filter))
        .map_err(|error| format!("the subset's filter is not valid: {error}"))?;
    Ok(instances.iter().filter(|it| verdict(it, subset, &filter) == Verdict::Offered).copied().collect())
}

/// What becomes of an instance of a target's service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Offered,
    Critical,
    Warning,
    Weightless,
    OfAnotherSubset,
}

fn verdict(instance: &Instance, subset: Option<&Subset>, filter: &Filter) -> Verdict {
    let only_passing = subset.is_some_and(|subset| subset.only_passing);
    match instance.status {
        HealthStatus::Critical => Verdict::Critical,
        HealthStatus::Warning if only_passing => Verdict::Warning,
        _ if instance.weight() == 0 => Verdict::Weightless,
        _ if !filter.takes(instance) => Verdict::OfAnotherSubset,
        _ => Verdict::Offered,
    }
}

/// Why a target with this subset, whose filter is `filter`, does not offer `instance`; None when it does.
pub(crate) fn left_out(instance: &Instance, subset: Option<&Subset>, filter: &Filter) -> Option<String> {
    Some(match verdict(instance, subset, filter) {
        Verdict::Offered => return None,
        Verdict::Critical => "a registered check is critical".to_owned(),
        Verdict::Warning => "a registered check is warning, and the subset is OnlyPassing".to_owned(),
        Verdict::Weightless => "its registered weight is 0".to_owned(),
        Verdict::OfAnotherSubset => {
            format!("not of the subset: {}", subset.map_or("", |subset| &subset.filter))
        }
    })
}

/// What connections to an endpoint depend on besides its address: an endpoint under a new name or identity is a
/// new one, so no pooled connection outlives what it was checked for.
fn key(cluster: &str, tls: Option<&TargetTls>) -> String {
    let Some(tls) = tls else { return cluster.to_owned() };
    let mut key = format!("{cluster} {}", tls.sni);
    for identity in tls.identities.iter() {
        key.push(' ');
        key.push_str(&identity.to_string());
    }
    key
}

//! The gateway of one registration, as a plane of the engine: its listeners, its name table, its peerings.
//!
//! What is routed where is in [`crate::routes`]; here it is put in force. The peerings' side of it ([`follow`])
//! runs on the control thread and tells peers what has changed, health and our roots included.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spillway_certs::peering::PeerStore;
use spillway_certs::pem;
use spillway_core::endpoint::Address;
use spillway_core::entry::{Kind, Registration};
use spillway_core::name::{ServiceName, SpiffeId};
use spillway_core::outlier::Availability;
use spillway_core::problem::{Place, Problem};
use spillway_core::sni::SniTable;
use spillway_core::table::ServiceTable;
use spillway_proxy::admin::PlaneApi;
use spillway_proxy::generation::ServiceSlot;
use spillway_proxy::process::{Assembly, Inputs, ListenerPlan, Plane};
use spillway_proxy::sidecar::ip_address;
use spillway_proxy::stream::Replayed;
use spillway_proxy::worker::Shared;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::peering::PeeringApi;
use crate::peering::hub::{Contexts, Hub};
use crate::peering::local::Local;
use crate::peering::server::Server;
use crate::route::{Front, PeeringConnection, Route};
use crate::routes::Routes;

/// Connections that wait for the peering server to take them.
const WAITING: usize = 64;

/// How often peers' view of us follows what changes without the configuration: health, and our roots.
const FOLLOW: Duration = Duration::from_secs(1);

/// The mesh gateway of a configuration directory.
#[derive(Debug)]
pub struct Gateway {
    /// Its registered id; the only one's when none is named.
    id: Option<String>,
    config_dir: PathBuf,
    table: watch::Sender<Arc<SniTable<Route>>>,
    assembled: watch::Sender<Option<Arc<Assembled>>>,
    arrivals: mpsc::Sender<PeeringConnection>,
    /// Until the peering server takes it.
    arriving: Option<mpsc::Receiver<PeeringConnection>>,
    /// Once the peerings are kept.
    api: Option<Arc<PeeringApi>>,
}

/// What the configuration makes of our side of peerings, and where the services that it exports are.
#[derive(Debug)]
struct Assembled {
    local: Local,
    exported: BTreeMap<ServiceName, ServiceSlot>,
}

impl Gateway {
    /// The gateway registered under `id`, or the only one. `config_dir` is the one that has `peers/`.
    pub fn new(id: Option<String>, config_dir: PathBuf) -> Self {
        let (arrivals, arriving) = mpsc::channel(WAITING);
        Self {
            id,
            config_dir,
            table: watch::Sender::new(Arc::new(SniTable::nowhere())),
            assembled: watch::Sender::new(None),
            arrivals,
            arriving: Some(arriving),
            api: None,
        }
    }

    fn registered<'a>(&self, inputs: &'a Inputs) -> Result<&'a Registration, Vec<Problem>> {
        let ours = |it: &&Registration| {
            let datacenter = it.datacenter.as_ref().unwrap_or(&inputs.config.agent.datacenter);
            it.kind == Kind::MeshGateway && *datacenter == inputs.config.agent.datacenter
        };
        let all: Vec<&Registration> = inputs.config.registrations.iter().filter(ours).collect();
        let found = match (&self.id, &all[..]) {
            (Some(id), all) => all.iter().find(|it| it.id == *id).copied(),
            (None, [only]) => Some(*only),
            (None, _) => None,
        };
        let known: Vec<&str> = all.iter().map(|it| it.id.as_str()).collect();
        found.ok_or_else(|| vec![self.not_registered(&known.join(", "))])
    }

    fn not_registered(&self, known: &str) -> Problem {
        let place = Place { file: Arc::new(self.config_dir.clone()), line: 0, column: 0 };
        let message = match (&self.id, known) {
            (_, "") => "no mesh gateway is registered here (kind = \"mesh-gateway\")".to_owned(),
            (Some(id), known) => format!("no mesh gateway {id:?}; there are {known}"),
            (None, known) => format!("which of the mesh gateways {known}?"),
        };
        Problem::error(&place, "--service", message)
    }

    /// Keeps the peerings, on the control thread.
    fn start_peering(&mut self, shared: &Arc<Shared>) {
        let Some(arriving) = self.arriving.take() else { return };
        let Some(first) = self.assembled.borrow().clone() else { return };
        let local = watch::Sender::new(Arc::new(first.now(shared)));
        let contexts: Contexts = {
            let shared = Arc::clone(shared);
            Arc::new(move || shared.published.tls())
        };
        let hub = Hub::new(PeerStore::new(&self.config_dir), local.subscribe(), contexts);
        self.api = Some(Arc::new(PeeringApi { hub: Arc::clone(&hub), config_dir: self.config_dir.clone() }));
        drop(tokio::spawn(welcome(Arc::new(Server::new(Arc::clone(&hub))), arriving)));
        drop(tokio::spawn(hub.run()));
        drop(tokio::spawn(follow(self.assembled.subscribe(), Arc::clone(shared), local)));
    }
}

impl Plane for Gateway {
    fn identity(&self, inputs: &Inputs) -> Result<SpiffeId, Vec<Problem>> {
        self.registered(inputs)?;
        Ok(SpiffeId::mesh_gateway(&inputs.trust_domain, &inputs.config.agent.datacenter))
    }

    fn assemble(
        &mut self,
        inputs: &Inputs,
        assembly: &mut Assembly,
    ) -> Result<Vec<ListenerPlan>, Vec<Problem>> {
        let registration = self.registered(inputs)?;
        let front = Arc::new(Front {
            table: self.table.subscribe(),
            identity: self.identity(inputs)?,
            peering: self.arrivals.clone(),
        });
        let plans = listeners(registration, &front)?;
        let Routes { table, exported, .. } = Routes::build(inputs, assembly);
        let local = Local::of(inputs, Vec::new());
        self.table.send_replace(Arc::new(table));
        self.assembled.send_replace(Some(Arc::new(Assembled { local, exported })));
        Ok(plans)
    }

    fn started(&mut self, shared: &Arc<Shared>) {
        self.start_peering(shared);
    }

    fn api(&self) -> Option<Arc<dyn PlaneApi>> {
        self.api.clone().map(|api| api as _)
    }
}

/// Where the gateway listens: its own address, unless told not to, and those that its registration adds.
fn listeners(gateway: &Registration, front: &Arc<Front>) -> Result<Vec<ListenerPlan>, Vec<Problem>> {
    let proxy = &gateway.proxy;
    let mut wanted: Vec<(&str, &str, u16)> = Vec::new();
    if !proxy.gateway_no_default_bind {
        let own = gateway.own_address.then_some(gateway.address.as_str());
        let host = proxy.bind_address.as_deref().or(own).unwrap_or("0.0.0.0");
        wanted.push(("default", host, proxy.bind_port.unwrap_or(gateway.port)));
    }
    let tagged = gateway.tagged_addresses.iter().filter(|_| proxy.gateway_bind_tagged_addresses);
    for (name, (host, port)) in tagged.chain(&proxy.gateway_bind_addresses) {
        wanted.push((name, host, if *port == 0 { gateway.port } else { *port }));
    }
    let (mut plans, mut problems): (BTreeMap<SocketAddr, ListenerPlan>, _) = (BTreeMap::new(), Vec::new());
    for (name, host, port) in wanted {
        match ip_address(host, port, &gateway.place, name) {
            Ok(Address::Ip(addr)) => {
                let plan = || ListenerPlan {
                    name: name.to_owned(),
                    address: Address::Ip(addr),
                    mode: None,
                    serve: Arc::clone(front) as _,
                };
                plans.entry(addr).or_insert_with(plan);
            }
            Ok(Address::Unix(_)) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if plans.is_empty() && problems.is_empty() {
        let message = "leaves the gateway nothing to listen on";
        problems.push(Problem::error(&gateway.place, "proxy.config.envoy_gateway_no_default_bind", message));
    }
    if problems.is_empty() { Ok(plans.into_values().collect()) } else { Err(problems) }
}

impl Assembled {
    /// Our side as it stands: with the roots that vouch for us, and as many endpoints as would be picked from.
    fn now(&self, shared: &Shared) -> Local {
        let mut local = self.local.clone();
        if let Some(contexts) = shared.published.tls() {
            let roots = contexts.bundles().roots(&local.own.trust_domain);
            local.roots =
                roots.iter().map(|root| pem::encode_certificates(std::slice::from_ref(root))).collect();
        }
        let snapshot = shared.published.load();
        local.set_healthy(|service| {
            let slot = self.exported.get(&service.parse::<ServiceName>().ok()?)?;
            Some(healthy(&snapshot.service(*slot)?.table, shared))
        });
        local
    }
}

/// How many endpoints a table would pick from, each counted once. One that is held down serves when there is no other.
fn healthy(table: &ServiceTable, shared: &Shared) -> u32 {
    let now = shared.now();
    let targets = table.resolvers.iter().flat_map(|resolver| &resolver.targets);
    let endpoints = targets.flat_map(|target| &target.endpoints);
    let serves = |it: Availability| matches!(it, Availability::Yes | Availability::Held);
    let available = endpoints.filter(|endpoint| serves(endpoint.available(now)));
    let uids: std::collections::BTreeSet<u64> = available.map(|endpoint| endpoint.uid).collect();
    u32::try_from(uids.len()).unwrap_or(u32::MAX)
}

/// Lets peers' view of us follow what is assembled and what changes by itself.
async fn follow(
    mut assembled: watch::Receiver<Option<Arc<Assembled>>>,
    shared: Arc<Shared>,
    local: watch::Sender<Arc<Local>>,
) {
    loop {
        let latest = assembled.borrow_and_update().clone();
        if let Some(latest) = latest {
            let now = latest.now(&shared);
            local.send_if_modified(|local| {
                let news = **local != now;
                if news {
                    *local = Arc::new(now);
                }
                news
            });
        }
        tokio::select! {
            changed = assembled.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(FOLLOW) => {}
        }
    }
}

/// Takes connections under our peering name over from the workers that read it.
async fn welcome(server: Arc<Server>, mut arriving: mpsc::Receiver<PeeringConnection>) {
    while let Some(PeeringConnection { prelude, tcp }) = arriving.recv().await {
        match TcpStream::from_std(tcp) {
            Ok(tcp) => {
                let server = Arc::clone(&server);
                drop(tokio::spawn(async move { server.serve(Replayed::new(prelude, tcp)).await }));
            }
            Err(error) => tracing::warn!(%error, "cannot take over a peering connection"),
        }
    }
}

//! The sidecar of one registered service instance: its public listener, and one listener an upstream.

pub mod explain;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use spillway_core::breaker::{Breaker, Thresholds};
use spillway_core::chain::{ChainError, Chains, Context, Overrides, UpstreamSettings};
use spillway_core::check::KeptCheck;
use spillway_core::endpoint::Address;
use spillway_core::entry::{Kind, Registration, Upstream};
use spillway_core::name::{Datacenter, Locus, PeerName, ServiceName, SpiffeId, TargetId};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::pick::{Balance, Target, Via, Weights};
use spillway_core::problem::{Place, Problem};
use spillway_core::rate::RateLimiter;
use spillway_core::table::ServiceTable;

use crate::admin::PlaneApi;
use crate::admission::peers_let_in;
use crate::assembly::{Recipe, Source};
use crate::generation::{Intake, Role};
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::process::{Assembly, Inputs, ListenerPlan, Plane};
use crate::worker::Shared;
use explain::ExplainApi;

/// Envoy's default for connecting to the local application (`local_connect_timeout_ms`).
const LOCAL_CONNECT: Duration = Duration::from_secs(5);

/// The sidecar of the instance with this id.
#[derive(Debug)]
pub struct Sidecar {
    id: String,
    config_dir: PathBuf,
    explain: Arc<ExplainApi>,
}

/// The registrations that a sidecar is made of.
#[derive(Clone, Copy)]
struct Registered<'a> {
    application: &'a Registration,
    sidecar: &'a Registration,
}

impl Plane for Sidecar {
    fn identity(&self, inputs: &Inputs) -> Result<SpiffeId, Vec<Problem>> {
        let Registered { application, .. } = registered(&self.id, &self.config_dir, inputs)?;
        Ok(SpiffeId::service(&inputs.trust_domain, datacenter(application, inputs), &application.name))
    }

    fn assemble(
        &mut self,
        inputs: &Inputs,
        assembly: &mut Assembly,
    ) -> Result<Vec<ListenerPlan>, Vec<Problem>> {
        let registered = registered(&self.id, &self.config_dir, inputs)?;
        let Registered { application, sidecar } = registered;
        let checks = KeptCheck::of_instance(application, sidecar, &inputs.config.registrations);
        let critical = assembly.registered.critical(&checks);
        let mut problems = Vec::new();
        let mut plans = Vec::new();
        match inbound(&registered, inputs, assembly, critical.as_deref()) {
            // Nobody listens: a dialer in any cluster sees at once that it is to go elsewhere.
            Ok(_) if critical.is_some() => {}
            Ok(plan) => plans.push(plan),
            Err(problem) => problems.push(problem),
        }
        for upstream in &registered.sidecar.proxy.upstreams {
            match outbound(upstream, &registered, inputs, assembly) {
                Ok(plan) => plans.push(plan),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        assembly.registered.adopt(checks);
        Ok(plans)
    }

    fn started(&mut self, shared: &Arc<Shared>) {
        self.explain.started(shared);
    }

    fn api(&self) -> Option<Arc<dyn PlaneApi>> {
        Some(Arc::clone(&self.explain) as Arc<dyn PlaneApi>)
    }
}

impl Sidecar {
    /// `id` is `--sidecar-for`: the application's id, or the sidecar's own. `config_dir` is named in problems that no
    /// file is at fault for.
    pub fn new(id: impl Into<String>, config_dir: impl Into<PathBuf>) -> Self {
        let (id, config_dir) = (id.into(), config_dir.into());
        let explain = ExplainApi::new(id.clone(), config_dir.clone());
        Self { id, config_dir, explain: Arc::new(explain) }
    }
}

/// The instance that `--sidecar-for` means by `id`, and its sidecar.
fn registered<'a>(id: &str, config_dir: &Path, inputs: &'a Inputs) -> Result<Registered<'a>, Vec<Problem>> {
    let all = &inputs.config.registrations;
    let proxies = || all.iter().filter(|it| it.kind == Kind::ConnectProxy);
    let beside = |sidecar: &'a Registration| sidecar.proxy.destination_service_id.as_deref();
    let sidecar = proxies().find(|it| beside(it) == Some(id)).or_else(|| proxies().find(|it| it.id == *id));
    let application = sidecar.and_then(|sidecar| {
        let id = beside(sidecar)?;
        all.iter().find(|it| it.kind == Kind::Typical && it.id == id)
    });
    match (application, sidecar) {
        (Some(application), Some(sidecar)) => Ok(Registered { application, sidecar }),
        _ => {
            let known: BTreeSet<&str> = proxies().filter_map(beside).collect();
            let known: Vec<&str> = known.into_iter().collect();
            let place = Place { file: Arc::new(config_dir.to_owned()), line: 0, column: 0 };
            let message = match known[..] {
                [] => {
                    format!("no service instance {id:?} with a sidecar: none is registered here")
                }
                _ => format!("no service instance {:?} with a sidecar; there are {}", id, known.join(", ")),
            };
            Err(vec![Problem::error(&place, "--sidecar-for", message)])
        }
    }
}

fn datacenter<'a>(registration: &'a Registration, inputs: &'a Inputs) -> &'a Datacenter {
    registration.datacenter.as_ref().unwrap_or(&inputs.config.agent.datacenter)
}

/// The public listener, and the local application behind it. Connections that are open already stay; while a
/// registered check is critical, their requests find no application and are sent elsewhere.
fn inbound(
    registered: &Registered<'_>,
    inputs: &Inputs,
    assembly: &mut Assembly,
    critical: Option<&str>,
) -> Result<ListenerPlan, Problem> {
    let Registered { application, sidecar } = registered;
    let proxy = &sidecar.proxy;
    let service = &application.name;
    let global = inputs.config.entries.proxy_defaults.as_ref();
    let own = inputs.config.entries.defaults.get(service);
    let connect_timeout = proxy
        .local_connect_timeout
        .or_else(|| own.and_then(|own| own.local_connect_timeout))
        .or_else(|| global.and_then(|global| global.local_connect_timeout))
        .unwrap_or(LOCAL_CONNECT);
    // As Consul has it, 0 is no limit for either, and none of ours where nobody says anything.
    let request_timeout = proxy
        .local_request_timeout
        .or_else(|| own.and_then(|own| own.local_request_timeout))
        .or_else(|| global.and_then(|global| global.local_request_timeout))
        .filter(|timeout| !timeout.is_zero());
    let idle_timeout =
        proxy.local_idle_timeout.or_else(|| global.and_then(|global| global.local_idle_timeout));
    let protocol = proxy.protocol.unwrap_or_else(|| inputs.config.entries.protocol(service));
    let local = local_application(application, sidecar)?;
    let datacenter = datacenter(application, inputs);
    let cluster: Arc<str> = "local_app".into();
    let load = assembly.endpoints.load(&cluster);
    let endpoint = assembly.endpoints.endpoint(Arc::clone(&cluster), &local);
    let target = Target {
        id: TargetId {
            service: service.clone(),
            subset: None,
            locus: Locus::Datacenter(datacenter.clone()),
            tenancy: None,
        },
        cluster,
        via: Via::Direct,
        tls: None,
        protocol,
        connect_timeout,
        // There is no other local application to go to.
        outlier: OutlierPolicy { max_failures: 0, ..OutlierPolicy::default() },
        // Callers limit what they send.
        breaker: Breaker::new(Thresholds::UNLIMITED, load),
        endpoints: if critical.is_none() { [endpoint].into() } else { Box::default() },
        weights: Weights::default(),
        balance: Balance::default(),
        absent: critical.map(|id| format!("registered check {id} is critical")),
    };
    let mut table =
        ServiceTable::single(service.clone(), protocol, target).with_request_timeout(request_timeout);
    if let Some(idle_timeout) = idle_timeout {
        table = table.with_idle_timeout(Some(idle_timeout).filter(|timeout| !timeout.is_zero()));
    }
    let intake = Intake {
        peers: peers_let_in(service, datacenter, inputs),
        connections: connections_let_in(sidecar, service, inputs, assembly),
        rates: own.and_then(|own| own.rate_limits.as_ref()).map(|it| Arc::new(RateLimiter::compile(it))),
    };
    let slot = assembly.insert_for("inbound", "public_listener", Role::Inbound, table, intake);
    let address = proxy.bind_address.as_deref().or(sidecar.own_address.then_some(sidecar.address.as_str()));
    let port = proxy.bind_port.unwrap_or(sidecar.port);
    Ok(ListenerPlan {
        name: "public_listener".to_owned(),
        address: ip_address(address.unwrap_or("0.0.0.0"), port, &sidecar.place, "address")?,
        mode: None,
        serve: Arc::new(Inbound {
            slot,
            identity: SpiffeId::service(&inputs.trust_domain, datacenter, service),
        }),
    })
}

/// How many connections the public listener takes at once; 0 is as many as may come.
fn connections_let_in(
    sidecar: &Registration,
    service: &ServiceName,
    inputs: &Inputs,
    assembly: &mut Assembly,
) -> Option<Breaker> {
    let entries = &inputs.config.entries;
    let own = entries.defaults.get(service).map(|own| own.max_inbound_connections).filter(|it| *it > 0);
    let global = || entries.proxy_defaults.as_ref().and_then(|global| global.max_inbound_connections);
    let most = sidecar.proxy.max_inbound_connections.or(own).or_else(global).filter(|it| *it > 0)?;
    let thresholds = Thresholds { connections: most, ..Thresholds::UNLIMITED };
    Some(Breaker::new(thresholds, assembly.endpoints.load(&"public_listener".into())))
}

fn local_application(application: &Registration, sidecar: &Registration) -> Result<Address, Problem> {
    let proxy = &sidecar.proxy;
    let socket = proxy.local_service_socket_path.as_ref().or(application.socket_path.as_ref());
    if let Some(path) = socket {
        return Ok(Address::Unix(path.as_path().into()));
    }
    let host = proxy.local_service_address.as_deref().unwrap_or("127.0.0.1");
    let port = proxy.local_service_port.unwrap_or(application.port);
    if port == 0 {
        let message = format!("the application of {} has no port to forward to", application.id);
        return Err(Problem::error(&application.place, "port", message));
    }
    ip_address(host, port, &sidecar.place, "proxy.local_service_address")
}

/// One upstream's listener, and the chain behind it.
fn outbound(
    upstream: &Upstream,
    registered: &Registered<'_>,
    inputs: &Inputs,
    assembly: &mut Assembly,
) -> Result<ListenerPlan, Problem> {
    let address = match (&upstream.local_bind_socket_path, upstream.local_bind_port) {
        (Some(path), _) => Address::Unix(path.as_path().into()),
        (None, port) => {
            let host = upstream.local_bind_address.as_deref().unwrap_or("127.0.0.1");
            ip_address(host, port.unwrap_or_default(), &upstream.place, "local_bind_address")?
        }
    };
    let name = upstream_name(upstream, datacenter(registered.application, inputs));
    let recipe = upstream_recipe(upstream, registered, inputs, &mut assembly.chains)?;
    let (key, stats) = (address.to_string(), format!("upstream.{name}"));
    let slot = assembly.serve(&key, &stats, Role::Outbound, recipe, &inputs.catalog);
    let application = registered.application;
    let identity =
        SpiffeId::service(&inputs.trust_domain, datacenter(application, inputs), &application.name);
    let identity = identity.to_string().into();
    Ok(ListenerPlan {
        name,
        address,
        mode: upstream.local_bind_socket_mode,
        serve: Arc::new(Outbound { slot, identity }),
    })
}

/// As Consul names it for Envoy: `s2.default.default.dc1`, or `s2.default.PEER.external` for a peer's.
fn upstream_name(upstream: &Upstream, own: &Datacenter) -> String {
    let service = &upstream.destination_name;
    match &upstream.destination_peer {
        Some(peer) => format!("{service}.default.{peer}.external"),
        None => format!("{service}.default.default.{}", upstream.datacenter.as_ref().unwrap_or(own)),
    }
}

/// What the table of an upstream is built from: its chain, compiled with its overrides; an upstream at a peer has none.
fn upstream_recipe(
    upstream: &Upstream,
    registered: &Registered<'_>,
    inputs: &Inputs,
    chains: &mut Chains,
) -> Result<Recipe, Problem> {
    let Registered { application, sidecar } = registered;
    let entries = &inputs.config.entries;
    let wanted = UpstreamSettings::new(entries, &application.name, sidecar, upstream);
    let own = datacenter(application, inputs);
    let cx = Context {
        service: upstream.destination_name.clone(),
        datacenter: upstream.datacenter.as_ref().unwrap_or(own).clone(),
        trust_domain: inputs.trust_domain.clone(),
        overrides: wanted.overrides(),
    };
    let source = source(cx, upstream.destination_peer.as_ref(), inputs, chains).map_err(|error| {
        let place = error.at_fault().place(entries).unwrap_or(&upstream.place);
        Problem::error(place, "", error.to_string())
    })?;
    Ok(Recipe {
        source,
        datacenter: own.clone(),
        trust_domain: inputs.trust_domain.clone(),
        outlier: wanted.outlier(),
        thresholds: wanted.thresholds(),
        exported: false,
    })
}

/// Where the requests of one upstream may go: along its chain, or to the service of a peer.
fn source(
    cx: Context,
    peer: Option<&PeerName>,
    inputs: &Inputs,
    chains: &mut Chains,
) -> Result<Source, ChainError> {
    let Some(peer) = peer else { return chains.compile(&cx).map(Source::Chain) };
    // The exporter says what its service speaks. Until it does, and when it exports it no more, callers are answered in
    // what everybody speaks here.
    let usual = inputs.config.entries.proxy_defaults.as_ref().and_then(|global| global.protocol);
    let overrides = Overrides { protocol: cx.overrides.protocol.or(usual), ..cx.overrides };
    Ok(Source::Peer { service: cx.service, peer: peer.clone(), overrides })
}

/// The addresses of a `host:port` whose host is a name, as the system resolves it. On the control thread.
pub fn resolve(name: &str) -> Vec<SocketAddr> {
    name.to_socket_addrs().map(Iterator::collect).unwrap_or_else(|error| {
        tracing::warn!(name, %error, "cannot resolve");
        Vec::new()
    })
}

/// What to bind or dial, from a registration's words.
pub fn ip_address(host: &str, port: u16, place: &Place, field: &str) -> Result<Address, Problem> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().map_err(|_| {
        Problem::error(
            place,
            field,
            format!("{host:?} is not an IP address that can be listened on or dialed"),
        )
    })?;
    Ok(Address::Ip(SocketAddr::new(ip, port)))
}

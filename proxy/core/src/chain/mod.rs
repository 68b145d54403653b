//! The discovery chain: config entries in, one chain per service out.
//!
//! Here: the walk from router to splitter (`assemble`) to resolver (`resolve`), circles, flattening, and the
//! overrides that a sidecar compiles with; `cache` keeps what a change of the entries does not touch. `table` builds from a finished [`Chain`]; [`json`], [`text`] and
//! [`dot`] show one; nothing else looks inside.
//! Kept out: endpoints, health, sockets, clocks. A chain says where a request may go, never who is up, so
//! compiling stays a pure function of its entries.
//!
//! The semantics are those of Consul's compiler, quirks included; a quirk is named where it is followed.

mod assemble;
mod cache;
mod check;
mod customization;
mod cycle;
pub(crate) mod describe;
pub mod dot;
mod error;
mod flatten;
mod graph;
pub mod json;
mod overrides;
pub mod request;
mod resolve;
mod rules;
pub mod text;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{fmt, mem};

use assemble::Assembly;
pub(crate) use assemble::Named;
pub use cache::Chains;
pub use check::Conflict;
#[cfg(test)]
pub(crate) use check::check_all;
pub use error::{ChainError, EntryKind, EntryRef, Forbidden, Unexportable};
pub use overrides::UpstreamSettings;
pub(crate) use resolve::Rule;
pub use rules::{Branch, Choice, Scope, SplitRules};

use crate::entry::{EntrySet, EnvoyExtension, LoadBalancer, MeshGatewayMode, Protocol, Route, Split, Subset};
use crate::name::{Datacenter, ServiceName, Sni, TargetId, TrustDomain};

/// Compiles the chain of `cx.service`.
///
/// # Errors
/// When the entries contradict each other; the first contradiction met, in Consul's order.
pub fn compile(entries: &EntrySet, cx: &Context) -> Result<Chain, ChainError> {
    compile_noting(entries, cx).0
}

/// The same, with the services whose entries had a say in it.
fn compile_noting(entries: &EntrySet, cx: &Context) -> (Result<Chain, ChainError>, BTreeSet<ServiceName>) {
    let mut assembly = Assembly::new(entries, cx);
    let start = assembly.start();
    let read = mem::take(&mut assembly.read);
    (start.and_then(|start| finish(assembly, start)), read)
}

/// From everything that the walk found to the chain: no circles, no nesting, nothing out of reach.
fn finish(assembly: Assembly<'_>, start: NodeKey) -> Result<Chain, ChainError> {
    let Assembly { entries, cx, mut nodes, targets, protocol, http_only, mut in_force, .. } = assembly;
    cycle::check(&nodes, &start)?;
    flatten::flatten(&mut nodes, &start, &cx.service)?;
    prune(&mut nodes, &start);

    // A chain of peer targets alone speaks what its service does: a peer's protocol is not known here.
    let noted = protocol.unwrap_or_else(|| entries.protocol(&cx.service));
    if let Some(by) = http_only.filter(|_| !noted.is_http()) {
        return Err(ChainError::NotHttp { chain: cx.service.clone(), protocol: noted, by });
    }
    let protocol = cx.overrides.protocol.unwrap_or(noted);
    if protocol != noted {
        in_force.protocol = Some(protocol);
    }
    let own = entries.defaults.get(&cx.service);
    let global = entries.proxy_defaults.as_ref().map(|it| &it.envoy_extensions);
    let specific = own.map(|it| &it.envoy_extensions);
    Ok(Chain {
        service: cx.service.clone(),
        datacenter: cx.datacenter.clone(),
        protocol,
        default: is_default(&nodes, &start, &cx.service),
        customization_hash: customization::hash(&in_force),
        service_meta: own.map(|it| it.meta.clone()).unwrap_or_default(),
        envoy_extensions: global
            .into_iter()
            .flatten()
            .chain(specific.into_iter().flatten())
            .cloned()
            .collect(),
        start,
        nodes,
        targets,
    })
}

/// Leaves only what can be reached: the splitters that were flattened into others go.
fn prune(nodes: &mut BTreeMap<NodeKey, Node>, start: &NodeKey) {
    let mut reached = BTreeSet::from([start.clone()]);
    let mut to_visit = vec![start.clone()];
    while let Some(node) = to_visit.pop().and_then(|key| nodes.get(&key)) {
        for next in node.next() {
            if reached.insert(next.clone()) {
                to_visit.push(next.clone());
            }
        }
    }
    nodes.retain(|key, _| reached.contains(key));
}

fn is_default(nodes: &BTreeMap<NodeKey, Node>, start: &NodeKey, service: &ServiceName) -> bool {
    match nodes.get(start) {
        Some(Node::Resolver { default, target, .. }) => *default && target.service == *service,
        _ => false,
    }
}

/// How long connecting to a target may take, TLS included, when its resolver does not say.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What everything in a splitter amounts to: hundredths of a per cent.
pub const WHOLE: u32 = 10_000;

/// For whom a chain is compiled, and where.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Context {
    /// The service that was asked for, real or virtual.
    pub service: ServiceName,
    /// Where targets are that name no datacenter.
    pub datacenter: Datacenter,
    /// Ends every SNI.
    pub trust_domain: TrustDomain,
    /// What the caller wants otherwise than the entries say.
    pub overrides: Overrides,
}

/// What one caller wants otherwise than the entries say.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Overrides {
    /// The chain's protocol. An L4 one leaves out router and splitters.
    pub protocol: Option<Protocol>,
    /// Of every target; zero says nothing.
    pub connect_timeout: Option<Duration>,
    /// Of every target that is not external.
    pub mesh_gateway: MeshGatewayMode,
}

/// A compiled chain: defaults filled in, redirects followed, splitters flattened.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The service that was asked for.
    pub service: ServiceName,
    /// Where it was compiled.
    pub datacenter: Datacenter,
    /// What all of it speaks.
    pub protocol: Protocol,
    /// Whether no entry had a say in where requests go: they go to the service itself.
    pub default: bool,
    /// Set when an override changed something; hexadecimal, part of the names of clusters.
    pub customization_hash: Option<String>,
    /// `Meta` of the `service-defaults` of the service that was asked for.
    pub service_meta: BTreeMap<String, String>,
    /// `EnvoyExtensions` of `proxy-defaults`, then of that entry.
    pub envoy_extensions: Vec<EnvoyExtension>,
    /// Where a request begins.
    pub start: NodeKey,
    /// All nodes that can be reached from `start`; each key that a node names is here.
    pub nodes: BTreeMap<NodeKey, Node>,
    /// All targets that a node or a failover names, and no others.
    pub targets: BTreeMap<TargetId, ChainTarget>,
}

/// The key of a node: `router:web.default.default`, `resolver:v1.web.default.default.dc1`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NodeKey {
    /// The resolver that ends at a target.
    Resolver(TargetId),
    /// The router of the service that was asked for.
    Router(ServiceName),
    /// A service's splitter.
    Splitter(ServiceName),
}

impl NodeKey {
    /// `resolver`, `router` or `splitter`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolver(_) => "resolver",
            Self::Router(_) => "router",
            Self::Splitter(_) => "splitter",
        }
    }

    /// The key without its kind: the target's id, or `SERVICE.default.default`.
    pub fn name(&self) -> String {
        match self {
            Self::Resolver(target) => target.to_string(),
            Self::Router(service) | Self::Splitter(service) => format!("{service}.default.default"),
        }
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.name())
    }
}

/// One stage of a chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Picks a stage by what the request looks like.
    Router {
        /// In order; the last matches everything.
        routes: Vec<ChainRoute>,
    },
    /// Picks a stage by weight. After flattening every leg leads to a resolver.
    Splitter {
        /// In order.
        legs: Vec<Leg>,
        /// Of the first leg whose policy is hash-based, whichever leg is taken.
        load_balancer: Option<LoadBalancer>,
        /// What it says beyond Consul.
        rules: SplitRules,
    },
    /// Ends at a target.
    Resolver {
        /// Whether the service has no resolver entry with a say in this.
        default: bool,
        /// TCP and TLS together.
        connect_timeout: Duration,
        /// In force only where the chain starts at this resolver.
        request_timeout: Option<Duration>,
        /// Where requests go.
        target: TargetId,
        /// Who takes over, in order.
        failover: Vec<TargetId>,
        /// How an endpoint is chosen.
        load_balancer: Option<LoadBalancer>,
    },
}

impl Node {
    /// The stages that it leads to, in order; none from a resolver.
    pub fn next(&self) -> impl DoubleEndedIterator<Item = &NodeKey> {
        let (routes, legs): (&[ChainRoute], &[Leg]) = match self {
            Self::Router { routes } => (routes, &[]),
            Self::Splitter { legs, .. } => (&[], legs),
            Self::Resolver { .. } => (&[], &[]),
        };
        routes.iter().map(|route| &route.next).chain(legs.iter().map(|leg| &leg.next))
    }
}

/// One route of a router.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainRoute {
    /// As written; the last, which catches all, is made up.
    pub definition: Route,
    /// The next stage.
    pub next: NodeKey,
}

/// One leg of a splitter.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// As written in the splitter that the leg comes from, with the header rules of those above it merged in.
    pub definition: Split,
    /// The compiled weight as Consul rounds it, of [`WHOLE`]; nested shares may not add up to that.
    pub basis_points: u32,
    /// The share to serve: exact products of the weights, apportioned by largest remainder, so that the legs of
    /// a splitter sum to [`WHOLE`] (to 0 only if every weight is 0, which a valid splitter's are not).
    pub runtime_points: u32,
    /// The next stage.
    pub next: NodeKey,
}

/// Where requests can end up.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainTarget {
    /// Service, subset, datacenter or peer.
    pub id: TargetId,
    /// What the subset means; takes all instances when no subset is named.
    pub subset: Subset,
    /// How it is reached when it is in another datacenter or peer; never set for external targets.
    pub mesh_gateway: MeshGatewayMode,
    /// Whether transparent proxies dial single instances; never set for external targets.
    pub dialed_directly: bool,
    /// TCP and TLS together.
    pub connect_timeout: Duration,
    /// Whether `ExternalSNI` says that it is not of this mesh.
    pub external: bool,
    /// What to ask for: `ExternalSNI`, or the name within our trust domain. None for a peer, whose trust domain
    /// a chain does not know.
    pub sni: Option<Sni>,
    /// The name within our trust domain, also of an external target. None for a peer.
    pub name: Option<Sni>,
}

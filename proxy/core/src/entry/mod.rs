//! Config entries and registrations as an operator wrote them (Consul 1.21's fields, community edition).
//!
//! The first tier: typed, but nothing filled in and nothing resolved. `Serialize` gives Consul's JSON form
//! (CamelCase, empty fields left out), which the compiled chain shows as `Definition`.

mod agent;
mod defaults;
mod exported;
mod intention;
mod jwt;
mod mesh;
pub(crate) mod read;
mod registration;
mod resolver;
mod router;
mod sameness;
pub mod settings;
mod splitter;

use std::collections::BTreeMap;

pub use agent::{AgentSettings, CaConfig};
pub use defaults::{
    AccessLogs, EnvoyExtension, Expose, ExposePath, Limits, PassiveHealthCheck, ProxyDefaults,
    RateLimitRoute, RateLimits, ServiceDefaults, UpstreamConfig, UpstreamOverrides,
};
pub use exported::{Consumer, ExportedService, ExportedServices};
pub use intention::{Action, JwtProviderRequirement, JwtRequirement, Permission, ServiceIntentions, Source};
pub use jwt::{JwtForwarding, JwtKeys, JwtLocation, JwtProvider};
pub use mesh::{Mesh, RequestNormalization, TlsDirection};
pub use registration::{Check, HealthStatus, Kind, Proxy, Registration, Upstream};
pub use resolver::{
    CookieConfig, Failover, FailoverPolicy, FailoverTarget, HashPolicy, LeastRequestConfig, LoadBalancer,
    Redirect, RingHashConfig, ServiceResolver, Subset,
};
pub use router::DEFAULT_REQUEST_TIMEOUT;
pub use router::{
    Destination, HeaderMatch, HeaderModifiers, HttpMatch, QueryParamMatch, Route, RouteMatch, ServiceRouter,
};
pub use sameness::{SamenessGroup, SamenessMember};
use serde::Serialize;
pub use splitter::{EmptyLeg, ServiceSplitter, Split, Sticky, StickyField};

use crate::name::{PeerName, ServiceName};

/// All config entries of a directory. The name is the entry's; one kind has at most one entry of a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntrySet {
    /// `service-router`
    pub routers: BTreeMap<ServiceName, ServiceRouter>,
    /// `service-splitter`
    pub splitters: BTreeMap<ServiceName, ServiceSplitter>,
    /// `service-resolver`
    pub resolvers: BTreeMap<ServiceName, ServiceResolver>,
    /// `service-defaults`
    pub defaults: BTreeMap<ServiceName, ServiceDefaults>,
    /// `proxy-defaults`, of which there is one, named `global`
    pub proxy_defaults: Option<ProxyDefaults>,
    /// `mesh`
    pub mesh: Option<Mesh>,
    /// `exported-services`
    pub exported: Option<ExportedServices>,
    /// `service-intentions` by destination; `*` stands for any
    pub intentions: BTreeMap<String, ServiceIntentions>,
    /// `jwt-provider`
    pub jwt_providers: BTreeMap<String, JwtProvider>,
    /// `sameness-group`
    pub sameness_groups: BTreeMap<String, SamenessGroup>,
}

impl EntrySet {
    /// How many entries there are, of all kinds.
    pub fn count(&self) -> usize {
        let Self {
            routers,
            splitters,
            resolvers,
            defaults,
            proxy_defaults,
            mesh,
            exported,
            intentions,
            jwt_providers,
            sameness_groups,
        } = self;
        routers.len()
            + splitters.len()
            + resolvers.len()
            + defaults.len()
            + usize::from(proxy_defaults.is_some())
            + usize::from(mesh.is_some())
            + usize::from(exported.is_some())
            + intentions.len()
            + jwt_providers.len()
            + sameness_groups.len()
    }

    /// Whether `exported-services` exports `service` to `peer`, by name or by `*`.
    pub fn exports(&self, service: &ServiceName, peer: &PeerName) -> bool {
        self.exported.as_ref().is_some_and(|exported| exported.exports(service, peer))
    }

    /// A service's protocol as Consul settles it: its `service-defaults` alone when it has one, else
    /// `proxy-defaults`, else tcp.
    pub fn protocol(&self, service: &ServiceName) -> Protocol {
        settings::protocols(self, service).next().map(|it| it.value).unwrap_or_default()
    }
}

/// What a service speaks (`Protocol` of `service-defaults`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Opaque bytes.
    #[default]
    Tcp,
    /// HTTP/1.1, or HTTP/2 where both sides choose it.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
}

impl Protocol {
    /// Whether requests can be routed and split.
    pub fn is_http(self) -> bool {
        self != Self::Tcp
    }

    /// The protocol of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Tcp, Self::Http, Self::Http2, Self::Grpc];
        all.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(name))
    }

    /// The name as Consul writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
        }
    }
}

/// How to reach a target in another datacenter or peer (`MeshGateway { Mode }`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MeshGatewayMode {
    /// Not said here: a less specific place decides.
    #[default]
    #[serde(rename = "")]
    Default,
    /// The instance itself.
    None,
    /// Our own cluster's gateway, which forwards.
    Local,
    /// The other cluster's gateway.
    Remote,
}

impl MeshGatewayMode {
    /// `self`, unless it says nothing; then `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Default { other } else { self }
    }

    /// The mode of this name; none for another.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Default, Self::None, Self::Local, Self::Remote].into_iter().find(|it| it.as_str() == name)
    }

    /// The name as Consul writes it; empty for [`Self::Default`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::None => "none",
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

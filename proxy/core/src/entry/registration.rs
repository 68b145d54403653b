//! Service registrations: the instances that a cluster has, their sidecars and its gateways.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{MeshGatewayMode, UpstreamConfig};
use crate::name::{Datacenter, PeerName, ServiceName};
use crate::problem::Place;

/// One registered instance. `connect.sidecar_service` is expanded when it is read: it gives a second
/// registration of [`Kind::ConnectProxy`], named and numbered as Consul does.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Where it was read.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// Unique in its datacenter; default: the name.
    pub id: String,
    /// The service. A sidecar's is `SERVICE-sidecar-proxy`.
    pub name: ServiceName,
    /// In which datacenter of our trust domain, when not the agent's own.
    pub datacenter: Option<Datacenter>,
    /// What others dial: `address`, else the agent's `advertise_addr`. An IP address, or a host name.
    pub address: String,
    /// Whether `address` was written on the registration: it is then also what to bind.
    pub own_address: bool,
    /// 0 when there is none (or with `socket_path`).
    pub port: u16,
    /// Instead of address and port.
    pub socket_path: Option<PathBuf>,
    /// `tagged_addresses`, of which `lan` and `wan` matter here.
    pub tagged_addresses: BTreeMap<String, (String, u16)>,
    /// Free-form words. Shared, as are `meta` and `checks`, with whatever is registered next to it and says the same.
    pub tags: Arc<[String]>,
    /// `enable_tag_override`; subsets may filter by it.
    pub enable_tag_override: bool,
    /// Free-form pairs; subsets filter by them.
    pub meta: Arc<BTreeMap<String, String>>,
    /// Share of the traffic while passing, 1 to 65535, default 1; 0 takes it out.
    pub weight_passing: u32,
    /// Share while warning.
    pub weight_warning: u32,
    /// Registered checks.
    pub checks: Arc<[Check]>,
    /// `proxy`, for sidecars and gateways.
    pub proxy: Proxy,
}

impl Registration {
    /// Shares with `other` what both say alike: between instances of a service that is nearly all of it.
    pub(crate) fn share(&mut self, other: &Self) {
        if self.tags == other.tags {
            self.tags = Arc::clone(&other.tags);
        }
        if self.meta == other.meta {
            self.meta = Arc::clone(&other.meta);
        }
        if self.checks == other.checks {
            self.checks = Arc::clone(&other.checks);
        }
    }
}

/// `kind`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// An application.
    #[default]
    Typical,
    /// A sidecar.
    ConnectProxy,
    /// A mesh gateway.
    MeshGateway,
}

/// `proxy`: what a sidecar or gateway is told in its registration.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// The service it stands beside.
    pub destination_service_name: Option<ServiceName>,
    /// Which instance of it.
    pub destination_service_id: Option<String>,
    /// Default `127.0.0.1`.
    pub local_service_address: Option<String>,
    /// Default: the instance's port.
    pub local_service_port: Option<u16>,
    /// Instead of address and port.
    pub local_service_socket_path: Option<PathBuf>,
    /// What the application calls.
    pub upstreams: Vec<Upstream>,
    /// `mesh_gateway.mode`
    pub mesh_gateway: MeshGatewayMode,
    /// `config.bind_address`
    pub bind_address: Option<String>,
    /// `config.bind_port`
    pub bind_port: Option<u16>,
    /// `config.protocol`
    pub protocol: Option<super::Protocol>,
    /// `config.local_connect_timeout_ms`
    pub local_connect_timeout: Option<Duration>,
    /// `config.local_request_timeout_ms`
    pub local_request_timeout: Option<Duration>,
    /// `config.local_idle_timeout_ms`
    pub local_idle_timeout: Option<Duration>,
    /// `config.max_inbound_connections`
    pub max_inbound_connections: Option<u32>,
    /// `config.envoy_prometheus_bind_addr`
    pub prometheus_bind_addr: Option<String>,
    /// `config.envoy_stats_bind_addr`
    pub stats_bind_addr: Option<String>,
    /// Paths that are served without TLS.
    pub expose: super::Expose,
    /// `config.envoy_gateway_bind_addresses`: name to address and port.
    pub gateway_bind_addresses: BTreeMap<String, (String, u16)>,
    /// `config.envoy_gateway_bind_tagged_addresses`
    pub gateway_bind_tagged_addresses: bool,
    /// `config.envoy_gateway_no_default_bind`
    pub gateway_no_default_bind: bool,
}

/// One of `proxy.upstreams[]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it was read.
    pub place: Place,
    /// The service, real or virtual.
    pub destination_name: ServiceName,
    /// At a peer; excludes `datacenter`.
    pub destination_peer: Option<PeerName>,
    /// Compile the chain there.
    pub datacenter: Option<Datacenter>,
    /// Default `127.0.0.1`.
    pub local_bind_address: Option<String>,
    /// This or a socket path.
    pub local_bind_port: Option<u16>,
    /// Instead of address and port.
    pub local_bind_socket_path: Option<PathBuf>,
    /// Its permissions, such as `0o600`.
    pub local_bind_socket_mode: Option<u32>,
    /// `config` and `mesh_gateway.mode`.
    pub config: UpstreamConfig,
}

/// A registered check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// `http`: a URL.
    pub http: Option<String>,
    /// `tcp`: host:port.
    pub tcp: Option<String>,
    /// `grpc`: host:port/service.
    pub grpc: Option<String>,
    /// `alias_service`: the id of the service whose checks count.
    pub alias_service: Option<String>,
    /// Between two runs.
    pub interval: Option<Duration>,
    /// Of one run.
    pub timeout: Option<Duration>,
    /// Counts until a run changes it.
    pub status: Option<HealthStatus>,
    /// `check_id` or `id`; empty when not given.
    pub id: String,
    /// As it is to be shown; empty when not given.
    pub name: String,
    /// `notes`
    pub notes: String,
    /// `method` of an HTTP check, default `GET`.
    pub method: Option<String>,
    /// `header` of an HTTP check.
    pub headers: BTreeMap<String, Vec<String>>,
    /// `body` of an HTTP check.
    pub body: Option<String>,
    /// `disable_redirects` of an HTTP check.
    pub disable_redirects: bool,
    /// `grpc_use_tls`, `tcp_use_tls`.
    pub use_tls: bool,
    /// `tls_server_name`
    pub tls_server_name: Option<String>,
    /// `tls_skip_verify`
    pub tls_skip_verify: bool,
    /// Runs in a row that turn it passing, default 0: the first does.
    pub success_before_passing: u32,
    /// Failures in a row that turn it critical, default 0: the first does.
    pub failures_before_critical: u32,
    /// Failures in a row that turn it warning, default as for critical.
    pub failures_before_warning: Option<u32>,
}

impl Check {
    /// Whether the instance's own sidecar runs it; else its status is what was written.
    pub fn is_run(&self) -> bool {
        self.http.is_some() || self.tcp.is_some() || self.grpc.is_some()
    }
}

/// The state of a check, and of an instance: the worst of its checks.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum HealthStatus {
    /// Healthy.
    #[default]
    Passing,
    /// Healthy, but not for subsets with `OnlyPassing`.
    Warning,
    /// Gets nothing.
    Critical,
}

impl HealthStatus {
    /// As Consul writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

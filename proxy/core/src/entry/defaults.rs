//! `service-defaults` and `proxy-defaults`: protocol, gateway mode, limits and health of a service, and of all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::resolver::FailoverPolicy;
use super::{MeshGatewayMode, Protocol};
use crate::access_log::Format;
use crate::name::{PeerName, ServiceName};
use crate::problem::Place;

/// `service-defaults`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceDefaults {
    /// Where it was read.
    pub place: Place,
    /// The service.
    pub name: Option<ServiceName>,
    /// Unset means tcp, whatever `proxy-defaults` say.
    pub protocol: Option<Protocol>,
    /// How this service, as a caller, reaches other clusters.
    pub mesh_gateway: MeshGatewayMode,
    /// Forbids redirect, subsets and failover.
    pub external_sni: Option<String>,
    /// `TransparentProxy.DialedDirectly`
    pub dialed_directly: bool,
    /// How this service, as a caller, treats its upstreams.
    pub upstream_config: UpstreamOverrides,
    /// Connections to the local application; 0 is unlimited.
    pub max_inbound_connections: u32,
    /// To the local application, default 5 s.
    pub local_connect_timeout: Option<Duration>,
    /// Of the local application, default none of our own.
    pub local_request_timeout: Option<Duration>,
    /// Paths that are served without TLS.
    pub expose: Expose,
    /// `RateLimits.InstanceLevel`
    pub rate_limits: Option<RateLimits>,
    /// Shown in the chain; without effect here.
    pub envoy_extensions: Vec<EnvoyExtension>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// `UpstreamConfig`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamOverrides {
    /// For all upstreams.
    pub defaults: UpstreamConfig,
    /// For the one named (and at the peer named).
    pub overrides: Vec<UpstreamConfig>,
}

/// `UpstreamConfig.Defaults`, one of `UpstreamConfig.Overrides[]`, and `config` of a registered upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamConfig {
    /// Which upstream, in `Overrides`.
    pub name: Option<ServiceName>,
    /// At which peer.
    pub peer: Option<PeerName>,
    /// Instead of the upstream's own.
    pub protocol: Option<Protocol>,
    /// Instead of the resolver's.
    pub connect_timeout: Option<Duration>,
    /// How to reach it in another cluster.
    pub mesh_gateway: MeshGatewayMode,
    /// How much at once.
    pub limits: Limits,
    /// When an endpoint is ejected.
    pub passive_health_check: Option<PassiveHealthCheck>,
}

/// `Limits`; unset is 1024 each, 0 a real zero.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// To all endpoints of a target.
    pub max_connections: Option<u32>,
    /// Waiting for a connection.
    pub max_pending_requests: Option<u32>,
    /// In flight.
    pub max_concurrent_requests: Option<u32>,
}

/// `PassiveHealthCheck`; unset fields have Consul's defaults.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PassiveHealthCheck {
    /// Between the sweeps that end ejections (Envoy), default 10 s.
    pub interval: Option<Duration>,
    /// Consecutive failures that eject, default 5.
    pub max_failures: Option<u32>,
    /// Per cent of 5xx ejections carried out, default 100.
    pub enforcing_consecutive_5xx: Option<u32>,
    /// Per cent of a target's endpoints that 5xx answers may eject, default 10.
    pub max_ejection_percent: Option<u32>,
    /// Times the number of ejections so far, default 30 s.
    pub base_ejection_time: Option<Duration>,
    /// For how long an endpoint that proved itself stays out while others serve (beyond Consul), default a tenth of
    /// `base_ejection_time`, at most 3 s.
    pub hold_down: Option<Duration>,
    /// For how long its share then grows (beyond Consul), default a third of `base_ejection_time`, at most 10 s.
    pub ramp: Option<Duration>,
}

/// `proxy-defaults`, named `global`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyDefaults {
    /// Where it was read.
    pub place: Place,
    /// `Config.protocol`
    pub protocol: Option<Protocol>,
    /// Least specific.
    pub mesh_gateway: MeshGatewayMode,
    /// `TransparentProxy.DialedDirectly`
    pub dialed_directly: bool,
    /// `Config.local_connect_timeout_ms`
    pub local_connect_timeout: Option<Duration>,
    /// `Config.local_request_timeout_ms`
    pub local_request_timeout: Option<Duration>,
    /// `Config.local_idle_timeout_ms`
    pub local_idle_timeout: Option<Duration>,
    /// `Config.max_inbound_connections`
    pub max_inbound_connections: Option<u32>,
    /// `Config.envoy_prometheus_bind_addr`
    pub prometheus_bind_addr: Option<String>,
    /// `Config.envoy_stats_bind_addr`
    pub stats_bind_addr: Option<String>,
    /// Paths that are served without TLS.
    pub expose: Expose,
    /// Default off.
    pub access_logs: AccessLogs,
    /// For failovers without one of their own.
    pub failover_policy: Option<FailoverPolicy>,
    /// Shown in the chain; without effect here.
    pub envoy_extensions: Vec<EnvoyExtension>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `EnvoyExtensions[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnvoyExtension {
    /// Such as `builtin/lua`.
    pub name: String,
    /// Whether Consul would refuse a proxy that it cannot apply it to.
    pub required: bool,
    /// Opaque.
    pub arguments: serde_json::Value,
    /// A constraint.
    pub consul_version: String,
    /// A constraint.
    pub envoy_version: String,
}

/// `Expose`: what an application serves past the mesh, in plain text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Expose {
    /// The registered checks' own paths.
    pub checks: bool,
    /// These.
    pub paths: Vec<ExposePath>,
}

/// One of `Expose.Paths[]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExposePath {
    /// Where the sidecar listens.
    pub listener_port: u16,
    /// The one path that passes.
    pub path: String,
    /// Where the application listens; 0 is its registered port.
    pub local_path_port: u16,
    /// Whether it speaks HTTP/2 (`Protocol = "http2"`).
    pub http2: bool,
}

/// `AccessLogs`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessLogs {
    /// Whether requests are logged.
    pub enabled: bool,
    /// Leaves out connections that no request was made on.
    pub disable_listener_logs: bool,
    /// `stdout` (default), `stderr` or `file`.
    pub kind: Option<String>,
    /// With `file`.
    pub path: Option<PathBuf>,
    /// `JSONFormat` or `TextFormat`, or the default.
    pub format: Format,
}

/// `RateLimits.InstanceLevel`: what one instance takes before it answers 429.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateLimits {
    /// On average.
    pub requests_per_second: Option<u32>,
    /// At once; default: as many as in a second.
    pub requests_max_burst: Option<u32>,
    /// For these paths instead; the first that matches.
    pub routes: Vec<RateLimitRoute>,
}

/// One of `RateLimits.InstanceLevel.Routes[]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateLimitRoute {
    /// The whole path.
    pub path_exact: Option<String>,
    /// How the path begins.
    pub path_prefix: Option<String>,
    /// A regular expression for the whole path.
    pub path_regex: Option<String>,
    /// On average.
    pub requests_per_second: Option<u32>,
    /// At once.
    pub requests_max_burst: Option<u32>,
}

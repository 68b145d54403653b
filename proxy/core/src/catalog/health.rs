//! What Consul's health entry of an instance says beyond what routing needs: only subset filters ask.
//!
//! A subset's filter is evaluated by Consul over the entry of the sidecar (`Service`, its `Proxy`) on its node with
//! its checks. Kept out: whatever an [`Instance`](super::Instance) says already.

use std::collections::BTreeMap;

use crate::entry::{Check, HealthStatus, MeshGatewayMode, Registration};
use crate::name::ServiceName;

/// The rest of an instance's health entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthEntry {
    /// Of the application, else of its sidecar, by tag.
    pub tagged_addresses: BTreeMap<String, (String, u16)>,
    /// Whether other agents may change the tags.
    pub enable_tag_override: bool,
    /// The registered checks of both.
    pub checks: Vec<HealthCheck>,
    /// `proxy.local_service_address`
    pub local_service_address: String,
    /// `proxy.local_service_port`
    pub local_service_port: u16,
    /// `proxy.local_service_socket_path`
    pub local_service_socket_path: String,
    /// `proxy.mesh_gateway.mode`
    pub mesh_gateway: MeshGatewayMode,
    /// `proxy.upstreams[].destination_name`
    pub upstreams: Vec<ServiceName>,
}

/// A registered check, as Consul's catalog shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthCheck {
    /// As written, else `service:ID`, with a number behind it where there are several.
    pub id: String,
    /// As written, else made up from the service's name.
    pub name: String,
    /// As registered: Consul starts at critical, this program at passing.
    pub status: HealthStatus,
    /// As written.
    pub notes: String,
    /// `http`, `tcp`, `grpc`; empty for what is not run.
    pub kind: &'static str,
    /// The id of the service that it checks.
    pub service_id: String,
    /// The name of the service that it checks.
    pub service_name: String,
}

impl HealthEntry {
    /// The entry of `application` (when it is registered) with `sidecar`.
    pub(super) fn of(application: Option<&Registration>, sidecar: &Registration) -> Self {
        let proxy = &sidecar.proxy;
        let own = application.unwrap_or(sidecar);
        let path = proxy.local_service_socket_path.as_ref().map(|path| path.display().to_string());
        Self {
            tagged_addresses: own.tagged_addresses.clone(),
            enable_tag_override: own.enable_tag_override,
            checks: application.into_iter().chain([sidecar]).flat_map(HealthCheck::of).collect(),
            local_service_address: proxy.local_service_address.clone().unwrap_or_default(),
            local_service_port: proxy.local_service_port.unwrap_or_default(),
            local_service_socket_path: path.unwrap_or_default(),
            mesh_gateway: proxy.mesh_gateway,
            upstreams: proxy.upstreams.iter().map(|it| it.destination_name.clone()).collect(),
        }
    }
}

impl HealthCheck {
    /// Those of a registration, in its order.
    pub fn of(registration: &Registration) -> impl Iterator<Item = Self> {
        let Registration { id: service_id, name: service, checks, .. } = registration;
        let alone = checks.len() == 1;
        checks.iter().enumerate().map(move |(i, check)| Self {
            id: match check.id.as_str() {
                "" if alone => format!("service:{service_id}"),
                "" => format!("service:{service_id}:{}", i + 1),
                id => id.to_owned(),
            },
            name: match check.name.as_str() {
                "" => format!("Service '{service}' check"),
                name => name.to_owned(),
            },
            status: check.status.unwrap_or_default(),
            notes: check.notes.clone(),
            kind: kind(check),
            service_id: service_id.clone(),
            service_name: service.to_string(),
        })
    }
}

fn kind(check: &Check) -> &'static str {
    match (&check.http, &check.tcp, &check.grpc) {
        (Some(_), ..) => "http",
        (_, Some(_), _) => "tcp",
        (.., Some(_)) => "grpc",
        _ => "",
    }
}

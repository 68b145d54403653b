//! Sidecars and gateways: what they listen on, and what a sidecar does otherwise than its upstreams' chains say.

use std::collections::BTreeMap;

use super::facts::{Facts, Subject};
use super::services::chain_of;
use super::{Side, words};
use crate::chain::UpstreamSettings;
use crate::entry::{Kind, Limits, MeshGatewayMode, Registration, ServiceDefaults, Upstream};
use crate::name::{ServiceName, TrustDomain};
use crate::outlier::OutlierPolicy;

pub(super) fn tell(side: &Side<'_>, trust_domain: &TrustDomain, facts: &mut Facts) {
    let mut elsewhere = BTreeMap::new();
    for it in &side.config.registrations {
        match it.kind {
            Kind::Typical => {}
            Kind::MeshGateway => gateway(it, facts),
            Kind::ConnectProxy => {
                let mut sidecar = Sidecar { side, it, id: id_of(it), facts };
                sidecar.listener();
                for upstream in &it.proxy.upstreams {
                    let service = &upstream.destination_name;
                    // The mode of a gateway counts only where there is one to go through.
                    let afar =
                        *elsewhere.entry(service).or_insert_with(|| leaves(side, trust_domain, service));
                    sidecar.upstream(upstream, afar);
                }
            }
        }
    }
}

/// An id is unique in its datacenter.
fn id_of(it: &Registration) -> String {
    match &it.datacenter {
        Some(datacenter) => format!("{} in {datacenter}", it.id),
        None => it.id.clone(),
    }
}

/// Whether the chain of a service leads to another cluster.
fn leaves(side: &Side<'_>, trust_domain: &TrustDomain, service: &ServiceName) -> bool {
    let home = &side.config.agent.datacenter;
    chain_of(side.config, trust_domain, service)
        .is_some_and(|chain| chain.targets.keys().any(|id| id.datacenter() != Some(home)))
}

fn gateway(it: &Registration, facts: &mut Facts) {
    let id = id_of(it);
    let mut tell = |what: &str, how: Option<String>| facts.maybe(Subject::Gateway, &id, what, how);
    tell("listens on", Some(format!("{}:{}", it.address, it.port)));
    for (name, (address, port)) in &it.tagged_addresses {
        tell(&format!("{name} address"), Some(format!("{address}:{port}")));
    }
    for (name, (address, port)) in &it.proxy.gateway_bind_addresses {
        tell(&format!("bind address {name}"), Some(format!("{address}:{port}")));
    }
    tell("binds tagged addresses", it.proxy.gateway_bind_tagged_addresses.then(String::new));
    tell("no default bind", it.proxy.gateway_no_default_bind.then(String::new));
}

struct Sidecar<'a, 'f> {
    side: &'a Side<'a>,
    it: &'a Registration,
    id: String,
    facts: &'f mut Facts,
}

impl Sidecar<'_, '_> {
    fn tell(&mut self, what: &str, how: Option<String>) {
        self.facts.maybe(Subject::Sidecar, &self.id, what, how);
    }

    fn defaults(&self) -> Option<&ServiceDefaults> {
        self.side.config.entries.defaults.get(self.it.proxy.destination_service_name.as_ref()?)
    }

    fn listener(&mut self) {
        let (it, proxy) = (self.it, &self.it.proxy);
        let own = it.own_address.then_some(it.address.as_str());
        let address = proxy.bind_address.as_deref().or(own).unwrap_or("0.0.0.0");
        self.tell("listens on", Some(format!("{address}:{}", proxy.bind_port.unwrap_or(it.port))));
        let application = match &proxy.local_service_socket_path {
            Some(path) => path.display().to_string(),
            None => {
                let host = proxy.local_service_address.as_deref().unwrap_or("127.0.0.1");
                format!("{host}:{}", proxy.local_service_port.unwrap_or_default())
            }
        };
        self.tell("application", Some(application));
        self.tell("protocol", proxy.protocol.map(|it| it.as_str().to_owned()));
        let global = self.side.config.entries.proxy_defaults.as_ref();
        let defaults = self.defaults();
        let connect = proxy
            .local_connect_timeout
            .or(defaults.and_then(|it| it.local_connect_timeout))
            .or(global.and_then(|it| it.local_connect_timeout));
        let request = proxy
            .local_request_timeout
            .or(defaults.and_then(|it| it.local_request_timeout))
            .or(global.and_then(|it| it.local_request_timeout));
        let idle = proxy.local_idle_timeout.or(global.and_then(|it| it.local_idle_timeout));
        let most = proxy
            .max_inbound_connections
            .or(defaults.map(|it| it.max_inbound_connections).filter(|most| *most > 0))
            .or(global.and_then(|it| it.max_inbound_connections));
        let prometheus = proxy
            .prometheus_bind_addr
            .as_ref()
            .or(global.and_then(|it| it.prometheus_bind_addr.as_ref()))
            .cloned();
        let stats =
            proxy.stats_bind_addr.as_ref().or(global.and_then(|it| it.stats_bind_addr.as_ref())).cloned();
        self.tell("connect timeout of the application", connect.map(words::time));
        self.tell("request timeout of the application", request.map(words::time));
        self.tell("idle timeout of the application", idle.map(words::time));
        self.tell("most connections", most.map(|it| it.to_string()));
        self.tell("listener of /metrics", prometheus);
        self.tell("listener of /stats", stats);
        self.exposed();
    }

    fn exposed(&mut self) {
        let global = self.side.config.entries.proxy_defaults.as_ref().map(|it| &it.expose);
        let own = self.defaults().map(|it| &it.expose);
        let all: Vec<_> = [Some(&self.it.proxy.expose), own, global].into_iter().flatten().collect();
        let paths = all.iter().flat_map(|expose| &expose.paths);
        let paths: Vec<(String, String)> = paths
            .map(|it| {
                let http2 = if it.http2 { ", http2" } else { "" };
                let to = format!("{} of port {}{http2}", it.path, it.local_path_port);
                (format!("plain listener on port {}", it.listener_port), to)
            })
            .collect();
        let checks = all.iter().any(|expose| expose.checks);
        for (what, how) in paths {
            self.tell(&what, Some(how));
        }
        self.tell("exposes its checks", checks.then(String::new));
    }

    fn upstream(&mut self, upstream: &Upstream, leaves: bool) {
        let name = upstream_name(upstream);
        let listener = match (&upstream.local_bind_socket_path, upstream.local_bind_port) {
            (Some(path), _) => path.display().to_string(),
            (None, port) => {
                let host = upstream.local_bind_address.as_deref().unwrap_or("127.0.0.1");
                format!("{host}:{}", port.unwrap_or_default())
            }
        };
        self.tell(&name, Some(listener));
        self.tell(
            &format!("{name}: socket mode"),
            upstream.local_bind_socket_mode.map(|it| format!("{it:o}")),
        );
        let entries = &self.side.config.entries;
        let Some(caller) = self.it.proxy.destination_service_name.clone() else { return };
        let settings = UpstreamSettings::new(entries, &caller, self.it, upstream);
        let overrides = settings.overrides();
        let usual = upstream.destination_peer.is_none().then(|| entries.protocol(&upstream.destination_name));
        let protocol = overrides.protocol.filter(|it| Some(*it) != usual);
        self.tell(&format!("{name}: protocol"), protocol.map(|it| it.as_str().to_owned()));
        self.tell(&format!("{name}: connect timeout"), overrides.connect_timeout.map(words::time));
        let afar = leaves || upstream.destination_peer.is_some() || upstream.datacenter.is_some();
        let mode = Some(overrides.mesh_gateway).filter(|it| *it != MeshGatewayMode::Default && afar);
        self.tell(&format!("{name}: gateway"), mode.map(|it| it.as_str().to_owned()));
        self.tell(&format!("{name}: limits"), settings.limits().next().and_then(|it| limits(&it.value)));
        self.tell(&format!("{name}: ejection"), ejection(&settings.outlier()));
    }
}

fn upstream_name(upstream: &Upstream) -> String {
    let service = &upstream.destination_name;
    match (&upstream.destination_peer, &upstream.datacenter) {
        (Some(peer), _) => format!("upstream {service} at peer {peer}"),
        (None, Some(datacenter)) => format!("upstream {service} in {datacenter}"),
        (None, None) => format!("upstream {service}"),
    }
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|it| it.to_string())
}

fn limits(it: &Limits) -> Option<String> {
    words::set([
        ("connections", text(it.max_connections)),
        ("pending requests", text(it.max_pending_requests)),
        ("concurrent requests", text(it.max_concurrent_requests)),
    ])
}

/// What differs from the default: to write a default is no change.
fn ejection(it: &OutlierPolicy) -> Option<String> {
    let usual = OutlierPolicy::default();
    let other = |is: u32, usual: u32| (is != usual).then(|| is.to_string());
    words::set([
        ("failures", other(it.max_failures, usual.max_failures)),
        ("base time", (it.base_ejection != usual.base_ejection).then(|| words::time(it.base_ejection))),
        ("most per cent", other(it.max_ejection_percent, usual.max_ejection_percent)),
        ("enforcing 5xx", other(it.enforcing_consecutive_5xx, usual.enforcing_consecutive_5xx)),
    ])
}

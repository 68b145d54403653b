//! A large configuration, the same one each time: so many services with ten instances each, in any of the formats.
//!
//! Every instance has a sidecar with two upstreams, tags, meta and a check; every service has `service-defaults` and
//! intentions. A tenth of them are released with care: a router over a splitter over subsets, with failover, and
//! exported. A service is two files, its registrations and its entries, as a repository of them would be kept.

use serde_json::{Value, json};
use spillway_core::load::File;

use super::render::Format;

/// How many instances a service has.
pub(crate) const INSTANCES: usize = 10;

/// How many instances share an address; their sidecars take ports from 21000 up.
const PER_HOST: usize = 10;

/// So many services with [`INSTANCES`] each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    /// How many.
    pub(crate) services: usize,
}

impl Fleet {
    /// The directory's files in reading order.
    pub(crate) fn files(self, format: Format) -> Vec<File> {
        let ending = format.ending();
        let file = |path: String, bytes: String| File { path: path.into(), bytes: bytes.into_bytes() };
        let mut files =
            vec![file(format!("cluster.{ending}"), format.agent(&self.agent(), &self.whole_cluster()))];
        for service in 0..self.services {
            let entries = format.agent(&json!({}), &self.entries(service));
            files.push(file(format!("services/{}/entries.{ending}", name(service)), entries));
            let registrations = format.agent(&self.registrations(service), &[]);
            files.push(file(format!("services/{}/instances.{ending}", name(service)), registrations));
        }
        files
    }

    /// Whether a service is among those that are released with care.
    pub(crate) fn is_careful(service: usize) -> bool {
        service.is_multiple_of(10)
    }

    /// Another service, at this distance.
    fn other(self, service: usize, distance: usize) -> String {
        name((service + distance) % self.services)
    }

    fn agent(self) -> Value {
        json!({"datacenter": "dc1", "node_name": "node-1", "acl": {"default_policy": "deny"}})
    }

    fn whole_cluster(self) -> Vec<Value> {
        let exported = (0..self.services).filter(|service| Self::is_careful(*service));
        let exported: Vec<Value> = exported
            .map(|service| json!({"Name": name(service), "Consumers": [{"Peer": "cluster-02"}]}))
            .collect();
        vec![
            json!({"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}),
            json!({"Kind": "exported-services", "Name": "default", "Services": exported}),
        ]
    }

    fn entries(self, service: usize) -> Vec<Value> {
        let own = name(service);
        let mut entries = vec![
            json!({"Kind": "service-defaults", "Name": own, "Protocol": "http", "MaxInboundConnections": 1000}),
            json!({"Kind": "service-intentions", "Name": own, "Sources": [
                {"Name": self.other(service, 1), "Action": "allow"},
                {"Name": self.other(service, 7), "Permissions": [
                    {"Action": "allow", "HTTP": {"PathPrefix": "/api/", "Methods": ["GET", "POST"]}},
                ]},
            ]}),
        ];
        if !Self::is_careful(service) {
            return entries;
        }
        let filter = |version: &str| json!({"Filter": format!("Service.Meta.version == {version}")});
        entries.extend([
            json!({"Kind": "service-resolver", "Name": own, "DefaultSubset": "v1", "ConnectTimeout": "3s",
                "Subsets": {"v1": filter("v1"), "v2": filter("v2")},
                "Failover": {"*": {"Targets": [{"Service": self.other(service, 1)}, {"Peer": "cluster-02"}]}}}),
            json!({"Kind": "service-splitter", "Name": own, "Splits": [
                {"Weight": 90, "ServiceSubset": "v1"}, {"Weight": 10, "ServiceSubset": "v2"},
            ]}),
            json!({"Kind": "service-router", "Name": own, "Routes": self.routes(service)}),
        ]);
        entries
    }

    fn routes(self, service: usize) -> Vec<Value> {
        let route = |at: usize| {
            json!({
                "Match": {"HTTP": {"PathPrefix": format!("/part-{at}/"), "Methods": ["GET", "POST"]}},
                "Destination": {"Service": self.other(service, at + 1), "RequestTimeout": "5s", "NumRetries": 2},
            })
        };
        (0..5).map(route).collect()
    }

    fn registrations(self, service: usize) -> Value {
        let instances: Vec<Value> =
            (0..INSTANCES).map(|instance| self.registration(service, instance)).collect();
        json!({"services": instances})
    }

    fn registration(self, service: usize, instance: usize) -> Value {
        let own = name(service);
        let number = service * INSTANCES + instance;
        // Neighbours in the list are on different hosts, as a scheduler would have it.
        let host = number % (self.services * INSTANCES).div_ceil(PER_HOST);
        let port = 8_000 + service % 1_000;
        let version = if instance.is_multiple_of(5) { "v2" } else { "v1" };
        json!({
            "id": format!("{own}-{instance}"),
            "name": own,
            "address": format!("10.{}.{}.{}", host / 62_500, host / 250 % 250, host % 250 + 1),
            "port": port,
            "tags": ["fleet", format!("rack-{}", host % 40)],
            "meta": {"version": version, "owner": format!("team-{}", service % 50), "commit": "4f7a2c91"},
            "checks": [{"name": "alive", "http": format!("http://127.0.0.1:{port}/healthz"), "interval": "10s"}],
            "connect": {"sidecar_service": {"proxy": {"upstreams": [
                {"destination_name": self.other(service, 1), "local_bind_port": 9_191},
                {"destination_name": self.other(service, 2), "local_bind_port": 9_192},
            ]}}},
        })
    }
}

/// The name of a service.
pub(crate) fn name(service: usize) -> String {
    format!("service-{service:05}")
}

//! What a mesh should have, said by its test.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::app::Speaks;
use crate::entry::{Entry, exported_services};
use crate::mesh::Mesh;

/// A mesh that is being put together.
#[derive(Debug, Default)]
pub struct MeshBuilder {
    pub(crate) clusters: Vec<ClusterBuilder>,
}

impl MeshBuilder {
    /// With a cluster of this name: its own datacenter, trust domain and CA.
    #[must_use]
    pub fn cluster(mut self, name: &str, build: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        self.clusters.push(build(ClusterBuilder::new(name)));
        self
    }

    /// With a config entry in `cluster`. A router, splitter or resolver makes a name that can be called.
    ///
    /// # Panics
    /// When there is no such cluster.
    #[must_use]
    pub fn entry(mut self, cluster: &str, entry: impl Into<Entry>) -> Self {
        let cluster = self.clusters.iter_mut().find(|it| it.name == cluster);
        cluster.unwrap_or_else(|| panic!("entries come after their cluster")).entries.push(entry.into());
        self
    }

    /// Who exports what to whom.
    pub(crate) fn exports(&self) -> Vec<(String, String, String)> {
        let of = |cluster: &ClusterBuilder| {
            let name = cluster.name.clone();
            let exports = cluster.exports.clone().into_iter();
            exports.map(move |(service, peer)| (name.clone(), service, peer)).collect::<Vec<_>>()
        };
        self.clusters.iter().flat_map(of).collect()
    }

    /// Writes the configuration and starts everything; returns when all sidecars serve, peers' services included.
    ///
    /// # Panics
    /// When anything does not start.
    pub async fn start(self) -> Mesh {
        let clusters = self.clusters.into_iter().map(ClusterBuilder::with_exports).collect();
        Mesh::start(Self { clusters }).await
    }
}

/// A cluster of a mesh that is being put together.
#[derive(Debug)]
pub struct ClusterBuilder {
    pub(crate) name: String,
    pub(crate) instances: Vec<InstanceBuilder>,
    pub(crate) entries: Vec<Entry>,
    /// Service and peer.
    pub(crate) exports: Vec<(String, String)>,
    /// What `AccessLogs` says besides where they go; None for no logs.
    pub(crate) access_logs: Option<String>,
}

impl ClusterBuilder {
    fn new(name: &str) -> Self {
        let protocol = "Kind = \"proxy-defaults\"\nName = \"global\"\nConfig { protocol = \"http\" }\n";
        Self {
            name: name.to_owned(),
            instances: Vec::new(),
            entries: vec![protocol.into()],
            exports: Vec::new(),
            access_logs: None,
        }
    }

    /// With `count` instances of an HTTP service.
    #[must_use]
    pub fn service(self, name: &str, count: usize) -> Self {
        self.service_with(name, count, |_, instance| instance)
    }

    /// With `count` instances of an HTTP service, each as `build` says from its index.
    #[must_use]
    pub fn service_with(
        mut self,
        name: &str,
        count: usize,
        build: impl Fn(usize, InstanceBuilder) -> InstanceBuilder,
    ) -> Self {
        let instance = |index| build(index, InstanceBuilder::new(name, index, Speaks::Http));
        self.instances.extend((0..count).map(instance));
        self
    }

    /// With `count` instances of a service of this protocol whose applications speak HTTP/2.
    #[must_use]
    pub fn http2_service(mut self, name: &str, count: usize, protocol: &str) -> Self {
        self.instances.extend((0..count).map(|index| InstanceBuilder::new(name, index, Speaks::Http2)));
        let protocol = format!("Kind = \"service-defaults\"\nName = \"{name}\"\nProtocol = \"{protocol}\"\n");
        self.entries.push(protocol.as_str().into());
        self
    }

    /// With `count` instances of a service that speaks TCP.
    #[must_use]
    pub fn tcp_service(self, name: &str, count: usize) -> Self {
        self.tcp_service_with(name, count, |_, instance| instance)
    }

    /// With `count` instances of a service that speaks TCP, each as `build` says from its index.
    #[must_use]
    pub fn tcp_service_with(
        mut self,
        name: &str,
        count: usize,
        build: impl Fn(usize, InstanceBuilder) -> InstanceBuilder,
    ) -> Self {
        let instance = |index| build(index, InstanceBuilder::new(name, index, Speaks::Tcp));
        self.instances.extend((0..count).map(instance));
        let protocol = format!("Kind = \"service-defaults\"\nName = \"{name}\"\nProtocol = \"tcp\"\n");
        self.entries.push(protocol.as_str().into());
        self
    }

    /// With an access log, with this in `AccessLogs` besides its file: see [`Mesh::access_log`].
    #[must_use]
    pub fn access_logs(mut self, hcl: &str) -> Self {
        self.access_logs = Some(hcl.to_owned());
        self
    }

    /// With this service exported to the cluster `peer`. Both then have a mesh gateway, and are peered.
    #[must_use]
    pub fn exports(mut self, service: &str, peer: &str) -> Self {
        self.exports.push((service.to_owned(), peer.to_owned()));
        self
    }

    fn with_exports(mut self) -> Self {
        if !self.exports.is_empty() {
            self.entries.push(exported_services(&self.exports));
        }
        self
    }
}

/// A service instance with its sidecar, in a mesh that is being put together.
#[derive(Clone, Debug)]
pub struct InstanceBuilder {
    pub(crate) service: String,
    pub(crate) index: usize,
    pub(crate) speaks: Speaks,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) datacenter: Option<String>,
    pub(crate) upstream_config: String,
    /// `SERVICE.PEER`
    pub(crate) peer_upstreams: Vec<String>,
    pub(crate) proxy_config: String,
    pub(crate) checks: String,
    pub(crate) drain_ms: u64,
    pub(crate) workers: usize,
    /// Where its application is reached instead, if that is a Unix socket.
    pub(crate) app_socket: Option<PathBuf>,
    /// By upstream: the Unix sockets that its sidecar listens on instead of ports.
    pub(crate) upstream_sockets: BTreeMap<String, PathBuf>,
}

impl InstanceBuilder {
    fn new(service: &str, index: usize, speaks: Speaks) -> Self {
        Self {
            service: service.to_owned(),
            index,
            speaks,
            meta: BTreeMap::new(),
            datacenter: None,
            upstream_config: String::new(),
            peer_upstreams: Vec::new(),
            proxy_config: String::new(),
            checks: String::new(),
            drain_ms: 10_000,
            workers: 1,
            app_socket: None,
            upstream_sockets: BTreeMap::new(),
        }
    }

    /// With this pair in its `meta`.
    #[must_use]
    pub fn meta(mut self, key: &str, value: &str) -> Self {
        self.meta.insert(key.to_owned(), value.to_owned());
        self
    }

    /// In another datacenter of its cluster's trust domain.
    #[must_use]
    pub fn datacenter(mut self, name: &str) -> Self {
        self.datacenter = Some(name.to_owned());
        self
    }

    /// With an upstream for `service` of `peer` itself, called `http://SERVICE.PEER/`.
    #[must_use]
    pub fn peer_upstream(mut self, service: &str, peer: &str) -> Self {
        self.peer_upstreams.push(format!("{service}.{peer}"));
        self
    }

    /// With this in the `config` of each of its upstreams.
    #[must_use]
    pub fn upstream_config(mut self, hcl: &str) -> Self {
        self.upstream_config.push_str(hcl);
        self
    }

    /// Its sidecar reaches its application at this Unix socket.
    #[must_use]
    pub fn app_socket(mut self, path: PathBuf) -> Self {
        self.app_socket = Some(path);
        self
    }

    /// Its sidecar listens at this Unix socket for calls to `upstream`.
    #[must_use]
    pub fn upstream_socket(mut self, upstream: &str, path: PathBuf) -> Self {
        self.upstream_sockets.insert(upstream.to_owned(), path);
        self
    }

    /// With this in its sidecar's `proxy.config`.
    #[must_use]
    pub fn proxy_config(mut self, hcl: &str) -> Self {
        self.proxy_config.push_str(hcl);
        self
    }

    /// Its sidecar has so many workers; 1 unless said.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// With a registered check of these attributes; `APP` stands for its application's address.
    #[must_use]
    pub fn check(mut self, hcl: &str) -> Self {
        self.checks.push_str(&format!("    {{\n{hcl}\n    }},\n"));
        self
    }

    /// Its sidecar waits so long for requests in flight when it is stopped; 10 s unless said.
    #[must_use]
    pub fn drain_ms(mut self, drain_ms: u64) -> Self {
        self.drain_ms = drain_ms;
        self
    }
}

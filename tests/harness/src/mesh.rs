//! A mesh that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use spillway_certs::Ca;
use spillway_core::entry::CaConfig;
use spillway_gateway::peering;

use crate::app::{App, Speaks, Stage};
use crate::builder::{ClusterBuilder, InstanceBuilder, MeshBuilder};
use crate::client::{Client, Connection};
use crate::config::{ConfigDir, Registration, gateway_text};
use crate::entry::Entry;
use crate::host;
use crate::log::AccessLog;
use crate::pki::{Authority, Identity, Impostor, Mute};
use crate::proxy::{Kind, Observed, Proxy, Sockets};
use crate::service::{Instance, Service};
use crate::wait::eventually;

/// A mesh that runs in this process. Dropping it ends everything and removes its files.
pub struct Mesh {
    // In this order: proxies and applications end before what they run on, files go last.
    instances: Vec<Instance>,
    gateways: BTreeMap<String, Proxy>,
    /// Where gateways listen.
    addresses: BTreeMap<String, SocketAddr>,
    stage: Stage,
    dirs: BTreeMap<String, ConfigDir>,
    root: tempfile::TempDir,
}

impl Mesh {
    /// A mesh with nothing in it.
    pub fn builder() -> MeshBuilder {
        MeshBuilder::default()
    }

    pub(crate) async fn start(builder: MeshBuilder) -> Self {
        let exports = builder.exports();
        let mut mesh = Self {
            instances: Vec::new(),
            gateways: BTreeMap::new(),
            addresses: BTreeMap::new(),
            stage: Stage::new(),
            dirs: BTreeMap::new(),
            root: tempfile::tempdir().unwrap_or_else(|error| panic!("{error}")),
        };
        let (mut sidecars, mut gateways) = (Vec::new(), BTreeMap::new());
        for cluster in builder.clusters {
            let dir = ConfigDir::new(mesh.root.path(), &cluster.name);
            cluster.entries.iter().for_each(|entry| dir.write_entry(entry));
            if let Some(hcl) = &cluster.access_logs {
                dir.write_entry(&mesh.access_log(&cluster.name).entry(hcl));
            }
            if exports.iter().any(|(from, _, to)| *from == cluster.name || *to == cluster.name) {
                gateways.insert(cluster.name.clone(), mesh.lay_out_gateway(&cluster.name, &dir));
            }
            mesh.lay_out(cluster, &dir, &mut sidecars);
        }
        for (cluster, sockets) in gateways {
            mesh.gateway(&cluster).start_with(sockets).await;
        }
        for (instance, sockets) in mesh.instances.iter().zip(sidecars) {
            instance.sidecar().start_with(sockets).await;
        }
        mesh.peer(&exports).await;
        mesh
    }

    /// Binds what the gateway of a cluster listens on, and writes its registration.
    fn lay_out_gateway(&mut self, cluster: &str, dir: &ConfigDir) -> Sockets {
        let socket = host::bind_any(host::fresh());
        dir.write("mesh-gateway.hcl", &gateway_text(socket.0));
        let name = format!("{cluster}/mesh-gateway");
        let gateway = Proxy::new(&name, dir, Kind::Gateway, Duration::from_secs(10));
        self.gateways.insert(cluster.to_owned(), gateway);
        self.addresses.insert(cluster.to_owned(), socket.0);
        vec![socket]
    }

    /// Binds what the instances of `cluster` listen on, and writes their registrations.
    fn lay_out(&mut self, cluster: ClusterBuilder, dir: &ConfigDir, sockets: &mut Vec<Sockets>) {
        let services = cluster.instances.iter().map(|it| it.service.clone());
        let virtual_services = cluster.entries.iter().filter(|it| it.is_callable()).map(|it| it.name.clone());
        let names: BTreeSet<String> = services.chain(virtual_services).collect();
        for builder in cluster.instances {
            sockets.push(self.lay_out_instance(&cluster.name, builder, &names, dir));
        }
        self.dirs.insert(cluster.name, dir.clone());
    }

    fn lay_out_instance(
        &mut self,
        cluster: &str,
        builder: InstanceBuilder,
        names: &BTreeSet<String>,
        dir: &ConfigDir,
    ) -> Sockets {
        let host = host::fresh();
        let listener = std::net::TcpListener::bind((host, 0)).unwrap_or_else(|error| panic!("{error}"));
        let mut sockets = vec![host::bind_any(host)];
        let mut upstreams = BTreeMap::new();
        let others = names.iter().filter(|name| **name != builder.service);
        for name in others.chain(&builder.peer_upstreams) {
            let socket = host::bind_any(host);
            upstreams.insert(name.clone(), socket.0);
            sockets.push(socket);
        }
        let (name, speaks) = (format!("{cluster}/{}/{}", builder.service, builder.index), builder.speaks);
        let app = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let registration = Registration { builder, app, sidecar: sockets[0].0, upstreams };
        dir.write(&registration.file_name(), &registration.text());
        let app = App::start(name, speaks, listener, self.stage.handle());
        self.instances.push(Instance::new(cluster, dir, registration, app));
        sockets
    }

    /// Establishes the peerings that exports need, and waits until everyone knows what is exported.
    async fn peer(&self, exports: &[(String, String, String)]) {
        let peerings: BTreeSet<(&String, &String)> =
            exports.iter().map(|(from, _, to)| (from.min(to), from.max(to))).collect();
        for (one, other) in peerings {
            let name = |cluster: &str| cluster.parse().unwrap_or_else(|error| panic!("{error}"));
            let token = peering::generate_token(&self.dir(one).path, &name(other), &[]);
            let token = token.unwrap_or_else(|error| panic!("{error}"));
            let established = peering::establish(&self.dir(other).path, &name(one), &token).await;
            established.map(drop).unwrap_or_else(|error| panic!("{error}"));
        }
        for (from, service, to) in exports {
            let (here, there) = (self.proxies(to), self.proxies(from));
            // A tcp service meets its callers itself.
            let exported = self.service(&format!("{from}/{service}"));
            let hosts = exported.instances.iter().filter(|instance| instance.app().speaks() == Speaks::Tcp);
            let hosts: Vec<Observed> = hosts.filter_map(|instance| instance.sidecar().running()).collect();
            let known = || {
                here.iter().all(|proxy| proxy.reaches(service, from))
                    && there.iter().any(|proxy| proxy.exports(service))
                    && hosts.iter().all(|proxy| proxy.lets_in(&format!("{to}.test")))
            };
            eventually(&format!("{to} and {from} know of {service}"), known).await;
        }
    }

    /// The instance `CLUSTER/SERVICE/INDEX`; without an index the first.
    ///
    /// # Panics
    /// When there is none.
    pub fn instance(&self, path: &str) -> &Instance {
        let is = |it: &&Instance| it.name() == path || service_of(it) == path;
        self.instances.iter().find(is).unwrap_or_else(|| panic!("no instance {path}"))
    }

    /// All instances of `CLUSTER/SERVICE`.
    pub fn service(&self, path: &str) -> Service<'_> {
        Service { instances: self.instances.iter().filter(|it| service_of(it) == path).collect() }
    }

    /// The application of an instance.
    ///
    /// # Panics
    /// When there is none.
    pub fn app(&self, path: &str) -> &App {
        self.instance(path).app()
    }

    /// The sidecar of an instance.
    ///
    /// # Panics
    /// When there is none.
    pub fn sidecar(&self, path: &str) -> &Proxy {
        self.instance(path).sidecar()
    }

    /// The mesh gateway of a cluster that has a peer.
    ///
    /// # Panics
    /// When there is none.
    pub fn gateway(&self, cluster: &str) -> &Proxy {
        self.gateways.get(cluster).unwrap_or_else(|| panic!("{cluster} has no mesh gateway"))
    }

    /// A caller in the place of an instance's application.
    ///
    /// # Panics
    /// When there is no such instance.
    pub fn client(&self, path: &str) -> Client {
        self.instance(path).client()
    }

    /// The access log of `cluster`, which was built with one.
    pub fn access_log(&self, cluster: &str) -> AccessLog {
        AccessLog { path: self.root.path().join(format!("{cluster}.log")) }
    }

    fn dir(&self, cluster: &str) -> &ConfigDir {
        self.dirs.get(cluster).unwrap_or_else(|| panic!("no cluster {cluster}"))
    }

    /// Writes an entry of `cluster` anew and waits until every proxy there has taken it.
    pub async fn apply(&self, cluster: &str, entry: impl Into<Entry>) {
        let write = || self.dir(cluster).write_entry(&entry.into());
        self.change(cluster, write, (1, 0)).await;
    }

    /// Writes an entry of `cluster` that is wrong and waits until every proxy there has refused it.
    pub async fn apply_invalid(&self, cluster: &str, entry: impl Into<Entry>) {
        let write = || self.dir(cluster).write_entry(&entry.into());
        self.change(cluster, write, (0, 1)).await;
    }

    /// Takes an upstream out of an instance's registration and waits until every proxy of its cluster knows.
    ///
    /// # Panics
    /// When there is no such instance.
    pub async fn forget_upstream(&self, path: &str, upstream: &str) {
        let instance = self.instance(path);
        self.change(instance.cluster(), || instance.forget_upstream(upstream), (1, 0)).await;
    }

    async fn change(&self, cluster: &str, write: impl FnOnce(), more: (u64, u64)) {
        let proxies = self.proxies(cluster);
        let before: Vec<(u64, u64)> = proxies.iter().map(Observed::reloads).collect();
        write();
        let seen = |(proxy, before): (&Observed, &(u64, u64))| {
            let now = proxy.reloads();
            // At least: a peering's file may change at the same time.
            now.0 >= before.0 + more.0 && now.1 >= before.1 + more.1
        };
        eventually("the proxies see the change", || proxies.iter().zip(&before).all(seen)).await;
    }

    /// Everything that runs in `cluster`.
    fn proxies(&self, cluster: &str) -> Vec<Observed> {
        let here = self.instances.iter().filter(|instance| instance.cluster() == cluster);
        let proxies = here.map(Instance::sidecar).chain(self.gateways.get(cluster));
        proxies.filter_map(Proxy::running).collect()
    }

    /// Deletes the peering that `cluster` has with `peer`, as the command does.
    ///
    /// # Panics
    /// When there is none.
    pub fn delete_peering(&self, cluster: &str, peer: &str) {
        let name = peer.parse().unwrap_or_else(|error| panic!("{error}"));
        peering::delete(&self.dir(cluster).path, &name).map(drop).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The CA of `cluster`, as somebody has it who holds its key.
    pub fn authority(&self, cluster: &str) -> Authority {
        Authority::of(&self.dir(cluster).path)
    }

    /// Dials the public listener of an instance over TLS as somebody with this certificate, or without one; the
    /// instance is believed whatever it shows. None when the handshake fails.
    ///
    /// # Panics
    /// When there is no such instance, or nobody listens.
    pub async fn dial(&self, path: &str, identity: Option<&Identity>) -> Option<Connection> {
        crate::pki::dial(self.instance(path).address(), "any.test", identity).await
    }

    /// Dials the gateway of a cluster over TLS as somebody with this certificate, and asks for `sni`; whoever answers
    /// is believed. None when the handshake fails.
    ///
    /// # Panics
    /// When there is no such gateway, or nobody listens.
    pub async fn dial_gateway(&self, cluster: &str, sni: &str, identity: &Identity) -> Option<Connection> {
        crate::pki::dial(self.gateway_address(cluster), sni, Some(identity)).await
    }

    fn gateway_address(&self, cluster: &str) -> SocketAddr {
        let addresses = self.addresses.get(cluster);
        *addresses.unwrap_or_else(|| panic!("{cluster} has no mesh gateway"))
    }

    /// Replaces the root of a cluster's CA, as the command does.
    ///
    /// # Panics
    /// When the CA cannot be written.
    pub fn rotate_ca(&self, cluster: &str) {
        let rotated = Ca::rotate(&self.dir(cluster).path, &CaConfig::default());
        rotated.map(drop).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the sidecar of an instance and puts a server in its place that shows `identity` to everyone.
    ///
    /// # Panics
    /// When there is no such instance.
    pub fn impersonate(&self, path: &str, identity: &Identity) -> Impostor {
        let instance = self.instance(path);
        instance.sidecar().kill();
        Impostor::start(instance.address(), identity, &self.stage.handle())
    }

    /// Ends the sidecar of an instance and puts a socket in its place that takes connections and says nothing.
    ///
    /// # Panics
    /// When there is no such instance.
    pub fn mute(&self, path: &str) -> Mute {
        let instance = self.instance(path);
        instance.sidecar().kill();
        Mute::start(instance.address())
    }
}

fn service_of(instance: &Instance) -> &str {
    instance.name().rsplit_once('/').map_or("", |(service, _)| service)
}

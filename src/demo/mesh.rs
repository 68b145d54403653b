//! The demo's two clusters on paper: who runs where, on which ports, and the files that say so.
//!
//! The configuration stands in `mesh/{hcl,json,yaml}` as an operator would write it; only ports and the gateway
//! mode are filled in. Kept out: processes. Everything here is decided before the first one starts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::DemoError;

/// In which syntax the demo writes its configuration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Config entries as HCL.
    #[default]
    Hcl,
    /// Config entries as JSON.
    Json,
    /// Config entries as Kubernetes custom resources.
    Yaml,
}

/// How the demo's sidecars reach the other cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum GatewayMode {
    /// Through the other cluster's gateway.
    #[default]
    Remote,
    /// Through their own cluster's gateway, which forwards.
    Local,
}

impl GatewayMode {
    /// As `MeshGateway.Mode` has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Local => "local",
        }
    }
}

/// One of the two clusters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Cluster {
    /// Where traffic starts.
    One,
    /// Its peer.
    Two,
}

impl Cluster {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Two];

    /// Its datacenter's name, its directory's, and what the other calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::One => "cluster-01",
            Self::Two => "cluster-02",
        }
    }
}

/// A registered instance: a service's, or a gateway's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    /// As registered.
    pub(crate) id: &'static str,
    /// The service; gateways have none.
    pub(crate) service: &'static str,
    /// Where it runs.
    pub(crate) cluster: Cluster,
    /// Its own loopback address, as if it were a host.
    pub(crate) host: Ipv4Addr,
    /// What listens there.
    pub(crate) ports: &'static [Port],
}

/// What listens on a port.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Port {
    /// The application itself, in plain HTTP.
    App,
    /// The sidecar, for the mesh.
    Sidecar,
    /// The sidecar, for its own application's calls.
    Upstream,
    /// A mesh gateway.
    Gateway,
    /// The admin API of a sidecar or gateway.
    Admin,
}

impl Port {
    /// The number that is tried first, and the word for it in the files.
    fn usual(self) -> (u16, &'static str) {
        match self {
            Self::App => (8080, "app"),
            Self::Sidecar => (21000, "sidecar"),
            Self::Upstream => (5000, "upstream"),
            Self::Gateway => (8443, "gateway"),
            Self::Admin => (19000, "admin"),
        }
    }
}

const SERVICE: &[Port] = &[Port::App, Port::Sidecar, Port::Admin];
const GATEWAY: &[Port] = &[Port::Gateway, Port::Admin];

/// The caller: the demo's own traffic stands for its application.
pub(crate) const WEB: Instance = Instance {
    id: "web-1",
    service: "web",
    cluster: Cluster::One,
    host: Ipv4Addr::new(127, 0, 1, 10),
    ports: &[Port::App, Port::Sidecar, Port::Upstream, Port::Admin],
};

/// The instance that the story kills.
pub(crate) const FRONTEND: Instance = Instance {
    id: "frontend-1",
    service: "frontend",
    cluster: Cluster::One,
    host: Ipv4Addr::new(127, 0, 1, 20),
    ports: SERVICE,
};

/// All instances of services.
pub(crate) const SERVICES: [Instance; 5] = [
    WEB,
    FRONTEND,
    Instance {
        id: "admin-1",
        service: "admin",
        cluster: Cluster::One,
        host: Ipv4Addr::new(127, 0, 1, 30),
        ports: SERVICE,
    },
    Instance {
        id: "frontend-2",
        service: "frontend",
        cluster: Cluster::Two,
        host: Ipv4Addr::new(127, 0, 2, 20),
        ports: SERVICE,
    },
    Instance {
        id: "frontend-3",
        service: "frontend",
        cluster: Cluster::Two,
        host: Ipv4Addr::new(127, 0, 2, 30),
        ports: SERVICE,
    },
];

/// The gateways, one a cluster.
pub(crate) const GATEWAYS: [Instance; 2] = [
    Instance {
        id: "gateway-01",
        service: "",
        cluster: Cluster::One,
        host: Ipv4Addr::new(127, 0, 1, 1),
        ports: GATEWAY,
    },
    Instance {
        id: "gateway-02",
        service: "",
        cluster: Cluster::Two,
        host: Ipv4Addr::new(127, 0, 2, 1),
        ports: GATEWAY,
    },
];

/// Whoever listens here has the usual ports; another demo at the same time does not try for them, so that neither
/// takes one from the other between a process's end and its restart.
const CLAIM: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 1, 254), 8443);

/// The two clusters as they were written to disk.
#[derive(Debug)]
pub(crate) struct Mesh {
    root: PathBuf,
    ports: BTreeMap<(&'static str, Port), u16>,
    /// Hold the ports until the processes that they are for start.
    reserved: RefCell<Vec<TcpListener>>,
    /// Held as long as the demo runs, by the demo that has the usual ports.
    _claim: Option<TcpListener>,
}

impl Mesh {
    /// Chooses ports and writes both clusters' directories under `root`.
    pub(crate) fn lay_out(root: &Path, format: Format, mode: GatewayMode) -> Result<Self, DemoError> {
        let claim = TcpListener::bind(CLAIM).ok();
        let mut ports = BTreeMap::new();
        let mut reserved = Vec::new();
        for instance in SERVICES.iter().chain(&GATEWAYS) {
            for &port in instance.ports {
                let usual = if claim.is_some() { port.usual().0 } else { 0 };
                let (number, listener) = reserve(instance.host, usual).map_err(|source| DemoError::Io {
                    what: format!("listen on {}, a loopback address", instance.host),
                    source,
                })?;
                ports.insert((instance.id, port), number);
                reserved.push(listener);
            }
        }
        let mesh = Self { root: root.to_owned(), ports, reserved: RefCell::new(reserved), _claim: claim };
        for (path, template) in templates(format) {
            let path = root.join(path);
            write(&path, &mesh.fill_in(template, mode))
                .map_err(|source| DemoError::Io { what: format!("write {}", path.display()), source })?;
        }
        Ok(mesh)
    }

    /// The configuration directory of `cluster`.
    pub(crate) fn config_dir(&self, cluster: Cluster) -> PathBuf {
        self.root.join(cluster.as_str())
    }

    /// Where `instance` listens for what `port` is for.
    pub(crate) fn address(&self, instance: &Instance, port: Port) -> SocketAddr {
        let number = self.ports.get(&(instance.id, port)).copied().unwrap_or_default();
        SocketAddr::from((instance.host, number))
    }

    /// Frees the ports for the processes that are about to start.
    pub(crate) fn release_ports(&self) {
        self.reserved.borrow_mut().clear();
    }

    fn fill_in(&self, template: &str, mode: GatewayMode) -> String {
        let text = template.replace("@mode@", mode.as_str());
        self.ports.iter().fold(text, |text, ((id, port), number)| {
            text.replace(&format!("@{id}.{}@", port.usual().1), &number.to_string())
        })
    }
}

fn write(path: &Path, contents: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, contents)
}

/// Takes `usual` unless it is taken at `host`; then any that is free.
fn reserve(host: Ipv4Addr, usual: u16) -> io::Result<(u16, TcpListener)> {
    let listener = TcpListener::bind((host, usual)).or_else(|_| TcpListener::bind((host, 0)))?;
    Ok((listener.local_addr()?.port(), listener))
}

/// Path and template of each file of `format`.
fn templates(format: Format) -> Vec<(&'static str, &'static str)> {
    macro_rules! files {
        ($format:literal: $($path:literal)*) => {
            vec![$(($path, include_str!(concat!("mesh/", $format, "/", $path)))),*]
        };
    }
    match format {
        Format::Hcl => files!("hcl":
            "cluster-01/agent.hcl"
            "cluster-01/proxy-defaults.hcl"
            "cluster-01/service-defaults-admin.hcl"
            "cluster-01/service-defaults-frontend.hcl"
            "cluster-01/service-defaults-web.hcl"
            "cluster-01/service-resolver-frontend-peer.hcl"
            "cluster-01/service-resolver-frontend.hcl"
            "cluster-01/service-router-frontend.hcl"
            "cluster-01/service-splitter-frontend.hcl"
            "cluster-01/services.hcl"
            "cluster-02/agent.hcl"
            "cluster-02/exported-services.hcl"
            "cluster-02/proxy-defaults.hcl"
            "cluster-02/service-defaults-frontend.hcl"
            "cluster-02/services.hcl"
        ),
        Format::Json => files!("json":
            "cluster-01/agent.json"
            "cluster-01/proxy-defaults.json"
            "cluster-01/service-defaults-admin.json"
            "cluster-01/service-defaults-frontend.json"
            "cluster-01/service-defaults-web.json"
            "cluster-01/service-resolver-frontend-peer.json"
            "cluster-01/service-resolver-frontend.json"
            "cluster-01/service-router-frontend.json"
            "cluster-01/service-splitter-frontend.json"
            "cluster-01/services.json"
            "cluster-02/agent.json"
            "cluster-02/exported-services.json"
            "cluster-02/proxy-defaults.json"
            "cluster-02/service-defaults-frontend.json"
            "cluster-02/services.json"
        ),
        Format::Yaml => {
            let mut files = files!("yaml":
                "cluster-01/defaults.yaml"
                "cluster-01/frontend.yaml"
                "cluster-02/defaults.yaml"
                "cluster-02/exported.yaml"
            );
            // Kubernetes has no resource for an agent's settings and registrations: those stay agent files.
            files.extend(files!("hcl":
                "cluster-01/agent.hcl"
                "cluster-01/services.hcl"
                "cluster-02/agent.hcl"
                "cluster-02/services.hcl"
            ));
            files
        }
    }
}

#[cfg(test)]
mod tests {
    use spillway_core::chain::{Context, Overrides, compile, json};

    use super::*;

    #[test]
    fn every_file_of_every_format_is_filled_in() -> Result<(), Box<dyn std::error::Error>> {
        for format in [Format::Hcl, Format::Json, Format::Yaml] {
            let root = tempfile::tempdir()?;
            Mesh::lay_out(root.path(), format, GatewayMode::Local)?;
            for (path, _) in templates(format) {
                let text = fs::read_to_string(root.path().join(path))?;
                assert!(!text.contains('@'), "{path} still has a placeholder:\n{text}");
            }
        }
        Ok(())
    }

    /// Every compiled chain of a cluster, and what it exports.
    fn meaning(format: Format, cluster: Cluster) -> Result<String, Box<dyn std::error::Error>> {
        let root = tempfile::tempdir()?;
        let mesh = Mesh::lay_out(root.path(), format, GatewayMode::Remote)?;
        let contents = spillway_proxy::source::files::read(&[mesh.config_dir(cluster)])
            .map_err(|problems| format!("{problems:?}"))?;
        let (config, problems) = spillway_core::load::load(&contents.files);
        assert_eq!(problems, [], "{format:?}");
        let mut meaning = config.entries.exports(&"frontend".parse()?, &"cluster-01".parse()?).to_string();
        for service in ["web", "frontend", "frontend-peer", "admin"] {
            let cx = Context {
                service: service.parse()?,
                datacenter: config.agent.datacenter.clone(),
                trust_domain: "a.consul".parse()?,
                overrides: Overrides::default(),
            };
            meaning.push_str(&json::to_value(&compile(&config.entries, &cx)?).to_string());
        }
        Ok(meaning)
    }

    #[test]
    fn every_format_says_the_same() -> Result<(), Box<dyn std::error::Error>> {
        for cluster in Cluster::ALL {
            let hcl = meaning(Format::Hcl, cluster)?;
            assert_eq!(hcl, meaning(Format::Json, cluster)?);
            assert_eq!(hcl, meaning(Format::Yaml, cluster)?);
        }
        Ok(())
    }

    #[test]
    fn a_port_that_is_taken_is_replaced_by_a_free_one() -> io::Result<()> {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let usual = taken.local_addr()?.port();
        assert_ne!(reserve(Ipv4Addr::LOCALHOST, usual)?.0, usual);
        Ok(())
    }
}

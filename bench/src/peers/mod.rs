//! The jobs, and how each proxy is set up for them.
//!
//! A pair: plaintext -> client side -> mTLS -> server side -> plaintext backend. A hop: the client side alone, without
//! TLS. A gateway: what is encrypted passes by the name in its ClientHello.
//!
//! The same for all: TLS 1.3 with P-256 certificates of one CA, verified both ways; connections kept; prefix rules; in a
//! pair, a 90/10 split between two names of the same address; two workers; no access log. What a proxy can do beyond that is
//! left at its defaults, except where a default would close connections or fill a disk during a run.

mod haproxy;
mod nginx;
mod spillway;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use spillway_certs::store::{self, SECRET};
use spillway_certs::{Ca, KeyType, Leaf, ca};
use spillway_core::entry::CaConfig;
use spillway_core::name::{Datacenter, ServiceName, Sni, SpiffeId, TrustDomain};

use crate::error::BenchError;
use crate::group::{Group, free_addresses, on_path};

/// Worker threads or processes of each side.
pub(crate) const WORKERS: usize = 2;

/// What the rules match when there are four of them.
const PREFIXES: [&str; 4] = ["/static/", "/account/", "/api/v1/", "/api/v2/"];

/// What a proxy is set up for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Job {
    /// Who is between load and backend.
    pub(crate) topology: Topology,
    /// What the service speaks.
    pub(crate) protocol: Protocol,
    /// How many prefix rules there are.
    pub(crate) rules: usize,
}

/// Who is between load and backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topology {
    /// Two sidecars.
    Pair,
    /// One proxy without TLS.
    Hop,
    /// One that does not look into TLS.
    Gateway,
}

/// What a service speaks: it decides what runs between two sidecars.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// HTTP/1.1, or what two Spillways agree on
    Http,
    /// HTTP/2
    Http2,
    /// HTTP/2, from the load to the backend
    Grpc,
}

impl Job {
    /// The usual one between two sidecars.
    pub(crate) const PAIR: Self = Self { topology: Topology::Pair, protocol: Protocol::Http, rules: 4 };

    /// Whether there is a 90/10 split behind the rules.
    pub(crate) fn splits(&self) -> bool {
        self.topology == Topology::Pair
    }

    /// What the rules match, in their order.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        match self.rules {
            4 => PREFIXES.map(str::to_owned).to_vec(),
            rules => (0..rules).map(|rule| format!("/service-{rule:05}/")).collect(),
        }
    }
}

/// Who does the job.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// We
    #[value(skip)]
    Spillway,
    /// nginx
    Nginx,
    /// HAProxy
    Haproxy,
    /// A copier of bytes, where there is one proxy alone: no limit is lower
    Floor,
}

impl Peer {
    /// Where its program is, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self {
            Self::Floor => env::current_exe().ok(),
            Self::Spillway | Self::Nginx | Self::Haproxy => on_path(&self.to_string()),
        }
    }

    /// Whether it can do such a job.
    pub(crate) fn does(self, job: Job) -> bool {
        self != Self::Floor || job.topology != Topology::Pair
    }

    /// Starts all sides of it. They listen a little later.
    pub(crate) fn start(self, program: &Path, site: &Site) -> Result<Setup, BenchError> {
        match self {
            Self::Spillway => spillway::start(program, site),
            Self::Nginx => nginx::start(program, site),
            Self::Haproxy => haproxy::start(program, site),
            Self::Floor => floor(program, site),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spillway => "spillway",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Floor => "floor",
        })
    }
}

/// Starts the copier: to what a hop or a gateway leads to.
fn floor(program: &Path, site: &Site) -> Result<Setup, BenchError> {
    let [entry] = free_addresses()?;
    let to = site.backend[usize::from(site.job.topology == Topology::Gateway)];
    let args: [OsString; 5] =
        ["floor".into(), "--listen".into(), entry.to_string().into(), "--to".into(), to.to_string().into()];
    let sides = vec![Group::start("floor", program, &args, &site.dir)?];
    Ok(Setup { peer: Peer::Floor, entry, public: entry, sides })
}

/// A proxy that runs for a job.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Whose.
    pub(crate) peer: Peer,
    /// Where the load is to ask.
    pub(crate) entry: SocketAddr,
    /// Where the mesh is to ask: the server side's.
    pub(crate) public: SocketAddr,
    /// Client side and server side, or the only one.
    pub(crate) sides: Vec<Group>,
}

/// What proxies are set up with.
#[derive(Debug)]
pub(crate) struct Site {
    /// For configuration and logs; gone after the run.
    pub(crate) dir: PathBuf,
    /// What for.
    pub(crate) job: Job,
    /// Where the backend listens, and where for TLS.
    pub(crate) backend: [SocketAddr; 2],
    /// The most connections that will ask at once.
    connections: usize,
    trust_domain: TrustDomain,
}

impl Site {
    /// Makes the CA and the certificates that other proxies read from files.
    pub(crate) fn prepare(
        dir: &Path,
        job: Job,
        backend: [SocketAddr; 2],
        connections: usize,
    ) -> Result<Self, BenchError> {
        let mesh = dir.join("mesh");
        make_dir(&mesh)?;
        let ca = Ca::init(&mesh, None, &CaConfig::default())?;
        let trust_domain = ca.trust_domain().clone();
        let site = Self { dir: dir.to_owned(), job, backend, connections, trust_domain };
        for service in ["web", "backend"] {
            let leaf = ca.issue(&site.identity(service), ca::LEAF_TTL, KeyType::EcP256)?;
            site.write_leaf(service, &leaf)?;
        }
        Ok(site)
    }

    /// Who a service is.
    pub(crate) fn identity(&self, service: &str) -> SpiffeId {
        SpiffeId::service(&self.trust_domain, &datacenter(), &name(service))
    }

    /// The name by which a gateway knows the backend.
    pub(crate) fn sni(&self) -> Sni {
        Sni::internal(None, &name("backend"), &datacenter(), &self.trust_domain)
    }

    /// The certificate and key apart, and for HAProxy in one file.
    fn write_leaf(&self, service: &str, leaf: &Leaf) -> Result<(), BenchError> {
        leaf.save(&self.certificate(service), &self.key(service))?;
        let both = format!("{}{}", leaf.chain_pem(), leaf.key_pem());
        Ok(store::write_atomic(&self.both(service), both.as_bytes(), SECRET)?)
    }

    /// Spillway's configuration directory, with the CA.
    pub(crate) fn mesh(&self) -> PathBuf {
        self.dir.join("mesh")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.mesh().join("ca/root.pem")
    }

    pub(crate) fn certificate(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}.pem"))
    }

    pub(crate) fn key(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}-key.pem"))
    }

    fn both(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}-both.pem"))
    }

    /// Writes a configuration file below the run's directory.
    fn write(&self, path: &Path, contents: &str) -> Result<(), BenchError> {
        fs::write(path, contents)
            .map_err(|source| BenchError::io(format!("write {}", path.display()), source))
    }
}

fn name(service: &str) -> ServiceName {
    service.parse().expect("a valid name")
}

fn datacenter() -> Datacenter {
    "dc1".parse().expect("a valid name")
}

fn make_dir(dir: &Path) -> Result<(), BenchError> {
    fs::create_dir_all(dir).map_err(|source| BenchError::io(format!("make {}", dir.display()), source))
}

//! The job, and how each proxy is set up for it: plaintext HTTP/1.1 -> client side -> mTLS -> server side -> plaintext
//! backend.
//!
//! The same for all: TLS 1.3 with P-256 certificates of one CA, verified both ways; connections kept; four prefix
//! rules; a 90/10 split between two names of the server side; two workers; no access log. What a proxy can do beyond
//! that is left at its defaults, except where a default would close connections during a run.

mod haproxy;
mod nginx;
mod spillway;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use spillway_certs::store::{self, SECRET};
use spillway_certs::{Ca, KeyType, Leaf, ca};
use spillway_core::entry::CaConfig;
use spillway_core::name::{Datacenter, ServiceName, SpiffeId};

use crate::error::BenchError;
use crate::group::{Group, on_path};

/// Worker threads or processes of each side.
const WORKERS: usize = 2;

/// What the four rules match.
pub(crate) const PREFIXES: [&str; 4] = ["/static/", "/account/", "/api/v1/", "/api/v2/"];

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
}

impl Peer {
    /// Where its program is, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        on_path(&self.to_string())
    }

    /// Starts both sides of its pair. They listen a little later.
    pub(crate) fn start(self, program: &Path, site: &Site) -> Result<Pair, BenchError> {
        match self {
            Self::Spillway => spillway::start(program, site),
            Self::Nginx => nginx::start(program, site),
            Self::Haproxy => haproxy::start(program, site),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spillway => "spillway",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        })
    }
}

/// Both sides of one proxy's pair, running.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Whose.
    pub(crate) peer: Peer,
    /// Where the client side listens.
    pub(crate) entry: SocketAddr,
    /// The client side.
    pub(crate) client: Group,
    /// The server side.
    pub(crate) server: Group,
}

/// What pairs are set up with.
#[derive(Debug)]
pub(crate) struct Site {
    /// For configuration and logs; gone after the run.
    dir: PathBuf,
    /// Where the backend listens.
    backend: SocketAddr,
    /// The most connections that will ask at once.
    connections: usize,
}

impl Site {
    /// Makes the CA and the certificates that other proxies read from files.
    pub(crate) fn prepare(dir: &Path, backend: SocketAddr, connections: usize) -> Result<Self, BenchError> {
        let site = Self { dir: dir.to_owned(), backend, connections };
        make_dir(&site.mesh())?;
        let ca = Ca::init(&site.mesh(), None, &CaConfig::default())?;
        let datacenter: Datacenter = "dc1".parse().expect("a valid name");
        for service in ["web", "backend"] {
            let name: ServiceName = service.parse().expect("a valid name");
            let id = SpiffeId::service(ca.trust_domain(), &datacenter, &name);
            let leaf = ca.issue(&id, ca::LEAF_TTL, KeyType::EcP256)?;
            site.write_leaf(service, &leaf)?;
        }
        Ok(site)
    }

    /// The certificate and key apart, and for HAProxy in one file.
    fn write_leaf(&self, service: &str, leaf: &Leaf) -> Result<(), BenchError> {
        leaf.save(&self.certificate(service), &self.key(service))?;
        let both = format!("{}{}", leaf.chain_pem(), leaf.key_pem());
        Ok(store::write_atomic(&self.both(service), both.as_bytes(), SECRET)?)
    }

    /// Spillway's configuration directory, with the CA.
    fn mesh(&self) -> PathBuf {
        self.dir.join("mesh")
    }

    fn root(&self) -> PathBuf {
        self.mesh().join("ca/root.pem")
    }

    fn certificate(&self, service: &str) -> PathBuf {
        self.dir.join(format!("{service}.pem"))
    }

    fn key(&self, service: &str) -> PathBuf {
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

fn make_dir(dir: &Path) -> Result<(), BenchError> {
    fs::create_dir_all(dir).map_err(|source| BenchError::io(format!("make {}", dir.display()), source))
}

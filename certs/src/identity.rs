//! Where a long-running process gets its own leaf and its bundles from: the cluster's CA, or files.
//!
//! Loading is all or nothing, so a bad new file leaves the caller with what it had. Kept out: when to load again; the
//! caller watches [`IdentitySource::paths`] and asks [`Leaf::renew_at`].

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use spillway_core::catalog::PeerRecord;
use spillway_core::entry::CaConfig;
use spillway_core::name::{SpiffeId, TrustDomain};

use crate::bundle::{BundleError, TrustBundles};
use crate::ca::{Ca, CaError, LEAF_TTL};
use crate::key::KeyType;
use crate::leaf::{Leaf, LeafError};
use crate::pem::{self, PemError};
use crate::store::{self, StoreError};

/// Where identity comes from.
#[derive(Clone, Debug)]
pub enum IdentitySource {
    /// `--leaf-cert`, `--leaf-key`, `--trust-bundle`: somebody else issues and renews.
    Files {
        /// The leaf with its chain, PEM.
        certificate: PathBuf,
        /// The leaf's key, PEM.
        key: PathBuf,
        /// The roots of our own trust domain, PEM.
        bundle: PathBuf,
    },
    /// `ca/` of a configuration directory: leaves are issued in this process.
    Ca {
        /// The configuration directory.
        config_dir: PathBuf,
        /// Key type and life of leaves.
        config: CaConfig,
    },
}

/// Why a process has no identity.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The CA's part.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The leaf's part.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The bundle cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bundle holds no certificates.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: PemError,
    },
    /// The bundle holds certificates that cannot vouch.
    #[error("{}: {source}", path.display())]
    Bundle {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong.
        source: BundleError,
    },
    /// A leaf of somebody else.
    #[error("{}: the certificate is that of {found}, not of {expected}", path.display())]
    OtherIdentity {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: SpiffeId,
        /// Whose it should be.
        expected: SpiffeId,
    },
    /// A leaf whose time has passed, or not come.
    #[error("{}: the certificate has expired or is not valid yet", path.display())]
    NotValid {
        /// Which file.
        path: PathBuf,
    },
    /// A leaf that the bundle beside it does not vouch for: every other side would refuse it.
    #[error("{}: no root in {} vouches for this certificate: {source}", path.display(), bundle.display())]
    Unvouched {
        /// The leaf's file.
        path: PathBuf,
        /// The bundle's file.
        bundle: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

impl IdentitySource {
    /// The trust domain that this source's identities are of.
    ///
    /// # Errors
    /// When what tells it cannot be read.
    pub fn trust_domain(&self) -> Result<TrustDomain, SourceError> {
        match self {
            Self::Files { certificate, key, .. } => {
                Ok(Leaf::load(certificate, key)?.id().trust_domain.clone())
            }
            Self::Ca { config_dir, .. } => Ok(Ca::open(config_dir)?.trust_domain().clone()),
        }
    }

    /// What to watch for changes: files, or the directory that has them.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Files { certificate, key, bundle } => {
                vec![certificate.clone(), key.clone(), bundle.clone()]
            }
            Self::Ca { config_dir, .. } => vec![config_dir.join("ca")],
        }
    }

    /// A leaf for `id`, and the bundles of our own trust domain and of `peers`.
    ///
    /// # Errors
    /// When anything of our own is wrong; a peer's bundle that is wrong is logged and left out.
    pub fn load(&self, id: &SpiffeId, peers: &[PeerRecord]) -> Result<(Leaf, TrustBundles), SourceError> {
        let bundles = self.bundles_of(&id.trust_domain, peers)?;
        let leaf = match self {
            Self::Files { certificate, key, bundle } => {
                let now = SystemTime::now();
                let leaf = leaf_from_files(certificate, key, id, now)?;
                bundles.vouch(&leaf, now).map_err(|source| SourceError::Unvouched {
                    path: certificate.clone(),
                    bundle: bundle.clone(),
                    source,
                })?;
                leaf
            }
            Self::Ca { config_dir, config } => issue(config_dir, config, id)?,
        };
        Ok((leaf, bundles))
    }

    /// The bundles alone: for when a peer or a root has changed and the leaf is still good.
    ///
    /// # Errors
    /// As in [`Self::load`].
    pub fn bundles(&self, peers: &[PeerRecord]) -> Result<TrustBundles, SourceError> {
        self.bundles_of(&self.trust_domain()?, peers)
    }

    fn bundles_of(&self, own: &TrustDomain, peers: &[PeerRecord]) -> Result<TrustBundles, SourceError> {
        let (path, roots) = match self {
            Self::Files { bundle, .. } => (bundle.clone(), read_roots(bundle)?),
            Self::Ca { config_dir, .. } => (config_dir.join("ca"), Ca::open(config_dir)?.roots()),
        };
        let bundles =
            TrustBundles::new(own.clone(), roots).map_err(|source| SourceError::Bundle { path, source })?;
        Ok(bundles.with_peers(peers))
    }
}

fn issue(config_dir: &Path, config: &CaConfig, id: &SpiffeId) -> Result<Leaf, SourceError> {
    let key = KeyType::from_config(config).map_err(CaError::from)?;
    Ok(Ca::open(config_dir)?.issue(id, config.leaf_ttl.unwrap_or(LEAF_TTL), key)?)
}

fn leaf_from_files(
    certificate: &Path,
    key: &Path,
    id: &SpiffeId,
    now: SystemTime,
) -> Result<Leaf, SourceError> {
    let leaf = Leaf::load(certificate, key)?;
    if leaf.id() != id {
        return Err(SourceError::OtherIdentity {
            path: certificate.to_owned(),
            found: leaf.id().clone(),
            expected: id.clone(),
        });
    }
    if leaf.is_valid(now) { Ok(leaf) } else { Err(SourceError::NotValid { path: certificate.to_owned() }) }
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    pem::certificates(&store::read(path)?)
        .map_err(|source| SourceError::Pem { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{Authority, Claim, HOUR, TestResult, domain, svc};

    struct Dir {
        dir: tempfile::TempDir,
        source: IdentitySource,
    }

    impl Dir {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
            let path = |name| dir.path().join(name);
            let source = IdentitySource::Files {
                certificate: path("leaf.pem"),
                key: path("leaf-key.pem"),
                bundle: path("bundle.pem"),
            };
            Self { dir, source }
        }

        /// Writes a leaf and a bundle, and loads them as web's of our domain.
        fn load(&self, authority: &Authority, claim: &Claim, bundle: &str) -> Result<SpiffeId, String> {
            let write = |name: &str, text: &str| fs::write(self.dir.path().join(name), text);
            let signed = authority.sign(claim);
            let written = write("leaf.pem", &pem::encode_certificates(&signed.chain))
                .and_then(|()| write("leaf-key.pem", &pem::encode_private_key(&signed.key)))
                .and_then(|()| write("bundle.pem", bundle));
            written.map_err(|e| e.to_string())?;
            self.source
                .load(&svc("own", "web"), &[])
                .map(|(leaf, _)| leaf.id().clone())
                .map_err(|e| e.to_string())
        }
    }

    #[test]
    fn files_are_taken_when_they_are_ours_valid_and_vouched_for() {
        let dir = Dir::new();
        let (own, other) = (Authority::new("own"), Authority::new("own"));
        let good = Claim::of(&svc("own", "web"));
        let now = SystemTime::now();
        let (roots, others) =
            (pem::encode_certificates(&[own.root()]), pem::encode_certificates(&[other.root()]));
        let foreign = pem::encode_certificates(&[Authority::new("foreign").root()]);
        assert_eq!(dir.load(&own, &good, &roots), Ok(svc("own", "web")));
        assert_eq!(dir.load(&own, &good, &format!("{others}{roots}")), Ok(svc("own", "web")));
        assert_eq!(dir.source.trust_domain().ok(), Some(domain("own")));
        let expired = Claim { until: now - HOUR / 2, ..good.clone() };
        let early = Claim { from: now + HOUR / 2, ..good.clone() };
        for (claim, bundle, named) in [
            (&Claim::of(&svc("own", "api")), &*roots, "leaf.pem: the certificate is that of"),
            (&expired, &roots, "leaf.pem: the certificate has expired"),
            (&early, &roots, "leaf.pem: the certificate has expired or is not valid yet"),
            (&good, &others, "leaf.pem: no root in"),
            (&good, &foreign, "bundle.pem: a root certificate given for own is that of foreign"),
            (&good, "garbage", "bundle.pem: no PEM section of a certificate"),
        ] {
            let loaded = dir.load(&own, claim, bundle);
            assert!(loaded.as_ref().is_err_and(|e| e.contains(named)), "{named}: {loaded:?}");
        }
    }

    #[test]
    fn a_ca_issues_a_new_leaf_at_each_load_and_the_bundles_stay_equal() -> TestResult {
        let dir = tempfile::tempdir()?;
        let config = CaConfig { leaf_ttl: Some(2 * HOUR), ..CaConfig::default() };
        let source = IdentitySource::Ca { config_dir: dir.path().to_owned(), config: config.clone() };
        let missing = source.load(&svc("own", "web"), &[]).map(|_| ()).map_err(|e| e.to_string());
        assert!(missing.as_ref().is_err_and(|e| e.contains("spillway ca init")), "{missing:?}");
        Ca::init(dir.path(), Some(domain("own")), &config)?;
        let (first, bundles) = source.load(&svc("own", "web"), &[])?;
        let (second, same) = source.load(&svc("own", "web"), &[])?;
        assert_ne!(first.info().serial, second.info().serial);
        assert!(bundles == same && bundles == source.bundles(&[])?);
        let life = first.info().not_after.duration_since(SystemTime::now())?;
        assert!(life <= 2 * HOUR);
        Ca::rotate(dir.path(), &config)?;
        assert!(bundles != source.bundles(&[])?);
        Ok(())
    }
}

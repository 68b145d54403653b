//! The built-in CA of a cluster: one root key, leaves signed by it directly.
//!
//! A rotation makes a new root, keeps the old one trusted for as long as a leaf it signed can live, and has the old
//! root sign the new one's key too. For a week leaves carry that cross-signed certificate, so a process or a peer
//! that has not heard of the new root yet believes its leaves all the same: the order in which the news travels does
//! not matter. `files` is how the `ca/` directory looks and how it survives a crash. Kept out: who asks for which
//! leaf and when (`identity`), and what a bundle vouches for (`bundle`).

mod files;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spillway_core::entry::CaConfig;
use spillway_core::name::{SpiffeId, TrustDomain};
use uuid::Uuid;

use self::files::Files;
use crate::key::{KeyType, UnsupportedKey};
use crate::leaf::Leaf;
use crate::pem::PemError;
use crate::store::{self, StoreError};
use crate::x509::{self, CertInfo, IdentityError};

/// Life of a leaf, unless asked for otherwise (Consul's `LeafCertTTL`).
pub const LEAF_TTL: Duration = Duration::from_hours(72);
/// The shortest life of a leaf, as in Consul.
pub const MIN_LEAF_TTL: Duration = Duration::from_hours(1);
/// The longest life of a leaf, as in Consul; so also how long a root is trusted after its rotation.
pub const MAX_LEAF_TTL: Duration = Duration::from_hours(365 * 24);
/// Life of a root, unless configured otherwise (Consul's `RootCertTTL`).
pub const ROOT_TTL: Duration = Duration::from_hours(10 * 365 * 24);

/// How far back a certificate's validity begins: clocks differ.
const BACKDATED: Duration = Duration::from_mins(1);

/// How long after a rotation leaves carry the cross-signed certificate: the time a process or peer may be cut off
/// and still come back without noticing that a root changed.
const CROSS_SIGNED_FOR: Duration = Duration::from_hours(7 * 24);

/// Why the CA cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// There is no CA yet.
    #[error("there is no CA in {}: make one with `spillway ca init --config-dir {}`", dir.display(), config_dir(dir).display())]
    Missing {
        /// The `ca/` directory.
        dir: PathBuf,
    },
    /// There is one already.
    #[error("{} exists: `spillway ca rotate` replaces a root, nothing overwrites one", root.display())]
    Exists {
        /// Its root.
        root: PathBuf,
    },
    /// A key that stands there without its root.
    #[error("{} has no root.pem beside it: restore that, or move the key away to begin anew", key.display())]
    OrphanedKey {
        /// The key.
        key: PathBuf,
    },
    /// A host that has only the root.
    #[error("{} is not on this host: only where it is, certificates are issued", key.display())]
    NoKey {
        /// Where the key would be.
        key: PathBuf,
    },
    /// A root and a key that do not belong together.
    #[error("{} is not the key of {}", key.display(), root.display())]
    KeyMismatch {
        /// The key.
        key: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// A root without the URI SAN that tells its trust domain.
    #[error("{} names no trust domain: its URI SAN should be spiffe://TRUSTDOMAIN", root.display())]
    NoTrustDomain {
        /// The root.
        root: PathBuf,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file without what it should hold.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: PemError,
    },
    /// A certificate that cannot be read.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
    /// A key that cannot be read.
    #[error("{} holds no key that can sign: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: rcgen::Error,
    },
    /// `connect.ca_config` asks for a key that is not made.
    #[error("connect.ca_config: {0}")]
    UnsupportedKey(#[from] UnsupportedKey),
    /// `connect.ca_config` asks for a root that dies with its leaves.
    #[error("connect.ca_config: root_cert_ttl is {} h, but must be more than {} h", root.as_secs() / 3600, leaf.as_secs() / 3600)]
    RootTtl {
        /// As configured.
        root: Duration,
        /// The life of leaves.
        leaf: Duration,
    },
    /// A leaf with a life that is too short to renew in, or too long to forget.
    #[error("a leaf certificate lives for 1 h to 8760 h, not {} s", ttl.as_secs())]
    LeafTtl {
        /// As asked for.
        ttl: Duration,
    },
    /// A leaf for somebody else's workload.
    #[error("{id} is not of this CA's trust domain {trust_domain}")]
    OtherDomain {
        /// Whom a leaf was asked for.
        id: SpiffeId,
        /// What this CA signs for.
        trust_domain: TrustDomain,
    },
    /// A root that has ended, or all but.
    #[error("the root in {} has expired or is about to: `spillway ca rotate` makes another", root.display())]
    Expired {
        /// The root.
        root: PathBuf,
    },
    /// What the library that signs said.
    #[error("cannot sign a certificate: {0}")]
    Sign(#[from] rcgen::Error),
    /// A certificate that was just made and is not what it should be.
    #[error("the certificate issued for {id} cannot be used: {cause}")]
    Unusable {
        /// Whose.
        id: SpiffeId,
        /// Why.
        cause: String,
    },
}

fn config_dir(dir: &Path) -> &Path {
    dir.parent().unwrap_or(dir)
}

/// A root that is trusted.
#[derive(Clone, Debug)]
pub struct Root {
    /// The file it is in.
    pub path: PathBuf,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The certificate, read.
    pub info: CertInfo,
}

/// The CA of a cluster, as its `ca/` directory has it.
#[derive(Debug)]
pub struct Ca {
    files: Files,
    trust_domain: TrustDomain,
    /// Only on the host that issues.
    issuer: Option<Issuer<'static, KeyPair>>,
    /// The one that signs, then older ones, the latest first.
    roots: Vec<Root>,
    /// The key of the root that signs, signed by the one before it, and so on.
    crosses: Vec<CertificateDer<'static>>,
}

impl Ca {
    /// Makes the CA of a cluster: a key and a root in `config_dir/ca`. Without a trust domain it gets `UUID.consul`.
    ///
    /// # Errors
    /// When there is one already, the configuration cannot be met, or the files cannot be written.
    pub fn init(
        config_dir: &Path,
        trust_domain: Option<TrustDomain>,
        config: &CaConfig,
    ) -> Result<Self, CaError> {
        let files = Files::of(config_dir);
        store::make_dir(files.dir())?;
        let _lock = files.lock()?;
        Self::init_locked(&files, trust_domain, config, SystemTime::now())?;
        Self::read(files, SystemTime::now())
    }

    /// The CA of a cluster.
    ///
    /// # Errors
    /// When there is none, or its files cannot be read or do not belong together.
    pub fn open(config_dir: &Path) -> Result<Self, CaError> {
        Self::read(Files::of(config_dir), SystemTime::now())
    }

    /// The CA of a cluster, made when there is none; processes that ask at once get the same.
    ///
    /// # Errors
    /// As in [`Self::init`] and [`Self::open`].
    pub fn open_or_init(config_dir: &Path, config: &CaConfig) -> Result<Self, CaError> {
        match Self::open(config_dir) {
            Err(CaError::Missing { .. }) => {}
            opened => return opened,
        }
        match Self::init(config_dir, None, config) {
            Err(CaError::Exists { .. }) => Self::open(config_dir),
            made => made,
        }
    }

    /// Makes a new root that signs from now on; the old one stays trusted while leaves of it can live. Killed half
    /// way, the old root goes on, or the new one is complete.
    ///
    /// # Errors
    /// When this host has no key, the configuration cannot be met, or the files cannot be written.
    pub fn rotate(config_dir: &Path, config: &CaConfig) -> Result<Self, CaError> {
        Self::rotate_at(config_dir, config, SystemTime::now())
    }

    fn rotate_at(config_dir: &Path, config: &CaConfig, now: SystemTime) -> Result<Self, CaError> {
        let files = Files::of(config_dir);
        let _lock = files.lock()?;
        files.finish_commit()?;
        let old = Self::read(files.clone(), now)?;
        let old_issuer = old.issuer()?;
        let (key, params) = new_root(&old.trust_domain, config, now)?;
        let root = params.self_signed(&key)?;
        let mut cross = params;
        cross.not_after = cross.not_after.min(old.root().info.not_after.into());
        let cross = cross.signed_by(&key, old_issuer)?;
        let mut crosses = vec![cross.der().clone()];
        crosses.extend_from_slice(&old.crosses);
        files.stage(root.der(), &key)?;
        files.keep_old_root(&old.root().certificate)?;
        files.write_crosses(&crosses)?;
        files.commit()?;
        files.forget(now, MAX_LEAF_TTL)?;
        Self::read(files, now)
    }

    /// Stops trusting every root but the one that signs: after a key was stolen. Leaves of older roots are refused as
    /// soon as each process has read the new bundle.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget_older(config_dir: &Path) -> Result<Self, CaError> {
        let files = Files::of(config_dir);
        let _lock = files.lock()?;
        files.finish_commit()?;
        files.forget_all()?;
        Self::read(files, SystemTime::now())
    }

    /// What this CA signs for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Whether this host has the key.
    pub fn can_issue(&self) -> bool {
        self.issuer.is_some()
    }

    /// The trusted roots for a bundle, the one that signs first.
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.roots.iter().map(|root| root.certificate.clone()).collect()
    }

    /// The trusted roots as an operator wants to see them, the one that signs first.
    pub fn show(&self) -> &[Root] {
        &self.roots
    }

    /// Issues a leaf for a workload of this trust domain. It ends no later than its root does.
    ///
    /// # Errors
    /// When this host has no key, the workload is another domain's, or the life is out of range.
    pub fn issue(&self, id: &SpiffeId, ttl: Duration, key: KeyType) -> Result<Leaf, CaError> {
        self.issue_at(id, ttl, key, SystemTime::now())
    }

    pub(crate) fn issue_at(
        &self,
        id: &SpiffeId,
        ttl: Duration,
        key: KeyType,
        now: SystemTime,
    ) -> Result<Leaf, CaError> {
        if id.trust_domain != self.trust_domain {
            return Err(CaError::OtherDomain { id: id.clone(), trust_domain: self.trust_domain.clone() });
        }
        if !(MIN_LEAF_TTL..=MAX_LEAF_TTL).contains(&ttl) {
            return Err(CaError::LeafTtl { ttl });
        }
        let issuer = self.issuer()?;
        let not_after = (now + ttl).min(self.root().info.not_after);
        if not_after < now + MIN_LEAF_TTL {
            return Err(CaError::Expired { root: self.files.root() });
        }
        let key = key.generate()?;
        let mut params = params_for(&id.to_string(), now, not_after)?;
        if let Some(service) = id.service_name() {
            // X.520 allows 64 characters; only people read it.
            params
                .distinguished_name
                .push(DnType::CommonName, service.as_str().get(..64).unwrap_or(service.as_str()));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, issuer)?;
        let mut chain = vec![leaf.der().clone()];
        if now < self.root().info.not_before + CROSS_SIGNED_FOR {
            chain.extend_from_slice(&self.crosses);
        }
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Leaf::new(chain, key).map_err(|e| CaError::Unusable { id: id.clone(), cause: e.to_string() })
    }

    fn root(&self) -> &Root {
        &self.roots[0]
    }

    fn issuer(&self) -> Result<&Issuer<'static, KeyPair>, CaError> {
        self.issuer.as_ref().ok_or_else(|| CaError::NoKey { key: self.files.key() })
    }

    fn init_locked(
        files: &Files,
        trust_domain: Option<TrustDomain>,
        config: &CaConfig,
        now: SystemTime,
    ) -> Result<(), CaError> {
        files.finish_commit()?;
        if files.root().exists() {
            return Err(CaError::Exists { root: files.root() });
        }
        if files.key().exists() {
            return Err(CaError::OrphanedKey { key: files.key() });
        }
        let trust_domain = match trust_domain {
            Some(given) => given,
            None => {
                format!("{}.consul", Uuid::new_v4()).parse().expect("a UUID has only characters of a name")
            }
        };
        let (key, params) = new_root(&trust_domain, config, now)?;
        files.stage(params.self_signed(&key)?.der(), &key)?;
        files.commit()
    }

    fn read(files: Files, now: SystemTime) -> Result<Self, CaError> {
        let contents = files.read(now)?;
        let root = &contents.roots[0];
        let trust_domain = x509::trust_domain(&root.certificate)
            .map_err(|source| CaError::Certificate { path: root.path.clone(), source })?
            .ok_or_else(|| CaError::NoTrustDomain { root: root.path.clone() })?;
        let issuer = match contents.key {
            Some(key) => Some(Issuer::from_ca_cert_der(&root.certificate, key)?),
            None => None,
        };
        Ok(Self { files, trust_domain, issuer, roots: contents.roots, crosses: contents.crosses })
    }
}

/// A key and what its root says.
fn new_root(
    trust_domain: &TrustDomain,
    config: &CaConfig,
    now: SystemTime,
) -> Result<(KeyPair, CertificateParams), CaError> {
    let (root, leaf) = (config.root_ttl.unwrap_or(ROOT_TTL), config.leaf_ttl.unwrap_or(LEAF_TTL));
    if root <= leaf {
        return Err(CaError::RootTtl { root, leaf });
    }
    let key = KeyType::from_config(config)?.generate()?;
    let mut params = params_for(&format!("spiffe://{trust_domain}"), now, now + root)?;
    // Unique, so that nobody who goes by names takes one root for another.
    let unique = Uuid::new_v4().simple().to_string();
    params.distinguished_name.push(DnType::CommonName, format!("Spillway CA {}", &unique[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok((key, params))
}

fn params_for(uri: &str, now: SystemTime, not_after: SystemTime) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.not_before = (now - BACKDATED).into();
    params.not_after = not_after.into();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

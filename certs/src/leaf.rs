//! A workload's own certificate and key.
//!
//! Here: reading them from PEM, checking that they belong together and identify a workload, and when to renew.
//! Kept out: who issues (`ca`), who believes it (`bundle`, `verify`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use spillway_core::name::SpiffeId;

use crate::pem::{self, PemError};
use crate::policy;
use crate::store::{self, StoreError};
use crate::x509::{self, CertInfo, IdentityError};

/// Why there is no leaf.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
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
    /// A certificate that identifies no workload.
    #[error("{}: {source}", path.display())]
    Identity {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
    /// A key of a kind that is not supported, or another certificate's.
    #[error("{} is no key for the certificate in {}: {source}", key.display(), certificate.display())]
    Key {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// A workload's certificate with its chain and private key, in the form that TLS takes it.
#[derive(Debug)]
pub struct Leaf {
    id: SpiffeId,
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
    info: CertInfo,
}

impl Leaf {
    /// Reads a leaf from a PEM file with the certificate first and its chain after it, and one with its key.
    ///
    /// # Errors
    /// When a file cannot be read, the two do not belong together, or the certificate identifies no workload.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, LeafError> {
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |source| LeafError::Pem { path, source }
        };
        let chain = pem::certificates(&store::read(certificate)?).map_err(in_file(certificate))?;
        let private = pem::private_key(&store::read(key)?).map_err(in_file(key))?;
        Self::new(chain, private).map_err(|error| error.at(certificate, key))
    }

    /// A leaf from its parts; the chain has the leaf first.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, NotALeaf> {
        let certificate = chain.first().ok_or(NotALeaf::Identity(IdentityError::Unreadable))?;
        let id = x509::spiffe_id(certificate)?;
        let info = CertInfo::of(certificate)?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &policy::provider())?;
        Ok(Self { id, certified: Arc::new(certified), key, info })
    }

    /// Whose it is.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The certificate itself.
    pub fn info(&self) -> &CertInfo {
        &self.info
    }

    /// The certificate, then those between it and a root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The chain as PEM.
    pub fn chain_pem(&self) -> String {
        pem::encode_certificates(self.chain())
    }

    /// The private key as PEM: for a file of mode 0600 and nothing else.
    pub fn key_pem(&self) -> String {
        pem::encode_private_key(&self.key)
    }

    /// Writes certificate and key, the key first and with mode 0600.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), StoreError> {
        store::write_atomic(key, self.key_pem().as_bytes(), store::SECRET)?;
        store::write_atomic(certificate, self.chain_pem().as_bytes(), store::PUBLIC)
    }

    /// Whether it is valid at `now`.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        (self.info.not_before..=self.info.not_after).contains(&now)
    }

    /// When to renew it: between 50 and 66 % of its life, as `jitter` (0 to 1) has it, so that instances which
    /// started together do not all ask at once; `now` when that is past.
    pub fn renew_at(&self, now: SystemTime, jitter: f64) -> SystemTime {
        let life = self.info.not_after.duration_since(self.info.not_before).unwrap_or_default();
        let jitter = if jitter.is_nan() { 0.0 } else { jitter.clamp(0.0, 1.0) };
        now.max(self.info.not_before + life.mul_f64(0.50 + 0.16 * jitter))
    }

    /// Whether 80 % of its life is over: renewal has failed for long enough to alarm somebody.
    pub fn is_overdue(&self, now: SystemTime) -> bool {
        let life = self.info.not_after.duration_since(self.info.not_before).unwrap_or_default();
        now > self.info.not_before + life.mul_f64(0.8)
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// Parts that make no leaf.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotALeaf {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Key(#[from] rustls::Error),
}

impl NotALeaf {
    fn at(self, certificate: &Path, key: &Path) -> LeafError {
        match self {
            Self::Identity(source) => LeafError::Identity { path: certificate.to_owned(), source },
            Self::Key(source) => {
                LeafError::Key { key: key.to_owned(), certificate: certificate.to_owned(), source }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::testing::{Authority, Claim, HOUR, TestResult, svc};

    #[test]
    fn a_leaf_is_renewed_between_half_and_two_thirds_of_its_life() {
        let authority = Authority::new("own");
        let claim = Claim::of(&svc("own", "web"));
        let sign = |until| {
            let signed = authority.sign(&Claim { until, ..claim.clone() });
            Leaf::new(signed.chain, signed.key).unwrap_or_else(|e| panic!("{e}"))
        };
        let leaf = sign(claim.from + 100 * HOUR);
        let born = leaf.info().not_before;
        for (jitter, hours) in [(0.0, 50), (0.5, 58), (1.0, 66), (-1.0, 50), (7.0, 66), (f64::NAN, 50)] {
            let at = leaf.renew_at(born, jitter);
            let expected = born + hours * HOUR;
            let off = at.duration_since(expected).unwrap_or_else(|e| e.duration());
            assert!(off < Duration::from_secs(1), "{jitter}: {at:?}");
        }
        assert_eq!(leaf.renew_at(born + 70 * HOUR, 0.0), born + 70 * HOUR, "what is late is due now");
        for (hours, overdue) in [(0, false), (79, false), (81, true)] {
            assert_eq!(leaf.is_overdue(born + hours * HOUR), overdue, "{hours}");
        }
        assert!(leaf.is_valid(born + 99 * HOUR) && !leaf.is_valid(born + 101 * HOUR));
        assert!(!leaf.is_valid(born - HOUR));
    }

    #[test]
    fn a_saved_leaf_loads_again_and_its_key_is_private() -> TestResult {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir()?;
        let (certificate, key) = (dir.path().join("leaf.pem"), dir.path().join("leaf-key.pem"));
        let leaf = Authority::new("own").leaf(&svc("own", "web"));
        leaf.save(&certificate, &key)?;
        assert_eq!(fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
        let loaded = Leaf::load(&certificate, &key)?;
        assert_eq!((loaded.id(), loaded.chain()), (leaf.id(), leaf.chain()));
        let printed = format!("{loaded:?}");
        assert!(!printed.contains("PRIVATE") && printed.contains("elided"), "{printed}");
        Ok(())
    }

    #[test]
    fn files_that_make_no_leaf_are_named() -> TestResult {
        let dir = tempfile::tempdir()?;
        let (certificate, key) = (dir.path().join("leaf.pem"), dir.path().join("leaf-key.pem"));
        let authority = Authority::new("own");
        let leaf = authority.leaf(&svc("own", "web"));
        let other = authority.leaf(&svc("own", "web"));
        let two = authority.sign(&Claim { uris: vec!["a:b".into(), "c:d".into()], ..Claim::of(leaf.id()) });
        let two = pem::encode_certificates(&two.chain);
        let root = pem::encode_certificates(&[authority.root()]);
        let (chain, good) = (leaf.chain_pem(), leaf.key_pem());
        for (certificate_text, key_text, named) in [
            ("", &*good, "leaf.pem: no PEM section of a certificate"),
            (&chain, "", "leaf-key.pem: no PEM section of a private key"),
            (&chain, &chain, "leaf-key.pem: no PEM section of a private key"),
            (&chain, &other.key_pem(), "leaf-key.pem is no key for the certificate in"),
            (&two, &good, "leaf.pem: the certificate has 2 URI SANs"),
            (&root, &good, "leaf.pem: \"spiffe://own\" is not the SPIFFE ID"),
            (
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                &good,
                "leaf.pem: the certificate cannot be parsed",
            ),
        ] {
            fs::write(&certificate, certificate_text)?;
            fs::write(&key, key_text)?;
            let error =
                Leaf::load(&certificate, &key).map(|leaf| leaf.id().clone()).map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains(named)), "{named}: {error:?}");
        }
        let missing = Leaf::load(&dir.path().join("none.pem"), &key).map(|_| ()).map_err(|e| e.to_string());
        assert!(missing.as_ref().is_err_and(|e| e.contains("none.pem")), "{missing:?}");
        Ok(())
    }
}

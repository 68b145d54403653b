//! Trust bundles: which roots vouch for which trust domain.
//!
//! A peer's bundle vouches for the peer's trust domain and no other, so the roots of two domains never meet in one
//! store: [`TrustBundles`] is a map and offers no union. Our own domain's entry is set when the map is made and no
//! peer can take it. Kept out: handshakes (`verify`), where bundles are read from (`identity`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use spillway_core::catalog::PeerRecord;
use spillway_core::name::TrustDomain;

use crate::leaf::Leaf;
use crate::pem::{self, PemError};
use crate::policy;
use crate::x509::{self, CertInfo, IdentityError};

/// Roots a domain may have: more than any overlap of rotations needs, few enough to try each in a handshake.
pub const MAX_ROOTS: usize = 128;

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Nothing vouches for anybody.
    #[error("there is no root certificate for {0}")]
    Empty(TrustDomain),
    /// More than [`MAX_ROOTS`].
    #[error("{found} root certificates for {domain} are more than {MAX_ROOTS}")]
    TooMany {
        /// Whose.
        domain: TrustDomain,
        /// How many.
        found: usize,
    },
    /// A root that names another domain in its URI SAN.
    #[error("a root certificate given for {domain} is that of {found}")]
    OtherDomain {
        /// Whose bundle it is in.
        domain: TrustDomain,
        /// Whose root it is.
        found: TrustDomain,
    },
    /// A certificate that may not sign others.
    #[error("the certificate {subject:?} in the bundle of {domain} is not that of a CA")]
    NotACa {
        /// Whose bundle it is in.
        domain: TrustDomain,
        /// The certificate's subject.
        subject: String,
    },
    /// A certificate that cannot be read.
    #[error("a root certificate of {domain} cannot be used: {source}")]
    Unusable {
        /// Whose bundle it is in.
        domain: TrustDomain,
        /// Why.
        source: IdentityError,
    },
    /// A peer that claims a trust domain that is ours or another peer's.
    #[error("the trust domain {0} is taken: two bundles cannot vouch for it")]
    Taken(TrustDomain),
    /// A peer without a valid trust domain.
    #[error("{0:?} is not a trust domain")]
    InvalidDomain(String),
    /// Text that is no PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
}

/// The roots of our own trust domain and of each peer's.
///
/// Two are equal when the same roots vouch for the same domains. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustBundles {
    own: TrustDomain,
    by_domain: Arc<BTreeMap<TrustDomain, Bundle>>,
}

/// The roots of one trust domain, also in the forms that the two verifiers take them.
#[derive(Clone)]
pub(crate) struct Bundle {
    roots: Vec<CertificateDer<'static>>,
    /// For the chain of a server.
    pub(crate) store: Arc<RootCertStore>,
    /// For the chain of a client.
    pub(crate) clients: Arc<dyn ClientCertVerifier>,
}

impl TrustBundles {
    /// Bundles that know only our own trust domain.
    ///
    /// # Errors
    /// When the roots are none, too many, no CA's, or another domain's.
    pub fn new(own: TrustDomain, roots: Vec<CertificateDer<'static>>) -> Result<Self, BundleError> {
        let bundle = Bundle::new(&own, roots)?;
        Ok(Self { by_domain: Arc::new(BTreeMap::from([(own.clone(), bundle)])), own })
    }

    /// Adds the roots of another trust domain.
    ///
    /// # Errors
    /// As in [`Self::new`], and when the domain is ours or has other roots already; nothing is changed then.
    pub fn add(
        &mut self,
        domain: TrustDomain,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<(), BundleError> {
        let bundle = Bundle::new(&domain, roots)?;
        match self.by_domain.get(&domain) {
            Some(known) if domain == self.own || *known != bundle => Err(BundleError::Taken(domain)),
            Some(_) => Ok(()),
            None => {
                Arc::make_mut(&mut self.by_domain).insert(domain, bundle);
                Ok(())
            }
        }
    }

    /// Adds a peer's roots, unless the peering has ended or has none yet.
    ///
    /// # Errors
    /// As in [`Self::add`].
    pub fn add_peer(&mut self, peer: &PeerRecord) -> Result<(), BundleError> {
        if peer.ca_pems.is_empty() || matches!(peer.state.as_str(), "DELETING" | "TERMINATED") {
            return Ok(());
        }
        let domain =
            peer.trust_domain.parse().map_err(|_| BundleError::InvalidDomain(peer.trust_domain.clone()))?;
        self.add(domain, roots_from_pem(&peer.ca_pems)?)
    }

    /// These bundles with those of all peers. A peer whose bundle cannot be used is logged and left out: its
    /// identities are refused, and nobody else is harmed.
    #[must_use]
    pub fn with_peers(mut self, peers: &[PeerRecord]) -> Self {
        for peer in peers {
            if let Err(error) = self.add_peer(peer) {
                tracing::error!(peer = peer.name, %error, "the peer's trust bundle is left out");
            }
        }
        self
    }

    /// Our own trust domain.
    pub fn own(&self) -> &TrustDomain {
        &self.own
    }

    /// The roots that vouch for a trust domain; none when nobody does.
    pub fn roots(&self, domain: &TrustDomain) -> &[CertificateDer<'static>] {
        self.by_domain.get(domain).map_or(&[], |bundle| &bundle.roots)
    }

    /// The trust domains that somebody vouches for, with their roots.
    pub fn iter(&self) -> impl Iterator<Item = (&TrustDomain, &[CertificateDer<'static>])> {
        self.by_domain.iter().map(|(domain, bundle)| (domain, &bundle.roots[..]))
    }

    /// Checks that others who have these bundles will believe a leaf.
    pub(crate) fn vouch(&self, leaf: &Leaf, now: SystemTime) -> Result<(), rustls::Error> {
        let id = leaf.id();
        let bundle = self
            .bundle(&id.trust_domain)
            .ok_or_else(|| IdentityError::UnknownTrustDomain { id: id.clone() })?;
        let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        if let Some((certificate, intermediates)) = leaf.chain().split_first() {
            bundle.clients.verify_client_cert(certificate, intermediates, now)?;
        }
        Ok(())
    }

    pub(crate) fn bundle(&self, domain: &TrustDomain) -> Option<&Bundle> {
        self.by_domain.get(domain)
    }
}

impl Bundle {
    pub(crate) fn new(
        domain: &TrustDomain,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, BundleError> {
        let unusable = |source| BundleError::Unusable { domain: domain.clone(), source };
        if roots.len() > MAX_ROOTS {
            return Err(BundleError::TooMany { domain: domain.clone(), found: roots.len() });
        }
        let mut store = RootCertStore::empty();
        for root in &roots {
            match x509::trust_domain(root).map_err(unusable)? {
                Some(found) if found != *domain => {
                    return Err(BundleError::OtherDomain { domain: domain.clone(), found });
                }
                _ => {}
            }
            let info = CertInfo::of(root).map_err(unusable)?;
            if !info.ca {
                return Err(BundleError::NotACa { domain: domain.clone(), subject: info.subject });
            }
            store.add(root.clone()).map_err(|_| unusable(IdentityError::Unreadable))?;
        }
        let store = Arc::new(store);
        let clients = WebPkiClientVerifier::builder_with_provider(store.clone(), policy::provider())
            .build()
            .map_err(|_| BundleError::Empty(domain.clone()))?;
        Ok(Self { roots, store, clients })
    }
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

impl Eq for Bundle {}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle of {} roots", self.roots.len())
    }
}

/// The certificates of several PEM texts, as tokens and peer records carry them.
///
/// # Errors
/// When a text holds none or is malformed.
pub fn roots_from_pem(texts: &[String]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let mut roots = Vec::new();
    for text in texts {
        roots.extend(pem::certificates(text.as_bytes())?);
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Authority, Claim, TestResult, domain, svc};

    fn peer(name: &str, domain: &str, state: &str, authority: &Authority) -> PeerRecord {
        PeerRecord {
            name: name.to_owned(),
            id: String::new(),
            peer_id: String::new(),
            state: state.to_owned(),
            trust_domain: domain.to_owned(),
            datacenter: String::new(),
            ca_pems: vec![pem::encode_certificates(&[authority.root()])],
            peer_server_name: String::new(),
            peer_server_addresses: Vec::new(),
            imported: Vec::new(),
        }
    }

    #[test]
    fn roots_that_cannot_vouch_for_a_domain_are_refused() {
        let (own, other) = (Authority::new("own"), Authority::new("other"));
        let leaf = own.sign(&Claim::of(&svc("own", "web"))).chain;
        let unsigned = Claim { uris: Vec::new(), ..Claim::of(&svc("own", "web")) };
        let unsigned = own.sign(&unsigned).chain;
        let garbage = vec![CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])];
        for (roots, error) in [
            (vec![], "no root certificate for own"),
            (vec![own.root(), other.root()], "is that of other"),
            (vec![own.root(); MAX_ROOTS + 1], "129 root certificates"),
            (leaf, "own cannot be used"),
            (unsigned, "is not that of a CA"),
            (garbage, "cannot be parsed"),
        ] {
            let made = TrustBundles::new(domain("own"), roots).map_err(|e| e.to_string());
            assert!(made.as_ref().is_err_and(|found| found.contains(error)), "{error}: {made:?}");
        }
        let nameless = Authority::with_uris(Vec::new());
        assert!(TrustBundles::new(domain("own"), vec![own.root(), nameless.root()]).is_ok());
    }

    #[test]
    fn a_peer_vouches_for_its_own_domain_or_is_left_out() -> TestResult {
        let (own, first, second) = (Authority::new("own"), Authority::new("first"), Authority::new("second"));
        let nameless = Authority::with_uris(Vec::new());
        let alone = TrustBundles::new(domain("own"), vec![own.root()])?;
        for (what, record, added) in [
            ("a peer", peer("a", "first", "ACTIVE", &first), true),
            ("one that cannot be reached", peer("a", "first", "FAILING", &first), true),
            ("a root without a name", peer("a", "first", "ACTIVE", &nameless), true),
            ("one that is deleted", peer("a", "first", "DELETING", &first), false),
            ("one that was deleted over there", peer("a", "first", "TERMINATED", &first), false),
            ("one that claims our domain", peer("a", "own", "ACTIVE", &nameless), false),
            ("one that shows our root", peer("a", "own", "ACTIVE", &own), false),
            ("another domain's root", peer("a", "first", "ACTIVE", &second), false),
            ("no domain", peer("a", "", "ACTIVE", &first), false),
            ("no domain at all", peer("a", "Not A Domain", "ACTIVE", &first), false),
            ("no roots yet", PeerRecord { ca_pems: vec![], ..peer("a", "first", "PENDING", &first) }, false),
            (
                "no PEM",
                PeerRecord { ca_pems: vec!["x".into()], ..peer("a", "first", "ACTIVE", &first) },
                false,
            ),
        ] {
            let second = peer("b", "second", "ACTIVE", &second);
            let bundles = alone.clone().with_peers(&[record, second]);
            assert_eq!(!bundles.roots(&domain("first")).is_empty(), added, "{what}");
            assert_eq!(bundles.roots(&domain("own")), [own.root()], "{what}");
            assert_eq!(bundles.roots(&domain("second")).len(), 1, "{what}: the next peer is not harmed");
        }
        Ok(())
    }

    #[test]
    fn two_peers_cannot_both_speak_for_a_domain() -> TestResult {
        let (own, first, twin) = (Authority::new("own"), Authority::new("first"), Authority::new("first"));
        let mut bundles = TrustBundles::new(domain("own"), vec![own.root()])?;
        bundles.add_peer(&peer("a", "first", "ACTIVE", &first))?;
        bundles.add_peer(&peer("again", "first", "ACTIVE", &first))?;
        let taken = bundles.add_peer(&peer("twin", "first", "ACTIVE", &twin));
        assert!(matches!(taken, Err(BundleError::Taken(_))));
        assert_eq!(bundles.roots(&domain("first")), [first.root()]);
        assert_eq!(bundles.iter().count(), 2);
        Ok(())
    }
}

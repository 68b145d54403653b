//! Who a certificate speaks for: its one URI SAN, read strictly.
//!
//! Here: X509-SVID's rules for leaves, the trust domain of a root, fingerprints, and what `ca show` and the admin
//! API print of a certificate. Kept out: whether anybody vouches for it; `verify` asks a bundle that.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use spillway_core::name::{SpiffeId, TrustDomain};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::policy;

/// How much of a name that a stranger chose is repeated in an error.
const QUOTED_CHARS: usize = 128;

/// Why the other side of a handshake, or a file, is not who it should be.
///
/// Errors of the chain itself (unknown issuer, expired, bad signature, wrong EKU) are rustls's own, so that the
/// right alert goes out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// Not a certificate, or one with the same extension twice.
    #[error("the certificate cannot be parsed")]
    Unreadable,
    /// X509-SVID asks for exactly one.
    #[error("the certificate has {found} URI SANs instead of exactly one")]
    UriSans {
        /// How many it has.
        found: usize,
    },
    /// A URI SAN that names nobody of a mesh.
    #[error("{uri:?} is not the SPIFFE ID of a service or mesh gateway")]
    NotSpiffe {
        /// The URI, cut at 128 characters.
        uri: String,
    },
    /// A certificate that may sign others does not identify a workload.
    #[error("the certificate of {id} may sign certificates: a workload's must not")]
    Signing {
        /// Whose it claims to be.
        id: SpiffeId,
    },
    /// Nobody vouches for it here.
    #[error("there is no trust bundle for the trust domain of {id}")]
    UnknownTrustDomain {
        /// Who it claims to be.
        id: SpiffeId,
    },
    /// It may be who it claims to be, but has no business here.
    #[error("{id} is not of the one trust domain that is let in here, {accepted}")]
    NotAccepted {
        /// Who it claims to be.
        id: SpiffeId,
        /// Who would have been let in.
        accepted: TrustDomain,
    },
    /// The dialed side proved to be somebody else.
    #[error("the upstream proved to be {found}, not {}", list(expected))]
    Unexpected {
        /// Who it is.
        found: SpiffeId,
        /// Who it should have been, any of these.
        expected: Arc<[SpiffeId]>,
    },
    /// A resumed session whose certificate has ended since.
    #[error("the certificate of {id} has expired")]
    Expired {
        /// Whose it is.
        id: SpiffeId,
    },
}

fn list(ids: &[SpiffeId]) -> String {
    match ids {
        [] => "anybody: no identity is expected".to_owned(),
        ids => ids.iter().map(SpiffeId::to_string).collect::<Vec<_>>().join(" or "),
    }
}

impl IdentityError {
    /// Finds the identity error inside what rustls or an I/O wrapper around it reported.
    pub fn of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            if let Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) =
                error.downcast_ref()
            {
                return other.0.downcast_ref();
            }
            next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}

impl From<IdentityError> for rustls::Error {
    fn from(error: IdentityError) -> Self {
        Self::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(Arc::new(error))))
    }
}

/// Who a leaf certificate claims to be, by X509-SVID's rules: exactly one URI SAN, and no right to sign others.
///
/// A claim only: whether it holds, the verifiers of [`crate::TlsContexts`] decide.
///
/// # Errors
/// When the certificate cannot be read or breaks those rules.
pub fn spiffe_id(certificate: &CertificateDer<'_>) -> Result<SpiffeId, IdentityError> {
    leaf_id(&parse(certificate)?)
}

/// The identity of a leaf that is valid at `now`: for a resumed session, whose chain nobody validates again.
pub(crate) fn unexpired_id(
    certificate: &CertificateDer<'_>,
    now: SystemTime,
) -> Result<SpiffeId, IdentityError> {
    let certificate = parse(certificate)?;
    let id = leaf_id(&certificate)?;
    if now > time(certificate.validity().not_after) { Err(IdentityError::Expired { id }) } else { Ok(id) }
}

fn leaf_id(certificate: &X509Certificate<'_>) -> Result<SpiffeId, IdentityError> {
    let uri = one_uri(certificate)?;
    let id: SpiffeId = uri.parse().map_err(|_| IdentityError::NotSpiffe { uri: quoted(uri) })?;
    if may_sign(certificate)? { Err(IdentityError::Signing { id }) } else { Ok(id) }
}

/// The trust domain that a root names as its own; none when it has no URI SAN at all.
///
/// # Errors
/// When it has several, or one that names no trust domain.
pub fn trust_domain(root: &CertificateDer<'_>) -> Result<Option<TrustDomain>, IdentityError> {
    let root = parse(root)?;
    let uri = match one_uri(&root) {
        Err(IdentityError::UriSans { found: 0 }) => return Ok(None),
        uri => uri?,
    };
    let domain = uri.strip_prefix("spiffe://").and_then(|domain| domain.parse().ok());
    domain.map(Some).ok_or_else(|| IdentityError::NotSpiffe { uri: quoted(uri) })
}

/// Lower-case hexadecimal SHA-256 of a certificate's DER form, as in XFCC's `Hash`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex(&policy::sha256(certificate))
}

/// What an operator wants to know of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertInfo {
    /// Distinguished name.
    pub subject: String,
    /// Distinguished name of who signed it.
    pub issuer: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// Its URI SANs.
    pub uris: Vec<String>,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
    /// Lower-case hexadecimal SHA-256.
    pub fingerprint: String,
    /// Whether it may sign certificates.
    pub ca: bool,
}

impl CertInfo {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let certificate = parse(der)?;
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: hex(certificate.raw_serial()),
            uris: uris(&certificate)?.into_iter().map(str::to_owned).collect(),
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
            fingerprint: fingerprint(der),
            ca: may_sign(&certificate)?,
        })
    }
}

/// The DER form of a certificate's public key with its algorithm: the same key, the same bytes.
pub(crate) fn public_key(der: &CertificateDer<'_>) -> Result<Vec<u8>, IdentityError> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(IdentityError::Unreadable),
    }
}

fn one_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, IdentityError> {
    match uris(certificate)?[..] {
        [uri] => Ok(uri),
        ref uris => Err(IdentityError::UriSans { found: uris.len() }),
    }
}

/// The URI SANs. A name that cannot be read might be a second one, so it spoils the certificate.
fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, IdentityError> {
    let Some(san) = certificate.subject_alternative_name().map_err(|_| IdentityError::Unreadable)? else {
        return Ok(Vec::new());
    };
    let mut uris = Vec::new();
    for name in &san.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::Invalid(..) => return Err(IdentityError::Unreadable),
            _ => {}
        }
    }
    Ok(uris)
}

fn may_sign(certificate: &X509Certificate<'_>) -> Result<bool, IdentityError> {
    let ca = certificate.basic_constraints().map_err(|_| IdentityError::Unreadable)?;
    let usage = certificate.key_usage().map_err(|_| IdentityError::Unreadable)?;
    Ok(ca.is_some_and(|ca| ca.value.ca)
        || usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign()))
}

/// A certificate's time; before 1970 counts as 1970.
fn time(at: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(at.timestamp()).unwrap_or_default())
}

fn quoted(uri: &str) -> String {
    uri.chars().take(QUOTED_CHARS).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! PEM in and out (RFC 7468): certificates and private keys.
//!
//! Kept out: whether what is inside means anything; `x509` and `leaf` look into it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// PEM text that does not hold what was looked for.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// No section of the kind asked for.
    #[error("no PEM section of a {0} in it")]
    Missing(&'static str),
    /// A section that is cut off or not base64.
    #[error("malformed PEM: {0}")]
    Malformed(pem::Error),
}

/// All certificates of a PEM text, in their order; at least one.
///
/// # Errors
/// When there is none, or a section is malformed.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(PemError::Malformed)?;
    if found.is_empty() { Err(PemError::Missing("certificate")) } else { Ok(found) }
}

/// The first private key of a PEM text: PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
/// When there is none, or a section is malformed.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|e| match e {
        pem::Error::NoItemsFound => PemError::Missing("private key"),
        e => PemError::Malformed(e),
    })
}

/// Certificates as PEM, one after the other.
pub fn encode_certificates(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| encode("CERTIFICATE", der)).collect()
}

/// A private key as PEM, under the label of its form.
pub fn encode_private_key(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    encode(label, key.secret_der())
}

fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_read_back_in_their_order() {
        let written = [vec![1; 100], vec![2; 48], vec![3]].map(CertificateDer::from);
        let text = encode_certificates(&written);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(certificates(text.as_bytes()).ok().as_deref(), Some(&written[..]));
    }

    #[test]
    fn what_holds_no_certificate_is_refused() {
        for text in [
            "",
            "garbage",
            "-----BEGIN CERTIFICATE-----\nAAAA",
            "-----BEGIN CERTIFICATE-----\n$$$$\n-----END CERTIFICATE-----\n",
        ] {
            assert!(certificates(text.as_bytes()).is_err(), "{text:?}");
            assert!(private_key(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

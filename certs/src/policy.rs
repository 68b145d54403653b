//! How TLS is spoken: versions, cipher suites, key exchange. The one place that names a crypto provider.
//!
//! Key exchange prefers X25519. The hybrid X25519MLKEM768 is understood but never proposed first: its hello of
//! 1.8 KiB and its extra work would be paid at each of a mesh's many short-lived handshakes, and Consul's Envoys
//! do not ask for it. AES-128-GCM comes first, as peers do: every server CPU has instructions for it.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::server::ProducesTickets;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};
use spillway_core::entry::{Mesh, TlsDirection};

/// Why no TLS context could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A version of the `mesh` entry that is unknown, or too old to be spoken.
    #[error("TLS.{direction}.{field}: {value:?} is none of TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3")]
    Version {
        /// `Incoming` or `Outgoing`.
        direction: &'static str,
        /// `TLSMinVersion` or `TLSMaxVersion`.
        field: &'static str,
        /// As written.
        value: String,
    },
    /// Bounds that leave neither TLS 1.2 nor 1.3.
    #[error("TLS.{direction} leaves no version to speak: TLS 1.2 and 1.3 are spoken, nothing older")]
    NoVersion {
        /// `Incoming` or `Outgoing`.
        direction: &'static str,
    },
    /// A name that is no cipher suite.
    #[error("TLS.{direction}.CipherSuites: {value:?} is not known")]
    CipherSuite {
        /// `Incoming` or `Outgoing`.
        direction: &'static str,
        /// As written.
        value: String,
    },
    /// Only suites without forward secrecy or authenticated encryption.
    #[error(
        "TLS.{direction}.CipherSuites: none of these is spoken; those with ECDHE and GCM or ChaCha20 are"
    )]
    NoCipherSuite {
        /// `Incoming` or `Outgoing`.
        direction: &'static str,
    },
    /// What rustls found wrong with the combination.
    #[error("TLS.{direction} cannot be used: {source}")]
    Rustls {
        /// `Incoming` or `Outgoing`.
        direction: &'static str,
        /// What it said.
        source: rustls::Error,
    },
    /// The roots of a peering token.
    #[error("the CA of the peering token cannot be used: {0}")]
    TokenCa(String),
    /// The server name of a peering token.
    #[error("the server name {server_name:?} is not server.DC.peering.{trust_domain}")]
    TokenServerName {
        /// As in the token.
        server_name: String,
        /// The trust domain of the token's CA.
        trust_domain: String,
    },
}

/// The versions and suites of both directions, checked once: making a configuration of it cannot fail.
#[derive(Clone, Debug)]
pub struct TlsPolicy {
    pub(crate) incoming: Direction,
    pub(crate) outgoing: Direction,
}

/// One direction of a [`TlsPolicy`].
#[derive(Clone, Debug)]
pub(crate) struct Direction {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

static BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
static ONLY_13: &[&SupportedProtocolVersion] = &[&version::TLS13];
static ONLY_12: &[&SupportedProtocolVersion] = &[&version::TLS12];

static TLS13_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// By Consul's name and by OpenSSL's, which Envoy uses; in order of preference.
static TLS12_SUITES: &[(&str, &str, SupportedCipherSuite)] = &[
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Suites that Consul knows and nobody should speak: no forward secrecy, or CBC. Left out with a warning.
static WEAK_SUITES: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
];

impl TlsPolicy {
    /// The policy of a cluster's `mesh` entry; without one, TLS 1.2 and 1.3 both ways.
    ///
    /// # Errors
    /// When the entry names a version or suite that does not exist, or leaves nothing to speak.
    pub fn from_mesh(mesh: Option<&Mesh>) -> Result<Self, TlsError> {
        let unset = TlsDirection::default();
        let (incoming, outgoing) =
            mesh.map_or((&unset, &unset), |mesh| (&mesh.tls_incoming, &mesh.tls_outgoing));
        Ok(Self {
            incoming: Direction::new("Incoming", incoming)?,
            outgoing: Direction::new("Outgoing", outgoing)?,
        })
    }
}

impl Default for TlsPolicy {
    fn default() -> Self {
        let direction = Direction { provider: provider(), versions: BOTH };
        Self { incoming: direction.clone(), outgoing: direction }
    }
}

impl Direction {
    fn new(direction: &'static str, wanted: &TlsDirection) -> Result<Self, TlsError> {
        let min = version(direction, "TLSMinVersion", wanted.min_version.as_deref())?.unwrap_or(12);
        let max = version(direction, "TLSMaxVersion", wanted.max_version.as_deref())?.unwrap_or(13);
        let versions = match (min.max(12), max) {
            (12, 13) => BOTH,
            (13, 13) => ONLY_13,
            (12, 12) => ONLY_12,
            _ => return Err(TlsError::NoVersion { direction }),
        };
        let suites = suites(direction, &wanted.cipher_suites)?;
        let provider = Arc::new(CryptoProvider { cipher_suites: suites, ..(*provider()).clone() });
        Ok(Self { provider, versions })
    }
}

/// `TLSv1_2` -> 12; nothing and `TLS_AUTO` leave it to us.
fn version(direction: &'static str, field: &'static str, text: Option<&str>) -> Result<Option<u8>, TlsError> {
    match text {
        None | Some("" | "TLS_AUTO") => Ok(None),
        Some("TLSv1_0") => Ok(Some(10)),
        Some("TLSv1_1") => Ok(Some(11)),
        Some("TLSv1_2") => Ok(Some(12)),
        Some("TLSv1_3") => Ok(Some(13)),
        Some(value) => Err(TlsError::Version { direction, field, value: value.to_owned() }),
    }
}

/// The suites wanted for TLS 1.2, in their order; those of 1.3 are always all there.
fn suites(direction: &'static str, wanted: &[String]) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let tls12: Vec<_> = if wanted.is_empty() {
        TLS12_SUITES.iter().map(|(_, _, suite)| *suite).collect()
    } else {
        let mut chosen = Vec::new();
        for name in wanted {
            let known = TLS12_SUITES.iter().find(|(iana, openssl, _)| name == iana || name == openssl);
            match known {
                Some((_, _, suite)) => chosen.push(*suite),
                None if WEAK_SUITES.contains(&name.as_str()) => {
                    tracing::warn!(suite = name, "TLS.{direction}.CipherSuites: left out, too weak to speak");
                }
                None => return Err(TlsError::CipherSuite { direction, value: name.clone() }),
            }
        }
        if chosen.is_empty() {
            return Err(TlsError::NoCipherSuite { direction });
        }
        chosen
    };
    Ok(TLS13_SUITES.iter().copied().chain(tls12).collect())
}

/// The crypto of the whole program, for whoever makes a rustls configuration that [`crate::TlsContexts`] does not.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: TLS13_SUITES
            .iter()
            .copied()
            .chain(TLS12_SUITES.iter().map(|(_, _, suite)| *suite))
            .collect(),
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}

/// Keys for session tickets that nobody else has; `None`, and so no resumption, when the system has no randomness.
pub(crate) fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
    aws_lc_rs::Ticketer::new().ok()
}

/// SHA-256, by way of a cipher suite that hashes with it.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    let common = match cipher_suite::TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls12(suite) => &suite.common,
        SupportedCipherSuite::Tls13(suite) => &suite.common,
    };
    common.hash_provider.hash(bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(min: &str, max: &str, suites: &[&str]) -> Result<Direction, String> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let wanted = TlsDirection {
            min_version: text(min),
            max_version: text(max),
            cipher_suites: suites.iter().map(ToString::to_string).collect(),
        };
        let mesh = Mesh { tls_incoming: wanted, ..Mesh::default() };
        TlsPolicy::from_mesh(Some(&mesh)).map(|policy| policy.incoming).map_err(|e| e.to_string())
    }

    #[test]
    fn versions_are_those_configured_and_never_older_than_1_2() {
        for (min, max, expected) in [
            ("", "", BOTH),
            ("TLS_AUTO", "TLS_AUTO", BOTH),
            ("TLSv1_0", "", BOTH),
            ("TLSv1_1", "TLSv1_2", ONLY_12),
            ("TLSv1_2", "TLSv1_3", BOTH),
            ("TLSv1_3", "", ONLY_13),
        ] {
            let found = direction(min, max, &[]).map(|direction| direction.versions);
            assert_eq!(found, Ok(expected), "{min} to {max}");
        }
        for (min, max, error) in [
            ("", "TLSv1_1", "TLS.Incoming leaves no version"),
            ("TLSv1_3", "TLSv1_2", "TLS.Incoming leaves no version"),
            ("1.2", "", "TLS.Incoming.TLSMinVersion: \"1.2\""),
            ("", "SSLv3", "TLS.Incoming.TLSMaxVersion: \"SSLv3\""),
        ] {
            let found = direction(min, max, &[]).map(|_| ());
            assert!(found.as_ref().is_err_and(|e| e.contains(error)), "{min} to {max}: {found:?}");
        }
    }

    #[test]
    fn suites_are_those_configured_and_never_weak_ones() {
        let (cbc, gcm) = ("TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
        for (wanted, expected) in [
            (&[gcm][..], Ok(4)),
            (&[cbc, gcm], Ok(4)),
            (&["ECDHE-RSA-AES128-GCM-SHA256"], Ok(4)),
            (&[], Ok(9)),
        ] {
            let found = direction("", "", wanted).map(|direction| direction.provider.cipher_suites.len());
            assert_eq!(found, expected, "{wanted:?}");
        }
        for (wanted, error) in [(cbc, "none of these is spoken"), ("TLS_FAST", "\"TLS_FAST\" is not known")] {
            let found = direction("", "", &[wanted]).map(|_| ());
            assert!(found.as_ref().is_err_and(|e| e.contains(error)), "{found:?}");
        }
    }

    #[test]
    fn x25519_and_aes_128_come_first() {
        let provider = provider();
        assert_eq!(provider.kx_groups[0].name(), rustls::NamedGroup::X25519);
        assert_eq!(provider.cipher_suites[0], cipher_suite::TLS13_AES_128_GCM_SHA256);
    }
}

//! The two ends of a handshake, judging each other.
//!
//! Both do the same three things in the same order: read the one SPIFFE ID of the certificate, decide whether it
//! has any business here, and validate the chain with the bundle of that ID's trust domain and no other. Chains,
//! validity, EKU and name constraints are webpki's work. A root's own validity plays no part (RFC 5280, 6.1.1: a trust
//! anchor is a name and a key): our CA ends no leaf after its root, and forgetting a root is its owner's to say. Kept
//! out: intentions, which come after the handshake.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use spillway_core::name::{SpiffeId, TrustDomain};

use crate::bundle::{Bundle, TrustBundles};
use crate::x509::{IdentityError, spiffe_id};

/// Judges clients.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) bundles: TrustBundles,
    /// Only clients of this trust domain, when there is one.
    pub(crate) only: Option<TrustDomain>,
    /// Whether a client may come without a certificate.
    pub(crate) optional: bool,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// Judges the server that was dialed.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pub(crate) bundles: TrustBundles,
    /// Who may answer: any of these, each letter of it.
    pub(crate) expected: Arc<[SpiffeId]>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

fn bundle_of(bundles: &TrustBundles, id: SpiffeId) -> Result<&Bundle, IdentityError> {
    bundles.bundle(&id.trust_domain).ok_or(IdentityError::UnknownTrustDomain { id })
}

impl ClientVerifier {
    fn admit(&self, client: &CertificateDer<'_>) -> Result<&Bundle, IdentityError> {
        let id = spiffe_id(client)?;
        match &self.only {
            Some(accepted) if *accepted != id.trust_domain => {
                Err(IdentityError::NotAccepted { id, accepted: accepted.clone() })
            }
            _ => bundle_of(&self.bundles, id),
        }
    }
}

impl ServerVerifier {
    fn admit(&self, server: &CertificateDer<'_>) -> Result<&Bundle, IdentityError> {
        let found = spiffe_id(server)?;
        if self.expected.contains(&found) {
            bundle_of(&self.bundles, found)
        } else {
            Err(IdentityError::Unexpected { found, expected: self.expected.clone() })
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    /// None: a client has one certificate, and who our peers are is nobody's business.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.admit(end_entity)?.clients.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for ServerVerifier {
    /// The server name plays no part: it tells a gateway where to go, the SPIFFE ID says who answered.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let bundle = self.admit(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &bundle.store,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

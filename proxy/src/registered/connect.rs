//! Connections for registered checks: TCP and, where a check asks for it, TLS as the system trusts it.
//!
//! Not the mesh's TLS: an application's certificate is its own affair. Kept out: what is said over them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use spillway_certs::{pem, policy};
use spillway_core::entry::Check;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::stream::Stream;

/// Where the systems in use keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Connects to `host:port`, with TLS where there is a list of protocols to offer in it.
pub(super) async fn connect(address: &str, tls: Option<&[&[u8]]>, check: &Check) -> io::Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    let Some(protocols) = tls else { return Ok(Stream::Tcp(tcp)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = check.tls_server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config(check.tls_skip_verify, protocols)?));
    Ok(Stream::Dialed(Box::new(connector.connect(name, tcp).await?)))
}

fn config(skip_verify: bool, protocols: &[&[u8]]) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(policy::provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = if skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth()
    } else {
        builder.with_root_certificates(system_roots()?).with_no_client_auth()
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Read at every run: checks over TLS are few, and roots change.
fn system_roots() -> io::Result<RootCertStore> {
    let from_environment = std::env::var("SSL_CERT_FILE").ok();
    let paths = from_environment.iter().map(String::as_str).chain(SYSTEM_ROOTS);
    let found = paths.map(Path::new).find(|path| path.is_file());
    let path = found.ok_or_else(|| io::Error::other("this system has no file of trusted roots"))?;
    let certificates = pem::certificates(&std::fs::read(path)?).map_err(io::Error::other)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

/// Takes any certificate, for `tls_skip_verify`: it asks whether somebody answers, not who.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = policy::provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = policy::provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        policy::provider().signature_verification_algorithms.supported_schemes()
    }
}

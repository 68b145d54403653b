//! Certificates that should not be believed, and those who show them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use spillway_certs::policy::provider;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::Connection;
use crate::wait::within;
use crate::wire::Wire;

const HOUR: Duration = Duration::from_secs(3600);

/// A CA that signs whatever it is asked to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    /// The one of the cluster that is configured in `dir`.
    pub(crate) fn of(dir: &Path) -> Self {
        let read = |name: &str| {
            let path = dir.join("ca").join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let key = KeyPair::from_pem(&read("root-key.pem")).unwrap_or_else(|error| panic!("{error}"));
        let issuer = Issuer::from_ca_cert_pem(&read("root.pem"), key);
        Self { issuer: issuer.unwrap_or_else(|error| panic!("{error}")) }
    }

    /// A stranger who claims to be the authority of `trust_domain`.
    ///
    /// # Panics
    /// Never, as long as keys can be made.
    pub fn stranger(trust_domain: &str) -> Self {
        let now = SystemTime::now();
        let mut params = params(&format!("spiffe://{trust_domain}"), now - HOUR, now + HOUR);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap_or_else(|error| panic!("{error}"));
        Self { issuer: Issuer::new(params, key) }
    }

    /// A certificate for this SPIFFE ID, good for an hour.
    pub fn issue(&self, id: &str) -> Identity {
        let now = SystemTime::now();
        self.sign(id, now - HOUR, now + HOUR)
    }

    /// A certificate for this SPIFFE ID that was good until an hour ago.
    pub fn issue_expired(&self, id: &str) -> Identity {
        let now = SystemTime::now();
        self.sign(id, now - 2 * HOUR, now - HOUR)
    }

    fn sign(&self, id: &str, from: SystemTime, until: SystemTime) -> Identity {
        let key = KeyPair::generate().unwrap_or_else(|error| panic!("{error}"));
        let mut params = params(id, from, until);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).unwrap_or_else(|error| panic!("{error}"));
        Identity {
            chain: vec![leaf.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}

fn params(uri: &str, from: SystemTime, until: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap_or_else(|error| panic!("{error}")))];
    params.not_before = from.into();
    params.not_after = until.into();
    params.use_authority_key_identifier_extension = true;
    params
}

/// A server in somebody else's place. It ends when it is dropped.
pub struct Impostor {
    requests: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Impostor {
    pub(crate) fn start(address: SocketAddr, identity: &Identity, handle: &tokio::runtime::Handle) -> Self {
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.unwrap_or_else(|error| panic!("{error}")).with_no_client_auth();
        let mut config = config
            .with_single_cert(identity.chain.clone(), identity.key.clone_key())
            .unwrap_or_else(|error| panic!("{error}"));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = std::net::TcpListener::bind(address).unwrap_or_else(|error| panic!("{error}"));
        listener.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
        let (requests, accepted) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task =
            handle.spawn(impersonate(listener, acceptor, Arc::clone(&requests), Arc::clone(&accepted)));
        Self { requests, accepted, task }
    }

    /// How many requests were entrusted to it.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket in somebody's place that takes connections and never says a word. It ends when it is dropped.
#[derive(Debug)]
pub struct Mute(
    #[expect(dead_code, reason = "the kernel accepts for as long as it is open")] std::net::TcpListener,
);

impl Mute {
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self(std::net::TcpListener::bind(address).unwrap_or_else(|error| panic!("{error}")))
    }
}

async fn impersonate(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    requests: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
) {
    let listener = TcpListener::from_std(listener).unwrap_or_else(|error| panic!("{error}"));
    // One after the other: it need not serve well. Errors are that nobody believes it.
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(stream) = acceptor.accept(stream).await else { continue };
        let mut wire = Wire::new(stream);
        while let Ok(Some(_)) = wire.head().await {
            requests.fetch_add(1, Ordering::Relaxed);
            let answer = b"HTTP/1.1 200 OK\r\nx-served-by: an impostor\r\ncontent-length: 0\r\n\r\n";
            if wire.write(answer).await.is_err() {
                break;
            }
        }
    }
}

/// Dials `address` as somebody with `identity`, and asks for `sni`.
pub(crate) async fn dial(address: SocketAddr, sni: &str, identity: Option<&Identity>) -> Option<Connection> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config
        .unwrap_or_else(|error| panic!("{error}"))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible));
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => config
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .unwrap_or_else(|error| panic!("{error}")),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    let name = ServerName::try_from(sni.to_owned()).unwrap_or_else(|error| panic!("{error}"));
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let stream = within("a handshake", handshake).await.ok()?;
    Some(Connection::new(sni, stream))
}

/// Believes every server.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

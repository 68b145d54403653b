//! For tests: authorities that sign anything, and handshakes without sockets.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, ServerConfig,
    ServerConnection, SignatureScheme,
};
use spillway_core::name::{SpiffeId, TrustDomain};

use crate::leaf::Leaf;
use crate::policy::provider;

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// One hour.
pub(crate) const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn domain(text: &str) -> TrustDomain {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// `svc(own, web)` is `spiffe://own/ns/default/dc/dc1/svc/web`.
pub(crate) fn svc(domain: &str, service: &str) -> SpiffeId {
    let text = format!("spiffe://{domain}/ns/default/dc/dc1/svc/{service}");
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

/// What a certificate says; the default is what a workload's should say.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) uris: Vec<String>,
    pub(crate) dns: Option<&'static str>,
    pub(crate) ca: bool,
    pub(crate) usages: Vec<KeyUsagePurpose>,
    pub(crate) extended: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
}

impl Claim {
    pub(crate) fn of(id: &SpiffeId) -> Self {
        let now = SystemTime::now();
        Self {
            uris: vec![id.to_string()],
            dns: None,
            ca: false,
            usages: vec![KeyUsagePurpose::DigitalSignature],
            extended: vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            from: now - HOUR,
            until: now + HOUR,
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "test");
        let text = |text: &str| text.try_into().unwrap_or_else(|e| panic!("{e}"));
        params.subject_alt_names = self.uris.iter().map(|uri| SanType::URI(text(uri))).collect();
        params.subject_alt_names.extend(self.dns.map(|dns| SanType::DnsName(text(dns))));
        params.is_ca = if self.ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        params.key_usages = self.usages.clone();
        params.extended_key_usages = self.extended.clone();
        params.not_before = self.from.into();
        params.not_after = self.until.into();
        params
    }
}

/// A CA that signs whatever it is asked to.
pub(crate) struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// An authority whose root says that it is this trust domain's.
    pub(crate) fn new(domain: &str) -> Self {
        Self::with_uris(vec![format!("spiffe://{domain}")])
    }

    pub(crate) fn with_uris(uris: Vec<String>) -> Self {
        let key = KeyPair::generate().unwrap_or_else(|e| panic!("{e}"));
        let params = Claim {
            uris,
            ca: true,
            usages: vec![KeyUsagePurpose::KeyCertSign],
            extended: Vec::new(),
            ..Claim::of(&svc("unused", "unused"))
        }
        .params();
        let root = params.self_signed(&key).unwrap_or_else(|e| panic!("{e}")).der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.root.clone()
    }

    pub(crate) fn sign(&self, claim: &Claim) -> Certified {
        let key = KeyPair::generate().unwrap_or_else(|e| panic!("{e}"));
        let leaf = claim.params().signed_by(&key, &self.issuer).unwrap_or_else(|e| panic!("{e}"));
        Certified { chain: vec![leaf.der().clone()], key: pkcs8(&key) }
    }

    /// The root itself, shown as if it were a workload's certificate.
    pub(crate) fn root_as_leaf(&self) -> Certified {
        Certified { chain: vec![self.root()], key: pkcs8(self.issuer.key()) }
    }

    pub(crate) fn leaf(&self, id: &SpiffeId) -> Arc<Leaf> {
        let Certified { chain, key } = self.sign(&Claim::of(id));
        Arc::new(Leaf::new(chain, key).unwrap_or_else(|e| panic!("{e}")))
    }
}

fn pkcs8(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// A certificate with its key, which need not be fit for anything.
pub(crate) struct Certified {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Certified {
    fn resolver(&self) -> Arc<SingleCertAndKey> {
        let key = CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider());
        Arc::new(SingleCertAndKey::from(key.unwrap_or_else(|e| panic!("{e}"))))
    }

    /// A client that shows it and believes every server.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::new(gullible().with_client_cert_resolver(self.resolver()))
    }

    /// A server that shows it and asks nothing of its clients.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|e| panic!("{e}"));
        Arc::new(builder.with_no_client_auth().with_cert_resolver(self.resolver()))
    }
}

/// A client that shows nothing and believes every server.
pub(crate) fn anonymous() -> Arc<ClientConfig> {
    Arc::new(gullible().with_no_client_auth())
}

fn gullible() -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|e| panic!("{e}"))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
}

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

/// Who gave a handshake up, and why.
#[derive(Debug)]
pub(crate) enum Refused {
    Client(Error),
    Server(Error),
}

/// Both ends after a handshake, tickets delivered.
#[derive(Debug)]
pub(crate) struct Shaken {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

impl Shaken {
    pub(crate) fn resumed(&self) -> bool {
        let kinds = (self.client.handshake_kind(), self.server.handshake_kind());
        kinds == (Some(HandshakeKind::Resumed), Some(HandshakeKind::Resumed))
    }
}

/// Shakes hands in memory.
pub(crate) fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<Shaken, Refused> {
    let name = ServerName::try_from("web.default.dc1.internal.own").unwrap_or_else(|e| panic!("{e}"));
    let mut client = ClientConnection::new(client.clone(), name).unwrap_or_else(|e| panic!("{e}"));
    let mut server = ServerConnection::new(server.clone()).unwrap_or_else(|e| panic!("{e}"));
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap_or_else(|e| panic!("{e}"));
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap_or_else(|e| panic!("{e}"));
            server.process_new_packets().map_err(Refused::Server)?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap_or_else(|e| panic!("{e}"));
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap_or_else(|e| panic!("{e}"));
            client.process_new_packets().map_err(Refused::Client)?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake stalled");
    Ok(Shaken { client, server })
}

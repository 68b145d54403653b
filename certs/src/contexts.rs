//! TLS contexts: rustls configurations made of a leaf, the trust bundles and the policy.
//!
//! [`TlsContexts`] is immutable in what it stands for: whoever owns it keeps it in an `ArcSwap` and stores a new one
//! when the leaf or a bundle changes. Configurations are made on first use and kept, since a session can only be
//! resumed under the very configuration that it began with. That is the point: session caches and ticket keys belong to
//! one configuration, so no session outlives the bundle, the rule or the leaf under which the other side was judged.
//! A leaf's renewal forgets sessions too: a resumed session shows each side the leaf that the other had when the first
//! of the line began, and a line that is resumed forever would end in a refusal when that leaf does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::client::{Resumption, WantsClientCert};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, CommonState, ConfigBuilder, ServerConfig, WantsVerifier};
use spillway_core::name::{Datacenter, Sni, SpiffeId, TrustDomain};

use crate::bundle::{TrustBundles, roots_from_pem};
use crate::leaf::Leaf;
use crate::policy::{self, Direction, TlsError, TlsPolicy};
use crate::verify::{ClientVerifier, ServerVerifier};
use crate::x509::{self, IdentityError};

/// Configurations kept at once, each way: a sidecar needs one for each target, a gateway one for each exported
/// service. Beyond that all are dropped, and made again as they are needed.
const MAX_CONFIGS: usize = 8192;

/// Sessions kept for one set of identities: eight server names (subsets share identities), eight tickets each.
const CLIENT_SESSIONS: usize = 64;

/// Tickets a server sends after a handshake. One keeps a pool that reconnects going; each costs the encryption and
/// transport of the client's whole certificate.
const TICKETS: usize = 1;

/// Which clients a server lets in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Accept {
    /// Those of every trust domain that somebody vouches for: ours and the peers'.
    All,
    /// Those of one trust domain.
    Only(TrustDomain),
    /// Anybody: no certificate is asked for. Establishing a peering, which has a secret instead.
    Unauthenticated,
    /// As [`Self::All`], or without a certificate. A certificate that is shown must hold.
    Optional,
}

/// By this name two Spillways agree to carry many HTTP/1.1 connections in one. Others do not know it and pick
/// `http/1.1`. The number changes when what stands on the wire does.
pub const MULTIPLEXED: &[u8] = b"spillway-mux/1";

/// Which protocols are offered in the handshake (RFC 7301).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Alpn {
    /// `http/1.1`
    Http1,
    /// [`MULTIPLEXED`], or else `http/1.1`
    Multiplexed,
    /// `h2`
    Http2,
    /// `h2`, or else `http/1.1`
    Http2OrHttp1,
    /// The extension is neither sent nor answered.
    None,
    /// One of our own.
    Custom(&'static [u8]),
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Multiplexed => vec![MULTIPLEXED.to_vec(), b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec()],
            Self::Http2OrHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Self::None => Vec::new(),
            Self::Custom(protocol) => vec![protocol.to_vec()],
        }
    }
}

/// Everything a process needs to shake hands, in either role.
pub struct TlsContexts {
    leaf: Arc<Leaf>,
    bundles: TrustBundles,
    policy: TlsPolicy,
    certified: Arc<SingleCertAndKey>,
    /// Policy applied and checked, so that making a configuration cannot fail.
    servers: ConfigBuilder<ServerConfig, WantsVerifier>,
    clients: ConfigBuilder<ClientConfig, WantsVerifier>,
    server_configs: Cache<(Accept, Alpn), ServerConfig>,
    client_configs: Cache<(Arc<[SpiffeId]>, Alpn), ClientConfig>,
}

impl TlsContexts {
    /// Contexts with empty session caches.
    ///
    /// # Errors
    /// When rustls does not take the policy.
    pub fn new(leaf: Arc<Leaf>, bundles: TrustBundles, policy: TlsPolicy) -> Result<Self, TlsError> {
        Ok(Self {
            certified: Arc::new(SingleCertAndKey::from(leaf.certified().clone())),
            servers: server_builder(&policy.incoming)?,
            clients: client_builder(&policy.outgoing)?,
            leaf,
            bundles,
            policy,
            server_configs: Cache::default(),
            client_configs: Cache::default(),
        })
    }

    /// The same trust and policy with another leaf. Sessions are forgotten (the module's documentation says why).
    #[must_use]
    pub fn with_leaf(&self, leaf: Arc<Leaf>) -> Self {
        Self {
            certified: Arc::new(SingleCertAndKey::from(leaf.certified().clone())),
            leaf,
            bundles: self.bundles.clone(),
            policy: self.policy.clone(),
            servers: self.servers.clone(),
            clients: self.clients.clone(),
            server_configs: Cache::default(),
            client_configs: Cache::default(),
        }
    }

    /// The same leaf and policy with other bundles; `None` when they are the ones in use, so that a file touched
    /// without a change costs nobody a session.
    #[must_use]
    pub fn with_bundles(&self, bundles: TrustBundles) -> Option<Self> {
        (bundles != self.bundles).then(|| Self { bundles, ..self.with_leaf(self.leaf.clone()) })
    }

    /// The leaf in use.
    pub fn leaf(&self) -> &Arc<Leaf> {
        &self.leaf
    }

    /// The bundles in use.
    pub fn bundles(&self) -> &TrustBundles {
        &self.bundles
    }

    /// The policy in use.
    pub fn policy(&self) -> &TlsPolicy {
        &self.policy
    }

    /// The configuration of a server that lets `accept` in.
    pub fn server(&self, accept: &Accept, alpn: Alpn) -> Arc<ServerConfig> {
        self.server_configs.entry((accept.clone(), alpn), || self.server_config(accept, alpn))
    }

    /// The configuration for dialing whoever is one of `identities`; an empty list lets nobody answer.
    pub fn client(&self, identities: &Arc<[SpiffeId]>, alpn: Alpn) -> Arc<ClientConfig> {
        self.client_configs.entry((identities.clone(), alpn), || {
            let verifier = ServerVerifier {
                bundles: self.bundles.clone(),
                expected: identities.clone(),
                algorithms: self.policy.outgoing.provider.signature_verification_algorithms,
            };
            let mut config =
                verified_by(self.clients.clone(), verifier).with_client_cert_resolver(self.certified.clone());
            config.alpn_protocols = alpn.protocols();
            config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
            config
        })
    }

    fn server_config(&self, accept: &Accept, alpn: Alpn) -> ServerConfig {
        let verifier = |only, optional| {
            Arc::new(ClientVerifier {
                bundles: self.bundles.clone(),
                only,
                optional,
                algorithms: self.policy.incoming.provider.signature_verification_algorithms,
            })
        };
        let builder = self.servers.clone();
        let builder = match accept {
            Accept::All => builder.with_client_cert_verifier(verifier(None, false)),
            Accept::Only(domain) => builder.with_client_cert_verifier(verifier(Some(domain.clone()), false)),
            Accept::Unauthenticated => builder.with_no_client_auth(),
            Accept::Optional => builder.with_client_cert_verifier(verifier(None, true)),
        };
        let mut config = builder.with_cert_resolver(self.certified.clone());
        config.alpn_protocols = alpn.protocols();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match policy::ticketer() {
            Some(ticketer) => {
                config.ticketer = ticketer;
                config.send_tls13_tickets = TICKETS;
            }
            None => config.send_tls13_tickets = 0,
        }
        config
    }
}

impl std::fmt::Debug for TlsContexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsContexts")
            .field("leaf", &self.leaf)
            .field("bundles", &self.bundles)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Who the other side proved to be, once the handshake is done; `None` when it showed no certificate.
///
/// To be asked of every connection, since a resumed session validates no chain: one whose certificate has expired
/// in the meantime is refused here.
///
/// # Errors
/// When the certificate has expired, or names nobody.
pub fn authenticated(connection: &CommonState, now: SystemTime) -> Result<Option<SpiffeId>, IdentityError> {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    certificate.map(|certificate| x509::unexpired_id(certificate, now)).transpose()
}

/// The configuration for redeeming a peering token: it trusts the CA in the token alone, and only the mesh gateway of
/// the datacenter that `server_name` (`server.DC.peering.TRUSTDOMAIN`) speaks of. Shows no certificate, resumes nothing.
///
/// # Errors
/// When the CA is none, names no trust domain or several, or the server name is not of that domain.
pub fn pinned_client(
    ca_pems: &[String],
    server_name: &str,
    policy: &TlsPolicy,
    alpn: Alpn,
) -> Result<Arc<ClientConfig>, TlsError> {
    let bundles = token_bundles(ca_pems)?;
    let domain = bundles.own();
    let datacenter: Option<Datacenter> = server_name
        .strip_prefix("server.")
        .and_then(|rest| rest.strip_suffix(domain.as_str())?.strip_suffix(".peering."))
        .and_then(|datacenter| datacenter.parse().ok());
    let expected = match datacenter {
        Some(datacenter) if Sni::peering(&datacenter, domain).as_str() == server_name => {
            Arc::from([SpiffeId::mesh_gateway(domain, &datacenter)])
        }
        _ => {
            return Err(TlsError::TokenServerName {
                server_name: server_name.to_owned(),
                trust_domain: domain.to_string(),
            });
        }
    };
    let algorithms = policy.outgoing.provider.signature_verification_algorithms;
    let verifier = ServerVerifier { bundles, expected, algorithms };
    let mut config = verified_by(client_builder(&policy.outgoing)?, verifier).with_no_client_auth();
    config.alpn_protocols = alpn.protocols();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The CA of a token as the bundle of the one trust domain that its certificates name.
fn token_bundles(ca_pems: &[String]) -> Result<TrustBundles, TlsError> {
    let roots = roots_from_pem(ca_pems).map_err(|e| TlsError::TokenCa(e.to_string()))?;
    let first = roots.first().ok_or_else(|| TlsError::TokenCa("it is empty".to_owned()))?;
    let domain = x509::trust_domain(first)
        .map_err(|e| TlsError::TokenCa(e.to_string()))?
        .ok_or_else(|| TlsError::TokenCa("it names no trust domain".to_owned()))?;
    TrustBundles::new(domain, roots).map_err(|e| TlsError::TokenCa(e.to_string()))
}

fn server_builder(direction: &Direction) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(direction.provider.clone())
        .with_protocol_versions(direction.versions)
        .map_err(|source| TlsError::Rustls { direction: "Incoming", source })
}

fn client_builder(direction: &Direction) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(direction.provider.clone())
        .with_protocol_versions(direction.versions)
        .map_err(|source| TlsError::Rustls { direction: "Outgoing", source })
}

/// "Dangerous" to rustls, which cannot know that ours is stricter than its own.
fn verified_by(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    verifier: ServerVerifier,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
}

/// Configurations by what they are for. Read at each handshake, written at the first of its kind.
struct Cache<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// The value kept for `key`, made when there is none. Two that come first at once agree on one of the two made.
    fn entry(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let made = Arc::new(make());
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_CONFIGS {
            kept.clear();
        }
        kept.entry(key).or_insert(made).clone()
    }
}

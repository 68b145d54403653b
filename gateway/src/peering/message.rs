//! What two peered gateways tell each other: one JSON object a line, over TLS with the ALPN [`ALPN`].
//!
//! Here: the messages, the limits on a line and on all that a peer may make us remember, and the checks that
//! turn what a peer claims into what we believe. A peer speaks for its own trust domain and nothing else: names,
//! roots and identities of any other are refused. Fields and messages that are not known are passed over, so
//! that newer gateways can say more. Kept out: sockets, and when to say what.

use serde::{Deserialize, Serialize};
use spillway_certs::bundle::{BundleError, TrustBundles, roots_from_pem};
use spillway_certs::peering::{self, Remote, Secret};
use spillway_core::catalog::ImportedService;
use spillway_core::name::{InvalidName, ServiceName, Sni, SpiffeId, TrustDomain};

/// The protocol and its version, as both sides negotiate it.
pub const ALPN: &[u8] = b"spillway-peering/1";

/// The longest line: [`MAX_ROOTS_BYTES`], all addresses, and some services with the longest names.
pub const MAX_LINE: usize = 256 * 1024;

/// The most services that a peer may export to us.
pub const MAX_SERVICES: usize = 10_000;

/// The most memory that one stream's update may take: ordinary names make 500 bytes a service. The old record and
/// the new, and the same again as JSON, stay below 64 MiB.
pub const MAX_UPDATE: usize = 8 * 1024 * 1024;

/// The most bytes of PEM that a peer's roots may have: 32 roots of RSA 4096.
pub const MAX_ROOTS_BYTES: usize = 64 * 1024;

/// The most gateways that a peer may name.
pub const MAX_ADDRESSES: usize = 64;

/// The most identities that may answer for one service: a tcp chain leads to few services.
pub const MAX_IDENTITIES: usize = 16;

/// How many services are told in one line.
const CHUNK: usize = 32;

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// First line of who uses a token.
    Establish {
        /// The peering's id in the cluster that made the token.
        peering: String,
        /// The token's.
        secret: Secret,
        /// The peering's id in the cluster that uses it.
        from: String,
        /// Who uses it.
        facts: Facts,
    },
    /// The answer to it. Both sides then tell their services, and the dialer hangs up.
    Established {
        /// What later streams are opened with.
        stream_secret: Secret,
        /// Who made the token.
        facts: Facts,
    },
    /// First line of a lasting stream.
    Open {
        /// The peering's id in the cluster that is dialed.
        peering: String,
        /// What [`Message::Established`] gave out.
        secret: Secret,
    },
    /// All that a cluster wants its peer to know. Long lists take several lines; only together they count.
    Update {
        /// The same in every line of one update.
        facts: Facts,
        /// Some of the services.
        services: Vec<Export>,
        /// Whether another line belongs to it.
        #[serde(default)]
        more: bool,
    },
    /// Nothing new, and still there.
    Heartbeat,
    /// The peering was deleted over there.
    Terminated,
    /// Not a word more.
    Refused {
        /// For the other side's log.
        reason: String,
    },
    /// Something that a newer gateway says.
    #[serde(other)]
    Unknown,
}

/// Who a cluster is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Facts {
    /// Its trust domain.
    pub trust_domain: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its roots, PEM; while it rotates, old and new.
    pub roots: Vec<String>,
    /// `host:port` of its gateways.
    pub gateways: Vec<String>,
}

/// A service, as its cluster exports it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// `tcp`, `http`, `http2` or `grpc`.
    pub protocol: String,
    /// What to ask the gateway for.
    pub sni: String,
    /// Who may answer.
    pub identities: Vec<String>,
    /// How many instances the gateway would pick from.
    pub healthy: u32,
}

/// Why a peer is not listened to any longer.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Over [`MAX_LINE`].
    #[error("a line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not a message.
    #[error("a line is no message: {0}")]
    Json(#[from] serde_json::Error),
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A trust domain that is not the peer's.
    #[error("the peer speaks for {found}, not for {expected}")]
    TrustDomain {
        /// Whom it claims to be.
        found: TrustDomain,
        /// Who it is.
        expected: TrustDomain,
    },
    /// Roots that vouch for nobody, or for somebody else.
    #[error("the peer's roots: {0}")]
    Roots(#[from] BundleError),
    /// Over [`MAX_ROOTS_BYTES`].
    #[error("the peer's roots have more than {MAX_ROOTS_BYTES} bytes")]
    TooManyRoots,
    /// Over [`MAX_ADDRESSES`].
    #[error("the peer has more than {MAX_ADDRESSES} gateway addresses")]
    TooManyAddresses,
    /// An address that is not `host:port`.
    #[error(transparent)]
    Address(peering::PeerError),
    /// A message that belongs to another part of the conversation.
    #[error("the peer said what does not belong here")]
    OutOfPlace,
    /// Over [`MAX_SERVICES`] or [`MAX_UPDATE`].
    #[error("more than {MAX_SERVICES} services, or {MAX_UPDATE} bytes of them, are exported to this cluster")]
    TooManyServices,
}

impl Message {
    /// The message as a line.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("strings, numbers and lists of them always make JSON");
        line.push(b'\n');
        line
    }

    /// Reads a line, without its end.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(line: &[u8]) -> Result<Self, MessageError> {
        if line.len() > MAX_LINE { Err(MessageError::TooLong) } else { Ok(serde_json::from_slice(line)?) }
    }

    /// An update in as many lines as it takes.
    pub fn update<'a>(facts: &'a Facts, services: &'a [Export]) -> impl Iterator<Item = Self> + 'a {
        let lines = services.len().div_ceil(CHUNK).max(1);
        (1..=lines).map(move |line| {
            let services = services.chunks(CHUNK).nth(line - 1).unwrap_or_default().to_vec();
            Self::Update { facts: facts.clone(), services, more: line < lines }
        })
    }
}

impl Facts {
    /// What we believe of it: all, or nothing.
    ///
    /// # Errors
    /// When a name, a root or an address cannot be, or there are too many of them.
    pub fn check(self) -> Result<Remote, MessageError> {
        let trust_domain: TrustDomain = self.trust_domain.parse()?;
        let datacenter = self.datacenter.parse()?;
        if self.roots.iter().map(String::len).sum::<usize>() > MAX_ROOTS_BYTES {
            return Err(MessageError::TooManyRoots);
        }
        let roots = roots_from_pem(&self.roots).map_err(BundleError::Pem)?;
        TrustBundles::new(trust_domain.clone(), roots)?;
        if self.gateways.len() > MAX_ADDRESSES {
            return Err(MessageError::TooManyAddresses);
        }
        peering::check_addresses(&self.gateways).map_err(MessageError::Address)?;
        let server_name = Sni::peering(&datacenter, &trust_domain);
        Ok(Remote { trust_domain, datacenter, ca_pems: self.roots, server_name, addresses: self.gateways })
    }

    /// [`Self::check`] for a peer that is known: it cannot become another.
    ///
    /// # Errors
    /// As there, and when the trust domain is another.
    pub fn check_is(self, expected: &TrustDomain) -> Result<Remote, MessageError> {
        let remote = self.check()?;
        if remote.trust_domain == *expected {
            Ok(remote)
        } else {
            Err(MessageError::TrustDomain { found: remote.trust_domain, expected: expected.clone() })
        }
    }
}

impl Export {
    /// What we believe of it; None when it is nothing that we could dial, or that its cluster could not vouch
    /// for. One such service says nothing about the others.
    pub fn check(self, exporter: &TrustDomain) -> Option<ImportedService> {
        let sni: Sni = self.sni.parse().ok()?;
        let own = |id: &String| id.parse::<SpiffeId>().is_ok_and(|id| id.trust_domain == *exporter);
        let valid = self.name.parse::<ServiceName>().is_ok()
            && matches!(self.protocol.as_str(), "tcp" | "http" | "http2" | "grpc")
            && sni.as_str().ends_with(&format!(".external.{exporter}"))
            && (1..=MAX_IDENTITIES).contains(&self.identities.len())
            && self.identities.iter().all(own);
        valid.then(|| ImportedService {
            name: self.name,
            protocol: self.protocol,
            sni: sni.to_string(),
            spiffe_ids: self.identities,
            healthy: self.healthy,
        })
    }
}

impl From<ImportedService> for Export {
    fn from(service: ImportedService) -> Self {
        Self {
            name: service.name,
            protocol: service.protocol,
            sni: service.sni,
            identities: service.spiffe_ids,
            healthy: service.healthy,
        }
    }
}

/// Lines of an update, until it is whole.
#[derive(Debug, Default)]
pub struct Assembly {
    services: Vec<ImportedService>,
    /// How many were told, those that were passed over included.
    told: usize,
    /// About how much memory `services` takes.
    bytes: usize,
}

/// A whole update.
#[derive(Debug, PartialEq)]
pub struct Update {
    /// Who the peer is.
    pub remote: Remote,
    /// What it exports to us, by name, each name once.
    pub services: Vec<ImportedService>,
    /// How many were told and passed over, because nobody could dial them.
    pub refused: usize,
}

impl Assembly {
    /// Takes a line of [`Message::Update`] of the peer whose trust domain is `expected`; gives the update when
    /// the line is its last.
    ///
    /// # Errors
    /// When the peer claims what it cannot, or too much.
    pub fn add(
        &mut self,
        facts: Facts,
        services: Vec<Export>,
        more: bool,
        expected: &TrustDomain,
    ) -> Result<Option<Update>, MessageError> {
        self.told += services.len();
        if self.told > MAX_SERVICES {
            return Err(MessageError::TooManyServices);
        }
        for service in services.into_iter().filter_map(|export| export.check(expected)) {
            let identities = service.spiffe_ids.iter().map(|id| size_of::<String>() + id.len());
            self.bytes += size_of_val(&service) + service.name.len() + service.sni.len();
            self.bytes += identities.sum::<usize>();
            self.services.push(service);
        }
        if self.bytes > MAX_UPDATE {
            return Err(MessageError::TooManyServices);
        }
        if more {
            return Ok(None);
        }
        let Self { mut services, told, .. } = std::mem::take(self);
        let remote = facts.check_is(expected)?;
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services.dedup_by(|a, b| a.name == b.name);
        let refused = told - services.len();
        Ok(Some(Update { remote, services, refused }))
    }
}

#[cfg(test)]
mod tests;

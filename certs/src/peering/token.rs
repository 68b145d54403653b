//! The peering token: base64 of JSON with Consul's field names.
//!
//! Decoding checks everything that can be checked without dialing, so that a token cut short or of another
//! product is refused by name before a peering is written down.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use spillway_core::name::{Datacenter, InvalidName, Sni, TrustDomain};

use super::secret::Secret;
use crate::pem::{self, PemError};

/// The longest token that is read: far beyond 64 roots, short of what could hurt.
const MAX_TOKEN: usize = 512 * 1024;

/// The most addresses that a token may name, so that a bad one is given up in good time.
const MAX_ADDRESSES: usize = 64;

/// Why a text is no peering token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Too long to be one.
    #[error("the peering token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// Cut short, or something else.
    #[error("the peering token is not base64: was all of it copied?")]
    Base64(#[source] base64::DecodeError),
    /// Base64 of something else.
    #[error("the peering token is not the JSON of one: {0}")]
    Json(#[source] serde_json::Error),
    /// Consul allows it where servers speak without TLS; we never do.
    #[error("the peering token has no CA: its cluster has to be reached over TLS")]
    NoCa,
    /// A CA that is no certificate.
    #[error("CA[{at}] of the peering token: {source}")]
    Ca {
        /// Which one.
        at: usize,
        /// What is wrong with it.
        source: PemError,
    },
    /// Nowhere to go.
    #[error("the peering token has no ServerAddresses: register a mesh gateway where it was made")]
    NoAddresses,
    /// More than anybody has gateways.
    #[error("the peering token has more than {MAX_ADDRESSES} addresses")]
    TooManyAddresses,
    /// An address without a port, for example.
    #[error("the peering token's address {0:?} is not host:port")]
    Address(String),
    /// A name of no peering server.
    #[error("ServerName {0:?} of the peering token is not server.DC.peering.TRUSTDOMAIN")]
    ServerName(String),
    /// An id or secret that is empty or over-long.
    #[error("{0} of the peering token is missing")]
    Missing(&'static str),
}

/// A token, decoded and checked.
#[derive(Clone, Eq, PartialEq)]
pub struct Token {
    /// Roots of the cluster that made it, PEM.
    pub ca: Vec<String>,
    /// Addresses that the operator named: they take the place of the others.
    pub manual_server_addresses: Vec<String>,
    /// `host:port` of its gateways.
    pub server_addresses: Vec<String>,
    /// The trust domain of the cluster that made it.
    pub trust_domain: TrustDomain,
    /// Its datacenter.
    pub datacenter: Datacenter,
    /// UUID of the peering over there.
    pub peer_id: String,
    /// Works once.
    pub secret: Secret,
}

/// As it stands in the JSON; Go writes an absent list as null.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    #[serde(rename = "CA", default, deserialize_with = "nullable")]
    ca: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    manual_server_addresses: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    server_addresses: Vec<String>,
    #[serde(default)]
    server_name: String,
    #[serde(rename = "PeerID", default)]
    peer_id: String,
    #[serde(default)]
    establishment_secret: String,
    #[serde(default)]
    remote: WireRemote,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireRemote {
    partition: String,
    datacenter: String,
}

fn nullable<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Token {
    /// Reads a token as an operator pasted it; white space around and within it is ignored.
    ///
    /// # Errors
    /// When it is none that could be used.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let text: String = text.split_ascii_whitespace().collect();
        let json = STANDARD.decode(text).map_err(TokenError::Base64)?;
        let wire: Wire = serde_json::from_slice(&json).map_err(TokenError::Json)?;
        wire.check()
    }

    /// The token as text.
    pub fn encode(&self) -> String {
        let wire = Wire {
            ca: self.ca.clone(),
            manual_server_addresses: self.manual_server_addresses.clone(),
            server_addresses: self.server_addresses.clone(),
            server_name: self.server_name().to_string(),
            peer_id: self.peer_id.clone(),
            establishment_secret: self.secret.expose().to_owned(),
            remote: WireRemote { partition: "default".to_owned(), datacenter: self.datacenter.to_string() },
        };
        let json = serde_json::to_vec(&wire).expect("strings and lists of strings always make JSON");
        STANDARD.encode(json)
    }

    /// What to ask the gateway for.
    pub fn server_name(&self) -> Sni {
        Sni::peering(&self.datacenter, &self.trust_domain)
    }

    /// Where to dial, in this order.
    pub fn addresses(&self) -> &[String] {
        if self.manual_server_addresses.is_empty() {
            &self.server_addresses
        } else {
            &self.manual_server_addresses
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("server_name", &self.server_name())
            .field("addresses", &self.addresses())
            .field("peer_id", &self.peer_id)
            .finish_non_exhaustive()
    }
}

impl Wire {
    fn check(self) -> Result<Token, TokenError> {
        let (datacenter, trust_domain) = peering_server(&self.server_name)
            .map_err(|_| TokenError::ServerName(self.server_name.clone()))?;
        if self.ca.is_empty() {
            return Err(TokenError::NoCa);
        }
        for (at, ca) in self.ca.iter().enumerate() {
            pem::certificates(ca.as_bytes()).map_err(|source| TokenError::Ca { at, source })?;
        }
        let token = Token {
            ca: self.ca,
            manual_server_addresses: self.manual_server_addresses,
            server_addresses: self.server_addresses,
            trust_domain,
            datacenter,
            peer_id: filled("PeerID", self.peer_id)?,
            secret: filled("EstablishmentSecret", self.establishment_secret)?.into(),
        };
        match token.addresses() {
            [] => Err(TokenError::NoAddresses),
            addresses if addresses.len() > MAX_ADDRESSES => Err(TokenError::TooManyAddresses),
            addresses => match addresses.iter().find(|address| !is_host_port(address)) {
                Some(address) => Err(TokenError::Address(address.clone())),
                None => Ok(token),
            },
        }
    }
}

/// The datacenter and trust domain in `server.DC.peering.TRUSTDOMAIN`.
fn peering_server(name: &str) -> Result<(Datacenter, TrustDomain), InvalidName> {
    let (datacenter, trust_domain) =
        name.strip_prefix("server.").and_then(|rest| rest.split_once(".peering.")).unwrap_or_default();
    Ok((datacenter.parse()?, trust_domain.parse()?))
}

fn filled(what: &'static str, value: String) -> Result<String, TokenError> {
    if (1..=128).contains(&value.len()) { Ok(value) } else { Err(TokenError::Missing(what)) }
}

/// Whether a text is `host:port`, the host a name or an IP address (IPv6 in brackets), the port not 0.
pub(super) fn is_host_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let named = |host: &str| {
        (1..=253).contains(&host.len())
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let bracketed = |host: &str| {
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    digits && port.parse::<u16>().is_ok_and(|port| port > 0) && (named(host) || bracketed(host))
}

//! What a peering's record says beyond its bytes: its state, and the other cluster as its facts are taken over.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spillway_core::catalog::PeerRecord;
use spillway_core::name::{Datacenter, Sni, TrustDomain};

/// Where a peering stands, in Consul's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// A token was made and not used yet.
    Pending,
    /// We are using a token.
    Establishing,
    /// Both sides know each other and the stream is up.
    Active,
    /// Both know each other, but nothing was heard for two minutes.
    Failing,
    /// Deleted here; the other side is being told.
    Deleting,
    /// Deleted by the other side. Only ours to delete remains.
    Terminated,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Pending, Self::Establishing, Self::Active, Self::Failing, Self::Deleting, Self::Terminated];

    /// As Consul writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Establishing => "ESTABLISHING",
            Self::Active => "ACTIVE",
            Self::Failing => "FAILING",
            Self::Deleting => "DELETING",
            Self::Terminated => "TERMINATED",
        }
    }

    /// Whether the peer's identities are believed and its traffic flows. A failing stream says nothing about
    /// gateways and instances, so it does not stop traffic.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::Failing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no [`State`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the state of a peering")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == s).ok_or_else(|| UnknownState(s.to_owned()))
    }
}

/// Which side of the token we are on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// We made it.
    Acceptor,
    /// We used it.
    Dialer,
}

impl Role {
    pub(super) fn begun(self) -> &'static str {
        match self {
            Self::Acceptor => "by generating a token here",
            Self::Dialer => "with a token of the other cluster",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Acceptor => Self::Dialer,
            Self::Dialer => Self::Acceptor,
        }
    }
}

/// The other cluster: what it said of itself, parsed and checked by whoever listened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Its trust domain.
    pub trust_domain: TrustDomain,
    /// Its own name of its datacenter.
    pub datacenter: Datacenter,
    /// Its roots.
    pub ca_pems: Vec<String>,
    /// SNI of its peering server.
    pub server_name: Sni,
    /// `host:port` of its gateways.
    pub addresses: Vec<String>,
}

impl Remote {
    /// Takes these facts over into a record.
    pub fn write_into(&self, record: &mut PeerRecord) {
        record.trust_domain = self.trust_domain.to_string();
        record.datacenter = self.datacenter.to_string();
        record.ca_pems.clone_from(&self.ca_pems);
        record.peer_server_name = self.server_name.to_string();
        record.peer_server_addresses.clone_from(&self.addresses);
    }
}

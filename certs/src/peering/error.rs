//! What can go wrong with a peering's files, in words that say what to do about it.

use std::io;
use std::path::PathBuf;

use spillway_core::name::{InvalidName, PeerName, TrustDomain};

use super::record::Role;
use crate::store::StoreError;

/// Why something could not be done with a peering.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// A name that no peering can have.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is none of that name.
    #[error("there is no peering {0:?}")]
    Unknown(PeerName),
    /// A file that cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that somebody else wrote.
    #[error("{}: {source}", path.display())]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A token of our own cluster.
    #[error("the peering token was made by this very cluster ({0}): establish the peering in the other one")]
    OwnCluster(TrustDomain),
    /// A trust domain belongs to one peering, or identities would be ambiguous.
    #[error("{trust_domain} is already peered with, as {name:?}")]
    AlreadyPeered {
        /// Whose cluster it is.
        trust_domain: TrustDomain,
        /// Under which name.
        name: String,
    },
    /// A name stands for one cluster until it is deleted.
    #[error("peering {name:?} is with {found}: delete it first to peer with {wanted}")]
    OtherCluster {
        /// Our name for it.
        name: PeerName,
        /// With whom it is.
        found: String,
        /// With whom it was to be.
        wanted: TrustDomain,
    },
    /// One side makes the token, the other uses it.
    #[error("peering {name:?} was begun {}: delete it first to begin it {}", role.begun(), role.other().begun())]
    Role {
        /// Our name for it.
        name: PeerName,
        /// The side that we are on.
        role: Role,
    },
    /// Gone as soon as the other side has been told.
    #[error("peering {0:?} is being deleted: try again in a moment")]
    Deleting(PeerName),
    /// A secret that is unknown, used already, or replaced by a newer token. Which one is not told: a stranger
    /// might be asking.
    #[error("the token's secret is not valid: it works once, and only until a newer token is made")]
    SecretRefused,
    /// An address to put into a token.
    #[error("{0:?} is not host:port")]
    Address(String),
}

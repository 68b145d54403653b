//! Peerings at rest: the token that starts one, and the files under `peers/` that remember it.
//!
//! [`Token`] is what one operator hands to another; [`PeerStore`] is the directory and every change to it that a
//! peering's life asks for: a token is made, redeemed once, the peer's facts are taken over, it is deleted.
//! Each change is made under the directory's lock, so a command and a running gateway never undo each other.
//! Kept out: how clusters talk. `NAME.json` is what every process of the cluster reads; secrets stand apart, in
//! `NAME.secret.json`.

mod error;
mod record;
mod secret;
mod store;
mod token;

pub use error::PeerError;
pub use record::{Remote, Role, State};
pub use secret::{Secret, SecretHash};
pub use store::{Deleted, PeerStore, check_addresses};
pub use token::{Token, TokenError};

#[cfg(test)]
mod tests;

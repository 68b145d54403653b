//! Secrets of a peering: 122 random bits each, told apart from anything that may be printed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::policy::sha256;

/// A secret in the clear: the token's, or the one that streams are opened with. Never printed.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The text, for the wire or a file of mode 0600.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of a secret that only has to be recognised.
    pub fn hash(&self) -> SecretHash {
        SecretHash(STANDARD.encode(sha256(self.0.as_bytes())))
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.hash().matches(other)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a secret, as base64. Enough for one with 122 random bits: there is nothing to guess it from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    /// Whether `secret` is the one, in a time that does not tell how nearly.
    pub fn matches(&self, secret: &Secret) -> bool {
        let other = secret.hash().0;
        let differing = self.0.bytes().zip(other.bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
        self.0.len() == other.len() && differing == 0
    }
}

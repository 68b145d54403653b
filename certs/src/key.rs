//! Key types that the CA makes: Consul's `private_key_type` and `private_key_bits`.

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256,
    RsaKeySize,
};
use spillway_core::entry::CaConfig;

/// What kind of key a certificate is for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum KeyType {
    /// `ec` with 256 bits: the default, and by far the cheapest to sign with.
    #[default]
    EcP256,
    /// `ec` with 384 bits.
    EcP384,
    /// `ec` with 521 bits.
    EcP521,
    /// `rsa` with 2048 bits.
    Rsa2048,
    /// `rsa` with 4096 bits.
    Rsa4096,
}

/// A type and length that no key is made of here.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("private_key_type {kind:?} with private_key_bits {bits} is none of ec 256, 384, 521, rsa 2048, 4096")]
pub struct UnsupportedKey {
    kind: String,
    bits: u32,
}

impl KeyType {
    /// The key type that `connect.ca_config` asks for.
    ///
    /// # Errors
    /// When no such keys are made; P-224, which Consul knows, is too weak to be spoken here.
    pub fn from_config(config: &CaConfig) -> Result<Self, UnsupportedKey> {
        let kind = config.private_key_type.as_deref().unwrap_or("ec");
        match (kind, config.private_key_bits) {
            ("ec", None | Some(256)) => Ok(Self::EcP256),
            ("ec", Some(384)) => Ok(Self::EcP384),
            ("ec", Some(521)) => Ok(Self::EcP521),
            ("rsa", None | Some(2048)) => Ok(Self::Rsa2048),
            ("rsa", Some(4096)) => Ok(Self::Rsa4096),
            (kind, bits) => Err(UnsupportedKey { kind: kind.to_owned(), bits: bits.unwrap_or_default() }),
        }
    }

    /// A new key.
    pub(crate) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::EcP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::EcP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::EcP521 => KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consuls_key_settings_name_a_key_type_or_are_refused() {
        for (kind, bits, expected) in [
            (None, None, Some(KeyType::EcP256)),
            (Some("ec"), Some(384), Some(KeyType::EcP384)),
            (Some("ec"), Some(521), Some(KeyType::EcP521)),
            (Some("rsa"), None, Some(KeyType::Rsa2048)),
            (Some("rsa"), Some(4096), Some(KeyType::Rsa4096)),
            (Some("ec"), Some(224), None),
            (Some("rsa"), Some(1024), None),
            (Some("ed25519"), None, None),
        ] {
            let config = CaConfig {
                private_key_type: kind.map(str::to_owned),
                private_key_bits: bits,
                ..CaConfig::default()
            };
            assert_eq!(KeyType::from_config(&config).ok(), expected, "{kind:?} {bits:?}");
        }
    }
}

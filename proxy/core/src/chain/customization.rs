//! The hash that tells the clusters of a customized chain from those of the plain one.
//!
//! Dashboards know cluster names, so the digits are those of Consul: FNV-1 (not 1a) in 64 bits over the
//! structure of the overrides, as the contract's section on the admin API spells out.

use std::time::Duration;

use super::Overrides;

/// The first eight hexadecimal digits of the hash of the overrides in force, unpadded; None when none is.
pub(super) fn hash(in_force: &Overrides) -> Option<String> {
    if *in_force == Overrides::default() {
        return None;
    }
    let mode = structure("MeshGatewayConfig", &[("Mode", text(in_force.mesh_gateway.as_str()))]);
    let protocol = text(in_force.protocol.map_or("", |protocol| protocol.as_str()));
    let connect_timeout = fnv(&nanoseconds(in_force.connect_timeout).to_le_bytes());
    let fields = [
        ("OverrideMeshGateway", mode),
        ("OverrideProtocol", protocol),
        ("OverrideConnectTimeout", connect_timeout),
    ];
    let mut digits = format!("{:x}", structure("", &fields));
    digits.truncate(8);
    Some(digits)
}

fn nanoseconds(timeout: Option<Duration>) -> i64 {
    timeout.map_or(0, |it| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX))
}

fn structure(name: &str, fields: &[(&str, u64)]) -> u64 {
    fields.iter().fold(text(name), |hash, (field, value)| hash ^ ordered(text(field), *value))
}

fn ordered(first: u64, second: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    fnv(&bytes)
}

fn text(text: &str) -> u64 {
    fnv(text.as_bytes())
}

fn fnv(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x100_0000_01b3;
    bytes.iter().fold(BASIS, |hash, byte| hash.wrapping_mul(PRIME) ^ u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{MeshGatewayMode, Protocol};

    #[test]
    fn the_digits_are_those_of_consul() {
        let protocol = |it| Overrides { protocol: Some(it), ..Overrides::default() };
        let mode = |mesh_gateway| Overrides { mesh_gateway, ..Overrides::default() };
        for (overrides, digits) in [
            (protocol(Protocol::Http), "1a47f6e1"),
            (protocol(Protocol::Grpc), "ef15b5b5"),
            (mode(MeshGatewayMode::Local), "c225dc1c"),
            (mode(MeshGatewayMode::Remote), "dd412229"),
        ] {
            assert_eq!(hash(&overrides).as_deref(), Some(digits), "{overrides:?}");
        }
        assert_eq!(hash(&Overrides::default()), None);
    }
}

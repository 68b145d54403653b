//! The settings of a Consul agent that a data plane needs to know.

use std::time::Duration;

use super::Action;
use crate::name::Datacenter;

/// Agent settings, with Consul's defaults filled in.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// `datacenter`, default `dc1`.
    pub datacenter: Datacenter,
    /// `node_name`, empty when not set.
    pub node_name: String,
    /// `bind_addr`, default `0.0.0.0`.
    pub bind_addr: String,
    /// `advertise_addr`, default `127.0.0.1`: the address of registrations without one.
    pub advertise_addr: String,
    /// `default_intention_policy`, else `acl.default_policy`, else allow.
    pub default_policy: Action,
    /// `connect.ca_config`
    pub ca: CaConfig,
    /// `peering.enabled`, default true.
    pub peering: bool,
}

/// `connect.ca_config`; unset fields have Consul's defaults.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CaConfig {
    /// `ec` (default) or `rsa`.
    pub private_key_type: Option<String>,
    /// 256 (default), 384, 521; 2048, 4096.
    pub private_key_bits: Option<u32>,
    /// `leaf_cert_ttl`, default 72 h.
    pub leaf_ttl: Option<Duration>,
    /// `root_cert_ttl`, default 10 years.
    pub root_ttl: Option<Duration>,
}

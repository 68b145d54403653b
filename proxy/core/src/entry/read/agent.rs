//! The settings of an agent: the few that concern a data plane are read, the others known by name.

mod others;

use std::ops::RangeInclusive;

use others::OTHERS;

use super::fields::Fields;
use super::item::Item;
use super::registration::address;
use crate::entry::{Action, AgentSettings, CaConfig};
use crate::name::Datacenter;

/// What files say so far; a later file's word counts.
#[derive(Default)]
pub(crate) struct Settings {
    datacenter: Option<Datacenter>,
    node_name: Option<String>,
    bind_addr: Option<String>,
    advertise_addr: Option<String>,
    intention_policy: Option<Action>,
    acl_policy: Option<Action>,
    ca: CaConfig,
    peering: Option<bool>,
    sidecar_ports: SidecarPorts,
}

/// `ports { sidecar_min_port, sidecar_max_port }`: 0 or less turns the numbering off.
#[derive(Default)]
struct SidecarPorts {
    min: Option<i64>,
    max: Option<i64>,
}

impl Settings {
    /// The ports that sidecars without one get, from 21000 upwards unless said otherwise; None when they get none.
    pub(crate) fn sidecar_ports(&self) -> Option<RangeInclusive<u16>> {
        let port = |number: i64| u16::try_from(number).ok().filter(|port| *port > 0);
        let min = port(self.sidecar_ports.min.unwrap_or(21_000))?;
        // More than Consul's 256: a whole cluster's sidecars stand in one directory.
        let max = port(self.sidecar_ports.max.unwrap_or(i64::from(u16::MAX - 1)))?;
        Some(min..=max)
    }

    /// With Consul's defaults for what no file says.
    pub(crate) fn finish(self, default: Datacenter) -> AgentSettings {
        AgentSettings {
            datacenter: self.datacenter.unwrap_or(default),
            node_name: self.node_name.unwrap_or_default(),
            bind_addr: self.bind_addr.unwrap_or_else(|| "0.0.0.0".to_owned()),
            advertise_addr: self.advertise_addr.unwrap_or_else(|| "127.0.0.1".to_owned()),
            default_policy: self.intention_policy.or(self.acl_policy).unwrap_or(Action::Allow),
            ca: self.ca,
            peering: self.peering.unwrap_or(true),
        }
    }
}

/// Reads the settings of one file; the caller took registrations and entries and names what is left.
pub(crate) fn read(fields: &mut Fields<'_>, settings: &mut Settings) {
    later(&mut settings.datacenter, fields.take("datacenter").and_then(|item| datacenter(&item)));
    later(&mut settings.node_name, fields.string("node_name"));
    // Only an agent's own: a template has nothing to warn of.
    let bind_addr = fields.string("bind_addr").filter(|text| !text.trim_start().starts_with("{{"));
    later(&mut settings.bind_addr, bind_addr);
    later(&mut settings.advertise_addr, fields.take("advertise_addr").and_then(|item| address(&item)));
    later(
        &mut settings.intention_policy,
        fields.take("default_intention_policy").and_then(|item| policy(&item)),
    );
    later(&mut settings.acl_policy, fields.take("acl_default_policy").and_then(|item| policy(&item)));
    if let Some(mut map) = fields.map("acl") {
        later(&mut settings.acl_policy, map.take("default_policy").and_then(|item| policy(&item)));
        map.ignore(&ACL);
        map.finish();
    }
    if let Some(mut map) = fields.map("peering") {
        later(&mut settings.peering, map.take("enabled").and_then(|item| item.bool()));
        map.ignore(&["test_allow_peer_registrations"]);
        map.finish();
    }
    if let Some(mut map) = fields.map("connect") {
        if let Some(config) = map.map("ca_config") {
            ca_config(config, &mut settings.ca);
        }
        map.ignore(&CONNECT);
        map.finish();
    }
    if let Some(map) = fields.map("ports") {
        ports(map, &mut settings.sidecar_ports);
    }
    fields.ignore(&OTHERS);
}

/// An agent's own datacenter may be written in any case, as in Consul.
fn datacenter(item: &Item<'_>) -> Option<Datacenter> {
    item.string()?.to_lowercase().parse().ok().or_else(|| item.name())
}

fn later<T>(setting: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *setting = value;
    }
}

fn policy(item: &Item<'_>) -> Option<Action> {
    item.word(&["allow", "deny"]).map(|word| if word == "allow" { Action::Allow } else { Action::Deny })
}

/// An agent's own ports are known by name; 0 and less turn one off.
fn ports(mut map: Fields<'_>, sidecar: &mut SidecarPorts) {
    let range = -1..=i64::from(u16::MAX);
    later(&mut sidecar.min, map.integer("sidecar_min_port", range.clone()));
    later(&mut sidecar.max, map.integer("sidecar_max_port", range.clone()));
    for name in PORTS {
        map.integer(name, range.clone());
    }
    if let (Some(min @ 1..), Some(max @ 1..)) = (sidecar.min, sidecar.max)
        && min > max
    {
        map.item.error(format!("sidecar_min_port {min} is above sidecar_max_port {max}"));
    }
    map.finish();
}

/// What else stands there is the CA provider's own, and none of Consul's providers is used here.
fn ca_config(mut map: Fields<'_>, ca: &mut CaConfig) {
    let kind = map.take("private_key_type").and_then(|item| item.word(&["ec", "rsa"]));
    later(&mut ca.private_key_type, kind.map(str::to_owned));
    if let Some(item) = map.take("private_key_bits") {
        let bits = item.integer(0..=u32::MAX);
        let known = [224, 256, 384, 521, 2048, 4096];
        if bits.is_some_and(|bits| !known.contains(&bits)) {
            item.error("is no key size: 256, 384 or 521 for ec, 2048 or 4096 for rsa");
        }
        later(&mut ca.private_key_bits, bits);
    }
    later(&mut ca.leaf_ttl, map.timeout("leaf_cert_ttl"));
    later(&mut ca.root_ttl, map.timeout("root_cert_ttl"));
}

const ACL: [&str; 11] = [
    "enabled",
    "tokens",
    "down_policy",
    "role_ttl",
    "token_ttl",
    "policy_ttl",
    "enable_token_persistence",
    "enable_token_replication",
    "enable_key_list_policy",
    "msp_disable_bootstrap",
    "resolve_timeout",
];

const PORTS: [&str; 12] = [
    "dns",
    "http",
    "https",
    "serf_lan",
    "serf_wan",
    "server",
    "grpc",
    "grpc_tls",
    "proxy_min_port",
    "proxy_max_port",
    "expose_min_port",
    "expose_max_port",
];

const CONNECT: [&str; 6] = [
    "enabled",
    "ca_provider",
    "enable_mesh_gateway_wan_federation",
    "enable_serverless_plugin",
    "test_ca_leaf_root_change_spread",
    "test_governor_tolerance",
];

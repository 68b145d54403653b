//! What holds for the whole cluster: exports, the mesh entry, who issues tokens, logs, and the agent's settings.

use super::facts::{Facts, Subject};
use super::words;
use crate::entry::{Action, AgentSettings, EntrySet, Mesh, ProxyDefaults};
use crate::load::Config;

pub(super) fn tell(config: &Config, facts: &mut Facts) {
    let entries = &config.entries;
    exports(entries, facts);
    if let Some(it) = &entries.mesh {
        mesh(it, facts);
    }
    if let Some(it) = &entries.proxy_defaults {
        logs(it, facts);
    }
    for (name, it) in &entries.jwt_providers {
        let mut tell =
            |what: &str, how: String| facts.tell(Subject::Mesh, "", format!("tokens of {name}: {what}"), how);
        tell("keys", format!("{:?}", it.keys));
        tell("issuer", it.issuer.clone().unwrap_or_else(|| "any".to_owned()));
        tell("audiences", it.audiences.join(", "));
        if !it.locations.is_empty() {
            tell("locations", format!("{:?}", it.locations));
        }
        if let Some(forwarding) = &it.forwarding {
            tell("forwarded as", format!("{forwarding:?}"));
        }
        tell("clock skew", words::time(it.clock_skew));
    }
    agent(&config.agent, facts);
}

fn exports(entries: &EntrySet, facts: &mut Facts) {
    let Some(exported) = &entries.exported else { return };
    let all: Vec<_> = exported.services.iter().filter(|it| it.name.is_none()).collect();
    for service in &exported.services {
        for consumer in &service.consumers {
            let peer = &consumer.peer;
            let what = match &service.name {
                None => format!("every service to peer {peer}"),
                Some(_) if all.iter().any(|it| it.consumers.contains(consumer)) => continue,
                Some(name) => format!("{name} to peer {peer}"),
            };
            facts.tell(Subject::Exports, "", what, "");
        }
    }
}

fn mesh(it: &Mesh, facts: &mut Facts) {
    let mut tell = |what: &str, how: Option<String>| facts.maybe(Subject::Mesh, "", what, how);
    let yes = |set: bool| set.then(String::new);
    tell("peers only through mesh gateways", yes(it.peer_through_mesh_gateways));
    tell("removes x-forwarded-client-cert", yes(it.sanitize_x_forwarded_client_cert));
    for (what, tls) in [("incoming", &it.tls_incoming), ("outgoing", &it.tls_outgoing)] {
        tell(&format!("least TLS version {what}"), tls.min_version.clone());
        tell(&format!("highest TLS version {what}"), tls.max_version.clone());
        let suites = (!tls.cipher_suites.is_empty()).then(|| tls.cipher_suites.join(", "));
        tell(&format!("cipher suites {what}"), suites);
    }
    let paths = &it.normalization;
    tell("leaves paths as they come", yes(paths.insecure_disable_path_normalization));
    tell("merges slashes", yes(paths.merge_slashes));
    tell("escaped slashes", paths.path_with_escaped_slashes_action.clone());
    tell("headers with underscores", paths.headers_with_underscores_action.clone());
}

fn logs(it: &ProxyDefaults, facts: &mut Facts) {
    let logs = &it.access_logs;
    if !logs.enabled {
        return;
    }
    let mut tell = |what: &str, how: Option<String>| facts.maybe(Subject::Mesh, "", what, how);
    let path = || logs.path.as_ref().map(|path| path.display().to_string());
    let to = match logs.kind.as_deref() {
        Some("file") => path(),
        kind => Some(kind.unwrap_or("stdout").to_owned()),
    };
    tell("access logs", to);
    tell("access logs of listeners", (!logs.disable_listener_logs).then(String::new));
    tell("format of access logs", logs.format.source().map(str::to_owned));
}

fn agent(it: &AgentSettings, facts: &mut Facts) {
    let mut tell = |what: &str, how: Option<String>| facts.maybe(Subject::Agent, "", what, how);
    tell("datacenter", Some(it.datacenter.to_string()));
    tell("node name", Some(it.node_name.clone()).filter(|name| !name.is_empty()));
    tell("bind address", Some(it.bind_addr.clone()));
    tell("advertised address", Some(it.advertise_addr.clone()));
    let policy = match it.default_policy {
        Action::Allow => "allow",
        Action::Deny => "deny",
    };
    tell("default policy", Some(policy.to_owned()));
    tell("peering", Some(if it.peering { "on" } else { "off" }.to_owned()));
    tell("type of keys", it.ca.private_key_type.clone());
    tell("bits of keys", it.ca.private_key_bits.map(|bits| bits.to_string()));
    tell("life of leaf certificates", it.ca.leaf_ttl.map(words::time));
    tell("life of roots", it.ca.root_ttl.map(words::time));
}

//! `LoadBalancer` of a `service-resolver`.

use super::super::fields::Fields;
use super::super::item::hint;
use crate::entry::{CookieConfig, HashPolicy, LeastRequestConfig, LoadBalancer, RingHashConfig};

const POLICIES: [&str; 6] = ["none", "random", "round_robin", "least_request", "ring_hash", "maglev"];
/// Those and ours.
const ALL_POLICIES: [&str; 7] =
    ["none", "random", "round_robin", "least_request", "ring_hash", "maglev", "peak_ewma"];
const HASHED: [&str; 3] = ["header", "cookie", "query_parameter"];

pub(super) fn read(mut map: Fields<'_>) -> LoadBalancer {
    let policy = map.take("Policy").and_then(|item| {
        let text = item.string()?;
        let known: &[&str] = if item.sink.strict_consul { &POLICIES } else { &ALL_POLICIES };
        if !known.contains(&text.as_str()) {
            let more = if ALL_POLICIES.contains(&text.as_str()) {
                format!(" by Consul (--strict-consul), which knows {}", POLICIES.join(", "))
            } else {
                hint(&text, known)
            };
            item.error(format!("Bad LoadBalancer policy: {text:?} is not supported{more}"));
        }
        Some(text)
    });
    let policy = policy.filter(|policy| policy != "none").unwrap_or_default();
    let hashes = matches!(policy.as_str(), "ring_hash" | "maglev");
    let ring_hash_config = map.take("RingHashConfig").and_then(|item| {
        let mut map = item.fields()?;
        if policy != "ring_hash" {
            item.error(incompatible("RingHashConfig", &policy));
        }
        let config = RingHashConfig {
            minimum_ring_size: map.integer("MinimumRingSize", 0..=8 << 20).filter(|size| *size > 0),
            maximum_ring_size: map.integer("MaximumRingSize", 0..=8 << 20).filter(|size| *size > 0),
        };
        map.finish();
        Some(config)
    });
    let least_request_config = map.take("LeastRequestConfig").and_then(|item| {
        let mut map = item.fields()?;
        if policy != "least_request" {
            item.error(incompatible("LeastRequestConfig", &policy));
        }
        let choice_count = map.integer("ChoiceCount", 0..=u32::MAX).filter(|count| *count > 0);
        map.finish();
        Some(LeastRequestConfig { choice_count })
    });
    let items = map.take("HashPolicies");
    let maps: Vec<Fields<'_>> =
        items.iter().flat_map(|item| item.list()).filter_map(|item| item.fields()).collect();
    if let Some(item) = items.filter(|_| !maps.is_empty() && !hashes) {
        item.error(format!(
            "Bad LoadBalancer configuration: HashPolicies specified for non-hash-based Policy: {policy:?}"
        ));
    }
    let hash_policies = maps.into_iter().enumerate().map(|(i, map)| hash_policy(map, i)).collect();
    map.finish();
    LoadBalancer { policy, ring_hash_config, least_request_config, hash_policies }
}

fn incompatible(config: &str, policy: &str) -> String {
    format!(
        "Bad LoadBalancer configuration. {config} specified for incompatible load balancing policy {policy:?}"
    )
}

/// How to make a cookie, of a hash policy or of a splitter's `Sticky`.
pub(in crate::entry::read) fn cookie_config(map: &mut Fields<'_>) -> Option<CookieConfig> {
    let mut map = map.map("CookieConfig")?;
    let config = CookieConfig {
        session: map.flag("Session"),
        ttl: map.timeout("TTL").filter(|ttl| !ttl.is_zero()),
        path: map.string("Path").unwrap_or_default(),
    };
    map.finish();
    Some(config)
}

fn hash_policy(mut map: Fields<'_>, i: usize) -> HashPolicy {
    let read = HashPolicy {
        field: map.string("Field").unwrap_or_default(),
        field_value: map.string("FieldValue").unwrap_or_default(),
        cookie_config: cookie_config(&mut map),
        source_ip: map.flag("SourceIP"),
        terminal: map.flag("Terminal"),
    };
    for fault in faults(&read) {
        map.item.error(format!("Bad LoadBalancer HashPolicy[{i}]: {fault}"));
    }
    map.finish();
    read
}

fn faults(policy: &HashPolicy) -> Vec<String> {
    let mut faults = Vec::new();
    let (field, value) = (policy.field.as_str(), policy.field_value.as_str());
    if !field.is_empty() && !HASHED.contains(&field) {
        faults.push(format!("{field:?} is not a supported field{}", hint(field, &HASHED)));
    }
    if policy.source_ip {
        if !field.is_empty() {
            faults.push(format!("A single hash policy cannot hash both a source address and a {field:?}"));
        }
        if !value.is_empty() {
            faults.push("A FieldValue cannot be specified when hashing SourceIP".to_owned());
        }
    }
    if !field.is_empty() && value.is_empty() {
        faults.push(format!("Field {field:?} was specified without a FieldValue"));
    }
    if field.is_empty() && !value.is_empty() {
        faults.push("FieldValue requires a Field to apply to".to_owned());
    }
    if let Some(cookie) = &policy.cookie_config {
        if field != "cookie" {
            faults.push(format!("cookie_config provided for {field:?}"));
        }
        if cookie.session && cookie.ttl.is_some() {
            faults.push("a session cookie cannot have an associated TTL".to_owned());
        }
    }
    faults
}

//! Every kind with all its fields in every form that a user may have: each form is read as the same entry.
//!
//! The entries stand once, as Consul's API has them ([`entries`]); the other forms are written from them here, by the
//! names that Consul's aliases and the custom resources have.

mod entries;

use serde_json::{Value, json};

use super::*;
use crate::duration;

/// Names that are not simply their words: Consul's, its alias in HCL, and that of the custom resource.
const NAMES: &[(&str, &str, &str)] = &[
    (
        "AllowEnablingPermissiveMutualTLS",
        "allow_enabling_permissive_mutual_tls",
        "allowEnablingPermissiveMutualTLS",
    ),
    ("EnforcingConsecutive5xx", "enforcing_consecutive_5xx", "enforcingConsecutive5xx"),
    ("EnvoyClusterJSON", "envoy_cluster_json", "envoyClusterJSON"),
    ("EnvoyListenerJSON", "envoy_listener_json", "envoyListenerJSON"),
    ("ExternalSNI", "external_sni", "externalSNI"),
    ("HTTP", "http", "http"),
    ("JSONFormat", "json_format", "jsonFormat"),
    ("JSONWebKeySet", "json_web_key_set", "jsonWebKeySet"),
    ("JWKS", "jwks", "jwks"),
    ("JWKSCluster", "jwks_cluster", "jwksCluster"),
    ("JWT", "jwt", "jwt"),
    ("MutualTLSMode", "mutual_tls_mode", "mutualTLSMode"),
    ("SourceIP", "source_ip", "sourceIP"),
    ("TLS", "tls", "tls"),
    ("TLSCertificates", "tls_certificates", "tlsCertificates"),
    ("TLSMaxVersion", "tls_max_version", "tlsMaxVersion"),
    ("TLSMinVersion", "tls_min_version", "tlsMinVersion"),
    ("TTL", "ttl", "ttl"),
    ("TrustedCA", "trusted_ca", "trustedCA"),
    ("URI", "uri", "uri"),
    ("UseSNI", "use_sni", "useSNI"),
];

/// Fields whose keys are the operator's own, and are written as they are.
const FREE: [&str; 7] = ["Meta", "Subsets", "Failover", "Add", "Set", "Config", "Arguments"];

/// Fields that hold a duration, which an answer of Consul's API may have in nanoseconds.
const DURATIONS: [&str; 8] = [
    "ConnectTimeout",
    "RequestTimeout",
    "IdleTimeout",
    "TTL",
    "Interval",
    "BaseEjectionTime",
    "CacheDuration",
    "MaxInterval",
];

fn snake(name: &str) -> String {
    if let Some((_, snake, _)) = NAMES.iter().find(|(api, ..)| *api == name) {
        return (*snake).to_owned();
    }
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(c.to_lowercase());
    }
    words
}

fn camel(name: &str) -> String {
    if let Some((.., camel)) = NAMES.iter().find(|(api, ..)| *api == name) {
        return (*camel).to_owned();
    }
    let (first, rest) = name.split_at(1);
    first.to_lowercase() + rest
}

/// The same with every name of Consul's put through `rename`, and every duration through `time`.
fn renamed(value: &Value, rename: fn(&str) -> String, time: fn(&str) -> Value) -> Value {
    let all = |map: &serde_json::Map<String, Value>, rename: fn(&str) -> String| {
        let pair = |(key, value): (&String, &Value)| {
            let value = match value {
                Value::String(text) if DURATIONS.contains(&key.as_str()) => time(text),
                Value::Object(map) if FREE.contains(&key.as_str()) => Value::Object(
                    map.iter().map(|(key, it)| (key.clone(), renamed(it, rename, time))).collect(),
                ),
                value => renamed(value, rename, time),
            };
            (rename(key), value)
        };
        Value::Object(map.iter().map(pair).collect())
    };
    match value {
        Value::Object(map) => all(map, rename),
        Value::Array(items) => items.iter().map(|item| renamed(item, rename, time)).collect(),
        value => value.clone(),
    }
}

/// The body of an HCL file, maps as attributes and lists in brackets.
fn attributes(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| format!("{key:?} = {}\n", nested(value));
            map.iter().map(pair).collect()
        }
        _ => nested(value),
    }
}

fn nested(value: &Value) -> String {
    match value {
        Value::Object(_) => format!("{{\n{}}}", attributes(value)),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(nested).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

/// The same with maps as blocks, and a list of maps as one block after another.
fn blocks(value: &Value) -> String {
    let Value::Object(map) = value else { return value.to_string() };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{key:?} {{\n{}}}\n", blocks(value)),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.iter().map(|item| format!("{key:?} {{\n{}}}\n", blocks(item))).collect()
        }
        value => format!("{key:?} = {value}\n"),
    };
    map.iter().map(pair).collect()
}

/// Block style, as resources are written.
fn yaml(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let pair =
                |(key, value): (&String, &Value)| format!("\n{pad}{key:?}: {}", yaml(value, indent + 2));
            map.iter().map(pair).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{pad}- {}", yaml(item, indent + 2).trim_start())).collect()
        }
        value => value.to_string(),
    }
}

/// The custom resource that is the same entry.
fn resource(kind: &str, entry: &Value) -> String {
    let mut spec = renamed(entry, camel, |text| json!(text));
    let map = spec.as_object_mut().expect("an entry is a map");
    map.shift_remove("kind");
    // A resource's `metadata` have no place in Consul, so it has no Meta.
    map.shift_remove("meta");
    let name = map.shift_remove("name").unwrap_or_else(|| json!("mesh"));
    let name = if kind == "ServiceIntentions" {
        map.insert("destination".to_owned(), json!({ "name": name }));
        json!("any-name")
    } else {
        name
    };
    let resource = json!({
        "apiVersion": "consul.hashicorp.com/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    yaml(&resource, 0)
}

/// What a server adds to each entry that it is asked for.
fn stored(entry: &Value) -> String {
    let nanos = |text: &str| json!(duration::parse(text).expect("a duration").nanos);
    let mut entry = renamed(entry, str::to_owned, nanos);
    for (key, value) in [("CreateIndex", json!(7)), ("ModifyIndex", json!(9)), ("Hash", json!(u64::MAX))] {
        entry[key] = value;
    }
    entry["Status"] = json!({ "Conditions": null });
    entry.to_string()
}

/// The entries of a file with nothing worse than warnings, as if they stood nowhere and had no Meta.
fn placeless(name: &str, text: &str) -> EntrySet {
    let (config, problems) = read(&[(name, text)]);
    let errors: Vec<_> = problems.iter().filter(|it| !it.contains(": warning: ")).collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    let mut set = Arc::unwrap_or_clone(config.entries);
    macro_rules! clear {
        ($($entries:expr),*) => {$(
            for entry in $entries {
                entry.place = Place::default();
                entry.meta.clear();
            }
        )*};
    }
    clear!(
        set.routers.values_mut(),
        set.splitters.values_mut(),
        set.resolvers.values_mut(),
        set.defaults.values_mut(),
        set.proxy_defaults.iter_mut(),
        set.mesh.iter_mut(),
        set.exported.iter_mut(),
        set.intentions.values_mut(),
        set.jwt_providers.values_mut(),
        set.sameness_groups.values_mut()
    );
    set
}

#[test]
fn an_entry_is_the_same_in_every_form() {
    for (kind, entry) in entries::all() {
        let expected = placeless("api.json", &entry.to_string());
        assert_ne!(expected, EntrySet::default(), "{kind}");
        let text = |text: &str| json!(text);
        let snakes = renamed(&entry, snake, text);
        for (form, name, written) in [
            ("as a server has it", "stored.json", stored(&entry)),
            ("HCL, CamelCase attributes", "a.hcl", attributes(&entry)),
            ("HCL, CamelCase blocks", "b.hcl", blocks(&entry)),
            ("HCL, snake_case attributes", "c.hcl", attributes(&snakes)),
            ("HCL, snake_case blocks", "d.hcl", blocks(&snakes)),
            ("JSON, snake_case", "e.json", snakes.to_string()),
            ("bootstrap", "f.hcl", format!("config_entries {{ bootstrap {{\n{}}} }}", blocks(&snakes))),
            ("Kubernetes", "g.yaml", resource(kind, &entry)),
        ] {
            let read = placeless(name, &written);
            assert!(read == expected, "{kind} {form}\n{written}\n{read:#?}\n{expected:#?}");
        }
    }
}

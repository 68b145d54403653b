//! One configuration as HCL, as JSON and as YAML: the same values in the clothes of each format.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// How a configuration is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// Blocks, as Consul's own examples have it.
    Hcl,
    /// As Consul's API has it, indented.
    Json,
    /// Entries as custom resources of Kubernetes.
    Yaml,
}

impl Format {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Hcl, Self::Json, Self::Yaml];

    /// Of its files' names.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Hcl => "hcl",
            Self::Json => "json",
            Self::Yaml => "yaml",
        }
    }

    /// A file with an agent's settings and registrations, and these entries.
    pub(crate) fn agent(self, settings: &Value, entries: &[Value]) -> String {
        let mut text = String::new();
        if self == Self::Yaml {
            for document in std::iter::once(settings.clone()).chain(entries.iter().map(resource)) {
                text.push_str("---\n");
                yaml(&document, 0, &mut text);
            }
            return text;
        }
        let mut whole = settings.as_object().cloned().unwrap_or_default();
        if !entries.is_empty() {
            whole.insert("config_entries".to_owned(), json!({"bootstrap": entries}));
        }
        match self {
            Self::Json => format!("{:#}\n", Value::Object(whole)),
            Self::Hcl | Self::Yaml => {
                hcl_pairs(&whole, 0, &mut text);
                text
            }
        }
    }
}

/// An entry as a custom resource.
fn resource(entry: &Value) -> Value {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let kind: String = text("Kind").split('-').map(capitalised).collect();
    let mut spec = entry.as_object().cloned().unwrap_or_default();
    spec.retain(|key, _| key != "Kind" && key != "Name");
    let mut spec = camel(&Value::Object(spec));
    if kind == "ServiceIntentions" {
        spec["destination"] = json!({"name": text("Name")});
    }
    json!({
        "apiVersion": "consul.hashicorp.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": text("Name")},
        "spec": spec,
    })
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

/// Keys as Kubernetes has them: `PathPrefix` is `pathPrefix`.
fn camel(value: &Value) -> Value {
    let key = |key: &str| {
        let word = key.find(|c: char| c.is_ascii_lowercase()).map_or(key.len(), |at| at.max(1));
        key[..word].to_ascii_lowercase() + &key[word..]
    };
    match value {
        Value::Object(map) => Value::Object(map.iter().map(|(name, it)| (key(name), camel(it))).collect()),
        Value::Array(items) => items.iter().map(camel).collect(),
        scalar => scalar.clone(),
    }
}

fn indent(depth: usize, out: &mut String) {
    (0..depth).for_each(|_| out.push_str("  "));
}

/// `key = value`, and blocks where maps are fields.
fn hcl_pairs(map: &Map<String, Value>, depth: usize, out: &mut String) {
    for (key, value) in map {
        indent(depth, out);
        let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let written = if bare { key.clone() } else { format!("{key:?}") };
        let equals = if value.is_object() { " " } else { " = " };
        let _ = write!(out, "{written}{equals}");
        hcl_value(value, depth, out);
        out.push('\n');
    }
}

fn hcl_value(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push_str("{\n");
            hcl_pairs(map, depth + 1, out);
            indent(depth, out);
            out.push('}');
        }
        Value::Array(items) => {
            out.push_str("[\n");
            for item in items {
                indent(depth + 1, out);
                hcl_value(item, depth + 1, out);
                out.push_str(",\n");
            }
            indent(depth, out);
            out.push(']');
        }
        scalar => drop(write!(out, "{scalar}")),
    }
}

/// Block style; strings are quoted only where they would be something else.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                indent(depth, out);
                let written = if key == "*" { "\"*\"" } else { key };
                let _ = write!(out, "{written}:");
                yaml_inner(value, depth + 1, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                indent(depth, out);
                out.push('-');
                yaml_inner(item, depth + 1, out);
            }
        }
        scalar => {
            let _ = writeln!(out, "{scalar}");
        }
    }
}

fn yaml_inner(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            yaml(value, depth, out);
        }
        Value::String(text) if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '/' || c == '-') => {
            let _ = writeln!(out, " {text}");
        }
        scalar => {
            let _ = writeln!(out, " {scalar}");
        }
    }
}

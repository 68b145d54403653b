//! `EnvoyExtensions`, which a compiled chain shows and which have no effect here.

use serde_json::{Map, Number, Value as Json};

use super::super::fields::Fields;
use crate::entry::EnvoyExtension;
use crate::syntax::{Node, Value};

/// Those of Consul's community edition.
const BUILT_IN: [&str; 6] = [
    "builtin/aws/lambda",
    "builtin/ext-authz",
    "builtin/lua",
    "builtin/otel-access-logging",
    "builtin/property-override",
    "builtin/wasm",
];

pub(super) fn read(fields: &mut Fields<'_>) -> Vec<EnvoyExtension> {
    let Some(item) = fields.take("EnvoyExtensions").filter(|item| !item.is_empty()) else {
        return Vec::new();
    };
    item.warn("Envoy's extensions have no effect here");
    let maps = item.list().into_iter().enumerate();
    maps.filter_map(|(i, item)| Some(extension(item.fields()?, i))).collect()
}

fn extension(mut map: Fields<'_>, i: usize) -> EnvoyExtension {
    let owner = format!("invalid EnvoyExtensions[{i}]");
    let name = match map.take("Name").filter(|item| !item.is_empty()) {
        Some(item) => item.word_exactly(&BUILT_IN, |text| {
            format!("{owner}[{text}]: name {text:?} is not a built-in extension")
        }),
        None => {
            map.item.error(format!("{owner}: Name is required"));
            None
        }
    };
    let read = EnvoyExtension {
        name: name.unwrap_or_default().to_owned(),
        required: map.flag("Required"),
        arguments: map.take("Arguments").map(|item| json(item.node())).unwrap_or_default(),
        consul_version: map.string("ConsulVersion").unwrap_or_default(),
        envoy_version: map.string("EnvoyVersion").unwrap_or_default(),
    };
    map.finish();
    read
}

/// An opaque value as it stands; a key that was repeated (blocks) holds a list.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Number(number) => {
            let float = || number.as_f64().and_then(Number::from_f64);
            number.as_i64().map(Number::from).or_else(float).map_or(Json::Null, Json::Number)
        }
        Value::String(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(pairs) => {
            let mut map = Map::new();
            for (key, node) in pairs {
                match map.get_mut(&key.name) {
                    None => drop(map.insert(key.name.clone(), json(node))),
                    Some(Json::Array(items)) => items.push(json(node)),
                    Some(first) => *first = Json::Array(vec![first.take(), json(node)]),
                }
            }
            Json::Object(map)
        }
    }
}

//! Text to tree: HCL, JSON and YAML become one [`Node`] tree whose every value knows its place.
//!
//! Here: what the bytes say, and where. Hostile bytes end in one [`Problem`], in bounded time and memory: size,
//! nesting and number of values are limited before or while they are read ([`limit`]). `entry::read` and `load`
//! build on it. Kept out: what a key means; files are read by the shell.

mod hcl;
mod json;
mod nearest;
mod text;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use nearest::nearest;
use text::Source;

use crate::problem::{Place, Problem};

/// What a file may ask of us. Consul keeps entries under 512 KiB; these leave room for a whole catalog in one file
/// (50,000 instances take about 50 MB and 2 million values).
pub mod limit {
    /// Bytes of one file.
    pub const FILE_BYTES: usize = 64 << 20;
    /// Maps and lists within each other. Consul's deepest entry needs 10.
    pub const DEPTH: usize = 100;
    /// Values in one file, those that YAML's aliases repeat included. They and what is made of them stay under a
    /// gigabyte.
    pub const VALUES: usize = 3_000_000;
    /// Commas and opening brackets of one YAML file. Until a flow collection's end shows that it is no key, the parser
    /// keeps all of its tokens, some 500 bytes for each of these.
    pub const YAML_FLOW: usize = 1_000_000;
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, or nothing at all in YAML.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// Any number.
    Number(Number),
    /// Text.
    String(String),
    /// In order.
    List(Vec<Node>),
    /// In order, a repeated key (an HCL block, say) once for each time.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// As written.
    pub name: String,
    /// Where it starts.
    pub place: Place,
}

/// A number as it was written, so that neither large integers nor `1.10` as a text lose anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Number(Box<str>);

impl Number {
    /// Takes a decimal number such as `-12`, `0.5` or `1e3`, and nothing else (no `NaN`, no `inf`).
    pub(crate) fn decimal(text: &str) -> Option<Self> {
        let shaped = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        (shaped && text.parse::<f64>().is_ok()).then(|| Self(text.into()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest float; None when it is too large for one.
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The integer, when it is one that fits. `5.0` is one, as in JSON.
    pub fn as_i64(&self) -> Option<i64> {
        let text = self.0.strip_prefix('+').unwrap_or(&self.0);
        if let Ok(integer) = text.parse() {
            return Some(integer);
        }
        let float = self.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Some(float as i64)
    }
}

impl Value {
    /// Whether there is nothing in it: null, an empty text, list or map.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::String(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(pairs) => pairs.is_empty(),
            Self::Bool(_) | Self::Number(_) => false,
        }
    }

    /// What it is, for a message such as `is a list, not a string`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// HCL 1, as Consul reads it.
    Hcl,
    /// Strict JSON.
    Json,
    /// YAML 1.2, several documents a file.
    Yaml,
}

impl Format {
    /// By the ending of a file's name; None for files that are no configuration.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "hcl" => Some(Self::Hcl),
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// Reads a file's documents: at most one in HCL and JSON, none when the file is empty. A file with an error
/// gives the documents before it at most; its problems say where it stands.
pub fn parse(file: &Arc<PathBuf>, format: Format, bytes: &[u8]) -> (Vec<Node>, Vec<Problem>) {
    let source = match Source::new(file, bytes) {
        Ok(source) => source,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let first = source.text.trim_start().bytes().next();
    match (format, first) {
        (_, None) => (Vec::new(), Vec::new()),
        // Consul's HCL reader takes JSON as well and goes by the first character.
        (Format::Json, _) | (Format::Hcl, Some(b'{')) => json::parse(&source),
        (Format::Hcl, _) => hcl::parse(&source),
        (Format::Yaml, _) => yaml::parse(&source),
    }
}

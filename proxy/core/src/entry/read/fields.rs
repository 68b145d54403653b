//! The fields of one map, taken one by one: what is left over is unknown.
//!
//! A reader's code is thus its schema: each `take` reads a field and makes its name known for hints.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::item::{Form, Item};
use crate::duration::Signed;
use crate::problem::{Place, Problem};
use crate::syntax::{Key, Node, Value, nearest};

/// See the module.
pub(crate) struct Fields<'a> {
    /// The map itself.
    pub(crate) item: Item<'a>,
    left: Vec<Field<'a>>,
    known: Vec<&'static str>,
}

struct Field<'a> {
    key: &'a Key,
    node: &'a Node,
}

impl<'a> Fields<'a> {
    pub(super) fn new(item: Item<'a>, pairs: &'a [(Key, Node)]) -> Self {
        let field = |(key, node): &'a (Key, Node)| Field { key, node };
        // Room for the names of a registration, of which a catalog has as many as it has instances.
        Self { item, left: pairs.iter().map(field).collect(), known: Vec::with_capacity(32) }
    }

    pub(crate) fn place(&self) -> &'a Place {
        self.item.place()
    }

    /// The field of that name however its case and underscores were written.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Item<'a>> {
        if self.left.is_empty() {
            return None;
        }
        self.known.push(name);
        // Most names that a reader asks for are not there.
        let at = self.left.iter().position(|field| same(&field.key.name, name))?;
        let first = self.left.remove(at);
        let more = self.left.extract_if(at.., |field| same(&field.key.name, name));
        let more = more.map(|field| field.node).collect();
        let path = self.path_of(&first);
        let item = Item { node: first.node, more, path, sink: self.item.sink, form: self.item.form };
        Some(item.last_of_repeated())
    }

    /// From here on values are those of a config entry.
    pub(crate) fn read_as_entry(&mut self) {
        self.item.form = Form::Entry { at: self.item.path.len() };
    }

    /// From here on values are those of a custom resource.
    pub(crate) fn read_as_resource(&mut self) {
        self.item.form = Form::Resource;
    }

    /// A field that Consul does not know: refused where only Consul's are wanted.
    pub(crate) fn beyond(&mut self, name: &'static str) -> Option<Item<'a>> {
        let item = self.take(name)?;
        if item.sink.strict_consul && !item.is_empty() {
            item.error("Consul does not know this field (--strict-consul)");
        }
        Some(item)
    }

    /// Whether the field is there and holds something, without taking it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.left.iter().any(|field| same(&field.key.name, name) && !field.node.value.is_empty())
    }

    /// A field's text, without taking it and without a word about what else it may be.
    pub(crate) fn peek_text(&self, name: &str) -> Option<&'a str> {
        match &self.left.iter().find(|field| same(&field.key.name, name))?.node.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Fields that Consul knows and that have no meaning here.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Fields that Consul knows and that have no effect here: each is named in a warning.
    pub(crate) fn unused(&mut self, names: &[&'static str], why: &str) {
        for name in names {
            if let Some(item) = self.take(name).filter(|item| !item.is_empty()) {
                item.warn(why);
            }
        }
    }

    /// Names every field that nobody took, in the words that Consul has for it there.
    pub(crate) fn finish(self) {
        for field in &self.left {
            let (path, hint) = (self.path_of(field), self.hint(field));
            let message = match self.item.form {
                Form::Agent => format!("unknown field: invalid config key {path}{hint}"),
                Form::Entry { at } => {
                    let key = path.get(at..).unwrap_or(&path).trim_start_matches('.');
                    format!("unknown field: invalid config key {key:?}{hint}")
                }
                Form::Resource => format!("unknown field: invalid config key {path:?}{hint}"),
            };
            self.item.sink.push(Problem::error(&field.key.place, path, message));
        }
    }

    /// Names every field that nobody took in a warning: an opaque map may hold what only another proxy knows.
    pub(crate) fn finish_opaque(self) {
        for field in &self.left {
            let message = if field.key.name.to_ascii_lowercase().starts_with("envoy_") {
                "is Envoy's own and is not used".to_owned()
            } else {
                format!("is not known and is not used{}", self.hint(field))
            };
            self.item.sink.push(Problem::warning(&field.key.place, self.path_of(field), message));
        }
    }

    fn hint(&self, field: &Field<'_>) -> String {
        if self.item.sink.is_full() {
            return String::new();
        }
        let near = nearest(&field.key.name, self.known.iter().copied());
        near.map(|it| format!(", did you mean \"{}\"?", like(&field.key.name, it))).unwrap_or_default()
    }

    fn path_of(&self, field: &Field<'_>) -> String {
        match self.item.path.as_str() {
            "" => field.key.name.clone(),
            path => [path, ".", &field.key.name].concat(),
        }
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Option<String> {
        self.take(name)?.string()
    }

    /// A boolean, false when it is not given.
    pub(crate) fn flag(&mut self, name: &'static str) -> bool {
        self.take(name).and_then(|item| item.bool()).unwrap_or_default()
    }

    pub(crate) fn integer<T>(&mut self, name: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + Copy + Display + PartialOrd,
    {
        self.take(name)?.integer(range)
    }

    pub(crate) fn duration(&mut self, name: &'static str) -> Option<Signed> {
        self.take(name)?.duration()
    }

    pub(crate) fn timeout(&mut self, name: &'static str) -> Option<Duration> {
        self.take(name)?.timeout(name)
    }

    pub(crate) fn millis(&mut self, name: &'static str) -> Option<Duration> {
        self.take(name)?.millis()
    }

    pub(crate) fn name<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        self.take(name)?.name()
    }

    pub(crate) fn strings(&mut self, name: &'static str) -> Vec<String> {
        self.take(name).map(|item| item.strings()).unwrap_or_default()
    }

    /// Each item of a list of maps.
    pub(crate) fn maps(&mut self, name: &'static str) -> Vec<Fields<'a>> {
        let items = self.take(name).map(|item| item.list()).unwrap_or_default();
        items.iter().filter_map(Item::fields).collect()
    }

    pub(crate) fn map(&mut self, name: &'static str) -> Option<Fields<'a>> {
        self.take(name)?.fields()
    }
}

/// Case and underscores do not tell fields apart: `ConnectTimeout` is `connect_timeout` and `connectTimeout`.
pub(crate) fn same(a: &str, b: &str) -> bool {
    // Most names differ in their first letter, and a map may have thousands.
    let first = |name: &str| name.as_bytes().first().map(u8::to_ascii_lowercase);
    if first(a) != first(b) {
        return false;
    }
    if a == b {
        return true;
    }
    let folded = |name| str::bytes(name).filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase());
    folded(a).eq(folded(b))
}

/// `name` in the style that `written` is in.
fn like(written: &str, name: &str) -> String {
    if written.contains('_') || !written.contains(char::is_uppercase) {
        snake(name)
    } else if written.starts_with(char::is_uppercase) {
        if name.contains(char::is_uppercase) { name.to_owned() } else { camel(name) }
    } else {
        let upper = if name.contains(char::is_uppercase) { name.to_owned() } else { camel(name) };
        let words = snake(&upper);
        let first = words.find('_').unwrap_or(words.len());
        upper.get(..first).map(str::to_lowercase).unwrap_or_default() + upper.get(first..).unwrap_or_default()
    }
}

fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let starts_word = i > 0 && {
            let (before, after) = (chars[i - 1], chars.get(i + 1));
            let ends_acronym = before.is_uppercase() && after.is_some_and(|c| c.is_lowercase());
            (c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit() || ends_acronym))
                || (c.is_ascii_digit() && before.is_lowercase())
        };
        if starts_word {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut chars = word.chars();
            chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_written_the_way_the_operator_writes() {
        for (written, name, expected) in [
            ("Wieght", "Weight", "Weight"),
            ("wieght", "Weight", "weight"),
            ("conect_timeout", "ConnectTimeout", "connect_timeout"),
            ("conectTimeout", "ConnectTimeout", "connectTimeout"),
            ("externalSNi", "ExternalSNI", "externalSNI"),
            ("external_sn", "ExternalSNI", "external_sni"),
            ("Enforcing5xx", "EnforcingConsecutive5xx", "EnforcingConsecutive5xx"),
            ("enforcing_5xx", "EnforcingConsecutive5xx", "enforcing_consecutive_5xx"),
            ("LocalBindPrt", "local_bind_port", "LocalBindPort"),
        ] {
            assert_eq!(like(written, name), expected, "{written}");
        }
    }
}

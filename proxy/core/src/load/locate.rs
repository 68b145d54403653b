//! Where a field of an entry stands in its file, found again when somebody asks.
//!
//! Entries keep one place each. What is found out later (a shadowed route, the origin of a timeout) is to be shown at
//! the very field, so the file is read again: that costs a command a few milliseconds and the data plane nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::File;
use crate::entry::read::same;
use crate::problem::Place;
use crate::syntax::{self, Format, Node, Value};

/// Finds fields in the files that a configuration was read from. A file is parsed once, when it is first asked for.
pub struct Locator<'a> {
    files: &'a [File],
    parsed: RefCell<HashMap<Arc<PathBuf>, Rc<[Node]>>>,
}

impl<'a> Locator<'a> {
    /// `files` are those that were loaded.
    pub fn new(files: &'a [File]) -> Self {
        Self { files, parsed: RefCell::default() }
    }

    /// Where `field` of the entry or registration at `entry` stands, such as `Routes[3].Match.HTTP.PathPrefix` or
    /// `Failover["*"].Targets[0]`, in the words that problems use. A field that is not written is looked for as far
    /// as its path goes; without any of it the answer is `entry`.
    pub fn place(&self, entry: &Place, field: &str) -> Place {
        let documents = self.documents(&entry.file);
        let Some(root) = documents.iter().find_map(|document| root_at(document, entry)) else {
            return entry.clone();
        };
        let mut at = vec![root];
        let mut found = None;
        for step in Steps(field) {
            at = step.from(&at);
            let Some(first) = at.first() else { break };
            found = Some(&first.place);
        }
        found.unwrap_or(entry).clone()
    }

    fn documents(&self, path: &Arc<PathBuf>) -> Rc<[Node]> {
        if let Some(parsed) = self.parsed.borrow().get(path) {
            return Rc::clone(parsed);
        }
        let file = self.files.iter().find(|file| file.path == **path);
        let format = Format::of(path).filter(|_| file.is_some());
        let documents = file.zip(format).map(|(file, format)| syntax::parse(path, format, &file.bytes).0);
        let documents: Rc<[Node]> = documents.unwrap_or_default().into();
        self.parsed.borrow_mut().insert(Arc::clone(path), Rc::clone(&documents));
        documents
    }
}

/// The map whose fields an entry's paths begin at: an entry is known by the place of its kind, a registration by its
/// own. A custom resource has its fields under `spec`.
fn root_at<'n>(node: &'n Node, entry: &Place) -> Option<&'n Node> {
    match &node.value {
        Value::List(items) => items.iter().find_map(|item| root_at(item, entry)),
        Value::Map(pairs) => {
            let is_entry =
                || pairs.iter().any(|(key, value)| same(&key.name, "Kind") && value.place == *entry);
            if node.place == *entry || is_entry() {
                let is_resource = pairs.iter().any(|(key, _)| key.name == "apiVersion");
                let spec = pairs.iter().find(|(key, _)| is_resource && key.name == "spec");
                return Some(spec.map_or(node, |(_, spec)| spec));
            }
            pairs.iter().find_map(|(_, value)| root_at(value, entry))
        }
        _ => None,
    }
}

/// One step of a path: `.Name`, `[3]` or `["name"]`.
enum Step<'p> {
    Field(&'p str),
    Index(usize),
    Key(&'p str),
}

impl Step<'_> {
    /// What the step leads to from a value, which a repeated block has several of.
    fn from<'n>(&self, values: &[&'n Node]) -> Vec<&'n Node> {
        let named = |test: &dyn Fn(&str) -> bool| {
            let maps = items(values).into_iter().filter_map(|node| match &node.value {
                Value::Map(pairs) => Some(pairs),
                _ => None,
            });
            maps.flatten().filter(|(key, _)| test(&key.name)).map(|(_, node)| node).collect()
        };
        match self {
            Self::Field(name) => named(&|key| same(key, name)),
            Self::Key(name) => named(&|key| key == *name),
            Self::Index(index) => items(values).get(*index).copied().into_iter().collect(),
        }
    }
}

/// The items of a list; a value that is no list is a list of one, and repeated blocks are one list.
fn items<'n>(values: &[&'n Node]) -> Vec<&'n Node> {
    let mut all = Vec::new();
    for node in values {
        match &node.value {
            Value::List(items) => all.extend(items),
            _ => all.push(*node),
        }
    }
    all
}

/// The steps of a path; what cannot be read ends them.
struct Steps<'p>(&'p str);

impl<'p> Iterator for Steps<'p> {
    type Item = Step<'p>;

    fn next(&mut self) -> Option<Step<'p>> {
        if let Some(quoted) = self.0.strip_prefix("[\"") {
            let (name, rest) = quoted.split_once("\"]")?;
            self.0 = rest;
            return Some(Step::Key(name));
        }
        if let Some(number) = self.0.strip_prefix('[') {
            let (number, rest) = number.split_once(']')?;
            self.0 = rest;
            return number.parse().ok().map(Step::Index);
        }
        let path = self.0.strip_prefix('.').unwrap_or(self.0);
        let (name, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
        self.0 = rest;
        (!name.is_empty()).then_some(Step::Field(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, entry: (u32, u32), fields: &[(&str, u32, u32)]) {
        let files = [File { path: name.into(), bytes: text.into() }];
        let at = |(line, column)| Place { file: Arc::new(name.into()), line, column };
        let locator = Locator::new(&files);
        for (field, line, column) in fields {
            assert_eq!(locator.place(&at(entry), field), at((*line, *column)), "{field} of {text}");
        }
    }

    #[test]
    fn a_field_is_found_however_the_entry_is_written() {
        let hcl = "Kind = \"service-resolver\"\nName = \"web\"\nFailover = {\n  \"*\" = { Targets = [\n    { Peer = \"a\" },\n    { peer = \"b\" } ] } }\n";
        check(
            "web.hcl",
            hcl,
            (1, 8),
            &[
                ("Name", 2, 8),
                ("Failover[\"*\"].Targets[1].Peer", 6, 14),
                ("Failover[\"*\"].Targets[1].Service", 6, 5),
                ("Failover[\"*\"].Targets[7]", 4, 21),
                ("ConnectTimeout", 1, 8),
            ],
        );
        let yaml = "apiVersion: consul.hashicorp.com/v1alpha1\nkind: ServiceRouter\nmetadata:\n  name: web\nspec:\n  routes:\n    - match:\n        http:\n          pathPrefix: /a\n";
        check("web.yaml", yaml, (2, 7), &[("Routes[0].Match.HTTP.PathPrefix", 9, 23)]);
        let json = "{\"config_entries\": {\"bootstrap\": [\n{\"kind\": \"service-splitter\", \"splits\": [{\"weight\": 100}]}]}}";
        check("agent.json", json, (2, 10), &[("Splits[0].Weight", 2, 52)]);
    }

    #[test]
    fn repeated_blocks_are_counted_as_one_list() {
        let hcl = "Kind = \"service-router\"\nRoutes { Match { HTTP { PathExact = \"/a\" } } }\nRoutes { Match { HTTP { PathExact = \"/b\" } } }\n";
        check("web.hcl", hcl, (1, 8), &[("Routes[1].Match.HTTP.PathExact", 3, 37)]);
    }

    #[test]
    fn a_registration_is_found_by_its_own_place() {
        let hcl = "service {\n  name = \"web\"\n  port = 80\n}\n";
        let files = [File { path: "a.hcl".into(), bytes: hcl.into() }];
        let (config, problems) = super::super::load(&files);
        assert_eq!(problems, []);
        let place = &config.registrations.first().expect("one registration").place;
        assert_eq!(Locator::new(&files).place(place, "port").line, 3);
    }

    #[test]
    fn what_is_not_there_is_at_the_entry() {
        let place = Place { file: Arc::new("gone.hcl".into()), line: 3, column: 1 };
        assert_eq!(Locator::new(&[]).place(&place, "Name"), place);
    }
}

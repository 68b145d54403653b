//! One value of an entry and what may be read from it; each wrong one becomes a problem with place and path.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::fields::Fields;
use crate::duration::{self, Signed};
use crate::problem::{Place, Problem, Severity};
use crate::syntax::{Key, Node, Number, Value, nearest};

/// Where problems are put while a directory is read.
#[derive(Default)]
pub(crate) struct Sink {
    /// Whether fields that Consul does not know are errors.
    pub(super) strict_consul: bool,
    problems: RefCell<Vec<Problem>>,
    /// How many more there were, and the worst of them.
    left_out: Cell<Option<(usize, Severity)>>,
}

impl Sink {
    /// No operator reads more, and a hostile file could hold a million.
    const MOST: usize = 1_000;

    /// For a directory that Consul is to understand, too, or for one of ours.
    pub(crate) fn new(strict_consul: bool) -> Self {
        Self { strict_consul, ..Self::default() }
    }

    pub(crate) fn push(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < Self::MOST {
            problems.push(problem);
        } else {
            let (count, worst) = self.left_out.get().unwrap_or((0, Severity::Warning));
            self.left_out.set(Some((count + 1, worst.min(problem.severity))));
        }
    }

    /// Whether more problems are only counted, so that there is no use in looking for hints.
    pub(crate) fn is_full(&self) -> bool {
        self.left_out.get().is_some()
    }

    /// How many problems there are so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.borrow().len() + self.left_out.get().map_or(0, |(count, _)| count)
    }

    /// All problems, then how many more there were and the worst of them.
    pub(crate) fn finish(self) -> (Vec<Problem>, Option<(usize, Severity)>) {
        (self.problems.into_inner(), self.left_out.get())
    }
}

/// What stands at one path of a document. A key that was repeated (blocks) has more than one value.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    pub(super) node: &'a Node,
    pub(super) more: Vec<&'a Node>,
    pub(super) path: String,
    pub(super) sink: &'a Sink,
    pub(super) form: Form,
}

/// What a value is a part of: Consul reads each in its own way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// An agent's file, registrations included.
    Agent,
    /// A config entry, whose values are read weakly: a text that holds a number counts as that number, and the like.
    Entry {
        /// How much of a path leads to the entry: Consul's names of fields begin there.
        at: usize,
    },
    /// A custom resource of Kubernetes.
    Resource,
}

impl<'a> Item<'a> {
    /// The root of a document, or a part of it whose path starts anew.
    pub(crate) fn root(node: &'a Node, path: &str, sink: &'a Sink) -> Self {
        Self { node, more: Vec::new(), path: path.to_owned(), sink, form: Form::Agent }
    }

    /// Another value below this one.
    fn child(&self, node: &'a Node, path: String) -> Self {
        Self { node, more: Vec::new(), path, sink: self.sink, form: self.form }
    }

    pub(crate) fn node(&self) -> &'a Node {
        self.node
    }

    fn is_weak(&self) -> bool {
        matches!(self.form, Form::Entry { .. })
    }

    pub(crate) fn place(&self) -> &'a Place {
        &self.node.place
    }

    pub(crate) fn error(&self, message: impl Into<String>) {
        self.sink.push(Problem::error(&self.node.place, self.path.as_str(), message));
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.sink.push(Problem::warning(&self.node.place, self.path.as_str(), message));
    }

    /// Whether there is nothing in it: null, an empty text, list or map.
    pub(crate) fn is_empty(&self) -> bool {
        self.node.value.is_empty()
    }

    fn is_not(&self, wanted: &str) {
        let hint = match &self.node.value {
            Value::Number(number) if wanted == "a string" => format!(": write \"{}\"", number.as_str()),
            Value::Bool(bool) if wanted == "a string" => format!(": write \"{bool}\""),
            Value::String(text) if wanted == "a number" && text.parse::<f64>().is_ok() => {
                format!(": write {text} without quotes")
            }
            Value::String(text) if wanted == "true or false" && matches!(text.as_str(), "true" | "false") => {
                format!(": write {text} without quotes")
            }
            _ => String::new(),
        };
        self.error(format!("is {} where {wanted} is expected{hint}", self.node.value.kind()));
    }

    /// Names a value of another type than the field's, and what Consul makes of it.
    fn read_as(&self, read: &str) {
        self.warn(format!("is {}: read as {read}, as in Consul", self.node.value.kind()));
    }

    /// Of scalars that were given more than once the last counts, as in Consul.
    pub(super) fn last_of_repeated(mut self) -> Self {
        let scalar = |node: &Node| !matches!(node.value, Value::List(_) | Value::Map(_));
        if let Some(last) = self.more.last()
            && scalar(self.node)
            && self.more.iter().all(|node| scalar(node))
        {
            let first = self.node.place.line;
            self.node = last;
            self.more.clear();
            self.warn(format!("is given twice, first on line {first}: the last counts"));
        }
        self
    }

    /// The value, when it is one scalar; a list of one counts as what it holds, as in Consul.
    fn scalar(&self) -> Option<&'a Value> {
        if let Some(again) = self.more.first() {
            self.sink.push(given_twice(&again.place, self.path.clone(), self.node.place.line));
            return None;
        }
        let value = match &self.node.value {
            Value::List(items) if items.len() == 1 => &items[0].value,
            value => value,
        };
        Some(value).filter(|value| !matches!(value, Value::Null))
    }

    /// A text; an empty one is none, as in Consul.
    pub(crate) fn string(&self) -> Option<String> {
        let text = match self.scalar()? {
            Value::String(text) => text.clone(),
            value if self.is_weak() => {
                let text = weak_text(value).or_else(|| {
                    self.is_not("a string");
                    None
                })?;
                self.read_as(&format!("{text:?}"));
                text
            }
            _ => {
                self.is_not("a string");
                return None;
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        let weak = match self.scalar()? {
            Value::Bool(bool) => return Some(*bool),
            Value::Number(number) if self.is_weak() => number.as_f64().map(|number| number != 0.0),
            Value::String(text) if self.is_weak() => match text.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
                "0" | "f" | "F" | "FALSE" | "false" | "False" | "" => Some(false),
                _ => None,
            },
            _ => None,
        };
        match weak {
            Some(bool) => self.read_as(&bool.to_string()),
            None => self.is_not("true or false"),
        }
        weak
    }

    /// A number as it was written.
    fn number(&self) -> Option<Number> {
        let weak = match self.scalar()? {
            Value::Number(number) => return Some(number.clone()),
            Value::String(text) if self.is_weak() => Number::decimal(text),
            Value::Bool(bool) if self.is_weak() => Number::decimal(if *bool { "1" } else { "0" }),
            _ => None,
        };
        match &weak {
            Some(number) => self.read_as(number.as_str()),
            None => self.is_not("a number"),
        }
        weak
    }

    pub(crate) fn float(&self) -> Option<f64> {
        let number = self.number()?;
        let float = number.as_f64();
        if float.is_none() {
            self.error(format!("{} is too large", number.as_str()));
        }
        float
    }

    /// An integer within `range`.
    pub(crate) fn integer<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + Copy + Display + PartialOrd,
    {
        let number = self.number()?;
        let fits = number.as_i64().and_then(|n| T::try_from(n).ok()).filter(|n| range.contains(n));
        if fits.is_none() {
            let (low, high) = (range.start(), range.end());
            self.error(format!("{} is out of range: an integer from {low} to {high}", number.as_str()));
        }
        fits
    }

    /// A Go duration, or an integer of nanoseconds.
    pub(crate) fn duration(&self) -> Option<Signed> {
        match self.scalar()? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => match duration::parse(text) {
                Ok(duration) => Some(duration),
                Err(error) => {
                    self.error(error.to_string());
                    None
                }
            },
            Value::Number(number) => {
                let nanos = number.as_i64();
                match nanos {
                    None => self.error(format!("{} is not a whole number of nanoseconds", number.as_str())),
                    Some(1..1_000_000) => self.warn(format!(
                        "{} is that many nanoseconds: write \"{}s\" for seconds",
                        number.as_str(),
                        number.as_str()
                    )),
                    Some(_) => {}
                }
                nanos.map(|nanos| Signed { nanos })
            }
            _ => {
                self.is_not("a duration such as \"15s\"");
                None
            }
        }
    }

    /// A duration that is not negative. `name` is how Consul's message calls it.
    pub(crate) fn timeout(&self, name: &str) -> Option<Duration> {
        let signed = self.duration()?;
        if signed.nanos < 0 {
            self.error(format!("Bad {name} '{}', must be >= 0", duration::format(signed.nanos)));
        }
        signed.to_duration()
    }

    /// An integer of milliseconds.
    pub(crate) fn millis(&self) -> Option<Duration> {
        self.integer(0..=u32::MAX).map(|ms| Duration::from_millis(u64::from(ms)))
    }

    /// A name of some kind; an empty one is none.
    pub(crate) fn name<T: FromStr<Err: Display>>(&self) -> Option<T> {
        match self.string()?.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.error(error.to_string());
                None
            }
        }
    }

    /// One of the words of `known`, in any case; the word as listed.
    pub(crate) fn word(&self, known: &[&'static str]) -> Option<&'static str> {
        let text = self.string()?;
        let found = known.iter().find(|word| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            self.error(not_among(&text, known));
        }
        found.copied()
    }

    /// One of the words of `known`, as it stands there. `fault` is what Consul says of another one.
    pub(crate) fn word_exactly(
        &self,
        known: &[&'static str],
        fault: impl FnOnce(&str) -> String,
    ) -> Option<&'static str> {
        let text = self.string()?;
        let found = known.iter().find(|word| **word == text);
        if found.is_none() {
            self.error(format!("{}{}", fault(&text), hint(&text, known)));
        }
        found.copied()
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.string().map(PathBuf::from)
    }

    /// Each item of a list. A value that is no list is a list of one; repeated blocks are one list.
    pub(crate) fn list(&self) -> Vec<Item<'a>> {
        let alone = self.more.is_empty() && !matches!(self.node.value, Value::List(_));
        let mut nodes = Vec::new();
        for node in std::iter::once(self.node).chain(self.more.iter().copied()) {
            match &node.value {
                Value::Null => {}
                Value::List(items) => nodes.extend(items.iter()),
                _ => nodes.push(node),
            }
        }
        let item = |(i, node): (usize, &'a Node)| {
            self.child(node, if alone { self.path.clone() } else { indexed(&self.path, i) })
        };
        nodes.into_iter().enumerate().map(item).collect()
    }

    /// Each text of a list; a text alone is a list of one.
    pub(crate) fn strings(&self) -> Vec<String> {
        let wrong = match self.node.value {
            Value::Bool(_) | Value::Number(_) => !self.is_weak(),
            Value::Map(_) => true,
            _ => false,
        };
        if wrong {
            self.is_not("a list of strings");
            return Vec::new();
        }
        self.list().iter().filter_map(Item::string).collect()
    }

    /// The keys of a map whose keys are the operator's own, each with its value. A list of maps is one map.
    pub(crate) fn pairs(&self) -> Vec<(&'a Key, Item<'a>)> {
        let mut index: HashMap<&str, usize> = HashMap::new();
        let mut pairs: Vec<(&'a Key, Item<'a>)> = Vec::new();
        for item in self.list() {
            match &item.node.value {
                Value::Map(map) => {
                    for (key, node) in map {
                        match index.entry(&key.name) {
                            Entry::Occupied(at) => pairs[*at.get()].1.more.push(node),
                            Entry::Vacant(vacant) => {
                                vacant.insert(pairs.len());
                                pairs.push((key, self.child(node, format!("{}[{:?}]", self.path, key.name))));
                            }
                        }
                    }
                }
                Value::Null => {}
                _ => item.is_not("a map"),
            }
        }
        pairs.into_iter().map(|(key, item)| (key, item.last_of_repeated())).collect()
    }

    /// A map of texts. Where Consul would refuse a number or boolean, it counts as it is written.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let text = |item: &Item<'_>| match item.scalar()? {
            Value::String(text) => Some(text.clone()),
            value @ Value::Number(_) if item.is_weak() => weak_text(value),
            Value::Number(number) => Some(number.as_str().to_owned()),
            Value::Bool(bool) if !item.is_weak() => Some(bool.to_string()),
            Value::Bool(_) => item.string(),
            _ => {
                item.is_not("a string");
                None
            }
        };
        self.pairs().iter().filter_map(|(key, item)| Some((key.name.clone(), text(item)?))).collect()
    }

    /// The fields of a map whose keys are Consul's. Blocks that were repeated where one is wanted are an error.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        let mut items = self.list().into_iter();
        let first = items.next()?;
        if let Some(second) = items.next() {
            let line = first.node.place.line;
            let message = format!("is given twice where one map is expected, first on line {line}");
            self.sink.push(Problem::error(&second.node.place, self.path.as_str(), message));
        }
        match &first.node.value {
            Value::Map(pairs) => Some(Fields::new(self.child(first.node, self.path.clone()), pairs)),
            Value::Null => None,
            _ => {
                Item { path: self.path.clone(), ..first }.is_not("a map");
                None
            }
        }
    }
}

/// What Consul's weak decoding makes of a scalar where a text is wanted: a boolean is 1 or 0.
fn weak_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Some(integer.to_string()),
            None => number.as_f64().map(|float| float.to_string()),
        },
        Value::Bool(bool) => Some(if *bool { "1" } else { "0" }.to_owned()),
        Value::Null | Value::String(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// `path[i]`. Every value of a catalog has a path, so making one costs one allocation and no formatting.
fn indexed(path: &str, i: usize) -> String {
    const DIGITS: usize = 20;
    let mut text = String::with_capacity(path.len() + 2 + DIGITS);
    text.push_str(path);
    // Writing to a String cannot fail.
    let _ = write!(text, "[{i}]");
    text
}

fn given_twice(place: &Place, path: String, first: u32) -> Problem {
    Problem::error(place, path, format!("is given twice, first on line {first}"))
}

/// The message for a word that is none of those known.
fn not_among(text: &str, known: &[&str]) -> String {
    format!("{text:?} is none of {}{}", known.join(", "), hint(text, known))
}

/// `, did you mean "x"?`, or nothing.
pub(crate) fn hint(text: &str, known: &[&str]) -> String {
    let near = nearest(text, known.iter().copied());
    near.map(|it| format!(", did you mean {it:?}?")).unwrap_or_default()
}

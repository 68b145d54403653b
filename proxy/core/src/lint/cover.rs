//! Which requests a route's or a permission's criteria take, compared with another's.
//!
//! Three questions, each answered yes only when it can be proved from the text: whether one takes all that another
//! takes, whether no request can be taken by both, and whether none can be taken at all. A `no` proves nothing.
//! Kept out: the order of routes (`shadow`).

use std::cell::RefCell;
use std::collections::HashMap;

use super::path::{Path, Text};
use super::value::{Test, Value};
use crate::entry::{HeaderMatch, HttpMatch, JwtRequirement, QueryParamMatch};
use crate::table::{Headers, Matcher, RequestHead};

/// The criteria of one route or permission, ready to be compared.
pub(crate) struct Criteria<'a> {
    pub(super) path: Path,
    /// By canonical name.
    pub(super) headers: Vec<(String, Test<'a>)>,
    pub(super) query: Vec<(&'a str, Test<'a>)>,
    /// Upper-case; any when empty.
    methods: Vec<String>,
    /// What the request must prove besides.
    jwt: Option<&'a JwtRequirement>,
}

/// One pair in 64 criteria is soon found; hostile entries have thousands.
const MOST_PAIRED: usize = 64;

impl<'a> Criteria<'a> {
    /// Of `Match.HTTP`; none takes everything.
    pub(crate) fn new(http: Option<&'a HttpMatch>, jwt: Option<&'a JwtRequirement>) -> Self {
        let Some(http) = http else {
            return Self {
                path: Path::Any,
                headers: Vec::new(),
                query: Vec::new(),
                methods: Vec::new(),
                jwt,
            };
        };
        Self {
            path: Path::new(http),
            headers: http.header.iter().map(|it| (canonical(&it.name), header_test(it))).collect(),
            query: http.query_param.iter().map(|it| (it.name.as_str(), query_test(it))).collect(),
            methods: http.methods.iter().map(|it| it.to_ascii_uppercase()).collect(),
            jwt,
        }
    }

    /// Whether every request is taken.
    pub(crate) fn takes_all(&self) -> bool {
        matches!(self.path, Path::Any)
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.methods.is_empty()
            && self.jwt.is_none()
    }

    /// Whether every request that `other` takes is taken, as far as it can be proved.
    pub(crate) fn covers(&self, other: &Criteria<'_>, regexes: &Regexes) -> bool {
        let methods = self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|it| self.methods.contains(it));
        methods
            && (self.jwt.is_none() || self.jwt == other.jwt)
            && self.headers.iter().all(|(name, wanted)| {
                other.headers.iter().any(|(it, test)| it == name && test.implies(wanted, regexes))
            })
            && self.query.iter().all(|(name, wanted)| {
                other.query.iter().any(|(it, test)| it == name && test.implies(wanted, regexes))
            })
            && self.path.covers(&other.path, regexes)
    }

    /// Whether no request can be taken by both, as far as it can be proved.
    pub(crate) fn disjoint(&self, other: &Criteria<'_>, regexes: &Regexes) -> bool {
        let methods = !self.methods.is_empty()
            && !other.methods.is_empty()
            && !self.methods.iter().any(|it| other.methods.contains(it));
        let headers = || {
            self.headers.iter().any(|(name, test)| {
                other.headers.iter().any(|(it, other)| it == name && test.excludes(other, regexes))
            })
        };
        let query = || {
            self.query.iter().any(|(name, test)| {
                other.query.iter().any(|(it, other)| it == name && test.excludes(other, regexes))
            })
        };
        methods || self.path.disjoint(&other.path, regexes) || headers() || query()
    }

    /// The header or query parameter of which two things are asked that cannot both hold.
    pub(super) fn contradiction(&self, regexes: &Regexes) -> Option<String> {
        if self.headers.len() > MOST_PAIRED || self.query.len() > MOST_PAIRED {
            return None;
        }
        let header = pair(&self.headers, regexes).map(|name| format!("header {name}"));
        header.or_else(|| pair(&self.query, regexes).map(|name| format!("query parameter {name}")))
    }
}

/// The name of the first two tests that exclude each other.
fn pair<'n, N: AsRef<str> + PartialEq>(tests: &'n [(N, Test<'_>)], regexes: &Regexes) -> Option<&'n str> {
    tests.iter().enumerate().find_map(|(i, (name, test))| {
        let clashes = |(it, other): &(N, Test<'_>)| it == name && test.excludes(other, regexes);
        tests[..i].iter().any(clashes).then_some(name.as_ref())
    })
}

/// Names of headers are free in case, and HTTP/1's `host` is HTTP/2's `:authority`.
fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name == "host" { ":authority".to_owned() } else { name }
}

fn header_test(it: &HeaderMatch) -> Test<'_> {
    let value = Value::first([
        Value::exact(it.exact.as_deref()),
        Value::prefix(it.prefix.as_deref()),
        Value::suffix(it.suffix.as_deref()),
        Value::contains(it.contains.as_deref()),
        Value::regex(it.regex.as_deref()),
    ]);
    match (value, it.invert) {
        (None, false) => Test::Present,
        (None, true) => Test::Absent,
        (Some(value), false) => Test::Is(value.in_any_case(it.ignore_case)),
        (Some(value), true) => Test::IsNot(value.in_any_case(it.ignore_case)),
    }
}

fn query_test(it: &QueryParamMatch) -> Test<'_> {
    let value = Value::first([Value::exact(it.exact.as_deref()), Value::regex(it.regex.as_deref())]);
    value.map_or(Test::Present, Test::Is)
}

/// Regular expressions that were asked about, compiled once.
#[derive(Default)]
pub(crate) struct Regexes(RefCell<HashMap<String, Option<Matcher>>>);

impl Regexes {
    /// Each may take a megabyte; past so many, nothing is proved of one.
    const MOST: usize = 200;

    /// Whether the whole of `text` matches `pattern`. None when that cannot be said.
    pub(super) fn matches(&self, pattern: &str, text: &str) -> Option<bool> {
        let mut compiled = self.0.borrow_mut();
        if !compiled.contains_key(pattern) {
            if compiled.len() >= Self::MOST {
                return None;
            }
            let criteria = HttpMatch { path_regex: Some(pattern.to_owned()), ..HttpMatch::default() };
            compiled.insert(pattern.to_owned(), Matcher::compile(&criteria).ok());
        }
        let matcher = compiled.get(pattern)?.as_ref()?;
        let head = RequestHead { method: "GET", path: text, query: None, headers: &NoHeaders };
        Some(matcher.matches(&head))
    }
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn value(&self, _name: &str) -> Option<std::borrow::Cow<'_, [u8]>> {
        None
    }
}

/// What of an earlier rule's criteria a later one must share to be shadowed by it: the key that finds it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Key {
    /// Nothing is asked but path and method.
    Free,
    /// This header is asked for, with this very value if one is given.
    Header(String, Option<String>),
    /// This query parameter, likewise.
    Query(String, Option<String>),
}

impl Criteria<'_> {
    /// The most telling key of what is asked for here.
    pub(super) fn key(&self) -> Key {
        let value = |test: &Test<'_>| test.exactly().map(str::to_owned);
        let headers = || self.headers.iter().map(|(name, test)| Key::Header(name.clone(), value(test)));
        let query = || self.query.iter().map(|(name, test)| Key::Query((*name).to_owned(), value(test)));
        let telling = |key: &Key| matches!(key, Key::Header(_, Some(_)) | Key::Query(_, Some(_)));
        let exact = headers().chain(query()).find(telling);
        exact.or_else(|| headers().chain(query()).next()).unwrap_or(Key::Free)
    }

    /// The keys of whatever may cover this.
    pub(super) fn keys_above(&self) -> Vec<Key> {
        let mut keys = vec![Key::Free];
        for (name, test) in &self.headers {
            keys.push(Key::Header(name.clone(), None));
            keys.extend(test.exactly().map(|value| Key::Header(name.clone(), Some(value.to_owned()))));
        }
        for (name, test) in &self.query {
            keys.push(Key::Query((*name).to_owned(), None));
            keys.extend(test.exactly().map(|value| Key::Query((*name).to_owned(), Some(value.to_owned()))));
        }
        keys
    }
}

impl Path {
    fn covers(&self, other: &Path, regexes: &Regexes) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact(all), Self::Exact(it)) => all.equals(it),
            (Self::Prefix(all), Self::Exact(it) | Self::Prefix(it)) => all.begins(it),
            (Self::Prefix(all), Self::Regex { begins, .. }) => all.begins(begins),
            (Self::Regex { pattern: all, .. }, Self::Regex { pattern, .. }) => all == pattern,
            (Self::Regex { pattern, .. }, Self::Exact(Text { text, fold: false })) => {
                regexes.matches(pattern, text) == Some(true)
            }
            _ => false,
        }
    }

    fn disjoint(&self, other: &Path, regexes: &Regexes) -> bool {
        match (self, other) {
            (Self::Regex { pattern, .. }, Self::Exact(Text { text, fold: false }))
            | (Self::Exact(Text { text, fold: false }), Self::Regex { pattern, .. }) => {
                regexes.matches(pattern, text) == Some(false)
            }
            (Self::Exact(a), Self::Exact(b)) => !a.text.eq_ignore_ascii_case(&b.text),
            (Self::Exact(exact), Self::Prefix(prefix)) | (Self::Prefix(prefix), Self::Exact(exact)) => {
                !starts_in_any_case(&exact.text, &prefix.text)
            }
            (Self::Prefix(a), Self::Prefix(b) | Self::Regex { begins: b, .. })
            | (Self::Regex { begins: a, .. }, Self::Prefix(b) | Self::Regex { begins: b, .. }) => {
                !starts_in_any_case(&a.text, &b.text) && !starts_in_any_case(&b.text, &a.text)
            }
            _ => false,
        }
    }
}

fn starts_in_any_case(text: &str, prefix: &str) -> bool {
    let start = text.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

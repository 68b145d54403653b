//! Finding the first route that matches, among ten or ten thousand.
//!
//! Asking one route after the other costs 7 ns each: fine for a few, 70 µs for ten thousand. Found by an index the last
//! of 10, 100 and 10,000 prefixes takes 26, 32 and 48 ns (one core of a shared machine, without link-time optimisation;
//! leg and endpoint add 24). Beyond a few, routes with an exact path are found by hash and routes with a prefix by one search; only the others
//! are still asked in turn. The answer is that of asking all of them in order, which tests compare it with.

use std::collections::{BTreeMap, HashMap};

use super::matcher::PathTest;
use super::{RequestHead, Route};

/// Up to so many routes, asking them in turn is the cheaper way.
const FEW: usize = 4;

/// The routes of a router, in order. The last matches whatever the others leave.
#[derive(Debug, Default)]
pub(super) struct Routes {
    all: Box<[Route]>,
    index: Option<Index>,
}

/// Routes by path, each list ascending.
#[derive(Debug, Default)]
struct Index {
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Ascending by prefix.
    prefixes: Box<[Prefix]>,
    /// What all prefixes begin with.
    common: Box<str>,
    /// One a prefix: its next eight bytes. Searching these first touches one dense array instead of a text a step,
    /// and finds one of 10,000 in the time that one of 100 took.
    keys: Box<[u64]>,
    /// Expressions, paths in any case, and routes that do not ask for a path.
    others: Vec<usize>,
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    /// The longest of the other prefixes that this one begins with.
    parent: Option<usize>,
    routes: Vec<usize>,
}

impl Routes {
    pub(super) fn new(all: Vec<Route>) -> Self {
        let index = (all.len() > FEW).then(|| Index::new(&all));
        Self { all: all.into(), index }
    }

    pub(super) fn all(&self) -> &[Route] {
        &self.all
    }

    /// The index of the first route that matches; None only when there is no route. The last one is made up to
    /// match everything, so it is not asked: that way even `OPTIONS *` has a route.
    pub(super) fn first_match(&self, head: &RequestHead<'_>) -> Option<usize> {
        let (_, others) = self.all.split_last()?;
        let first = match &self.index {
            Some(index) => index.first_match(others, head),
            None => others.iter().position(|route| route.matcher.matches(head)),
        };
        Some(first.unwrap_or(others.len()))
    }
}

impl Index {
    fn new(all: &[Route]) -> Self {
        let mut index = Self::default();
        let mut prefixes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let others = &all[..all.len().saturating_sub(1)];
        for (number, route) in others.iter().enumerate() {
            match &route.matcher.path {
                PathTest::Exact(path) => index.exact.entry(path.clone()).or_default().push(number),
                PathTest::Prefix(prefix) => prefixes.entry(prefix).or_default().push(number),
                PathTest::Never => {}
                PathTest::Any | PathTest::ExactFolded(_) | PathTest::PrefixFolded(_) | PathTest::Regex(_) => {
                    index.others.push(number);
                }
            }
        }
        // In ascending order a prefix comes right before all that begin with it, so those that the next one may
        // begin with are the last one and its ancestors.
        let mut made: Vec<Prefix> = Vec::with_capacity(prefixes.len());
        for (text, routes) in prefixes {
            let mut parent = made.len().checked_sub(1);
            while let Some(at) = parent.filter(|at| !text.starts_with(&*made[*at].text)) {
                parent = made[at].parent;
            }
            made.push(Prefix { text: text.into(), parent, routes });
        }
        let (first, last) = (made.first(), made.last());
        index.common = first.zip(last).map_or("", |(first, last)| common(&first.text, &last.text)).into();
        index.keys = made.iter().map(|prefix| key(&prefix.text[index.common.len()..])).collect();
        index.prefixes = made.into();
        index
    }

    fn first_match(&self, routes: &[Route], head: &RequestHead<'_>) -> Option<usize> {
        let mut best = None;
        let mut consider = |list: &[usize]| {
            let open = list.iter().take_while(|number| best.is_none_or(|best| **number < best));
            let mut matching = open.copied().filter(|number| routes[*number].matcher.matches(head));
            best = matching.next().or(best);
        };
        if let Some(list) = self.exact.get(head.path) {
            consider(list);
        }
        // All prefixes of the path are among the greatest one that is not above it, and its ancestors.
        let mut at = self.not_above(head.path);
        while let Some(prefix) = at.map(|at| &self.prefixes[at]) {
            if head.path.starts_with(&*prefix.text) {
                consider(&prefix.routes);
            }
            at = prefix.parent;
        }
        consider(&self.others);
        best
    }

    /// The greatest prefix that is not above `path`; None also when no prefix can be one of `path`.
    fn not_above(&self, path: &str) -> Option<usize> {
        let key = key(path.strip_prefix(&*self.common)?);
        let start = self.keys.partition_point(|other| *other < key);
        let level = self.keys[start..].partition_point(|other| *other == key);
        let among = self.prefixes[start..start + level].partition_point(|prefix| *prefix.text <= *path);
        (start + among).checked_sub(1)
    }
}

/// What the least and the greatest of sorted texts, and so all between them, begin with.
fn common<'a>(least: &'a str, greatest: &str) -> &'a str {
    let same = least.char_indices().zip(greatest.chars()).find(|((_, a), b)| a != b);
    &least[..same.map_or(least.len().min(greatest.len()), |((at, _), _)| at)]
}

/// The first eight bytes as a number that sorts as they do.
fn key(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    u64::from_be_bytes(bytes)
}

//! Rules of which the first that matches decides, and those among them that never get to.
//!
//! Ten thousand routes must not cost a hundred million comparisons: earlier rules are found by what a later one
//! must share with them, its path first, then one header or query parameter. What hostile rules still make too many
//! candidates of is given up on: a shadow that is not found costs a warning, not a minute.

use std::collections::HashMap;

use super::cover::{Criteria, Key, Regexes};
use super::path::{Path, Text};

/// Comparisons among the rules of one list before the rest goes unchecked: less than a second.
const MOST_COMPARISONS: usize = 4_000_000;

/// For each of `rules`, the first of those before it that takes every request that it would take.
pub(crate) fn shadows(rules: &[Criteria<'_>], regexes: &Regexes) -> Vec<Option<usize>> {
    let mut index = Index::new(rules);
    let mut left = MOST_COMPARISONS;
    let mut shadows = Vec::with_capacity(rules.len());
    for (i, rule) in rules.iter().enumerate() {
        let shadow = index.first_covering(rules, rule, regexes, &mut left);
        // What it takes, the rule above it takes: no other rule need be compared with both.
        if shadow.is_none() {
            index.insert(i, rule);
        }
        shadows.push(shadow);
    }
    shadows
}

/// Rules by their keys, in order.
type Bucket = HashMap<Key, Vec<usize>>;

/// Earlier rules by path.
#[derive(Default)]
struct Index<'a> {
    any: Bucket,
    exact: HashMap<&'a str, Bucket>,
    exact_folded: HashMap<String, Bucket>,
    prefixes: Prefixes,
    prefixes_folded: Prefixes,
    regexes: HashMap<&'a str, Bucket>,
    /// The same by how everything begins that they match.
    starts: Prefixes,
}

impl<'a> Index<'a> {
    fn new(rules: &'a [Criteria<'_>]) -> Self {
        let prefixes = |folded: bool| {
            let texts = rules.iter().filter_map(|rule| match &rule.path {
                Path::Prefix(text) if text.in_any_case() == folded => Some(spelled(text, folded)),
                _ => None,
            });
            Prefixes::new(texts.collect())
        };
        let starts = rules.iter().filter_map(|rule| match &rule.path {
            Path::Regex { begins, .. } => Some(begins.text.clone()),
            _ => None,
        });
        Self {
            prefixes: prefixes(false),
            prefixes_folded: prefixes(true),
            starts: Prefixes::new(starts.collect()),
            ..Self::default()
        }
    }

    fn insert(&mut self, i: usize, rule: &'a Criteria<'_>) {
        let key = rule.key();
        let bucket = match &rule.path {
            Path::Any => Some(&mut self.any),
            Path::Exact(text) if text.fold => {
                Some(self.exact_folded.entry(text.text.to_ascii_lowercase()).or_default())
            }
            Path::Exact(text) => Some(self.exact.entry(&text.text).or_default()),
            Path::Prefix(text) if text.in_any_case() => self.prefixes_folded.bucket(&spelled(text, true)),
            Path::Prefix(text) => self.prefixes.bucket(&text.text),
            Path::Regex { pattern, begins } => {
                if let Some(bucket) = self.starts.bucket(&begins.text) {
                    bucket.entry(key.clone()).or_default().push(i);
                }
                Some(self.regexes.entry(pattern).or_default())
            }
        };
        if let Some(bucket) = bucket {
            bucket.entry(key).or_default().push(i);
        }
    }

    /// The buckets of the paths that may take all of `path`.
    fn buckets_above(&self, path: &Path) -> Vec<&Bucket> {
        let mut all = vec![&self.any];
        let mut begun = |text: &Text| {
            if !text.fold {
                all.extend(self.prefixes.of(&text.text));
            }
            all.extend(self.prefixes_folded.of(&spelled(text, true)));
        };
        match path {
            Path::Any => {}
            Path::Prefix(text) => begun(text),
            Path::Regex { pattern, begins } => {
                begun(begins);
                all.extend(self.regexes.get(pattern.as_str()));
            }
            Path::Exact(text) => {
                begun(text);
                all.extend(self.exact_folded.get(&text.text.to_ascii_lowercase()));
                if !text.fold {
                    all.extend(self.exact.get(text.text.as_str()));
                    all.extend(self.starts.of(&text.text));
                }
            }
        }
        all
    }

    fn first_covering(
        &self,
        rules: &[Criteria<'_>],
        rule: &Criteria<'_>,
        regexes: &Regexes,
        left: &mut usize,
    ) -> Option<usize> {
        let keys = rule.keys_above();
        let mut first: Option<usize> = None;
        for bucket in self.buckets_above(&rule.path) {
            *left = left.checked_sub(1)?;
            for earlier in keys.iter().filter_map(|key| bucket.get(key)) {
                let wanted = |i: &&usize| first.is_none_or(|first| **i < first);
                for i in earlier.iter().take_while(wanted).copied() {
                    *left = left.checked_sub(1)?;
                    if rules[i].covers(rule, regexes) {
                        first = Some(i);
                        break;
                    }
                }
            }
        }
        first
    }
}

fn spelled(text: &Text, folded: bool) -> String {
    if folded { text.text.to_ascii_lowercase() } else { text.text.clone() }
}

/// Prefixes in order, each with the longest other one that it begins with: all that begin a text are then found by
/// one search and a walk.
#[derive(Default)]
struct Prefixes {
    sorted: Vec<String>,
    parents: Vec<Option<usize>>,
    buckets: Vec<Bucket>,
}

impl Prefixes {
    fn new(mut sorted: Vec<String>) -> Self {
        sorted.sort();
        sorted.dedup();
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(sorted.len());
        for (i, text) in sorted.iter().enumerate() {
            let mut parent = i.checked_sub(1);
            while let Some(at) = parent.filter(|at| !text.starts_with(&sorted[*at])) {
                parent = parents[at];
            }
            parents.push(parent);
        }
        let buckets = sorted.iter().map(|_| Bucket::default()).collect();
        Self { sorted, parents, buckets }
    }

    fn bucket(&mut self, text: &str) -> Option<&mut Bucket> {
        let at = self.sorted.binary_search_by(|it| it.as_str().cmp(text)).ok()?;
        self.buckets.get_mut(at)
    }

    /// The buckets of all that `text` begins with.
    fn of<'s>(&'s self, text: &str) -> impl Iterator<Item = &'s Bucket> + use<'s> {
        let mut at = self.sorted.partition_point(|it| it.as_str() <= text).checked_sub(1);
        while let Some(found) = at.filter(|at| !text.starts_with(&self.sorted[*at])) {
            at = self.parents[found];
        }
        std::iter::successors(at, |at| self.parents[*at]).map(|at| &self.buckets[at])
    }
}

#[cfg(test)]
mod tests;

//! What a matcher gives away about the requests that it can match, for an index.

use super::{How, Matcher, PathTest, Place, Test, ValueTest};
use crate::pattern::{At, Clue};

/// Where to look in a request, and what a request that matches has there.
#[derive(Clone, Debug)]
pub(in crate::table) struct Lead {
    pub(in crate::table) place: Place,
    pub(in crate::table) clue: Clue,
}

impl Matcher {
    /// Whether no request matches.
    pub(in crate::table) fn is_never(&self) -> bool {
        matches!(self.path, PathTest::Never)
    }

    /// Each of these holds for every request that matches, cheapest to look for first.
    pub(in crate::table) fn leads(&self) -> Vec<Lead> {
        let path = self.path.clues().into_iter().map(|clue| Lead { place: Place::Path, clue });
        let values = self.headers.iter().chain(&self.query);
        path.chain(self.method_lead()).chain(values.flat_map(ValueTest::leads)).collect()
    }

    fn method_lead(&self) -> Option<Lead> {
        let methods = self.methods.iter().map(|method| method.as_bytes());
        let clue = Clue::any_of(At::Whole, methods);
        (!self.methods.is_empty()).then_some(Lead { place: Place::Method, clue })
    }
}

impl PathTest {
    fn clues(&self) -> Vec<Clue> {
        match self {
            Self::Any | Self::Never => Vec::new(),
            Self::Exact(path) | Self::ExactFolded(path) => vec![Clue::new(At::Whole, path.as_bytes())],
            Self::Prefix(path) | Self::PrefixFolded(path) => vec![Clue::new(At::Start, path.as_bytes())],
            Self::Regex(pattern) => pattern.clues().to_vec(),
        }
    }
}

impl ValueTest {
    /// Whatever is asked of a value, it has to be there: a text that is empty stands at the start of each. Only
    /// `Present` inverted asks for nothing.
    fn leads(&self) -> Vec<Lead> {
        let mut clues = match &self.test {
            Test::Present if self.invert => return Vec::new(),
            Test::Text { how, text, .. } if !self.invert => vec![Clue::new(how.at(), text)],
            Test::Regex(pattern) if !self.invert => pattern.clues().to_vec(),
            Test::Present | Test::Text { .. } | Test::Regex(_) => Vec::new(),
        };
        clues.push(Clue::new(At::Start, b""));
        clues.into_iter().map(|clue| Lead { place: self.place.clone(), clue }).collect()
    }
}

impl How {
    fn at(self) -> At {
        match self {
            Self::Exact => At::Whole,
            Self::Prefix => At::Start,
            Self::Suffix => At::End,
            Self::Contains => At::Within,
        }
    }
}

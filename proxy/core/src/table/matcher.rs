//! What a request must look like: one route's (or one permission's) criteria, compiled.
//!
//! All of them must hold. Paths and query parameters are compared as sent, undecoded, as Envoy does; whoever
//! normalises a path does so before it comes here, for routes and intentions alike. Header names are folded when a
//! matcher is made. Kept out: the order of routes, and how an index finds those worth asking (`table::index`).

mod clues;
mod place;

use super::RequestHead;
use crate::entry::{HeaderMatch, HttpMatch, QueryParamMatch};
use crate::pattern::{InvalidPattern, Pattern};
pub(super) use clues::Lead;
pub(super) use place::Place;

/// The criteria of `Match.HTTP`.
#[derive(Debug)]
pub struct Matcher {
    path: PathTest,
    headers: Box<[ValueTest]>,
    query: Box<[ValueTest]>,
    /// Any when empty.
    methods: Box<[Box<str>]>,
}

/// What is asked of the path, the query left out.
#[derive(Debug)]
enum PathTest {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    /// The same in any (ASCII) case.
    ExactFolded(Box<str>),
    PrefixFolded(Box<str>),
    Regex(Pattern),
    /// The criteria could not be compiled: nothing matches.
    Never,
}

/// What is asked of a header or a query parameter.
#[derive(Debug)]
struct ValueTest {
    place: Place,
    test: Test,
    invert: bool,
}

#[derive(Debug)]
enum Test {
    Present,
    Text { how: How, text: Box<[u8]>, ignore_case: bool },
    Regex(Pattern),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Exact,
    Prefix,
    Suffix,
    Contains,
}

impl Matcher {
    /// Compiles `criteria`; none match everything.
    ///
    /// # Errors
    /// When a regular expression is not usable.
    pub fn compile(criteria: &HttpMatch) -> Result<Self, InvalidPattern> {
        Ok(Self {
            path: PathTest::compile(criteria)?,
            headers: criteria.header.iter().map(ValueTest::of_header).collect::<Result<_, _>>()?,
            query: criteria.query_param.iter().map(ValueTest::of_param).collect::<Result<_, _>>()?,
            methods: criteria.methods.iter().map(|method| method.to_ascii_uppercase().into()).collect(),
        })
    }

    /// Matches every request.
    pub fn any() -> Self {
        Self { path: PathTest::Any, headers: [].into(), query: [].into(), methods: [].into() }
    }

    /// Matches no request.
    pub fn never() -> Self {
        Self { path: PathTest::Never, ..Self::any() }
    }

    /// Whether all criteria hold.
    pub fn matches(&self, head: &RequestHead<'_>) -> bool {
        self.rejects(head).is_none()
    }

    /// The first criterion that does not hold, in words for `explain`; None when all do.
    pub fn rejects(&self, head: &RequestHead<'_>) -> Option<Rejection> {
        if !self.path.matches(head.path) {
            return Some(Rejection::Path);
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|method| **method == *head.method) {
            return Some(Rejection::Method);
        }
        if let Some(index) = self.headers.iter().position(|test| !test.matches(head)) {
            return Some(Rejection::Header(index));
        }
        self.query.iter().position(|test| !test.matches(head)).map(Rejection::QueryParam)
    }

    /// Every criterion that does not hold, for `explain`; the first is that of [`Self::rejects`].
    pub fn rejections(&self, head: &RequestHead<'_>) -> Vec<Rejection> {
        let mut all = Vec::new();
        if !self.path.matches(head.path) {
            all.push(Rejection::Path);
        }
        if !self.methods.is_empty() && !self.methods.iter().any(|method| **method == *head.method) {
            all.push(Rejection::Method);
        }
        let headers = self.headers.iter().enumerate().filter(|(_, test)| !test.matches(head));
        all.extend(headers.map(|(index, _)| Rejection::Header(index)));
        let query = self.query.iter().enumerate().filter(|(_, test)| !test.matches(head));
        all.extend(query.map(|(index, _)| Rejection::QueryParam(index)));
        all
    }

    /// How much of a path the path criterion takes, for `PrefixRewrite`. None without an exact or prefix path.
    pub(super) fn path_len(&self) -> Option<usize> {
        match &self.path {
            PathTest::Exact(path)
            | PathTest::Prefix(path)
            | PathTest::ExactFolded(path)
            | PathTest::PrefixFolded(path) => Some(path.len()),
            PathTest::Any | PathTest::Regex(_) | PathTest::Never => None,
        }
    }
}

/// The criterion that a request fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejection {
    /// The path.
    Path,
    /// The method.
    Method,
    /// This one of the headers.
    Header(usize),
    /// This one of the query parameters.
    QueryParam(usize),
}

impl PathTest {
    fn compile(criteria: &HttpMatch) -> Result<Self, InvalidPattern> {
        let fold = criteria.case_insensitive;
        if let Some(path) = &criteria.path_exact {
            let path = path.as_str().into();
            return Ok(if fold { Self::ExactFolded(path) } else { Self::Exact(path) });
        }
        if let Some(path) = &criteria.path_prefix {
            let path = path.as_str().into();
            return Ok(if fold { Self::PrefixFolded(path) } else { Self::Prefix(path) });
        }
        criteria
            .path_regex
            .as_deref()
            .map_or(Ok(Self::Any), |pattern| Ok(Self::Regex(Pattern::new(pattern)?)))
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => **wanted == *path,
            Self::Prefix(wanted) => path.starts_with(&**wanted),
            Self::ExactFolded(wanted) => wanted.eq_ignore_ascii_case(path),
            Self::PrefixFolded(wanted) => How::Prefix.holds(path.as_bytes(), wanted.as_bytes(), true),
            Self::Regex(pattern) => pattern.matches(path.as_bytes()),
            Self::Never => false,
        }
    }
}

impl ValueTest {
    fn of_header(written: &HeaderMatch) -> Result<Self, InvalidPattern> {
        let texts = [
            (How::Exact, &written.exact),
            (How::Prefix, &written.prefix),
            (How::Suffix, &written.suffix),
            (How::Contains, &written.contains),
        ];
        let text = texts.into_iter().find_map(|(how, text)| Some((how, text.as_deref()?)));
        Ok(Self {
            place: Place::header(&written.name),
            test: Test::compile(text, written.ignore_case, written.regex.as_deref())?,
            invert: written.invert,
        })
    }

    fn of_param(written: &QueryParamMatch) -> Result<Self, InvalidPattern> {
        let text = written.exact.as_deref().map(|text| (How::Exact, text));
        let test = Test::compile(text, false, written.regex.as_deref())?;
        Ok(Self { place: Place::Query(written.name.as_str().into()), test, invert: false })
    }

    /// What is missing fails every test of its value, inverted or not; only `Present` can ask for it.
    fn matches(&self, head: &RequestHead<'_>) -> bool {
        match self.place.value(head) {
            Some(value) => self.test.holds(&value) != self.invert,
            None => self.invert && matches!(self.test, Test::Present),
        }
    }
}

impl Test {
    fn compile(
        text: Option<(How, &str)>,
        ignore_case: bool,
        regex: Option<&str>,
    ) -> Result<Self, InvalidPattern> {
        Ok(match (text, regex) {
            (Some((how, text)), _) => Self::Text { how, text: text.as_bytes().into(), ignore_case },
            (None, Some(pattern)) => Self::Regex(Pattern::new(pattern)?),
            (None, None) => Self::Present,
        })
    }

    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Text { how, text, ignore_case } => how.holds(value, text, *ignore_case),
            Self::Regex(pattern) => pattern.matches(value),
        }
    }
}

impl How {
    fn holds(self, value: &[u8], text: &[u8], ignore_case: bool) -> bool {
        let equal = |part: &[u8]| if ignore_case { part.eq_ignore_ascii_case(text) } else { part == text };
        match self {
            Self::Exact => equal(value),
            Self::Prefix => value.get(..text.len()).is_some_and(equal),
            Self::Suffix => value.len().checked_sub(text.len()).is_some_and(|start| equal(&value[start..])),
            Self::Contains => text.is_empty() || value.windows(text.len()).any(equal),
        }
    }
}

#[cfg(test)]
mod tests;

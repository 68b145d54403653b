//! What a request must look like: one route's (or one permission's) criteria, compiled.
//!
//! All of them must hold. Paths and query parameters are compared as sent, undecoded, as Envoy does; whoever
//! normalises a path does so before it comes here, for routes and intentions alike. Header names are folded when a
//! matcher is made, regular expressions are linear in time and bounded in size. Kept out: the order of routes.

use regex::bytes::{Regex, RegexBuilder};

use super::RequestHead;
use crate::entry::{HeaderMatch, HttpMatch, QueryParamMatch};

/// The criteria of `Match.HTTP`.
#[derive(Debug)]
pub struct Matcher {
    pub(super) path: PathTest,
    headers: Box<[HeaderTest]>,
    query: Box<[QueryTest]>,
    /// Any when empty.
    methods: Box<[Box<str>]>,
}

/// What is asked of the path, the query left out.
#[derive(Debug)]
pub(super) enum PathTest {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    /// The same in any (ASCII) case.
    ExactFolded(Box<str>),
    PrefixFolded(Box<str>),
    Regex(Regex),
    /// The criteria could not be compiled: nothing matches.
    Never,
}

#[derive(Debug)]
struct HeaderTest {
    name: HeaderName,
    value: ValueTest,
    invert: bool,
}

/// Envoy's pseudo-headers can be matched too, whatever version of HTTP a request came in.
#[derive(Debug)]
enum HeaderName {
    Plain(Box<str>),
    Authority,
    Method,
    Path,
}

#[derive(Debug)]
struct QueryTest {
    name: Box<str>,
    value: ValueTest,
}

#[derive(Debug)]
enum ValueTest {
    Present,
    Text { how: How, text: Box<[u8]>, ignore_case: bool },
    Regex(Regex),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Exact,
    Prefix,
    Suffix,
    Contains,
}

/// A regular expression that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{pattern:?} is not a usable regular expression: {reason}")]
pub struct InvalidRegex {
    /// As written.
    pub pattern: String,
    /// In the words of the compiler, on one line.
    pub reason: String,
}

/// The most memory that one compiled expression may take, so that no entry can exhaust the process.
const REGEX_LIMIT: usize = 1 << 20;

/// Whether `pattern` can be used in a route or a permission.
///
/// # Errors
/// When it is not in RE2's syntax (look-around, back-references) or compiles to more than 1 MiB.
pub fn check_regex(pattern: &str) -> Result<(), InvalidRegex> {
    whole(pattern).map(|_| ())
}

/// `pattern`, to match whole values only.
fn whole(pattern: &str) -> Result<Regex, InvalidRegex> {
    let compile = |text: &str| RegexBuilder::new(text).size_limit(REGEX_LIMIT).build();
    // First by itself: `a)(b` would be well-formed once it stands in parentheses.
    compile(pattern).and_then(|_| compile(&format!(r"\A(?:{pattern})\z"))).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        InvalidRegex { pattern: pattern.to_owned(), reason: reason.to_owned() }
    })
}

impl Matcher {
    /// Compiles `criteria`; none match everything.
    ///
    /// # Errors
    /// When a regular expression is not usable.
    pub fn compile(criteria: &HttpMatch) -> Result<Self, InvalidRegex> {
        Ok(Self {
            path: PathTest::compile(criteria)?,
            headers: criteria.header.iter().map(HeaderTest::compile).collect::<Result<_, _>>()?,
            query: criteria.query_param.iter().map(QueryTest::compile).collect::<Result<_, _>>()?,
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
    fn compile(criteria: &HttpMatch) -> Result<Self, InvalidRegex> {
        let fold = criteria.case_insensitive;
        if let Some(path) = &criteria.path_exact {
            let path = path.as_str().into();
            return Ok(if fold { Self::ExactFolded(path) } else { Self::Exact(path) });
        }
        if let Some(path) = &criteria.path_prefix {
            let path = path.as_str().into();
            return Ok(if fold { Self::PrefixFolded(path) } else { Self::Prefix(path) });
        }
        criteria.path_regex.as_deref().map_or(Ok(Self::Any), |pattern| Ok(Self::Regex(whole(pattern)?)))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => **wanted == *path,
            Self::Prefix(wanted) => path.starts_with(&**wanted),
            Self::ExactFolded(wanted) => wanted.eq_ignore_ascii_case(path),
            Self::PrefixFolded(wanted) => How::Prefix.holds(path.as_bytes(), wanted.as_bytes(), true),
            Self::Regex(regex) => regex.is_match(path.as_bytes()),
            Self::Never => false,
        }
    }
}

impl HeaderTest {
    fn compile(written: &HeaderMatch) -> Result<Self, InvalidRegex> {
        let texts = [
            (How::Exact, &written.exact),
            (How::Prefix, &written.prefix),
            (How::Suffix, &written.suffix),
            (How::Contains, &written.contains),
        ];
        let text = texts.into_iter().find_map(|(how, text)| Some((how, text.as_deref()?)));
        Ok(Self {
            name: HeaderName::new(&written.name),
            value: ValueTest::compile(text, written.ignore_case, written.regex.as_deref())?,
            invert: written.invert,
        })
    }

    /// A header that is missing fails every test of its value, inverted or not; only `Present` can ask for it.
    fn matches(&self, head: &RequestHead<'_>) -> bool {
        let holds = |value: &[u8]| self.value.holds(value) != self.invert;
        let missing = || self.invert && matches!(self.value, ValueTest::Present);
        match &self.name {
            HeaderName::Plain(name) => head.headers.value(name).map_or_else(missing, |value| holds(&value)),
            HeaderName::Authority => {
                let value = head.headers.value(":authority").or_else(|| head.headers.value("host"));
                value.map_or_else(missing, |value| holds(&value))
            }
            HeaderName::Method => holds(head.method.as_bytes()),
            HeaderName::Path => match head.query {
                None => holds(head.path.as_bytes()),
                Some(query) => holds(format!("{}?{query}", head.path).as_bytes()),
            },
        }
    }
}

impl HeaderName {
    fn new(written: &str) -> Self {
        match written.to_ascii_lowercase().as_str() {
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::Path,
            plain => Self::Plain(plain.into()),
        }
    }
}

impl QueryTest {
    fn compile(written: &QueryParamMatch) -> Result<Self, InvalidRegex> {
        let text = written.exact.as_deref().map(|text| (How::Exact, text));
        let value = ValueTest::compile(text, false, written.regex.as_deref())?;
        Ok(Self { name: written.name.as_str().into(), value })
    }

    fn matches(&self, head: &RequestHead<'_>) -> bool {
        head.query_value(&self.name).is_some_and(|value| self.value.holds(value.as_bytes()))
    }
}

impl ValueTest {
    fn compile(
        text: Option<(How, &str)>,
        ignore_case: bool,
        regex: Option<&str>,
    ) -> Result<Self, InvalidRegex> {
        Ok(match (text, regex) {
            (Some((how, text)), _) => Self::Text { how, text: text.as_bytes().into(), ignore_case },
            (None, Some(pattern)) => Self::Regex(whole(pattern)?),
            (None, None) => Self::Present,
        })
    }

    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Text { how, text, ignore_case } => how.holds(value, text, *ignore_case),
            Self::Regex(regex) => regex.is_match(value),
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

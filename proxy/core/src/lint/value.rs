//! What is asked of a header or a query parameter, and what follows from it.
//!
//! As the data plane has it: a header that is missing fails every test of its value, inverted or not.

use super::cover::Regexes;

/// One test.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test<'a> {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is there and has such a value.
    Is(Value<'a>),
    /// It is there and has no such value.
    IsNot(Value<'a>),
}

/// A set of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    how: How,
    text: &'a str,
    fold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Exact,
    Prefix,
    Suffix,
    Contains,
    Regex,
}

impl<'a> Test<'a> {
    /// Whether `wanted` holds wherever this does.
    pub(super) fn implies(&self, wanted: &Test<'_>, regexes: &Regexes) -> bool {
        match (self, wanted) {
            (Self::Absent, Test::Absent) => true,
            (Self::Absent, _) | (_, Test::Absent) => false,
            (_, Test::Present) => true,
            (Self::Present, _) | (Self::IsNot(_), Test::Is(_)) => false,
            (Self::Is(it), Test::Is(wanted)) => it.within(wanted, regexes),
            (Self::IsNot(it), Test::IsNot(wanted)) => wanted.within(it, regexes),
            (Self::Is(it), Test::IsNot(wanted)) => it.apart(wanted, regexes),
        }
    }

    /// Whether `other` cannot hold where this does.
    pub(super) fn excludes(&self, other: &Test<'_>, regexes: &Regexes) -> bool {
        match (self, other) {
            (Self::Absent, Test::Absent) => false,
            (Self::Absent, _) | (_, Test::Absent) => true,
            (Self::Is(a), Test::Is(b)) => a.apart(b, regexes) || b.apart(a, regexes),
            (Self::Is(it), Test::IsNot(not)) => it.within(not, regexes),
            (Self::IsNot(not), Test::Is(it)) => it.within(not, regexes),
            _ => false,
        }
    }

    /// The one value that is asked for, if there is one.
    pub(super) fn exactly(&self) -> Option<&'a str> {
        match self {
            Self::Is(Value { how: How::Exact, text, fold: false }) => Some(text),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn exact(text: Option<&'a str>) -> Option<Self> {
        Self::new(How::Exact, text)
    }

    pub(super) fn prefix(text: Option<&'a str>) -> Option<Self> {
        Self::new(How::Prefix, text)
    }

    pub(super) fn suffix(text: Option<&'a str>) -> Option<Self> {
        Self::new(How::Suffix, text)
    }

    pub(super) fn contains(text: Option<&'a str>) -> Option<Self> {
        Self::new(How::Contains, text)
    }

    pub(super) fn regex(text: Option<&'a str>) -> Option<Self> {
        Self::new(How::Regex, text)
    }

    fn new(how: How, text: Option<&'a str>) -> Option<Self> {
        Some(Self { how, text: text?, fold: false })
    }

    /// The one that is given.
    pub(super) fn first<const N: usize>(all: [Option<Self>; N]) -> Option<Self> {
        all.into_iter().flatten().next()
    }

    pub(super) fn in_any_case(self, fold: bool) -> Self {
        Self { fold, ..self }
    }

    /// Whether each of these values is one of `all`.
    fn within(&self, all: &Value<'_>, regexes: &Regexes) -> bool {
        if self.how == How::Regex || all.how == How::Regex {
            let same = self.how == all.how && self.text == all.text;
            return same && (all.fold || !self.fold)
                || self.how == How::Exact
                    && !self.fold
                    && regexes.matches(all.text, self.text) == Some(true);
        }
        if self.fold && !all.fold {
            return false;
        }
        match (self.how, all.how) {
            (How::Exact, how) => holds(how, self.text, all.text, all.fold),
            (How::Prefix, How::Prefix) => holds(How::Prefix, self.text, all.text, all.fold),
            (How::Suffix, How::Suffix) => holds(How::Suffix, self.text, all.text, all.fold),
            (_, How::Contains) => holds(How::Contains, self.text, all.text, all.fold),
            _ => false,
        }
    }

    /// Whether none of these values is one of `others`.
    fn apart(&self, others: &Value<'_>, regexes: &Regexes) -> bool {
        match (self.how, others.how) {
            (How::Exact, How::Regex) => !self.fold && regexes.matches(others.text, self.text) == Some(false),
            (How::Exact, how) => !holds(how, self.text, others.text, self.fold || others.fold),
            (How::Prefix, How::Prefix) => {
                let fold = self.fold || others.fold;
                !holds(How::Prefix, self.text, others.text, fold)
                    && !holds(How::Prefix, others.text, self.text, fold)
            }
            _ => false,
        }
    }
}

/// Whether `value` equals, begins with, ends with or contains `text`.
fn holds(how: How, value: &str, text: &str, fold: bool) -> bool {
    let (value, text) = if fold {
        (value.to_ascii_lowercase(), text.to_ascii_lowercase())
    } else {
        (value.to_owned(), text.to_owned())
    };
    match how {
        How::Exact => value == text,
        How::Prefix => value.starts_with(&text),
        How::Suffix => value.ends_with(&text),
        How::Contains => value.contains(&text),
        How::Regex => false,
    }
}

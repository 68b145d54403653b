//! The paths that criteria take, as far as they can be told from the text.
//!
//! A regular expression that is no more than a text, or a text with `.*` behind it, is taken for what it is. Every
//! path begins with a slash, so the prefix `/` takes all of them (`OPTIONS *` aside, which has none).

use crate::entry::HttpMatch;

/// Which paths are taken.
#[derive(Debug, PartialEq)]
pub(crate) enum Path {
    Any,
    Exact(Text),
    Prefix(Text),
    /// Whole paths; each begins with `begins`.
    Regex {
        pattern: String,
        begins: Text,
    },
}

/// What a path is compared with.
#[derive(Debug, PartialEq)]
pub(crate) struct Text {
    pub(super) text: String,
    /// Whether case is free, and that makes a difference.
    pub(super) fold: bool,
}

impl Text {
    fn new(text: &str, case_insensitive: bool) -> Self {
        Self { text: text.to_owned(), fold: case_insensitive && has_letters(text) }
    }

    /// Whether every case of another text is alike to this one.
    pub(super) fn in_any_case(&self) -> bool {
        self.fold || !has_letters(&self.text)
    }

    /// Whether it takes what `it` takes, as whole paths.
    pub(super) fn equals(&self, it: &Self) -> bool {
        if self.fold { self.text.eq_ignore_ascii_case(&it.text) } else { !it.fold && self.text == it.text }
    }

    /// Whether it takes what `it` takes, as a prefix: of whole paths or of longer prefixes.
    pub(super) fn begins(&self, it: &Self) -> bool {
        let Some(start) = it.text.as_bytes().get(..self.text.len()) else { return false };
        if self.in_any_case() {
            start.eq_ignore_ascii_case(self.text.as_bytes())
        } else {
            !it.fold && start == self.text.as_bytes()
        }
    }
}

fn has_letters(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_alphabetic())
}

impl Path {
    pub(super) fn new(http: &HttpMatch) -> Self {
        match (&http.path_exact, &http.path_prefix, &http.path_regex) {
            (Some(exact), _, _) => Self::Exact(Text::new(exact, http.case_insensitive)),
            (_, Some(prefix), _) => Self::prefix(Text::new(prefix, http.case_insensitive)),
            (_, _, Some(regex)) => Self::regex(regex),
            _ => Self::Any,
        }
    }

    fn prefix(text: Text) -> Self {
        if matches!(text.text.as_str(), "" | "/") { Self::Any } else { Self::Prefix(text) }
    }

    fn regex(pattern: &str) -> Self {
        let opaque =
            |begins: &str| Self::Regex { pattern: pattern.to_owned(), begins: Text::new(begins, false) };
        // Either side of a bar could be anything.
        if pattern.contains('|') {
            return opaque("");
        }
        let inner = pattern.strip_prefix('^').unwrap_or(pattern);
        let inner = inner.strip_suffix('$').filter(|it| !it.ends_with('\\')).unwrap_or(inner);
        if let Some(text) = literal(inner) {
            return Self::Exact(Text::new(&text, false));
        }
        let open = inner.strip_suffix(".*").filter(|it| !it.ends_with('\\'));
        if let Some(text) = open.and_then(literal) {
            return Self::prefix(Text::new(&text, false));
        }
        opaque(&start(inner))
    }
}

/// The text that an expression is, if it is no more than one.
fn literal(pattern: &str) -> Option<String> {
    let (text, rest) = read(pattern);
    rest.is_empty().then_some(text)
}

/// How everything begins that an expression matches.
fn start(pattern: &str) -> String {
    let (mut text, rest) = read(pattern);
    // What follows may say that the last character need not be there.
    if rest.starts_with(['*', '?', '{']) {
        text.pop();
    }
    text
}

/// The characters that stand for themselves, and what comes behind them.
fn read(pattern: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let (c, len) = match c {
            '\\' => match rest[1..].chars().next() {
                Some(escaped) if escaped.is_ascii_punctuation() => (escaped, 2),
                _ => break,
            },
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => break,
            _ => (c, c.len_utf8()),
        };
        text.push(c);
        rest = &rest[len..];
    }
    (text, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Path {
        Path::Exact(Text::new(text, false))
    }

    fn prefix(text: &str) -> Path {
        Path::Prefix(Text::new(text, false))
    }

    #[test]
    fn an_expression_that_is_only_a_text_is_that_text() {
        for (pattern, path) in [
            ("/a", exact("/a")),
            ("^/a$", exact("/a")),
            (r"/a\.json", exact("/a.json")),
            ("/a.*", prefix("/a")),
            (r"^/v1\.0/.*$", prefix("/v1.0/")),
            (".*", Path::Any),
            ("/.*", Path::Any),
            ("^/.*$", Path::Any),
        ] {
            assert_eq!(Path::regex(pattern), path, "{pattern}");
        }
    }

    #[test]
    fn of_any_other_expression_only_its_start_is_known() {
        for (pattern, begins) in [
            ("/users/[0-9]+", "/users/"),
            ("/apis?/x", "/api"),
            ("/a{2}", "/"),
            ("/ab+", "/ab"),
            ("/a|/b", ""),
            ("(?i)/a", ""),
            (r"/a\d", "/a"),
            (r"/a\.*", "/a"),
            (r"/a\$", "/a$"),
        ] {
            let found = match Path::regex(pattern) {
                Path::Regex { begins, .. } | Path::Exact(begins) => begins.text,
                other => format!("{other:?}"),
            };
            assert_eq!(found, begins, "{pattern}");
        }
    }
}

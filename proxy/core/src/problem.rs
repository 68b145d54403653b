//! What is wrong with an operator's files, and where.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The configuration is refused as a whole.
    Error,
    /// Legal, but named: it may be a mistake, or have no effect here.
    Warning,
}

/// A place in a file; lines and columns count from 1, 0 means unknown.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The file as the operator named it.
    pub file: Arc<PathBuf>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with the configuration: shown as `file:line:column: path.to.field: message`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// Whether it refuses the configuration.
    pub severity: Severity,
    /// The field, such as `Splits[1].Weight`; empty when the whole document is meant.
    pub field: String,
    /// What is wrong, and if it can be said, what would be right.
    pub message: String,
}

impl Problem {
    /// An error at a place. A field or message that repeats a hostile file's megabytes is cut short.
    pub fn error(place: &Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (bounded(field.into(), 400), bounded(message.into(), 2_000));
        Self { place: place.clone(), severity: Severity::Error, field, message }
    }

    /// A warning at a place.
    pub fn warning(place: &Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, field, message) }
    }
}

/// At most about `most` bytes of a text: its beginning and its end, which says what is wrong.
fn bounded(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let head = text.floor_char_boundary(most / 2);
    let tail = text.ceil_char_boundary(text.len() - most / 2);
    format!("{}…{}", &text[..head], &text[tail..])
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_with_megabytes_keeps_its_beginning_and_its_end() {
        let long = "é".repeat(1 << 20);
        let problem = Problem::error(&Place::default(), format!("a.{long}"), format!("{long} is no name"));
        assert!(problem.field.starts_with("a.é") && problem.field.len() < 410, "{}", problem.field.len());
        assert!(problem.message.ends_with("é is no name") && problem.message.len() < 2_010);
    }
}

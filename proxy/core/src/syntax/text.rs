//! A file's text and its lines: from byte offsets to places.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use super::limit;
use crate::problem::{Place, Problem};

/// A file's text, within the limit of size and known to be UTF-8.
pub(super) struct Source<'a> {
    /// As it is named in problems.
    pub(super) file: &'a Arc<PathBuf>,
    /// Without a byte order mark.
    pub(super) text: &'a str,
    /// Where each line starts; a file's limit fits in 32 bits, and a file may be nothing but lines.
    lines: Vec<u32>,
    /// The last byte offset that was asked for and its column from 0: readers ask from left to right, so that a
    /// line of megabytes is counted once and not once for each of its values.
    last: Cell<(usize, usize)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Arc<PathBuf>, bytes: &'a [u8]) -> Result<Self, Problem> {
        let whole = Place { file: file.clone(), line: 0, column: 0 };
        if bytes.len() > limit::FILE_BYTES {
            let message = format!("is {} bytes long; at most {} are read", bytes.len(), limit::FILE_BYTES);
            return Err(Problem::error(&whole, "", message));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let valid = error.valid_up_to();
                let line_start = bytes[..valid].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                let line = 1 + bytes[..valid].iter().filter(|b| **b == b'\n').count();
                let place =
                    Place { line: small(line), column: small(1 + chars(&bytes[line_start..valid])), ..whole };
                return Err(Problem::error(&place, "", "is not UTF-8 text"));
            }
        };
        let starts = text.match_indices('\n').map(|(i, _)| small(i + 1));
        let lines = std::iter::once(0).chain(starts).collect();
        let source = Self { file, text, lines, last: Cell::new((0, 0)) };
        // None of the formats allows one, not even in a comment.
        match text.find('\0') {
            Some(nul) => Err(source.error(nul, "holds a NUL character, which no text does")),
            None => Ok(source),
        }
    }

    /// The place of the character that starts at (or holds) byte `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|start| *start as usize <= offset).max(1);
        let start = self.lines[line - 1] as usize;
        let (last, columns) = self.last.get();
        let (from, columns) = if (start..=offset).contains(&last) { (last, columns) } else { (start, 0) };
        let column = columns + chars(&self.text.as_bytes()[from..offset]);
        self.last.set((offset, column));
        self.at(line, column + 1)
    }

    /// A place by line and column, both from 1.
    pub(super) fn at(&self, line: usize, column: usize) -> Place {
        Place { file: self.file.clone(), line: small(line), column: small(column) }
    }

    /// An error at a byte offset, of the text as such rather than of a field.
    pub(super) fn error(&self, offset: usize, message: impl Into<String>) -> Problem {
        Problem::error(&self.place(offset), "", message)
    }
}

/// How many characters start in UTF-8 text.
fn chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count()
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The one message for too much nesting, whatever the format.
pub(super) fn too_deep() -> String {
    format!("is nested more than {} deep", limit::DEPTH)
}

/// The one message for too many values, whatever the format.
pub(super) fn too_many() -> String {
    format!("holds more than {} values", limit::VALUES)
}

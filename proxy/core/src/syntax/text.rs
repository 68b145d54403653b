//! A file's text and its lines: from byte offsets to places.

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
    /// Where each line starts.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Arc<PathBuf>, bytes: &'a [u8]) -> Result<Self, Problem> {
        let whole = Place { file: file.clone(), line: 0, column: 0 };
        if bytes.len() > limit::FILE_BYTES {
            let message = format!("is {} bytes long; at most {} are read", bytes.len(), limit::FILE_BYTES);
            return Err(Problem::error(&whole, "", message));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
                Ok(Self { file, text, lines: std::iter::once(0).chain(starts).collect() })
            }
            Err(error) => {
                let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                let place = Place { line: small(line), ..whole };
                Err(Problem::error(&place, "", "is not UTF-8 text"))
            }
        }
    }

    /// The place of the character that starts at (or holds) byte `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines[line - 1];
        // Short lines are counted exactly; a line of a megabyte (JSON on one line) is not walked for each value.
        let end = offset.min(self.text.len());
        let column = match self.text.as_bytes().get(start..end) {
            Some(before) if before.len() <= 4096 => before.iter().filter(|b| **b & 0xc0 != 0x80).count(),
            Some(before) => before.len(),
            None => 0,
        };
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

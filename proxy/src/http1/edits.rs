//! Header edits of a splitter leg and a route, applied while a head is written.
//!
//! Each set removes, then sets, then adds; the leg's set comes before the route's, so the route's `Set` wins. Edits
//! reach what travels from one side to the other and nothing else: no edit can touch framing, Host, Connection and
//! its kin, or `x-forwarded-client-cert`, and a name or value that would break out of its line is left out.

use std::fmt;

use spillway_core::access_log::Format;
use spillway_core::table::{EditValue, HeaderEdits};

use super::fields::Kind;
use super::text::write_checked;

/// Tells values with command operators what they ask for.
pub trait Teller: fmt::Debug {
    /// Appends the value that this format has now.
    fn write(&self, format: &Format, out: &mut Vec<u8>);
}

/// The leg's edits, then the route's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edits<'a> {
    edits: [Option<&'a HeaderEdits>; 2],
    teller: Option<&'a dyn Teller>,
}

impl<'a> Edits<'a> {
    /// Without a teller, a value with operators stays as it is written.
    pub(super) fn new(edits: [Option<&'a HeaderEdits>; 2], teller: Option<&'a dyn Teller>) -> Self {
        Self { edits: edits.map(|edits| edits.filter(|edits| !edits.is_empty())), teller }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edits.iter().all(Option::is_none)
    }

    /// Whether a header of this name, in any case, gives way to an edit.
    pub(super) fn replace(&self, name: &[u8]) -> bool {
        self.edits.iter().flatten().any(|edits| replaces(edits, name))
    }

    /// Appends the lines that are set and added.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.each(&mut |name, value| write_checked(name, value, out));
    }

    /// The lines that are set and added, in order.
    pub(super) fn each(&self, line: &mut dyn FnMut(&[u8], &[u8])) {
        let mut told = Vec::new();
        for (index, edits) in self.edits.iter().enumerate() {
            let Some(edits) = edits else { continue };
            let later = self.edits.get(index + 1).copied().flatten();
            for (name, value) in edits.set.iter().chain(&edits.add) {
                let overruled = later.is_some_and(|later| replaces(later, name.as_bytes()));
                if overruled || !Kind::of(name.as_bytes()).is_end_to_end() {
                    continue;
                }
                match value {
                    EditValue::Text(text) => line(name.as_bytes(), text.as_bytes()),
                    EditValue::Format(format) => {
                        told.clear();
                        match self.teller {
                            Some(teller) => teller.write(format, &mut told),
                            None => told.extend_from_slice(format.source().unwrap_or_default().as_bytes()),
                        }
                        // Envoy adds no header without a value.
                        if !told.is_empty() {
                            line(name.as_bytes(), &told);
                        }
                    }
                }
            }
        }
    }
}

fn replaces(edits: &HeaderEdits, name: &[u8]) -> bool {
    let is = |edited: &str| edited.as_bytes().eq_ignore_ascii_case(name);
    edits.remove.iter().any(|removed| is(removed)) || edits.set.iter().any(|(set, _)| is(set))
}

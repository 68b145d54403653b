//! Header edits of a splitter leg and a route, applied while a head is written.
//!
//! Each set removes, then sets, then adds; the leg's set comes before the route's, so the route's `Set` wins. Edits
//! reach what travels from one side to the other and nothing else: no edit can touch framing, Host, Connection and
//! its kin, or `x-forwarded-client-cert`, and a name or value that would break out of its line is left out.

use spillway_core::table::HeaderEdits;

use super::fields::Kind;
use super::text::write_checked;

/// The leg's edits, then the route's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edits<'a>([Option<&'a HeaderEdits>; 2]);

impl<'a> Edits<'a> {
    pub(super) fn new(edits: [Option<&'a HeaderEdits>; 2]) -> Self {
        Self(edits.map(|edits| edits.filter(|edits| !edits.is_empty())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Whether a header of this name, in any case, gives way to an edit.
    pub(super) fn replace(&self, name: &[u8]) -> bool {
        self.0.iter().flatten().any(|edits| replaces(edits, name))
    }

    /// Appends the lines that are set and added.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.each(&mut |name, value| write_checked(name, value, out));
    }

    /// The lines that are set and added, in order.
    pub(super) fn each(&self, line: &mut dyn FnMut(&[u8], &[u8])) {
        for (index, edits) in self.0.iter().enumerate() {
            let Some(edits) = edits else { continue };
            let later = self.0.get(index + 1).copied().flatten();
            for (name, value) in edits.set.iter().chain(&edits.add) {
                let overruled = later.is_some_and(|later| replaces(later, name.as_bytes()));
                if !overruled && Kind::of(name.as_bytes()).is_end_to_end() {
                    line(name.as_bytes(), value.as_bytes());
                }
            }
        }
    }
}

fn replaces(edits: &HeaderEdits, name: &[u8]) -> bool {
    let is = |edited: &str| edited.as_bytes().eq_ignore_ascii_case(name);
    edits.remove.iter().any(|removed| is(removed)) || edits.set.iter().any(|(set, _)| is(set))
}

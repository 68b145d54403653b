//! A diff as text that people read, and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Change, Diff, Group};
use crate::chain::describe::escaped;

/// How long the line of a change may be before it is broken.
const WIDTH: usize = 98;

impl fmt::Display for Diff {
    /// A line a subject, and below it one a change: `+` is new, `-` is gone, `~` changes. A long change takes three.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return f.write_str("no change in behaviour");
        }
        for (i, group) in self.groups.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}", heading(group))?;
            for change in &group.changes {
                write!(f, "\n  {}", line(change))?;
            }
        }
        Ok(())
    }
}

fn heading(group: &Group) -> String {
    let names = escaped(&group.names.join(", "));
    let subject = group.subject.as_str();
    let plural = if group.names.len() > 1 && !subject.ends_with('s') { "s" } else { "" };
    format!("{subject}{plural} {names}").trim_end().to_owned()
}

fn line(change: &Change) -> String {
    let what = escaped(&change.what);
    let told = |how: &str| if how.is_empty() { what.clone() } else { format!("{what}: {}", escaped(how)) };
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {}", told(after)),
        (Some(before), None) => format!("- {}", told(before)),
        (before, after) => {
            let side = |how: &Option<String>| escaped(how.as_deref().unwrap_or_default());
            let (before, after) = (side(before), side(after));
            let line = format!("~ {what}: {before} -> {after}");
            // What differs is found more easily where one stands below the other.
            if line.chars().count() <= WIDTH {
                line
            } else {
                format!("~ {what}\n      {before}\n   -> {after}")
            }
        }
    }
}

impl Diff {
    /// `{"changes": […]}`: an object a subject, and in it one a change, with `before` or `after` null where there is
    /// none.
    pub fn to_json(&self) -> Value {
        let change = |it: &Change| {
            let kind = match (&it.before, &it.after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            json!({ "change": kind, "what": it.what, "before": it.before, "after": it.after })
        };
        let group = |it: &Group| {
            json!({
                "subject": it.subject.as_str(),
                "names": it.names,
                "changes": it.changes.iter().map(change).collect::<Vec<_>>(),
            })
        };
        json!({ "changes": self.groups.iter().map(group).collect::<Vec<_>>() })
    }
}

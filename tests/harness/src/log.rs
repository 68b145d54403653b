//! The access log of a cluster, as somebody reads it who has its file.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::entry::Entry;
use crate::wait::eventually;

/// The access log of all sidecars and gateways of one cluster.
#[derive(Debug)]
pub struct AccessLog {
    pub(crate) path: PathBuf,
}

impl AccessLog {
    /// The `proxy-defaults` that ask for this log, with this in `AccessLogs` besides.
    pub fn entry(&self, hcl: &str) -> Entry {
        let path = self.path.display();
        let text = format!(
            "Kind = \"proxy-defaults\"\nName = \"global\"\nConfig {{ protocol = \"http\" }}\n\
             AccessLogs {{\nEnabled = true\nType = \"file\"\nPath = \"{path}\"\n{hcl}\n}}\n"
        );
        text.as_str().into()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What has been written so far, but for a line that is not whole yet.
    pub fn text(&self) -> String {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned()
    }

    /// The lines so far, of a log in JSON.
    ///
    /// # Panics
    /// When one is no JSON.
    pub fn lines(&self) -> Vec<Value> {
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.text().lines().map(read).collect()
    }

    /// Waits for a line like this, of a log in JSON; the first there is.
    ///
    /// # Panics
    /// When none comes.
    pub async fn line(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let found = RefCell::new(Value::Null);
        eventually(&format!("a line of the access log: {what}"), || {
            *found.borrow_mut() = self.lines().into_iter().find(&is).unwrap_or_default();
            !found.borrow().is_null()
        })
        .await;
        found.into_inner()
    }

    /// Waits until the text so far is one that `is` takes.
    ///
    /// # Panics
    /// When it never is.
    pub async fn says(&self, what: &str, is: impl Fn(&str) -> bool) {
        eventually(&format!("the access log: {what}"), || is(&self.text())).await;
    }
}

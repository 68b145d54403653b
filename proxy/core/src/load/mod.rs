//! A configuration directory's files into entries, registrations and agent settings.
//!
//! Here: which document of which file is what, and what only the whole directory can say (duplicates, sidecar
//! ports, addresses). Kept out: reading files, which the shell does; what the kinds' fields mean (`entry::read`).

mod document;
mod instances;
mod locate;
mod references;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use document::Reader;
pub use locate::Locator;
pub use references::check_references;

use crate::entry::read::Sink;
use crate::entry::{AgentSettings, EntrySet, Registration};
use crate::name::Datacenter;
use crate::problem::{Place, Problem};
use crate::syntax::{self, Format};

/// Everything that a configuration directory says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Config entries; shared with what remembers them to tell what has changed.
    pub entries: Arc<EntrySet>,
    /// Registrations in reading order, sidecars expanded.
    pub registrations: Vec<Registration>,
    /// Settings of the agent.
    pub agent: AgentSettings,
    /// Whether every file could be read as text of its format. If not, entries and registrations are missing, and what
    /// is only wrong because they are missing is not worth a word.
    pub complete: bool,
}

/// A file of the directory; the caller read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// As it is to be named in problems.
    pub path: PathBuf,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// How files are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Whether fields that Consul does not know are errors: what is read then, Consul can read, too.
    pub strict_consul: bool,
}

/// Reads `files` with everything that Spillway knows beyond Consul, see [`load_with`].
pub fn load(files: &[File]) -> (Config, Vec<Problem>) {
    load_with(files, Options::default())
}

/// Reads `files`, already in byte order of their paths. Never stops at the first problem: each is listed, by file
/// and line, and the configuration is whole only when none is an error.
pub fn load_with(files: &[File], options: Options) -> (Config, Vec<Problem>) {
    let sink = Sink::new(options.strict_consul);
    let mut order: HashMap<Arc<PathBuf>, usize> = HashMap::new();
    let mut reader = Reader::new(&sink);
    let mut complete = true;
    for (i, file) in files.iter().enumerate() {
        let Some(format) = Format::of(&file.path) else { continue };
        let path = Arc::new(file.path.clone());
        order.insert(path.clone(), i);
        let (documents, problems) = syntax::parse(&path, format, &file.bytes);
        complete &= problems.is_empty() || !documents.is_empty();
        problems.into_iter().for_each(|problem| sink.push(problem));
        for document in &documents {
            reader.document(document);
        }
    }
    let (entries, drafts, settings) = reader.finish();
    let sidecar_ports = settings.sidecar_ports();
    let agent = settings.finish(default_datacenter());
    let registrations = instances::settle(drafts, &agent, sidecar_ports, &sink);
    (Config { entries: Arc::new(entries), registrations, agent, complete }, listed(sink, &order))
}

/// Consul's default.
fn default_datacenter() -> Datacenter {
    "dc1".parse().expect("a valid name")
}

/// By file in reading order, then line and column.
fn listed(sink: Sink, order: &HashMap<Arc<PathBuf>, usize>) -> Vec<Problem> {
    let (mut problems, left_out) = sink.finish();
    problems.sort_by_cached_key(|problem| {
        let Place { file, line, column } = &problem.place;
        (order.get(file).copied(), *line, *column, problem.severity, problem.field.clone())
    });
    // What an error says of a value, a warning of the same value need not repeat.
    problems.dedup_by(|later, first| {
        let same = (&later.place, &later.field) == (&first.place, &first.field);
        same && (later.severity > first.severity || later.message == first.message)
    });
    if let Some((count, severity)) = left_out
        && let Some(last) = problems.last()
    {
        let message = format!("{count} more problems are not listed");
        problems.push(Problem { severity, ..Problem::error(&last.place, "", message) });
    }
    problems
}

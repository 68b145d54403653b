//! Configuration directories: read whole, in byte order of their paths, and watched for changes.
//!
//! `ca/` and `peers/` are the program's own: `peers/*.json` are read here as peer records, `ca/` is left to
//! `spillway-certs`. A change is whatever makes the bytes differ; how an editor or Kubernetes brings it about
//! (rename and replace, `..data` symlinks) does not matter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use notify::{RecursiveMode, Watcher};
use spillway_core::catalog::PeerRecord;
use spillway_core::load::File;
use spillway_core::problem::{Place, Problem};
use tokio::sync::Notify;

/// How long a burst of changes is waited out before the directory is read again.
const SETTLE: Duration = Duration::from_millis(20);

/// A directory that notices nothing itself (a network file system) is looked at this often.
const POLL: Duration = Duration::from_secs(2);

/// The files that a configuration directory reads, however deep.
const EXTENSIONS: [&str; 4] = ["hcl", "json", "yaml", "yml"];

/// What the directories hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Configuration, in reading order.
    pub files: Vec<File>,
    /// Peerings, by name.
    pub peers: Vec<PeerRecord>,
}

/// Reads all of `dirs`.
///
/// # Errors
/// Every file or directory that cannot be read, at once.
pub fn read(dirs: &[PathBuf]) -> Result<Contents, Vec<Problem>> {
    let mut contents = Contents::default();
    let mut problems = Vec::new();
    for dir in dirs {
        let mut paths = Vec::new();
        if let Err((path, error)) = collect(dir, true, &mut paths) {
            problems.push(unreadable(&path, &error));
        }
        paths.sort();
        for path in paths {
            match fs::read(&path) {
                Ok(bytes) => contents.files.push(File { path, bytes }),
                Err(error) => problems.push(unreadable(&path, &error)),
            }
        }
        peers_of(&dir.join("peers"), &mut contents.peers, &mut problems);
    }
    if problems.is_empty() { Ok(contents) } else { Err(problems) }
}

/// Reads the peerings of all of `dirs`.
///
/// # Errors
/// Every file that cannot be read, at once.
pub fn read_peers(dirs: &[PathBuf]) -> Result<Vec<PeerRecord>, Vec<Problem>> {
    let (mut peers, mut problems) = (Vec::new(), Vec::new());
    for dir in dirs {
        peers_of(&dir.join("peers"), &mut peers, &mut problems);
    }
    if problems.is_empty() { Ok(peers) } else { Err(problems) }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let place = Place { file: Arc::new(path.to_path_buf()), line: 0, column: 0 };
    Problem::error(&place, "", format!("cannot read it: {error}"))
}

fn collect(dir: &Path, top: bool, paths: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (dir.to_path_buf(), error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Kubernetes shows each key of a ConfigMap once more below `..data`; editors hide theirs likewise.
        if name.starts_with('.') || top && matches!(name, "ca" | "peers") {
            continue;
        }
        if path.is_dir() {
            collect(&path, false, paths)?;
        } else if path.extension().and_then(|it| it.to_str()).is_some_and(|it| EXTENSIONS.contains(&it)) {
            paths.push(path);
        }
    }
    Ok(())
}

fn peers_of(dir: &Path, peers: &mut Vec<PeerRecord>, problems: &mut Vec<Problem>) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return problems.push(unreadable(dir, &error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".json") && !name.ends_with(".secret.json") && !name.starts_with('.')
    });
    paths.sort();
    for path in paths {
        let record = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<PeerRecord>(&bytes).map_err(io::Error::other),
            // Deleted since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error),
        };
        match record {
            Ok(record) => peers.push(record),
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
}

/// Tells when something in the directories may have changed.
#[derive(Debug)]
pub struct Watch {
    changed: Arc<Notify>,
    /// Kept for as long as events are wanted.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watches `dirs` and everything below them. Where the system cannot, they are polled.
    pub fn start(dirs: &[PathBuf]) -> Self {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                notify.notify_one();
            }
        })
        .and_then(|mut watcher| {
            for dir in dirs {
                watcher.watch(dir, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "cannot watch the configuration; looking every {POLL:?} instead");
        }
        Self { changed, _watcher: watcher.ok() }
    }

    /// Waits until something may have changed, and then until the burst is over.
    pub async fn changed(&self) {
        // Also when nothing was noticed: symbolic links can change what lies outside the watched directories.
        let _ = tokio::time::timeout(POLL, self.changed.notified()).await;
        tokio::time::sleep(SETTLE).await;
    }
}

//! What a result has to say about itself: machine, commit, programs; and where it is kept.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use time::OffsetDateTime;

use crate::error::BenchError;
use crate::peers::Peer;

/// The commit that is checked out, as `abc1234`, with `-dirty` when files differ from it.
pub(crate) fn commit() -> Option<String> {
    let hash = git(&["rev-parse", "--short=10", "HEAD"])?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if clean { hash } else { format!("{hash}-dirty") })
}

/// Whether `binary` was built before the last commit that changed what it is built from.
pub(crate) fn is_older_than_commit(binary: &Path) -> bool {
    let last = git(&["log", "-1", "--format=%ct", "--", ":/src", ":/proxy", ":/certs", ":/gateway"]);
    let committed = last.and_then(|seconds| seconds.parse::<u64>().ok());
    let modified = fs::metadata(binary).and_then(|it| it.modified()).ok();
    let built = modified.and_then(|it| it.duration_since(SystemTime::UNIX_EPOCH).ok());
    matches!((built, committed), (Some(built), Some(committed)) if built.as_secs() < committed)
}

/// Processor, cores, memory, kernel.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim_start_matches([':', ' ', '\t']).trim().to_owned())
    };
    let processor =
        value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory =
        value(&read("/proc/meminfo"), "MemTotal").and_then(|it| it.split(' ').next()?.parse::<u64>().ok());
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{processor}, {cores} cores, {} GiB, Linux {}",
        memory.unwrap_or_default().div_ceil(1 << 20),
        kernel.trim()
    )
}

/// What a program says of its version, and of the TLS library that it runs with.
pub(crate) fn version(peer: Peer, program: &Path) -> String {
    let flag = match peer {
        Peer::Floor => return "bytes copied between two sockets".to_owned(),
        Peer::Spillway => "--version",
        Peer::Nginx => "-V",
        Peer::Haproxy => "-vv",
    };
    let said = said(Command::new(program).arg(flag)).unwrap_or_default();
    // What follows a dash is its date or home page.
    let first = said.lines().next().unwrap_or("of unknown version").split(" - ").next().unwrap_or_default();
    let first = first.trim_start_matches("nginx version: ").trim();
    tls_library(&said).map_or_else(|| first.to_owned(), |tls| format!("{first} with {tls}"))
}

/// The last TLS library that is named with a version: where two are, the second is the one in use.
fn tls_library(said: &str) -> Option<String> {
    let words: Vec<&str> = said.split_ascii_whitespace().collect();
    let library = |word: &str| ["OpenSSL", "AWS-LC", "LibreSSL", "BoringSSL", "QuicTLS"].contains(&word);
    let version = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let named = words.windows(2).rfind(|pair| library(pair[0]) && version(pair[1]))?;
    Some(named.join(" "))
}

/// Keeps a report under `bench/results`, by date and commit.
pub(crate) fn save(kind: &str, report: &str) -> Result<PathBuf, BenchError> {
    // Cargo says where the package is when it runs a program of it.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("bench"), PathBuf::from);
    let results = package.join("results");
    let now = OffsetDateTime::now_utc();
    let commit = commit().unwrap_or_else(|| "unknown".to_owned());
    let name = format!("{}-{:02}{:02}-{kind}-{commit}.md", now.date(), now.hour(), now.minute());
    let file = results.join(name);
    let written = fs::create_dir_all(&results).and_then(|()| fs::write(&file, report));
    written.map_err(|source| BenchError::io(format!("write {}", file.display()), source))?;
    Ok(file)
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Everything that a command prints.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    Some([output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tls_library_in_use_is_told_apart_from_the_one_built_with() {
        for (said, library) in [
            (
                "built with OpenSSL 3.0.22 25 Aug (running with OpenSSL 3.0.19 27 Jan)\nx",
                Some("OpenSSL 3.0.19"),
            ),
            (
                "Running on OpenSSL version : OpenSSL 3.5.1\nOpenSSL library supports SNI : yes",
                Some("OpenSSL 3.5.1"),
            ),
            ("nginx/1.31.5\nbuilt with AWS-LC 1.60.0\n", Some("AWS-LC 1.60.0")),
            ("spillway 0.1.0", None),
        ] {
            assert_eq!(tls_library(said).as_deref(), library, "{said}");
        }
    }
}

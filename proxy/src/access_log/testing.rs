//! A log for tests, and tests of how lines reach their file.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use spillway_core::access_log::Format;
use spillway_core::entry::ProxyDefaults;

use super::writer::Destination;
use super::*;

/// A log of one worker in this file.
pub(crate) fn log_to(file: &Path, format: &str) -> Arc<AccessLog> {
    let access_logs = AccessLogs {
        enabled: true,
        kind: Some("file".to_owned()),
        path: Some(file.to_owned()),
        format: Format::text(format).expect("a format"),
        ..AccessLogs::default()
    };
    let defaults = ProxyDefaults { access_logs, ..ProxyDefaults::default() };
    let log = Logs::new(1, &Arc::default()).open(Some(&defaults));
    log.expect("a file that can be written").expect("enabled")
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn lines_go_to_the_file_of_that_name_once_it_is_opened_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, renamed) = (directory.path().join("log"), directory.path().join("log.1"));
    let writer = Writer::start(Destination::File(file.clone()), 1, &Arc::default()).expect("a file");
    let write = |line: &str, to: &Path| {
        writer.take_last(0, &mut line.as_bytes().to_vec());
        while !read(to).ends_with(line) {
            std::thread::yield_now();
        }
    };
    write("one\n", &file);
    std::fs::rename(&file, &renamed).expect("renamed");
    write("two\n", &renamed);
    writer.reopen();
    while !file.exists() {
        std::thread::yield_now();
    }
    write("three\n", &file);
    writer.finish();
    assert_eq!((read(&renamed).as_str(), read(&file).as_str()), ("one\ntwo\n", "three\n"));
}

#[test]
fn a_worker_that_ends_loses_no_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("log");
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer::start(Destination::File(file.clone()), 2, &dropped).expect("a file");
    let writer = Arc::new(writer);
    for worker in 0..2 {
        let batch = Batch::new(worker);
        (0..10_000)
            .for_each(|i| batch.add(&writer, |out| out.extend_from_slice(format!("{i}\n").as_bytes())));
    }
    writer.finish();
    assert_eq!((read(&file).lines().count(), dropped.load(Ordering::Relaxed)), (20_000, 0));
}

#[test]
fn a_worker_whose_lines_nobody_takes_loses_them_and_waits_for_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("log");
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer::start(Destination::File(file.clone()), 1, &dropped).expect("a file");
    let writer = Arc::new(writer);
    let batch = Batch::new(0);
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    let held = writer.hold(0);
    (0..2_000).for_each(|_| batch.add(&writer, |out| out.extend_from_slice(&line)));
    drop(held);
    drop(batch);
    writer.finish();
    let written = read(&file).lines().count() as u64;
    assert_eq!(written, 1024, "as much as a batch holds");
    assert_eq!(written + dropped.load(Ordering::Relaxed), 2_000);
}

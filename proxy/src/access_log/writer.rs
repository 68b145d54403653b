//! The thread that writes lines to where they go, and the lanes by which workers hand them over.
//!
//! A lane is held by either side only for as long as it takes to exchange two vectors, and workers only ever try: one
//! that finds its lane taken comes back later. What comes too fast for the destination is lost there, not waited for.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much may wait in a lane: what a worker writes in a tick at 100,000 requests a second.
const LANE: usize = 8 * 1024 * 1024;

/// How long the end of a process waits for a destination that does not take its lines.
const FINISH: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of this file.
    File(PathBuf),
}

/// A destination with its thread, which ends when this is dropped and everything is written.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) destination: Destination,
    lanes: Arc<Lanes>,
    thread: JoinHandle<()>,
}

/// Lines on their way. Flags need no more than Relaxed: unparking orders what was stored before it.
#[derive(Debug)]
struct Lanes {
    /// One a worker.
    lines: Box<[Mutex<Vec<u8>>]>,
    /// Lines that were lost, here and in other writers.
    dropped: Arc<AtomicU64>,
    reopen: AtomicBool,
    ending: AtomicBool,
}

impl Writer {
    /// Opens the destination and starts the thread.
    pub(super) fn start(
        destination: Destination,
        workers: usize,
        dropped: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let output = Output::open(&destination)?;
        let lanes = Arc::new(Lanes {
            lines: (0..workers).map(|_| Mutex::default()).collect(),
            dropped: Arc::clone(dropped),
            reopen: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        });
        let writing = Arc::clone(&lanes);
        let thread = thread::Builder::new().name("access-log".to_owned());
        let thread = thread.spawn(move || writing.write_to(output))?;
        Ok(Self { destination, lanes, thread })
    }

    /// Takes a worker's lines if that needs no waiting; an empty vector is left in their place.
    pub(super) fn take(&self, worker: usize, lines: &mut Vec<u8>) {
        if let Some(Ok(lane)) = self.lanes.lines.get(worker).map(Mutex::try_lock) {
            self.put(lane, lines);
        }
    }

    /// The same for who can wait; what finds no room is lost.
    pub(super) fn take_last(&self, worker: usize, lines: &mut Vec<u8>) {
        if let Some(lane) = self.lanes.lines.get(worker) {
            self.put(lane.lock().unwrap_or_else(PoisonError::into_inner), lines);
        }
        self.lose(count(lines));
        lines.clear();
    }

    /// Keeps a lane from everybody.
    #[cfg(test)]
    pub(super) fn hold(&self, worker: usize) -> MutexGuard<'_, Vec<u8>> {
        self.lanes.lines[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut lane: MutexGuard<'_, Vec<u8>>, lines: &mut Vec<u8>) {
        if lane.is_empty() {
            std::mem::swap(&mut *lane, lines);
        } else if lane.len() + lines.len() <= LANE {
            lane.append(lines);
        } else {
            return;
        }
        drop(lane);
        self.thread.thread().unpark();
    }

    /// Counts lines that are lost.
    pub(super) fn lose(&self, lines: u64) {
        self.lanes.lose(lines);
    }

    /// Opens a file anew.
    pub(super) fn reopen(&self) {
        self.lanes.reopen.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }

    /// Ends the thread, and waits for it as long as that may take.
    pub(super) fn finish(&self) {
        self.end();
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < FINISH {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(&self) {
        self.lanes.ending.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Lanes {
    fn lose(&self, lines: u64) {
        // Relaxed: a count stands for itself.
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn write_to(&self, mut output: Output) {
        let mut lines = Vec::new();
        loop {
            // Asked before the lanes are looked at: whoever says so puts nothing more into them.
            let ending = self.ending.load(Ordering::Relaxed);
            if self.reopen.swap(false, Ordering::Relaxed) {
                output.reopen();
            }
            for lane in &self.lines {
                std::mem::swap(&mut *lane.lock().unwrap_or_else(PoisonError::into_inner), &mut lines);
                if let Err(error) = output.write(&lines) {
                    tracing::warn!(%error, "cannot write access logs");
                    self.lose(count(&lines));
                }
                lines.clear();
            }
            if ending {
                return;
            }
            thread::park();
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// An open destination.
enum Output {
    Stdout,
    Stderr,
    File(File, PathBuf),
}

impl Output {
    fn open(destination: &Destination) -> io::Result<Self> {
        Ok(match destination {
            Destination::Stdout => Self::Stdout,
            Destination::Stderr => Self::Stderr,
            Destination::File(path) => Self::File(append_to(path)?, path.clone()),
        })
    }

    /// The file in use stays when there is no new one to be had.
    fn reopen(&mut self) {
        if let Self::File(file, path) = self {
            match append_to(path) {
                Ok(new) => *file = new,
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "cannot open the access log anew");
                }
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        match self {
            Self::Stdout => io::stdout().lock().write_all(lines),
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(file, _) => file.write_all(lines),
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

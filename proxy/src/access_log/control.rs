//! Which log is in force: opened on the control thread before a configuration is taken, closed with the process.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use spillway_core::entry::{AccessLogs, ProxyDefaults};
use spillway_core::problem::Problem;

use super::AccessLog;
use super::writer::{Destination, Writer};

/// The control thread's side of the access log.
#[derive(Debug)]
pub(crate) struct Logs {
    workers: usize,
    dropped: Arc<AtomicU64>,
    in_force: Option<Arc<AccessLog>>,
}

impl Logs {
    /// No log yet, of so many workers; lines that are lost are counted in `dropped`.
    pub(crate) fn new(workers: usize, dropped: &Arc<AtomicU64>) -> Self {
        Self { workers, dropped: Arc::clone(dropped), in_force: None }
    }

    /// The log that `defaults` ask for: the one in force, as far as it would be the same.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub(crate) fn open(&self, defaults: Option<&ProxyDefaults>) -> Result<Option<Arc<AccessLog>>, Problem> {
        let Some(defaults) = defaults.filter(|it| it.access_logs.enabled) else { return Ok(None) };
        let settings = &defaults.access_logs;
        let destination = destination(settings);
        let writer = match &self.in_force {
            Some(log) if log.settings == *settings => return Ok(Some(Arc::clone(log))),
            Some(log) if log.writer.destination == destination => Arc::clone(&log.writer),
            _ => {
                let writer = Writer::start(destination, self.workers, &self.dropped).map_err(|error| {
                    let message = format!("cannot write access logs there: {error}");
                    Problem::error(&defaults.place, "AccessLogs.Path", message)
                })?;
                Arc::new(writer)
            }
        };
        Ok(Some(Arc::new(AccessLog { settings: settings.clone(), writer })))
    }

    /// Says which log is in force from now on.
    pub(crate) fn adopt(&mut self, log: Option<Arc<AccessLog>>) {
        self.in_force = log;
    }

    /// Opens a file anew: it may have been renamed.
    pub(crate) fn reopen(&self) {
        if let Some(log) = &self.in_force {
            log.writer.reopen();
        }
    }

    /// Waits until what the workers handed over before they ended has been written, if that can be done in a moment.
    pub(crate) fn finish(&self) {
        if let Some(log) = &self.in_force {
            log.writer.finish();
        }
    }
}

fn destination(settings: &AccessLogs) -> Destination {
    match (settings.kind.as_deref(), &settings.path) {
        (Some("file"), Some(path)) => Destination::File(path.clone()),
        (Some("stderr"), _) => Destination::Stderr,
        _ => Destination::Stdout,
    }
}

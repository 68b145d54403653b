//! The access log: a line for each request, each tcp connection, and each connection that came to nothing.
//!
//! ```text
//! story     what is noted of a request on its way, and the line at its end
//! relayed   the same of a connection of opaque bytes
//! record    what a line can say of a request or connection
//! ends      the two ends of a connection
//! batch     a worker's lines, until they are handed over
//! writer    the thread that writes them
//! control   which log is in force, on the control thread
//! ```
//!
//! A line is put together on the worker, straight into its batch: no allocation once warm, no lock that it could wait
//! for, no wake-up of another thread but one a batch. With logs off a request pays one branch. What would have to wait
//! is lost, and counted (`spillway_access_log_dropped_total`).

mod batch;
mod control;
mod ends;
mod record;
mod relayed;
mod story;
mod writer;

use std::sync::Arc;
use std::time::SystemTime;

use spillway_core::entry::AccessLogs;

pub(crate) use batch::Batch;
pub(crate) use control::Logs;
pub use ends::Ends;
pub use record::Record;
pub(crate) use relayed::Relayed;
pub(crate) use story::{Ended, Story};
use writer::Writer;

use crate::refusal::Refusal;
use crate::worker::Worker;

/// The log that is in force: what is written, and where to.
#[derive(Debug)]
pub struct AccessLog {
    settings: AccessLogs,
    writer: Arc<Writer>,
}

impl AccessLog {
    /// Writes a line.
    fn write(&self, worker: &Worker, record: &Record<'_>) {
        worker.lines.add(&self.writer, |out| self.settings.format.write(record, out));
    }
}

/// Writes a line about a connection, if there is a log; `record` is asked then.
pub(crate) fn connection<'a>(worker: &Worker, record: impl FnOnce() -> Record<'a>) {
    if let Some(log) = worker.snapshot().log() {
        log.write(worker, &record());
    }
}

/// Writes a line about a request that could not be read.
pub(crate) fn refused_request(worker: &Worker, ends: &Ends, identity: Option<&str>, refusal: &Refusal) {
    connection(worker, || {
        let mut record = Record { identity, ..Record::new(ends, SystemTime::now()) };
        story::refused(&mut record, refusal);
        record.sent = story::own_answer(refusal);
        record
    });
}

/// Writes a line about a connection that was closed before it could ask for anything, if such lines are wanted. `flag`
/// is Envoy's, of what matched nothing.
pub fn refused_connection(
    worker: &Worker,
    ends: &Ends,
    flag: Option<&'static str>,
    why: &dyn std::fmt::Display,
) {
    let snapshot = worker.snapshot();
    if let Some(log) = snapshot.log().filter(|log| !log.settings.disable_listener_logs) {
        let record = Record { flag, reason: Some(why), ..Record::new(ends, SystemTime::now()) };
        log.write(worker, &record);
    }
}

#[cfg(test)]
pub(crate) mod testing;

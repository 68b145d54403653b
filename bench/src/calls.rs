//! System calls, counted by strace from outside.
//!
//! Tracing slows a process many times over, so calls are counted in a pass of their own that nothing else is taken
//! from. A slowed proxy finds more to do each time it wakes: its figure is a lower bound. Without strace, or without
//! the right to trace, there is no figure.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::group::{self, Group};
use crate::proc::{members, traced};

/// How long strace may take to attach, and to write its summary.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// strace at work on a group.
#[derive(Debug)]
pub(crate) struct Trace {
    strace: Child,
    summary: PathBuf,
}

impl Trace {
    /// Whether there is a strace at all.
    pub(crate) fn is_possible() -> bool {
        group::on_path("strace").is_some()
    }

    /// Begins to count the calls of a group; its summary will be in `dir`.
    pub(crate) async fn attach(group: &Group, dir: &Path) -> Option<Self> {
        let strace = group::on_path("strace")?;
        let pids = members(group.id()).ok()?;
        let summary = dir.join(format!("{}.calls", group.id()));
        let mut args: Vec<OsString> = ["-f", "-c", "-o"].map(OsString::from).into();
        args.push(summary.clone().into());
        pids.iter().for_each(|pid| args.extend(["-p".into(), pid.to_string().into()]));
        let mut command = group::tied(strace, &args).ok()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut trace = Self { strace: command.spawn().ok()?, summary };
        let begin = Instant::now();
        while !traced(&pids) {
            if begin.elapsed() > PATIENCE || trace.has_ended() {
                return None;
            }
            sleep(LOOK).await;
        }
        Some(trace)
    }

    /// How many calls there were since.
    pub(crate) async fn finish(mut self) -> Option<u64> {
        self.signal(Signal::INT);
        let begin = Instant::now();
        while !self.has_ended() {
            if begin.elapsed() > PATIENCE {
                return None;
            }
            sleep(LOOK).await;
        }
        total(&fs::read_to_string(&self.summary).ok()?)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.strace.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.has_ended() {
            // Asked to end, strace lets go of what it traces.
            self.signal(Signal::TERM);
            let _ = self.strace.wait();
        }
    }
}

/// The calls of a summary's last line: share, seconds, time a call, calls, errors if any, and `total`.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rfind(|line| line.trim_end().ends_with(" total"))?;
    line.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_ends_with_the_number_of_calls() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.90    0.170421          11     14822           writev
 38.10    0.104874           7     14902        80 read
------ ----------- ----------- --------- --------- ----------------
100.00    0.275295           9     29724        80 total
";
        assert_eq!(total(summary), Some(29_724));
        assert_eq!(total("100.00    0.275295           9     29724           total\n"), Some(29_724));
        assert_eq!(total(""), None);
    }
}

//! What the kernel says of a process group: who is in it, the CPU time it used, the memory it holds.
//!
//! Times are the scheduler's own, in nanoseconds (`/proc/PID/task/TID/schedstat`), user and system together; no
//! privilege is needed to read them. A thread that has ended is no longer counted: proxies keep theirs.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What a group has used and holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of all its threads since they began.
    pub(crate) cpu: Duration,
    /// Resident bytes, summed over its processes: what they share counts for each.
    pub(crate) resident: u64,
}

impl Usage {
    /// That of the group `id` now.
    pub(crate) fn of(id: u32) -> io::Result<Self> {
        let mut usage = Self::default();
        for pid in members(id)? {
            let process = Path::new("/proc").join(pid.to_string());
            for task in fs::read_dir(process.join("task"))? {
                let run = fs::read_to_string(task?.path().join("schedstat"))?;
                usage.cpu += cpu_time(&run).ok_or_else(|| io::Error::other("schedstat without a number"))?;
            }
            usage.resident += resident(&fs::read_to_string(process.join("status"))?).unwrap_or_default();
        }
        Ok(usage)
    }
}

/// The living processes of the group `id`.
pub(crate) fn members(id: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has just ended is no member.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if alive_in(&stat) == Some(id) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Whether every thread of these processes is being traced.
pub(crate) fn traced(pids: &[u32]) -> bool {
    let tasks = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    tasks.flatten().flatten().all(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        field(&status, "TracerPid:").is_some_and(|tracer| tracer != "0")
    })
}

/// The group of a living process, from its `stat`. The name in parentheses may hold anything.
fn alive_in(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

/// The time that a thread ran, from its `schedstat`.
fn cpu_time(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(schedstat.split_ascii_whitespace().next()?.parse().ok()?))
}

fn resident(status: &str) -> Option<u64> {
    let kib: u64 = field(status, "VmRSS:")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        for (stat, group) in [
            ("12 (nginx) S 1 77 12 0 -1", Some(77)),
            ("12 (a) b) R 1) R 1 78 12 0", Some(78)),
            ("12 (gone) Z 1 77 12 0", None),
            ("", None),
            ("12 (cut", None),
        ] {
            assert_eq!(alive_in(stat), group, "{stat}");
        }
        assert_eq!(cpu_time("1500000 20 3\n"), Some(Duration::from_micros(1_500)));
        assert_eq!(cpu_time(""), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t  1024 kB\nTracerPid:\t0\n"), Some(1024 * 1024));
        assert_eq!(resident("Name:\tkernel thread\n"), None);
        assert_eq!(field("Name:\tx\nTracerPid:\t0\n", "TracerPid:"), Some("0"));
    }

    #[test]
    fn a_group_that_works_uses_time_and_one_that_is_not_there_has_nothing() -> io::Result<()> {
        let group = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
        assert!(members(group)?.contains(&std::process::id()));
        let before = Usage::of(group)?;
        // The scheduler's figure moves with its ticks.
        while Usage::of(group)?.cpu == before.cpu {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        assert!(before.resident > 0);
        assert_eq!(Usage::of(u32::MAX)?, Usage::default());
        Ok(())
    }
}

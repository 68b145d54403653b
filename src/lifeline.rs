//! What ties a process of the demo to the demo: it ends when its parent does, however that came about.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Names the parent's process id, in the environment of a process that must not outlive it.
pub(crate) const PARENT_VARIABLE: &str = "SPILLWAY_DEMO_PARENT";

/// Asks the kernel to kill this process when its parent ends. True when the parent has ended already.
///
/// The kernel watches the thread that started this process: the demo starts all from its main thread.
pub(crate) fn tie() -> bool {
    let Some(parent) = std::env::var(PARENT_VARIABLE).ok().and_then(|pid| pid.parse::<i32>().ok()) else {
        return false;
    };
    // Where the kernel knows no such request, killing on drop has to do.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent)
}

//! Processes of a run: each program started, watched and ended with all its children, here and nowhere else.
//!
//! A program leads a process group of its own, so that Ctrl-C reaches the benchmark alone and a proxy's workers are
//! found by their group. None outlives the run: a group is ended when it is dropped, and should the benchmark be
//! killed, the kernel asks the leader to end (it became that program through [`become_program`]).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, io};

use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};

use crate::error::BenchError;
use crate::proc::{Usage, members};

/// A program that runs, with all that it started.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    /// Not waited for while the group has members: its id stays the group's for so long.
    leader: Child,
    log: PathBuf,
}

impl Group {
    /// Starts `program` under `name`; what it says goes to a file in `logs`.
    pub(crate) fn start(
        name: &str,
        program: impl AsRef<OsStr>,
        args: &[OsString],
        logs: &Path,
    ) -> Result<Self, BenchError> {
        let failed = |source| BenchError::io(format!("start {name}"), source);
        let log = logs.join(format!("{}.log", name.replace(' ', "-")));
        let file = File::create(&log).map_err(failed)?;
        let mut command = tied(program, args)?;
        command.process_group(0).stdin(Stdio::null());
        command.stdout(file.try_clone().map_err(failed)?).stderr(file);
        let leader = command.spawn().map_err(failed)?;
        Ok(Self { name: name.to_owned(), leader, log })
    }

    /// The id of the group and its leader.
    pub(crate) fn id(&self) -> u32 {
        self.leader.id()
    }

    /// What it has used and holds.
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        self.check_runs()?;
        Usage::of(self.id()).map_err(|source| BenchError::io(format!("see what {} uses", self.name), source))
    }

    /// Everything that it has said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// An error with its last words when it has ended.
    pub(crate) fn check_runs(&self) -> Result<(), BenchError> {
        let members = members(self.id()).map_err(|source| BenchError::io("list processes", source))?;
        if members.contains(&self.id()) {
            return Ok(());
        }
        let words = self.said().lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned();
        Err(BenchError::Ended { name: self.name.clone(), words })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            // It may be gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // A killed process ends; there is nobody to tell if it could not be waited for.
        let _ = self.leader.wait();
    }
}

/// A command for `program` that ends with this process, however that does.
pub(crate) fn tied<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[A]) -> Result<Command, BenchError> {
    let own = env::current_exe().map_err(|source| BenchError::io("find this program's own file", source))?;
    let mut command = Command::new(own);
    command.arg("exec").arg(std::process::id().to_string()).arg(program.as_ref()).args(args);
    Ok(command)
}

/// Becomes a program that the kernel asks to end when `parent` does. Only returns when that fails.
///
/// The kernel watches the thread that started this process: the benchmark starts all from its main thread.
pub(crate) fn become_program(parent: i32, command: &[OsString]) -> Result<(), BenchError> {
    let Some((program, args)) = command.split_first() else { return Ok(()) };
    // Where the kernel knows no such request, ending groups on drop has to do.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        return Err(BenchError::Interrupted);
    }
    let source = Command::new(program).args(args).exec();
    Err(BenchError::io(format!("run {}", program.to_string_lossy()), source))
}

/// Where a program is on PATH, or where Debian keeps servers that are not on everybody's.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places.map(|place| place.join(program)).find(|file| file.is_file())
}

/// So many loopback addresses that are free now.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N], BenchError> {
    let found = free_ports(Ipv4Addr::LOCALHOST, N);
    let found = found.map_err(|source| BenchError::io("find a free port", source))?;
    found.try_into().map_err(|_| BenchError::io("find a free port", io::ErrorKind::AddrNotAvailable.into()))
}

/// So many ports of a host that are free now, and each handed out once.
///
/// They lie below those that the kernel gives to connections and to whoever asks for any: so nobody takes one by chance
/// before it is listened on, or while its owner is dead.
pub(crate) fn free_ports(host: Ipv4Addr, count: usize) -> io::Result<Vec<SocketAddr>> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(1021);
    // Several runs share a machine.
    let next = || begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST;
    let ports = (0..COUNT).map(|_| SocketAddr::from((host, next() as u16)));
    let free: Vec<SocketAddr> =
        ports.filter(|address| TcpListener::bind(address).is_ok()).take(count).collect();
    if free.len() == count { Ok(free) } else { Err(io::ErrorKind::AddrInUse.into()) }
}

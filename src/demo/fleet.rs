//! The demo's processes: started, watched, killed and reaped here and nowhere else.
//!
//! Each is this same binary in a process group of its own, so that Ctrl-C reaches the demo alone. None outlives
//! the demo: it is killed when the fleet is dropped, and by the kernel should the demo die without dropping it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::DemoError;
use crate::lifeline;

/// The longest that a command of the demo's setup may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);

/// The longest that the kernel may take to end a killed process.
const REAP_DEADLINE: Duration = Duration::from_secs(5);

/// A process that ended although nobody asked it to.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// Which.
    name: String,
    /// How it ended.
    status: ExitStatus,
    /// The last thing it said.
    last_words: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended unasked ({}); its last words: {}", self.name, self.status, self.last_words)
    }
}

/// All processes of the demo.
#[derive(Debug)]
pub(crate) struct Fleet {
    program: Program,
    logs: PathBuf,
    members: Vec<Member>,
}

/// This program's own file.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    exe: PathBuf,
}

#[derive(Debug)]
struct Member {
    name: String,
    args: Vec<OsString>,
    process: Option<Child>,
    /// Its end was asked for, or has been reported.
    end_known: bool,
}

impl Fleet {
    /// An empty fleet that keeps its processes' output in `logs`.
    pub(crate) fn new(logs: PathBuf) -> Result<Self, DemoError> {
        let exe = std::env::current_exe()
            .map_err(|source| DemoError::Io { what: "find this program's own file".into(), source })?;
        fs::create_dir_all(&logs)
            .map_err(|source| DemoError::Io { what: format!("create {}", logs.display()), source })?;
        Ok(Self { program: Program { exe }, logs, members: Vec::new() })
    }

    /// Starts a process under `name`.
    pub(crate) fn start(&mut self, name: &str, args: Vec<OsString>) -> Result<(), DemoError> {
        let process = Some(self.spawn(name, &args)?);
        self.members.push(Member { name: name.to_owned(), args, process, end_known: false });
        Ok(())
    }

    /// Ends a process as a lost host does: at once, and without a word to anybody.
    pub(crate) fn kill(&mut self, name: &str) {
        for member in self.members.iter_mut().filter(|m| m.name == name) {
            member.end_known = true;
            if let Some(process) = &mut member.process {
                // It may have ended by itself.
                let _ = process.start_kill();
            }
        }
    }

    /// Starts every process again that has ended; gives their names.
    pub(crate) fn restart_ended(&mut self) -> Result<Vec<String>, DemoError> {
        let mut started = Vec::new();
        for at in 0..self.members.len() {
            if self.members[at].is_running() {
                continue;
            }
            let Member { name, args, .. } = &self.members[at];
            let process = self.spawn(name, args)?;
            started.push(name.clone());
            self.members[at].process = Some(process);
            self.members[at].end_known = false;
        }
        Ok(started)
    }

    /// The processes that ended unasked since the last call.
    pub(crate) fn losses(&mut self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for at in 0..self.members.len() {
            let member = &mut self.members[at];
            let Some(Ok(Some(status))) = member.process.as_mut().map(Child::try_wait) else { continue };
            if member.end_known {
                continue;
            }
            member.end_known = true;
            let name = member.name.clone();
            losses.push(Loss { last_words: self.last_words(&name), name, status });
        }
        losses
    }

    /// Which processes run, with their process ids.
    pub(crate) fn running(&mut self) -> Vec<(String, u32)> {
        let pid =
            |member: &mut Member| if member.is_running() { member.process.as_ref()?.id() } else { None };
        self.members.iter_mut().filter_map(|member| Some((member.name.clone(), pid(member)?))).collect()
    }

    /// This program, to run one of its commands to its end.
    pub(crate) fn program(&self) -> Program {
        self.program.clone()
    }

    /// Kills all and reaps them.
    pub(crate) async fn stop(&mut self) {
        for member in &mut self.members {
            member.end_known = true;
            if let Some(process) = &mut member.process {
                let _ = process.start_kill();
            }
        }
        for process in self.members.iter_mut().filter_map(|m| m.process.as_mut()) {
            // What the kernel will not end in this time, the demo cannot end either.
            let _ = timeout(REAP_DEADLINE, process.wait()).await;
        }
    }

    fn spawn(&self, name: &str, args: &[OsString]) -> Result<Child, DemoError> {
        let open = |path: &Path| {
            let log = File::options().create(true).append(true).open(path)?;
            Ok((log.try_clone()?, log))
        };
        let io = |source| DemoError::Io { what: format!("start {name}"), source };
        let (stdout, stderr) = open(&self.log(name)).map_err(io)?;
        self.program.command(args).stdout(stdout).stderr(stderr).spawn().map_err(io)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{}.log", name.replace(' ', "-")))
    }

    fn last_words(&self, name: &str) -> String {
        let log = fs::read(self.log(name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned()
    }
}

impl Program {
    /// Runs a command of this program to its end and gives what it printed.
    pub(crate) async fn run(&self, args: &[OsString]) -> Result<String, DemoError> {
        let shown = || args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = match timeout(COMMAND_DEADLINE, command.output()).await {
            Ok(output) => output
                .map_err(|source| DemoError::Io { what: format!("run spillway {}", shown()), source })?,
            Err(_) => return Err(DemoError::Late { what: format!("spillway {}", shown()) }),
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(DemoError::Command { command: shown(), status: output.status, said });
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn command(&self, args: &[OsString]) -> Command {
        let mut command = Command::new(&self.exe);
        command.args(args).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command.env_remove(crate::cmd::CONFIG_DIR_VARIABLE);
        command.env(lifeline::PARENT_VARIABLE, std::process::id().to_string());
        command
    }
}

impl Member {
    fn is_running(&mut self) -> bool {
        matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None)))
    }
}

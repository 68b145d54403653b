//! The demo: played once in each gateway mode, and broken in the ways that must leave nothing behind.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{run_in, spillway};

/// Plays the story; it checks itself, so what is left is that it says so.
#[track_caller]
fn check(args: &[&str]) -> io::Result<()> {
    let ended = run_in(Path::new("."), &[&["demo", "--script"], args].concat())?;
    assert_eq!(ended.status, Some(0), "{}{}", ended.stdout, ended.stderr);
    for told in ["1. ", "2. ", "3. ", "4. ", "and not one failed"] {
        assert!(ended.stdout.contains(told), "{told:?} is missing:\n{}", ended.stdout);
    }
    Ok(())
}

#[test]
fn the_story_comes_true_through_the_other_clusters_gateway() -> io::Result<()> {
    check(&["--format", "hcl", "--mesh-gateway-mode", "remote"])
}

#[test]
fn the_story_comes_true_through_the_own_clusters_gateway() -> io::Result<()> {
    check(&["--format", "yaml", "--mesh-gateway-mode", "local"])
}

/// A demo that has come far enough to be broken. Its files are in `directory`.
struct Demo {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    directory: tempfile::TempDir,
}

impl Demo {
    fn playing() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut process = spillway()
            .args(["demo", "--script", "--format", "json"])
            .env("TMPDIR", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while !line.contains("all are ready") {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the demo ended before it was ready"));
            }
        }
        Ok(Self { process, output, directory })
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or(io::ErrorKind::InvalidInput)?, signal)?)
    }

    /// Waits for its end; gives its status and what it said on stderr.
    fn ended(&mut self) -> io::Result<(Option<i32>, String)> {
        let mut said = String::new();
        io::copy(&mut self.output, &mut io::sink())?;
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        Ok((self.process.wait()?.code(), said))
    }

    /// The processes that this demo started and that run, with their arguments.
    fn children(&self) -> io::Result<Vec<(Pid, String)>> {
        let mark = format!("SPILLWAY_DEMO_PARENT={}\0", self.process.id());
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let Some(pid) =
                path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw)
            else {
                continue;
            };
            // A process may end while it is looked at, or be somebody else's.
            let read = |file| fs::read(path.join(file)).unwrap_or_default();
            if String::from_utf8_lossy(&read("environ")).contains(&mark) {
                children.push((pid, String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
            }
        }
        Ok(children)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_signal_ends_the_demo_and_leaves_nothing_behind() -> io::Result<()> {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut demo = Demo::playing()?;
        demo.signal(signal)?;
        assert_eq!(demo.ended()?, (Some(1), "interrupted\n".to_owned()), "{signal:?}");
        assert_eq!(demo.children()?, [], "{signal:?}");
        assert_eq!(fs::read_dir(demo.directory.path())?.count(), 0, "{signal:?}");
    }
    Ok(())
}

#[test]
fn no_process_outlives_a_demo_that_is_killed() -> io::Result<()> {
    let mut demo = Demo::playing()?;
    assert!(demo.children()?.len() >= 11, "{:?}", demo.children()?);
    demo.signal(Signal::KILL)?;
    demo.ended()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !demo.children()?.is_empty() {
        assert!(Instant::now() < deadline, "{:?} still run", demo.children()?);
        yield_now();
    }
    Ok(())
}

#[test]
fn the_loss_of_any_process_ends_the_script_with_its_name() -> io::Result<()> {
    for (arguments, name) in [
        ("demo-app --name frontend --cluster cluster-02 --instance frontend-2", "frontend-2 app"),
        ("--sidecar-for web-1", "web-1 sidecar"),
        ("--service gateway-02", "gateway-02"),
    ] {
        let mut demo = Demo::playing()?;
        let victim = demo.children()?.into_iter().find(|(_, line)| line.contains(arguments));
        let (pid, _) = victim.ok_or(io::ErrorKind::NotFound)?;
        kill_process(pid, Signal::KILL)?;
        let (status, said) = demo.ended()?;
        assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(&format!("{name} ended unasked (signal: 9 (SIGKILL))")), "{said}");
    }
    Ok(())
}

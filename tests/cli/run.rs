//! Running the binary: a directory of files in, status and output out.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// What the program said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program, ready to be given arguments.
pub(crate) fn spillway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.env_remove("SPILLWAY_CONFIG_DIR").env_remove("SPILLWAY_DEMO_PARENT");
    command
}

/// Runs the program to its end in `directory`.
pub(crate) fn run_in(directory: &Path, args: &[&str]) -> io::Result<Ended> {
    let Output { status, stdout, stderr } = spillway().args(args).current_dir(directory).output()?;
    let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
    Ok(Ended { status: status.code(), stdout: text(stdout)?, stderr: text(stderr)? })
}

/// A directory that holds `files` below `conf/`.
pub(crate) fn configuration(files: &[(&str, &str)]) -> io::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    for (path, contents) in files {
        let path = directory.path().join("conf").join(path);
        fs::create_dir_all(path.parent().unwrap_or(directory.path()))?;
        fs::write(path, contents)?;
    }
    Ok(directory)
}

impl Ended {
    /// Fails unless the program did what it was asked, and gives what it printed.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// Fails unless the program failed with exactly these lines, and printed nothing else.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, lines: &[&str]) {
        assert_eq!(self.stderr.lines().collect::<Vec<_>>(), lines);
        assert_eq!((self.status, self.stdout.as_str()), (Some(status), ""));
    }
}

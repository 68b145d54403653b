//! What commands print. A reader that has left, as `head` does, is no error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints `text` and ends the line.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Complains on stderr; where that fails too, there is nobody left to tell.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

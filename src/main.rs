//! The `spillway` program: reads the command line and calls one function of the library that does the work.
//!
//! Here: commands, their flags, what they print, exit statuses ([`cmd`]); and the demo ([`demo`]), which runs this
//! same program many times over. Kept out: everything that a mesh does.

mod call;
mod cmd;
mod demo;
mod lifeline;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    if lifeline::tie() {
        return ExitCode::FAILURE;
    }
    cmd::run()
}

//! The program `spillway-bench`: everything is in the library, where tests find it, too.

use std::process::ExitCode;

fn main() -> ExitCode {
    spillway_bench::main()
}

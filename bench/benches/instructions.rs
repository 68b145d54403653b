//! The micro-benchmarks counted in instructions, which are the same on a busy machine as on an idle one.
//!
//! `cargo bench -p spillway-bench --bench instructions`, with a name to run only what contains it. Each case runs by
//! itself under Valgrind's callgrind, which counts within [`measured`] alone; without Valgrind nothing is counted.
//! Atomics that threads fight over and cache misses cost time but no instructions: see `micro` for those.

mod cases;

use std::env;
use std::hint::black_box;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use spillway_core::Draw;

use cases::{Codec, INSTANCES, ROUTES, Service};

/// How often a case runs under callgrind, once it is warm.
const TIMES: u64 = 1_000;

/// Names the case to run, in the environment of a process under callgrind.
const CASE: &str = "SPILLWAY_BENCH_CASE";

/// A case that is set up: it runs once a call, and is given another number each time.
type Run = Box<dyn FnMut(u64)>;

/// A case before that.
struct Case {
    name: String,
    set_up: fn(usize) -> Run,
    size: usize,
}

fn cases() -> Vec<Case> {
    let case = |name: &str, set_up, size| Case { name: name.to_owned(), set_up, size };
    let mut cases = Vec::new();
    cases.extend(ROUTES.map(|routes| case(&format!("route_and_leg/{routes}"), route_and_leg, routes)));
    cases.push(case("leg", leg, 1));
    cases.extend(INSTANCES.map(|instances| case(&format!("endpoint/{instances}"), endpoint, instances)));
    cases.push(case("whole_decision", whole_decision, 10));
    cases.push(case("request_head", request_head, 1));
    cases.push(case("response_head", response_head, 1));
    cases
}

fn route_and_leg(routes: usize) -> Run {
    let service = Service::new(routes, 1);
    Box::new(move |draw| {
        black_box(service.decide(draw));
    })
}

fn leg(_: usize) -> Run {
    let service = Service::new(1, 1);
    Box::new(move |draw| {
        black_box(service.split().next(Draw(draw)));
    })
}

fn endpoint(instances: usize) -> Run {
    let resolver = Arc::clone(Service::new(1, instances).decide(0));
    Box::new(move |draw| {
        black_box(cases::pick(&resolver, draw));
    })
}

fn whole_decision(instances: usize) -> Run {
    let service = Service::new(100, instances);
    Box::new(move |draw| {
        black_box(service.decide_whole(draw));
    })
}

fn request_head(_: usize) -> Run {
    let mut codec = Codec::default();
    Box::new(move |_| {
        black_box(codec.pass_request());
    })
}

fn response_head(_: usize) -> Run {
    let mut codec = Codec::default();
    Box::new(move |_| {
        black_box(codec.pass_response());
    })
}

/// What callgrind counts: it finds the function by its name.
#[inline(never)]
fn measured(run: &mut Run) {
    for number in 1..=TIMES {
        run(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

fn main() -> ExitCode {
    if let Ok(name) = env::var(CASE) {
        for case in cases().into_iter().filter(|case| case.name == name) {
            let mut run = (case.set_up)(case.size);
            // Warm: buffers have grown.
            run(0);
            measured(&mut run);
        }
        return ExitCode::SUCCESS;
    }
    let wanted = env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    match count_all(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("valgrind is not on PATH: nothing is counted");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn count_all(wanted: &str) -> io::Result<()> {
    for Case { name, .. } in cases().iter().filter(|case| case.name.contains(wanted)) {
        println!("{name:<24} {:>8.1} instructions", count(name)? as f64 / TIMES as f64);
    }
    Ok(())
}

/// How many instructions callgrind counts in a case.
fn count(case: &str) -> io::Result<u64> {
    let own = env::current_exe()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*::measured*"])
        .arg(own)
        .env(CASE, case)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    line.and_then(|(_, count)| count.trim().parse().ok()).ok_or_else(|| io::Error::other(said.into_owned()))
}

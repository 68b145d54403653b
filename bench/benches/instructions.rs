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

use cases::routes::{Hit, Kind, Question, Routed};
use cases::{Codec, INSTANCES, POLICIES, Service};

/// How often a case runs under callgrind, once it is warm.
const TIMES: u64 = 1_000;

/// Names the case to run, in the environment of a process under callgrind.
const CASE: &str = "SPILLWAY_BENCH_CASE";

/// A case that is set up: it runs once a call, and is given another number each time.
type Run = Box<dyn FnMut(u64)>;

/// A case before that.
struct Case {
    name: String,
    set_up: Box<dyn Fn() -> Run>,
}

impl Case {
    fn new(name: impl Into<String>, set_up: impl Fn() -> Run + 'static) -> Self {
        Self { name: name.into(), set_up: Box::new(set_up) }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for question in Question::all() {
        cases.push(Case::new(format!("routes/{question}"), move || decide(question)));
    }
    cases.push(Case::new("leg", leg));
    cases.extend(
        INSTANCES
            .map(|instances| Case::new(format!("endpoint/{instances}"), move || endpoint(instances, ""))),
    );
    cases.extend(
        POLICIES.map(|policy| Case::new(format!("endpoint/{policy}/10"), move || endpoint(10, policy))),
    );
    cases.push(Case::new("whole_decision", whole_decision));
    cases.push(Case::new("request_head", request_head));
    cases.push(Case::new("response_head", response_head));
    cases
}

fn decide(question: Question) -> Run {
    let routed = Routed::new(question);
    Box::new(move |draw| {
        black_box(routed.decide(draw));
    })
}

fn leg() -> Run {
    let service = Service::new(1, "");
    Box::new(move |draw| {
        black_box(service.split().next(Draw(draw)));
    })
}

fn endpoint(instances: usize, policy: &str) -> Run {
    let resolver = Arc::clone(Service::new(instances, policy).resolver());
    Box::new(move |draw| {
        black_box(cases::pick(&resolver, draw));
    })
}

fn whole_decision() -> Run {
    let routed = Routed::new(Question { kind: Kind::Prefix, hit: Hit::Last, rules: 100 });
    Box::new(move |draw| {
        black_box(routed.decide_whole(draw));
    })
}

fn request_head() -> Run {
    let mut codec = Codec::default();
    Box::new(move |_| {
        black_box(codec.pass_request());
    })
}

fn response_head() -> Run {
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
            let mut run = (case.set_up)();
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

/// Prints what each case costs, and that over what the one before it that ends in `/10` did: the curve.
fn count_all(wanted: &str) -> io::Result<()> {
    let mut ten = None;
    for Case { name, .. } in cases().iter().filter(|case| case.name.contains(wanted)) {
        let count = count(name)? as f64 / TIMES as f64;
        let (family, size) = name.rsplit_once('/').unwrap_or((name, ""));
        if size == "10" {
            ten = Some((family.to_owned(), count));
        }
        match ten.as_ref().filter(|(other, _)| *other == family) {
            Some((_, ten)) => println!("{name:<32} {count:>8.1} instructions {:>6.2}", count / ten),
            None => println!("{name:<32} {count:>8.1} instructions"),
        }
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

//! What requests cost where no socket is: decisions and the HTTP/1.1 codec, in time and allocations.
//!
//! `cargo bench -p spillway-bench --bench micro`, with a name to run only what contains it. A line about allocations
//! under a case means that it allocates, which a request on a warm connection should not. Times drift with the machine:
//! `--bench instructions` counts the same cases where nothing drifts.

mod cases;

use std::sync::atomic::{AtomicU64, Ordering};

use divan::{AllocProfiler, Bencher};
use spillway_core::Draw;

use cases::{Codec, INSTANCES, ROUTES, Service};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Another number each time, cheaply: what dice would give.
#[derive(Default)]
struct Draws(AtomicU64);

impl Draws {
    fn next(&self) -> u64 {
        // Relaxed: which thread gets which number does not matter.
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// The last of the rules, and a leg.
#[divan::bench(args = ROUTES)]
fn route_and_leg(bencher: Bencher, routes: usize) {
    let (service, draws) = (Service::new(routes, 1), Draws::default());
    bencher.bench(|| service.decide(draws.next()));
}

/// A leg alone, while so many threads pick.
#[divan::bench(threads = [1, 2, 4])]
fn leg(bencher: Bencher) {
    let service = Service::new(1, 1);
    let split = service.split();
    bencher.bench(|| split.next(Draw(1)));
}

/// An endpoint of so many.
#[divan::bench(args = INSTANCES)]
fn endpoint(bencher: Bencher, instances: usize) {
    let (service, draws) = (Service::new(1, instances), Draws::default());
    let resolver = service.decide(0);
    bencher.bench(|| cases::pick(resolver, draws.next()));
}

/// Route, leg and endpoint, as every request needs them: 100 rules, 10 instances.
#[divan::bench]
fn whole_decision(bencher: Bencher) {
    let (service, draws) = (Service::new(100, 10), Draws::default());
    bencher.bench(|| service.decide_whole(draws.next()));
}

/// A request's head, read and written anew.
#[divan::bench]
fn request_head(bencher: Bencher) {
    let mut codec = Codec::default();
    codec.pass_request();
    bencher.bench_local(|| codec.pass_request().len());
}

/// A response's head, read and written anew.
#[divan::bench]
fn response_head(bencher: Bencher) {
    let mut codec = Codec::default();
    codec.pass_response();
    bencher.bench_local(|| codec.pass_response().len());
}

//! What requests cost where no socket is: decisions and the HTTP/1.1 codec, in time and allocations.
//!
//! `cargo bench -p spillway-bench --bench micro`, with a name to run only what contains it. A line about allocations
//! under a case means that it allocates, which a request on a warm connection should not. Times drift with the machine:
//! `--bench instructions` counts the same cases where nothing drifts.

mod cases;

use std::sync::atomic::{AtomicU64, Ordering};

use divan::{AllocProfiler, Bencher};
use spillway_core::Draw;

use cases::routes::{Hit, Kind, Question, Routed};
use cases::{Codec, INSTANCES, POLICIES, Service};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Routers large enough for building them to take time.
const LARGE: [(Kind, usize); 4] =
    [(Kind::Prefix, 10_000), (Kind::RegexWithin, 10_000), (Kind::Mixed, 10_000), (Kind::Prefix, 100_000)];

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

/// Route and leg, whatever tells the rules apart and whichever of them matches.
#[divan::bench(args = Question::all(), sample_count = 20, max_time = 0.1)]
fn routes(bencher: Bencher, question: &Question) {
    let (routed, draws) = (Routed::new(*question), Draws::default());
    bencher.bench(|| routed.decide(draws.next()));
}

/// The same while so many threads ask one table: nothing in it is written but the count of the splitter's picks.
#[divan::bench(args = [Kind::Prefix, Kind::RegexWithin, Kind::Mixed], threads = [1, 2, 4])]
fn routes_shared(bencher: Bencher, kind: Kind) {
    let routed = Routed::new(Question { kind, hit: Hit::Last, rules: 1_000 });
    bencher.bench(|| routed.decide(1));
}

/// A leg alone, while so many threads pick.
#[divan::bench(threads = [1, 2, 4])]
fn leg(bencher: Bencher) {
    let service = Service::new(1, "");
    let split = service.split();
    bencher.bench(|| split.next(Draw(1)));
}

/// An endpoint of so many.
#[divan::bench(args = INSTANCES)]
fn endpoint(bencher: Bencher, instances: usize) {
    let (service, draws) = (Service::new(instances, ""), Draws::default());
    let resolver = service.resolver();
    bencher.bench(|| cases::pick(resolver, draws.next()));
}

/// An endpoint of ten by each policy, while so many threads pick.
#[divan::bench(args = POLICIES, threads = [1, 2, 4])]
fn endpoint_by(bencher: Bencher, policy: &str) {
    let service = Service::new(10, policy);
    let resolver = service.resolver();
    // A number of its own for each thread: one that all count in would be what is measured.
    let draw = || std::hint::black_box(0x9e37_79b9_7f4a_7c15);
    bencher.bench(|| cases::pick(resolver, draw()));
}

/// Route, leg and endpoint, as every request needs them: 100 rules, 10 instances.
#[divan::bench]
fn whole_decision(bencher: Bencher) {
    let routed = Routed::new(Question { kind: Kind::Prefix, hit: Hit::Last, rules: 100 });
    let draws = Draws::default();
    bencher.bench(|| routed.decide_whole(draws.next()));
}

/// The chain and the table of a router with so many rules, from its entries.
#[divan::bench(args = LARGE, sample_count = 3, sample_size = 1)]
fn build(bencher: Bencher, (kind, rules): (Kind, usize)) {
    let config = cases::config(&kind.rules(rules), 10, "");
    bencher.bench(|| cases::compile(&config));
}

/// What comes before: reading and checking those entries.
#[divan::bench(args = LARGE, sample_count = 3, sample_size = 1)]
fn read(bencher: Bencher, (kind, rules): (Kind, usize)) {
    let criteria = kind.rules(rules);
    bencher.bench(|| cases::config(&criteria, 10, ""));
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

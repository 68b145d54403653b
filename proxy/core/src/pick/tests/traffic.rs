//! Simulated traffic: requests that come in at a steady rate and take the time that their endpoint takes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const SECOND: u64 = 1_000_000;

/// A resolver under traffic; time in microseconds.
struct Traffic {
    resolver: Resolver,
    now: u64,
    draws: u64,
    /// What is in flight: when it ends, when it began, and at which endpoint of the first target.
    in_flight: BinaryHeap<Reverse<(u64, u64, usize)>>,
}

/// What was served: how long each took, ascending, and how many each endpoint had.
struct Served {
    took: Vec<u64>,
    shares: Vec<usize>,
}

impl Served {
    fn quantile(&self, per_mille: usize) -> u64 {
        self.took[self.took.len() * per_mille / 1_000]
    }
}

impl Traffic {
    fn new(resolver: Resolver) -> Self {
        Self { resolver, now: 0, draws: 0, in_flight: BinaryHeap::new() }
    }

    fn tick(&self, at: u64) -> Tick {
        Tick(u32::try_from(at / 1_000 / Tick::MILLIS).expect("less than 13 years"))
    }

    /// For so many seconds, so many requests a second that take `time_at` an endpoint.
    fn run(&mut self, seconds: u64, rate: u64, time_at: impl Fn(usize) -> u64) -> Served {
        let mut served =
            Served { took: Vec::new(), shares: vec![0; self.resolver.targets[0].endpoints.len()] };
        for _ in 0..seconds * rate {
            self.now += SECOND / rate;
            self.end_due();
            self.draws += 1;
            let draw = Draw(mix(self.draws));
            let pick = self.resolver.pick(&Tried::default(), draw, self.tick(self.now));
            let index = index_of(&self.resolver.targets[0], pick.expect("something is available").endpoint);
            self.resolver.targets[0].endpoints[index].begin();
            let takes = time_at(index);
            self.in_flight.push(Reverse((self.now + takes, self.now, index)));
            served.took.push(takes);
            served.shares[index] += 1;
        }
        served.took.sort_unstable();
        served
    }

    fn end_due(&mut self) {
        let target = &self.resolver.targets[0];
        while let Some(Reverse((end, begun, index))) = self.in_flight.peek().copied()
            && end <= self.now
        {
            self.in_flight.pop();
            let endpoint = &target.endpoints[index];
            endpoint.end();
            target.answered(endpoint, Duration::from_micros(end - begun), false, self.tick(end));
        }
    }
}

/// Ten endpoints that answer in 5 ms, but for one.
fn one_is_slow(index: usize) -> u64 {
    if index == 3 { 100_000 } else { 5_000 }
}

#[test]
fn one_slow_endpoint_of_ten_is_left_out_of_the_slowest_hundredth_by_latency_and_not_by_load() {
    for rate in [20, 200, 2_000] {
        let p99 = |policy: &str| {
            let mut traffic = Traffic::new(balanced(policy, &[1; 10]));
            traffic.run(5, rate, one_is_slow);
            traffic.run(30, rate, one_is_slow).quantile(990)
        };
        assert_eq!(p99("peak_ewma"), 5_000, "at {rate}/s");
        if rate < 1_000 {
            // Beyond, the slow one is always busy, and load tells as much.
            assert_eq!(p99("least_request"), 100_000, "at {rate}/s");
        }
    }
}

#[test]
fn an_endpoint_that_is_quick_again_is_found_out() {
    let mut traffic = Traffic::new(balanced("peak_ewma", &[1; 10]));
    traffic.run(10, 200, one_is_slow);
    let after = traffic.run(90, 200, |_| 5_000);
    assert!(after.shares[3] > 500, "{:?}", after.shares);
}

#[test]
fn a_new_endpoint_is_tried_before_it_is_trusted() {
    let mut traffic = Traffic::new(balanced("peak_ewma", &[1; 10]));
    let known = &traffic.resolver.targets[0].endpoints[..9];
    known.iter().for_each(|it| it.answered(Duration::from_millis(5), false, Tick(0)));
    let served = traffic.run(1, 1_000, |index| if index == 9 { SECOND } else { 5_000 });
    assert_eq!(served.shares[9], 1, "until it has answered: {:?}", served.shares);
}

#[test]
fn quick_endpoints_share_by_weight_when_latencies_are_level() {
    let mut traffic = Traffic::new(balanced("peak_ewma", &[1, 3]));
    let shares = traffic.run(100, 20, |_| 5_000).shares;
    assert!((450..550).contains(&shares[0]), "{shares:?}");
}

#[test]
fn without_latencies_the_less_loaded_is_picked() {
    let resolver = balanced("peak_ewma", &[1, 1]);
    let [busier, busy] = &resolver.targets[0].endpoints[..] else { panic!("two endpoints") };
    (0..3).for_each(|_| busier.begin());
    busy.begin();
    let picks = draws().take(50).filter_map(|draw| resolver.pick(&Tried::default(), draw, Tick(0)));
    assert!(picks.map(|pick| pick.endpoint.uid).all(|uid| uid == busy.uid));
}

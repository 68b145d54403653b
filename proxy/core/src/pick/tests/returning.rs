//! Simulated returns: endpoints that are up and down by a plan, under a hundred requests a second and checks.

use super::*;

/// A resolver whose endpoints are up and down by a plan; time in hundredths of a second.
struct World<U> {
    resolver: Resolver,
    now: u32,
    /// Whether an endpoint, by rank and index, is up.
    is_up: U,
    tally: Tally,
}

/// What became of requests.
#[derive(Debug, Default)]
struct Tally {
    /// Served, by rank.
    served: [usize; 2],
    /// Served by the endpoint that comes and goes: the first of the first target.
    by_first: usize,
    /// Attempts that found nobody; each request went on.
    moved_on: usize,
    /// Requests that nobody served.
    failed: usize,
}

impl<U: Fn(usize, usize, u32) -> bool> World<U> {
    fn new(resolver: Resolver, is_up: U) -> Self {
        Self { resolver, now: 0, is_up, tally: Tally::default() }
    }

    fn tick(&self) -> Tick {
        Tick(self.now / 10)
    }

    /// Lets so many seconds pass, and says what became of the requests meanwhile.
    fn run(&mut self, seconds: u32) -> Tally {
        for _ in 0..seconds * 100 {
            self.now += 1;
            self.request();
            if self.now.is_multiple_of(100) {
                self.check();
            }
        }
        std::mem::take(&mut self.tally)
    }

    fn request(&mut self) {
        let (now, draw) = (self.tick(), mix(self.now.into()));
        let mut tried = Tried::default();
        while let Some(pick) = self.resolver.pick_for(Some(mix(draw)), &tried, Draw(draw), now) {
            tried.push(pick.endpoint);
            let index = index_of(pick.target, pick.endpoint);
            if (self.is_up)(pick.rank, index, self.now) {
                pick.target.record(pick.endpoint, Outcome::Served, now);
                self.tally.served[pick.rank] += 1;
                self.tally.by_first += usize::from((pick.rank, index) == (0, 0));
                return;
            }
            pick.target.record(pick.endpoint, Outcome::ConnectFailed, now);
            self.tally.moved_on += 1;
        }
        self.tally.failed += 1;
    }

    /// A round of health checks, as the data plane makes them.
    fn check(&mut self) {
        let now = self.tick();
        for (rank, target) in self.resolver.targets.iter().enumerate() {
            for (index, endpoint) in target.endpoints.iter().enumerate() {
                let due = match endpoint.available(now) {
                    Availability::MayProbe => endpoint.claim_probe(now),
                    Availability::Held => true,
                    Availability::Yes | Availability::No => false,
                };
                if due {
                    endpoint.record_check((self.is_up)(rank, index, self.now), now, &target.outlier);
                }
            }
        }
    }
}

const POLICIES: [&str; 6] = ["least_request", "peak_ewma", "random", "round_robin", "ring_hash", "maglev"];

/// Targets of so many endpoints, balanced so.
fn targets(sizes: &[usize], policy: &str, outlier: OutlierPolicy) -> Resolver {
    let written = LoadBalancer { policy: policy.to_owned(), ..LoadBalancer::default() };
    let target = |(name, size): (&str, &usize)| {
        let target = target(name, &vec![1; *size]);
        let balance = Balance::compile(Some(&written), &target.endpoints);
        Target { balance, outlier, ..target }
    };
    resolver(["a", "b"].into_iter().zip(sizes).map(target).collect())
}

/// The first endpoint of the first target is up for two seconds and down for two.
fn flaps(rank: usize, index: usize, now: u32) -> bool {
    (rank, index) != (0, 0) || (now / 200).is_multiple_of(2)
}

#[test]
fn a_flapping_primary_moves_traffic_once_and_not_at_each_flap() {
    for policy in POLICIES {
        let mut world = World::new(targets(&[1, 1], policy, OutlierPolicy::default()), flaps);
        world.run(4);
        let tally = world.run(300);
        assert!(tally.by_first < 5 && tally.moved_on < 20 && tally.failed == 0, "{policy}: {tally:?}");
        // What it would be without.
        let at_once =
            OutlierPolicy { hold_down: Duration::ZERO, ramp: Duration::ZERO, ..OutlierPolicy::default() };
        let mut world = World::new(targets(&[1, 1], policy, at_once), flaps);
        world.run(4);
        let tally = world.run(300);
        assert!(tally.by_first > 300 && tally.failed == 0, "{policy}: {tally:?}");
    }
}

#[test]
fn a_short_ejection_holds_a_flapping_primary_down_where_that_is_asked_for() {
    let outlier = OutlierPolicy {
        base_ejection: Duration::from_secs(1),
        hold_down: Duration::from_secs(3),
        ..OutlierPolicy::default()
    };
    let mut world = World::new(targets(&[1, 1], "", outlier), flaps);
    world.run(4);
    let tally = world.run(300);
    assert!(tally.by_first < 60 && tally.failed == 0, "a probe a second at most: {tally:?}");
}

#[test]
fn a_flapping_endpoint_of_ten_is_left_to_the_others() {
    for policy in POLICIES {
        let mut world = World::new(targets(&[10], policy, OutlierPolicy::default()), flaps);
        world.run(4);
        let tally = world.run(300);
        assert!(tally.by_first < 5 && tally.failed == 0, "{policy}: {tally:?}");
    }
}

/// Down for the first 35 seconds, then up for good.
fn comes_back(rank: usize, _: usize, now: u32) -> bool {
    rank > 0 || now >= 3_500
}

#[test]
fn a_target_that_comes_back_gets_its_traffic_over_the_ramp_and_no_request_fails() {
    for (policy, size) in POLICIES.into_iter().flat_map(|policy| [(policy, 1), (policy, 10)]) {
        let mut world = World::new(targets(&[size, 1], policy, OutlierPolicy::default()), comes_back);
        let mut failed = world.run(34).failed;
        // Ejected at the start for 30 s, and once more by a probe for 60 s; then held down for 3 s.
        let seconds: Vec<Tally> = (34..140).map(|_| world.run(1)).collect();
        failed += seconds.iter().map(|tally| tally.failed).sum::<usize>();
        assert_eq!(failed, 0, "{policy} of {size}");
        let shares: Vec<usize> = seconds.iter().map(|tally| tally.served[0]).collect();
        let begin = shares.iter().position(|share| *share > size.min(4)).expect("it returns");
        let ramp = &shares[begin..begin + 12];
        assert!(ramp[0] < 25 && ramp[4] < 75 && ramp[11] == 100, "{policy} of {size}: {ramp:?}");
        let grows = ramp.windows(4).all(|it| it[3] >= it[0]);
        assert!(
            grows && shares[begin + 12..].iter().all(|share| *share == 100),
            "{policy} of {size}: {ramp:?}"
        );
    }
}

#[test]
fn one_of_ten_that_comes_back_gets_its_tenth_over_the_ramp() {
    for policy in POLICIES {
        let is_up = |rank, index, now| index > 0 || comes_back(rank, index, now);
        let mut world = World::new(targets(&[10], policy, OutlierPolicy::default()), is_up);
        world.run(91);
        let (held, early, late) = (world.run(3), world.run(3), world.run(100));
        let failed = held.failed + early.failed + late.failed;
        assert_eq!((failed, late.moved_on), (0, 0), "{policy}");
        assert!(held.by_first < 10 && early.by_first < 25, "{policy}: {held:?} {early:?}");
        assert!((700..1_300).contains(&late.by_first), "{policy}: {late:?}");
    }
}

#[test]
fn who_is_alone_serves_as_soon_as_it_has_proved_itself() {
    for (policy, size) in POLICIES.into_iter().flat_map(|policy| [(policy, 1), (policy, 10)]) {
        let is_up = |_, _, now| !(100..200).contains(&now);
        let mut world = World::new(targets(&[size], policy, OutlierPolicy::default()), is_up);
        world.run(30);
        // Its probe is due at about 31 s.
        world.run(2);
        let tally = world.run(30);
        assert_eq!((tally.failed, tally.served[0]), (0, 3_000), "{policy} of {size}");
    }
}

#[test]
fn users_who_are_back_on_an_endpoint_stay_while_its_share_grows() {
    for policy in ["ring_hash", "maglev"] {
        let resolver = targets(&[4], policy, OutlierPolicy::default());
        eject(&resolver.targets[0], 1, Tick(0));
        assert!(resolver.targets[0].endpoints[1].claim_probe(Tick(300)));
        resolver.targets[0].record(&resolver.targets[0].endpoints[1], Outcome::Served, Tick(300));
        let users = |now| -> Vec<usize> {
            let picked = by_hash(&resolver, 1_000, Tick(now));
            (0..picked.len()).filter(|user| picked[*user] == 1).collect()
        };
        let mut before = users(330);
        for now in (340..=430).step_by(10) {
            let after = users(now);
            assert!(before.iter().all(|user| after.contains(user)), "{policy} at {now}");
            before = after;
        }
        assert!(before.len() > 150, "{}", before.len());
    }
}

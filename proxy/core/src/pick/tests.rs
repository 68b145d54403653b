//! What a pick promises, against naive oracles where there is one.

mod returning;
mod traffic;

use super::*;
use crate::endpoint::Address;
use crate::entry::LoadBalancer;
use crate::name::Locus;

/// A generator for the tests' draws, so that a run repeats.
fn draws() -> impl Iterator<Item = Draw> {
    (1..).map(|n| Draw(mix(n)))
}

fn target(name: &str, weights: &[u32]) -> Target {
    let endpoint = |port: u16| {
        let uid = u64::from(port) | name.bytes().map(u64::from).sum::<u64>() << 16;
        Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into()), u32::from(port), uid))
    };
    let dc = Locus::Datacenter("dc1".parse().expect("a valid name"));
    Target {
        id: TargetId { service: name.parse().expect("a valid name"), subset: None, locus: dc, tenancy: None },
        cluster: name.into(),
        via: Via::Direct,
        tls: None,
        protocol: Protocol::Http,
        connect_timeout: Duration::from_secs(5),
        outlier: OutlierPolicy::default(),
        breaker: Breaker::default(),
        endpoints: (1..).take(weights.len()).map(endpoint).collect(),
        weights: Weights::new(weights),
        balance: Balance::default(),
        absent: None,
    }
}

fn resolver(targets: Vec<Target>) -> Resolver {
    Resolver { targets: targets.into_iter().map(Arc::new).collect(), request_timeout: None }
}

fn eject(target: &Target, index: usize, now: Tick) {
    for _ in 0..5 {
        target.record(&target.endpoints[index], Outcome::ConnectFailed, now);
    }
}

fn index_of(target: &Target, endpoint: &Endpoint) -> usize {
    target.endpoints.iter().position(|e| e.uid == endpoint.uid).expect("an endpoint of this target")
}

/// How often each endpoint of the first target is picked in `times` picks.
fn shares(resolver: &Resolver, times: usize, now: Tick) -> Vec<usize> {
    let mut counts = vec![0; resolver.targets[0].endpoints.len()];
    for draw in draws().take(times) {
        let pick = resolver.pick(&Tried::default(), draw, now).expect("something is available");
        counts[index_of(&resolver.targets[0], pick.endpoint)] += 1;
    }
    counts
}

#[test]
fn idle_endpoints_are_picked_in_proportion_to_their_weights() {
    for weights in [&[1, 1, 1][..], &[1, 3], &[1; 10], &[5, 0x1_0000, 1], &[2, 1, 1, 4]] {
        let sum: u32 = weights.iter().sum();
        let counts = shares(&resolver(vec![target("web", weights)]), 40_000, Tick(0));
        for (count, weight) in counts.iter().zip(weights) {
            let expected = 40_000.0 * f64::from(*weight) / f64::from(sum);
            let off = (f64::from(u32::try_from(*count).expect("small")) - expected).abs();
            assert!(off <= 5.0 * expected.sqrt() + 1.0, "{weights:?}: {counts:?}");
        }
    }
}

#[test]
fn the_less_loaded_of_two_is_picked() {
    let resolver = resolver(vec![target("web", &[1, 1])]);
    let [busy, idle] = &resolver.targets[0].endpoints[..] else { panic!("two endpoints") };
    busy.begin();
    assert!(draws().take(100).all(|draw| {
        resolver.pick(&Tried::default(), draw, Tick(0)).is_some_and(|pick| pick.endpoint.uid == idle.uid)
    }));
}

#[test]
fn load_is_weighed_by_weight() {
    let resolver = resolver(vec![target("web", &[1, 10])]);
    let [light, heavy] = &resolver.targets[0].endpoints[..] else { panic!("two endpoints") };
    let all_go_to = |endpoint: &Endpoint| {
        let pick = |draw| resolver.pick(&Tried::default(), draw, Tick(0)).map(|pick| pick.endpoint.uid);
        draws().take(100).all(|draw| pick(draw) == Some(endpoint.uid))
    };
    light.begin();
    (0..5).for_each(|_| heavy.begin());
    assert!(all_go_to(heavy), "five of ten is less than one of one");
    (0..6).for_each(|_| heavy.begin());
    assert!(all_go_to(light));
}

#[test]
fn a_request_visits_each_endpoint_once_and_targets_in_order() {
    let resolver = resolver(vec![target("a", &[1; 3]), target("b", &[1]), target("c", &[1; 5])]);
    for draw in draws().take(50) {
        let mut tried = Tried::default();
        let mut ranks = Vec::new();
        while let Some(pick) = resolver.pick(&tried, draw, Tick(0)) {
            assert!(!tried.contains(pick.endpoint));
            tried.push(pick.endpoint);
            ranks.push(pick.rank);
        }
        assert_eq!(ranks, [0, 0, 0, 1, 2, 2, 2, 2, 2]);
    }
}

#[test]
fn a_request_stops_at_the_limit_of_its_attempts() {
    let resolver = resolver(vec![target("web", &[1; 100])]);
    let mut tried = Tried::default();
    while let Some(pick) = resolver.pick(&tried, Draw(tried.len() as u64), Tick(0)) {
        tried.push(pick.endpoint);
    }
    assert_eq!(tried.len(), Tried::LIMIT);
}

#[test]
fn an_available_endpoint_is_found_however_few_there_are() {
    let now = Tick(10);
    for available in [0, 1, 500, 999] {
        let resolver = resolver(vec![target("web", &[1; 1_000])]);
        for out in (0..1_000).filter(|index| *index != available) {
            eject(&resolver.targets[0], out, now);
        }
        let counts = shares(&resolver, 20, now);
        assert_eq!(counts[available], 20);
    }
}

#[test]
fn an_ejected_endpoint_is_offered_to_exactly_one_request_once_its_time_is_over() {
    let resolver = resolver(vec![target("a", &[1]), target("b", &[1])]);
    eject(&resolver.targets[0], 0, Tick(0));
    let ranks = |now: Tick| {
        let ranks =
            draws().take(8).filter_map(|draw| Some(resolver.pick(&Tried::default(), draw, now)?.rank));
        ranks.collect::<Vec<_>>()
    };
    assert_eq!(ranks(Tick(299)), [1; 8]);
    assert_eq!(ranks(Tick(300)), [0, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(resolver.in_force(Tick(300)), Some(1));
    resolver.targets[0].record(&resolver.targets[0].endpoints[0], Outcome::Served, Tick(301));
    assert_eq!(ranks(Tick(330)), [1; 8], "it is held down");
    assert_eq!(resolver.in_force(Tick(330)), Some(1));
    assert_eq!(resolver.in_force(Tick(331)), Some(0));
    assert_eq!(ranks(Tick(431)), [0; 8], "the ramp is over");
}

#[test]
fn no_pick_claims_a_probe_that_it_does_not_return() {
    let now = Tick(300);
    let probing = |target: &Target| target.endpoints.iter().filter(|e| !e.claim_probe(now)).count();
    for size in 1..6 {
        let resolver = resolver(vec![target("web", &vec![1; size])]);
        let target = &resolver.targets[0];
        for out in 0..size {
            eject(target, out, Tick(0));
        }
        assert!(resolver.pick(&Tried::default(), Draw(7), now).is_some());
        assert_eq!(probing(target), 1, "of {size}");
    }
}

#[test]
fn no_target_left_is_no_pick() {
    let resolver = resolver(vec![target("a", &[]), target("b", &[1])]);
    eject(&resolver.targets[1], 0, Tick(0));
    assert!(resolver.pick(&Tried::default(), Draw(0), Tick(1)).is_none());
    assert_eq!(resolver.in_force(Tick(1)), None);
}

/// How many of `size` endpoints that answer nothing but `outcome` are ejected.
fn ejected_by(outcome: Outcome, size: usize, policy: OutlierPolicy) -> usize {
    let target = Target { outlier: policy, ..target("web", &vec![1; size]) };
    for endpoint in &target.endpoints {
        for _ in 0..20 {
            target.record(endpoint, outcome, Tick(1));
        }
    }
    target.endpoints.iter().filter(|e| e.outlier().is_out()).count()
}

#[test]
fn server_errors_eject_within_max_ejection_percent_only() {
    let policy = |max_ejection_percent| OutlierPolicy { max_ejection_percent, ..OutlierPolicy::default() };
    for (size, percent, expected) in [
        (1, 10, 0),
        (9, 10, 0),
        (10, 10, 1),
        (25, 10, 2),
        (3, 50, 1),
        (3, 100, 3),
        (1, 100, 1),
        (3, 0, 0),
        (3, 400, 3),
    ] {
        assert_eq!(
            ejected_by(Outcome::ServerError, size, policy(percent)),
            expected,
            "{size} at {percent} %"
        );
    }
    let never = OutlierPolicy { enforcing_consecutive_5xx: 0, ..policy(100) };
    assert_eq!(ejected_by(Outcome::ServerError, 10, never), 0);
}

#[test]
fn connection_failures_eject_whatever_the_percentage() {
    let policy =
        OutlierPolicy { max_ejection_percent: 0, enforcing_consecutive_5xx: 0, ..OutlierPolicy::default() };
    for size in [1, 2, 9, 10] {
        assert_eq!(ejected_by(Outcome::ConnectFailed, size, policy), size);
    }
}

/// Apart from 5xx answers, which come in at the same time and may eject nobody here.
#[test]
fn concurrent_connection_failures_trip_each_endpoint_of_any_fleet_exactly_once() {
    for size in [1, 2, 9, 10] {
        let policy = OutlierPolicy { max_ejection_percent: 0, ..OutlierPolicy::default() };
        let target = Target { outlier: policy, ..target("web", &vec![1; size]) };
        let fail = |outcome| {
            let record = |endpoint| target.record(endpoint, outcome, Tick(1)) == Some(Change::Ejected);
            (0..100).flat_map(|_| &target.endpoints).filter(|endpoint| record(endpoint)).count()
        };
        let trips: usize = std::thread::scope(|scope| {
            let outcomes =
                [Outcome::ConnectFailed, Outcome::Reset, Outcome::ConnectFailed, Outcome::TimedOut];
            let threads = outcomes.map(|outcome| scope.spawn(move || fail(outcome)));
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        });
        let each: Vec<u64> = target.endpoints.iter().map(|endpoint| endpoint.ejections_total()).collect();
        assert_eq!((trips, each), (size, vec![1; size]));
    }
}

#[test]
fn enforcing_is_the_chance_that_server_errors_eject() {
    let half = OutlierPolicy {
        max_ejection_percent: 100,
        enforcing_consecutive_5xx: 50,
        ..OutlierPolicy::default()
    };
    let trip_once = |tick| {
        let target = Target { outlier: half, ..target("web", &[1]) };
        (0..5).any(|_| target.record(&target.endpoints[0], Outcome::ServerError, Tick(tick)).is_some())
    };
    let trips = (0..1_000).filter(|tick| trip_once(*tick)).count();
    assert!((440..560).contains(&trips), "{trips}");
}

fn balanced(policy: &str, weights: &[u32]) -> Resolver {
    let written = LoadBalancer { policy: policy.to_owned(), ..LoadBalancer::default() };
    let target = target("web", weights);
    let balance = Balance::compile(Some(&written), &target.endpoints);
    resolver(vec![Target { balance, ..target }])
}

#[test]
fn turns_go_round_and_pass_over_what_is_out() {
    let resolver = balanced("round_robin", &[1; 4]);
    assert_eq!(shares(&resolver, 400, Tick(0)), [100; 4]);
    eject(&resolver.targets[0], 1, Tick(0));
    assert_eq!(shares(&resolver, 300, Tick(1)), [100, 0, 100, 100]);
    let weighted = shares(&balanced("round_robin", &[1, 3]), 400, Tick(0));
    assert!(weighted[0].abs_diff(100) <= 2, "{weighted:?}");
}

#[test]
fn random_takes_no_notice_of_load() {
    let resolver = balanced("random", &[1, 3]);
    resolver.targets[0].endpoints[0].begin();
    let counts = shares(&resolver, 4_000, Tick(0));
    assert!((850..1_150).contains(&counts[0]), "{counts:?}");
    eject(&resolver.targets[0], 1, Tick(0));
    assert_eq!(shares(&resolver, 100, Tick(1)), [100, 0]);
}

#[test]
fn more_choices_find_the_idle_endpoint_more_often() {
    let idle_share = |choices| {
        let resolver =
            resolver(vec![Target { balance: Balance::LeastRequest { choices }, ..target("web", &[1; 10]) }]);
        resolver.targets[0].endpoints[1..].iter().for_each(|endpoint| endpoint.begin());
        shares(&resolver, 2_000, Tick(0))[0]
    };
    let (two, eight) = (idle_share(2), idle_share(8));
    assert!((300..500).contains(&two) && eight > 1_000, "{two} {eight}");
}

/// The index picked for each of the first `n` hashes.
fn by_hash(resolver: &Resolver, n: u64, now: Tick) -> Vec<usize> {
    let pick = |hash| resolver.pick_for(Some(mix(hash)), &Tried::default(), Draw(hash), now);
    let index = |hash| index_of(&resolver.targets[0], pick(hash).expect("something is available").endpoint);
    (0..n).map(index).collect()
}

#[test]
fn a_hash_stays_with_its_endpoint_while_that_is_available() {
    let resolver = balanced("ring_hash", &[1; 5]);
    let before = by_hash(&resolver, 1_000, Tick(0));
    for index in 0..5 {
        let share = before.iter().filter(|picked| **picked == index).count();
        assert!((140..260).contains(&share), "{share}");
    }
    eject(&resolver.targets[0], 2, Tick(0));
    let during = by_hash(&resolver, 1_000, Tick(1));
    assert!(
        before.iter().zip(&during).all(|(b, d)| b == d || (*b == 2 && *d != 2)),
        "only those of the ejected move"
    );
    let probe = by_hash(&resolver, 1_000, Tick(300));
    assert_eq!(probe.iter().filter(|picked| **picked == 2).count(), 1);
}

#[test]
fn a_hash_goes_by_address_and_weight() {
    let fewer = by_hash(&balanced("maglev", &[1; 4]), 1_000, Tick(0));
    let more = by_hash(&balanced("maglev", &[1; 5]), 1_000, Tick(0));
    assert!(
        fewer.iter().zip(&more).all(|(f, m)| f == m || *m == 4),
        "a new endpoint takes, and nothing else moves"
    );
    let weighted = by_hash(&balanced("maglev", &[1, 3]), 4_000, Tick(0));
    let light = weighted.iter().filter(|picked| **picked == 0).count();
    assert!((850..1_150).contains(&light), "{light}");
}

#[test]
fn a_request_without_a_hash_goes_anywhere() {
    assert!(shares(&balanced("maglev", &[1; 3]), 300, Tick(0)).iter().all(|share| *share > 50));
}

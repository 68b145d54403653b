//! Who is kept where, compared with a naive reading of the rule, and what may never happen when weights change.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::fixtures::{Fields, get, table_of};
use super::super::{Caller, Decision, RequestHead, ServiceTable};
use super::*;
use crate::Draw;
use crate::catalog::Catalog;

const HTTP: &str = r#"{ Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },"#;

/// A splitter `name`, sticky by `x-user` when it is said to be. Legs are `SERVICE` or `SERVICE@PEER`.
fn splitter(name: &str, sticky: &str, legs: &[(u32, &str)]) -> String {
    let mut splits = String::new();
    for (weight, leg) in legs {
        let (service, peer) = leg.split_once('@').unwrap_or((leg, ""));
        let weight = f64::from(*weight) / 100.0;
        splits.push_str(&format!("{{ Weight = {weight} Service = \"{service}\" Peer = \"{peer}\" }},"));
    }
    format!("{{ Kind = \"service-splitter\" Name = \"{name}\" {sticky} Splits = [{splits}] }},")
}

const BY_USER: &str = r#"Sticky { Field = "header" FieldValue = "x-user" }"#;

fn table(splitters: &[String]) -> ServiceTable {
    table_of(&format!("{HTTP}{}", splitters.concat()), &Catalog::default())
}

/// A splitter of web alone, by user.
fn web(legs: &[(u32, &str)]) -> ServiceTable {
    table(&[splitter("web", BY_USER, legs)])
}

fn decide<'a>(table: &'a ServiceTable, head: &RequestHead<'_>, caller: Caller<'_>) -> Decision<'a> {
    table.decide_for(&Request { head: *head, caller, draw: Some(Draw(7)) })
}

/// The target of the leg that `user` gets.
fn target(table: &ServiceTable, user: &str) -> String {
    let fields = [("x-user", user)];
    let head = RequestHead { headers: &Fields(&fields), ..get("/") };
    let decision = decide(table, &head, Caller::default());
    assert!(decision.sticky);
    decision.resolver.targets[0].id.to_string()
}

fn service(table: &ServiceTable, user: &str) -> String {
    target(table, user).split('.').next().unwrap_or_default().to_owned()
}

/// How many of `users` users each service gets.
fn counts(table: &ServiceTable, users: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for user in 0..users {
        *counts.entry(service(table, &format!("user-{user}"))).or_default() += 1;
    }
    counts
}

#[test]
fn every_leg_gets_its_share_of_100_000_users_as_nearly_as_chance_allows() {
    const USERS: usize = 100_000;
    for legs in [
        &[(9_500, "a"), (500, "b")][..],
        &[(5_000, "a"), (5_000, "b")],
        &[(9_990, "a"), (10, "b")],
        &[(3_334, "a"), (3_333, "b"), (3_333, "c")],
        &[(7_000, "a"), (1_500, "b"), (1_000, "c"), (500, "d")],
        &[(10_000, "a"), (0, "b")],
    ] {
        let counts = counts(&web(legs), USERS);
        for (weight, leg) in legs {
            let got = *counts.get(*leg).unwrap_or(&0) as f64 / USERS as f64;
            let wanted = f64::from(*weight) / 10_000.0;
            // Three standard deviations of as many coins: 0.2 % for a canary of 5 %, 0.47 % for a half.
            let chance = 3.0 * (wanted * (1.0 - wanted) / USERS as f64).sqrt();
            assert!((got - wanted).abs() <= chance, "{leg} of {legs:?}: {got}");
            assert!(*weight > 0 || got == 0.0, "a leg of weight 0 gets nobody");
        }
    }
}

#[test]
fn raising_a_canary_only_adds_users() {
    let at = |canary: u32| web(&[(10_000 - canary, "stable"), (canary, "canary")]);
    let steps: Vec<_> = [0, 1, 100, 500, 1_000, 2_500, 5_000, 9_999, 10_000].map(at).into();
    for user in 0..20_000 {
        let user = format!("user-{user}");
        let on: Vec<bool> = steps.iter().map(|table| service(table, &user) == "canary").collect();
        assert!(on.is_sorted(), "{user} left the canary: {on:?}");
    }
}

/// The rule as a formula: the least −log₂(random) / weight.
fn naive(splitter: &str, legs: &[(u32, &str)], user: &str) -> (usize, f64) {
    let wait = |(weight, key): &(u32, &str)| {
        let random = mix(hash(user.as_bytes()) ^ hash(format!("{splitter}/{key}").as_bytes()));
        -(((random | 1) as f64) / 2_f64.powi(64)).log2() / f64::from(*weight)
    };
    let mut waits: Vec<(f64, usize)> = legs.iter().map(wait).zip(0..).collect();
    waits.retain(|(wait, _)| wait.is_finite());
    waits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lead = waits.get(1).map_or(1.0, |second| (second.0 - waits[0].0) / second.0);
    (waits[0].1, lead)
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn weights() -> impl Strategy<Value = Vec<u32>> {
    // Cuts of the whole: any weights that sum to it, zeroes included.
    (1..=4_usize).prop_flat_map(|cuts| proptest::collection::vec(0..=10_000_u32, cuts)).prop_map(
        |mut cuts| {
            cuts.sort_unstable();
            cuts.push(10_000);
            let mut before = 0;
            cuts.iter().map(|cut| cut - std::mem::replace(&mut before, *cut)).collect()
        },
    )
}

fn named(weights: &[u32]) -> Vec<(u32, &'static str)> {
    weights.iter().copied().zip(NAMES).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_leg_is_the_one_of_the_formula(weights in weights()) {
        let legs = named(&weights);
        let table = web(&legs);
        for user in 0..200 {
            let user = format!("user-{user}");
            let (leg, lead) = naive("web", &legs, &user);
            // The formula's rounding is not ours.
            prop_assert!(lead < 1e-6 || service(&table, &user) == legs[leg].1, "{user} of {legs:?}");
        }
    }

    #[test]
    fn a_leg_that_grows_against_every_other_keeps_its_users(
        (before, after) in weights().prop_flat_map(|before| {
            let len = before.len();
            (Just(before), weights().prop_filter("as many legs", move |after| after.len() == len))
        }),
    ) {
        let (old, new) = (web(&named(&before)), web(&named(&after)));
        let grows = |leg: usize| (0..before.len()).all(|other| {
            u64::from(after[leg]) * u64::from(before[other]) >= u64::from(before[leg]) * u64::from(after[other])
        });
        for user in 0..300 {
            let user = format!("user-{user}");
            let was = service(&old, &user);
            let leg = NAMES.iter().position(|name| *name == was).expect("one of them");
            prop_assert!(!grows(leg) || service(&new, &user) == was, "{user}: {before:?} to {after:?}");
        }
    }

    #[test]
    fn the_order_of_legs_does_not_matter(weights in weights(), turn in 0..5_usize) {
        let legs = named(&weights);
        let mut turned = legs.clone();
        turned.rotate_left(turn % legs.len());
        let (table, turned) = (web(&legs), web(&turned));
        for user in 0..200 {
            let user = format!("user-{user}");
            prop_assert_eq!(service(&table, &user), service(&turned, &user));
        }
    }
}

/// Users would move if any of these changed: a hash, the key of a leg, the wait.
#[test]
fn who_gets_what_is_the_same_in_every_version() {
    let table = table(&[splitter("web", BY_USER, &[(5_000, "web"), (3_000, "web@us"), (2_000, "api")])]);
    let got: Vec<_> = (0..12).map(|user| target(&table, &format!("user-{user}"))).collect();
    let (web, us, api) =
        ("web.default.default.dc1", "web.default.default.external.us", "api.default.default.dc1");
    assert_eq!(got, PINNED.map(|leg| [web, us, api][leg]));
}

const PINNED: [usize; 12] = [2, 1, 1, 2, 2, 0, 0, 0, 1, 0, 0, 0];

#[test]
fn a_wait_is_a_logarithm() {
    for (random, wanted) in [(u64::MAX, 1), (1 << 63, 1 << 24), (1 << 62, 2 << 24), (0, 64 << 24)] {
        assert_eq!(wait(random), wanted, "{random:#x}");
    }
    for seed in 0..10_000 {
        let random = mix(seed);
        let exact = (64.0 - ((random | 1) as f64).log2()) * 2_f64.powi(24);
        assert!((wait(random) as f64 - exact).abs() <= 2.0, "{random:#x}");
    }
}

#[test]
fn splitters_of_different_names_do_not_correlate() {
    let half = |name: &str| splitter(name, BY_USER, &[(5_000, "a"), (5_000, "b")]);
    let web = table(&[half("web")]);
    let other = table(&[splitter("web", "", &[(10_000, "other")]), half("other")]);
    let both = (0..20_000).filter(|user| {
        let user = format!("user-{user}");
        service(&web, &user) == "a" && service(&other, &user) == "a"
    });
    let both = both.count();
    assert!((4_800..=5_200).contains(&both), "{both} of 20,000 are on a in both, not a quarter");
}

#[test]
fn who_reaches_a_splitter_by_way_of_another_gets_the_same_leg() {
    let api = |name: &str, sticky| splitter(name, sticky, &[(6_000, "v1"), (4_000, "v2")]);
    let plain = table(&[splitter("web", "", &[(10_000, "api")]), api("api", BY_USER)]);
    let through =
        |outer| table(&[splitter("web", outer, &[(5_000, "api"), (5_000, "b")]), api("api", BY_USER)]);
    // The sticky one inherits what it goes by.
    let inherits = table(&[splitter("web", BY_USER, &[(5_000, "api"), (5_000, "b")]), api("api", "")]);
    let (counted, sticky) = (through(""), through(BY_USER));
    let mut outside = 0;
    for user in 0..2_000 {
        let user = format!("user-{user}");
        let direct = service(&plain, &user);
        for table in [&sticky, &inherits] {
            let leg = service(table, &user);
            outside += usize::from(leg == "b");
            assert!(leg == "b" || leg == direct, "{user}");
        }
        // Behind one that takes turns, whoever gets there has its leg.
        let fields = [("x-user", user.as_str())];
        let head = RequestHead { headers: &Fields(&fields), ..get("/") };
        let decision = decide(&counted, &head, Caller::default());
        let leg = decision.resolver.targets[0].id.service.to_string();
        assert_eq!(decision.sticky, leg != "b");
        assert!(leg == "b" || leg == direct, "{user}");
    }
    assert!((1_800..=2_200).contains(&outside), "{outside}");
}

#[test]
fn a_change_behind_a_splitter_moves_nobody_outside() {
    let with = |v1: u32| {
        table(&[
            splitter("web", BY_USER, &[(5_000, "api"), (3_000, "b"), (2_000, "c")]),
            splitter("api", "", &[(v1, "v1"), (10_000 - v1, "v2")]),
        ])
    };
    let (before, after) = (with(9_000), with(3_000));
    for user in 0..2_000 {
        let user = format!("user-{user}");
        let (was, is) = (service(&before, &user), service(&after, &user));
        assert!(was == is || (was == "v1" && is == "v2"), "{user} went from {was} to {is}");
    }
}

#[test]
fn the_first_that_a_request_has_counts_and_who_has_none_takes_turns() {
    let sticky = r#"Sticky = [{ Field = "header" FieldValue = "X-User" },
        { Field = "query_parameter" FieldValue = "u" }, { Field = "cookie" FieldValue = "sid" },
        { Field = "caller_identity" }, { Field = "source_ip" }]"#;
    let table = table(&[splitter("web", sticky, &[(5_000, "a"), (5_000, "b")])]);
    let leg = |headers: &[(&str, &str)], query: &str, caller| {
        let head = RequestHead { headers: &Fields(headers), query: Some(query), ..get("/") };
        let decision = decide(&table, &head, caller);
        (decision.sticky, decision.leg_index)
    };
    let here = |identity| Caller { identity, address: "10.0.0.1".parse().ok() };
    // One value decides alike, wherever it stands; and what stands before decides alone.
    for id in ["spiffe://td/a", "x", "y", "z"] {
        let wanted = leg(&[("x-user", id)], "", here(None));
        assert!(wanted.0);
        assert_eq!(leg(&[("x-user", id), ("cookie", "sid=1")], "u=2", here(Some("b"))), wanted);
        assert_eq!(leg(&[("cookie", "sid=1")], &format!("u={id}"), here(Some("b"))), wanted);
        assert_eq!(leg(&[("cookie", &format!("sid=\"{id}\""))], "", here(Some("b"))), wanted);
        assert_eq!(leg(&[], "", here(Some(id))), wanted);
    }
    let by_address =
        |last: u8| leg(&[], "", Caller { identity: None, address: Some([10, 0, 0, last].into()) });
    assert!((0..20).all(|last| by_address(last) == by_address(last) && by_address(last).0));
    let turns: Vec<_> = (0..10_000).map(|_| leg(&[], "", Caller::default())).collect();
    let on_a = turns.iter().filter(|(sticky, leg)| !sticky && *leg == Some(0)).count();
    assert_eq!(on_a, 5_000);
}

#[test]
fn a_request_without_a_cookie_gets_one_that_keeps_it_on_its_leg() {
    let sticky = r#"Sticky { Field = "cookie" FieldValue = "leg" CookieConfig { TTL = "10m" Path = "/" } }"#;
    let table = table(&[splitter("web", sticky, &[(5_000, "a"), (5_000, "b")])]);
    for draw in 0..50 {
        let asked = |headers: &[(&str, &str)]| {
            let head = RequestHead { headers: &Fields(headers), ..get("/") };
            let request = Request { head, caller: Caller::default(), draw: Some(Draw(draw)) };
            let decision = table.decide_for(&request);
            assert!(decision.sticky);
            (decision.leg_index, decision.set_cookies)
        };
        let (leg, cookies) = asked(&[]);
        let [line] = &cookies[..] else { panic!("{cookies:?}") };
        let pair = line.split(';').next().expect("a pair");
        assert_eq!(*line, format!("{pair}; Max-Age=600; Path=/; HttpOnly"));
        assert_eq!(asked(&[("cookie", pair)]), (leg, Vec::new()));
    }
    let peeked = table.peek(&get("/"), 0);
    assert!(!peeked.sticky && peeked.set_cookies.is_empty(), "looking makes nothing");
}

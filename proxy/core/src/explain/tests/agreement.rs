//! What is explained is what the table decides, for every request.

use super::{Get, World, get, world};
use crate::Draw;
use crate::pick::mix;

const ROUTER: &str = r#"
Kind = "service-router"
Name = "web"
Routes = [
  { Match { HTTP { PathExact = "/a" } } Destination { Service = "api" } },
  { Match { HTTP { PathPrefix = "/a/" Methods = ["POST", "PUT"] } } Destination { Service = "admin" } },
  { Match { HTTP { PathPrefix = "/a/b" Header = [{ Name = "x-one" Exact = "1" }, { Name = "x-two" Present = true Invert = true }] } } },
  { Match { HTTP { PathRegex = "/[ab]/.*c" QueryParam = [{ Name = "q" Regex = "[0-9]+" }] } } Destination { ServiceSubset = "v2" } },
  { Match { HTTP { PathPrefix = "/B" CaseInsensitive = true QueryParam = [{ Name = "q" Present = true }] } } Destination { Service = "api" } },
  { Match { HTTP { Header = [{ Name = "x-two" Suffix = "z" }] } } Destination { Service = "admin" } },
  { Match { HTTP { PathPrefix = "/c" Header = [{ Name = "x-one" Prefix = "2" Invert = true }] } } Destination { Service = "api" } },
]
"#;

const OTHERS: &str = r#"
config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-splitter" Name = "web" Splits = [{ Weight = 60 ServiceSubset = "v1" }, { Weight = 0 Service = "admin" }, { Weight = 40 Service = "api" }] },
  { Kind = "service-splitter" Name = "api" Splits = [{ Weight = 33.33 }, { Weight = 66.67 Service = "admin" }] },
  { Kind = "service-resolver" Name = "web" Subsets { v1 { Filter = "Service.Meta.version == v1" } v2 {} } Failover { "*" { Service = "admin" } } },
] }
"#;

fn mesh() -> World {
    world(&[("web.hcl", ROUTER), ("others.hcl", OTHERS)])
}

/// A request made of few words, so that every route is met often.
fn random(seed: u64) -> Get {
    let mut state = seed;
    let mut pick = |words: &[&'static str]| {
        state = mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        words[usize::try_from(state % words.len() as u64).expect("an index")]
    };
    let method = pick(&["GET", "GET", "POST", "PUT"]);
    let path = [pick(&["/", "/a", "/b", "/B", "/c"]), pick(&["", "", "/b", "/x"]), pick(&["", "c", "/c"])];
    let query = pick(&["", "", "q=7", "q=x", "p=1&q"]);
    let mut headers = Vec::new();
    for name in ["x-one", "x-two"] {
        let value = pick(&["", "1", "2a", "z"]);
        if !value.is_empty() {
            headers.push((name, value.to_owned()));
        }
    }
    let query = (!query.is_empty()).then(|| query.to_owned());
    Get { method, path: path.concat(), query, headers }
}

#[test]
fn ten_thousand_requests_go_where_they_are_said_to_go() {
    let world = mesh();
    let (chain, table) = world.table("web");
    let mut taken = vec![0; table.routes().len()];
    for seed in 0..10_000 {
        let request = random(seed);
        let said = world.explain_at_entries(&chain, &table, &request);
        let decision = table.decide(&request.head(), Draw(seed));
        let route = said.route.as_ref().expect("a router");
        assert_eq!(Some(route.index), decision.route_index, "{request:?}");
        let outcome = said.outcomes.iter().find(|it| it.leg == decision.leg_index);
        let outcome = outcome.unwrap_or_else(|| panic!("leg {:?} of {request:?}", decision.leg_index));
        assert_eq!(outcome.resolver, decision.resolver.targets[0].id.to_string(), "{request:?}");
        taken[route.index] += 1;
    }
    assert!(taken.iter().all(|count| *count > 10), "every route is met: {taken:?}");
}

#[test]
fn every_point_of_a_split_is_the_leg_whose_share_it_is_said_to_be() {
    let world = mesh();
    let (chain, table) = world.table("web");
    let request = get("/x");
    let said = world.explain_table(&chain, &table, &request);
    let legs = said.split.expect("a splitter").legs;
    let mut counted = vec![0; legs.len()];
    for point in 0..10_000 {
        counted[table.peek(&request.head(), point).leg_index.expect("a leg")] += 1;
    }
    assert_eq!(counted, legs.iter().map(|leg| leg.points).collect::<Vec<_>>());
    let with_requests: Vec<Option<usize>> = said.outcomes.iter().map(|it| it.leg).collect();
    assert_eq!(with_requests, [Some(0), Some(2), Some(3)], "a leg of weight 0 has no outcome");
}

#[test]
fn an_earlier_route_lacks_just_what_its_matcher_rejects() {
    let world = mesh();
    let (chain, table) = world.table("web");
    for seed in 0..2_000 {
        let request = random(seed);
        let head = request.head();
        let route = world.explain_at_entries(&chain, &table, &request).route.expect("a router");
        assert_eq!(route.earlier.len(), route.index);
        for (missed, compiled) in route.earlier.iter().zip(table.routes()) {
            let all = compiled.matcher.rejections(&head);
            assert_eq!(all.first().copied(), compiled.matcher.rejects(&head), "{request:?}");
            assert_eq!((missed.lacks.len(), missed.lacks.is_empty()), (all.len(), false), "{request:?}");
        }
    }
}

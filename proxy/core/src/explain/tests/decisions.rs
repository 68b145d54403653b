//! Routes, legs, targets and endpoints, each with the reason it lost.

use super::{Get, World, get, world};
use crate::explain::draw;

const WEB: &str = r#"
config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-router" Name = "web" Routes = [
    { Match { HTTP { PathExact = "/login" Methods = ["post"] Header = [{ Name = "X-User" Exact = "7" }, { Name = "x-b" Present = true Invert = true }] QueryParam = [{ Name = "v" Exact = "2" }] } } },
    { Match { HTTP { PathPrefix = "/retry" } } Destination { NumRetries = 3 RetryOn = ["5xx"] } },
    { Match { HTTP { PathPrefix = "/in-vain" } } Destination { NumRetries = 3 } },
  ] },
  { Kind = "service-resolver" Name = "web" DefaultSubset = "v1" RequestTimeout = "4s"
    Subsets { v1 { Filter = "Service.Meta.version == v1" OnlyPassing = true } }
    Failover { "*" { Datacenters = ["dc2"] } } },
] }
services = [
  { id = "a" name = "web" port = 1 meta { version = "v1" } weights { passing = 3 } connect { sidecar_service { port = 21001 } } },
  { id = "b" name = "web" port = 2 meta { version = "v2" } connect { sidecar_service { port = 21002 } } },
  { id = "c" name = "web" port = 3 meta { version = "v1" } checks = [{ tcp = "127.0.0.1:3" interval = "1s" status = "warning" }] connect { sidecar_service { port = 21003 } } },
  { id = "d" name = "web" port = 4 meta { version = "v1" } checks = [{ name = "said" status = "critical" }] connect { sidecar_service { port = 21004 } } },
]
"#;

fn web() -> World {
    world(&[("web.hcl", WEB)])
}

#[test]
fn a_missed_route_names_all_that_the_request_lacks() {
    let request = Get { headers: vec![("x-user", "8".to_owned()), ("x-b", "1".to_owned())], ..get("/x?v=1") };
    let route = web().explain("web", &request).route.expect("a router");
    assert_eq!((route.index, route.of, route.implicit, route.asks.as_str()), (3, 4, true, "path /*"));
    let lacks: Vec<(&str, &str, Option<&str>)> = route.earlier[0]
        .lacks
        .iter()
        .map(|it| (it.criterion, it.expected.as_str(), it.actual.as_deref()))
        .collect();
    let expected = [
        ("path", "path /login", Some("/x")),
        ("method", "method POST", Some("GET")),
        ("header", "header X-User = 7", Some("8")),
        ("header", "not header x-b", Some("1")),
        ("query", "query v = 2", Some("1")),
    ];
    assert_eq!(lacks, expected);
    let without = web().explain("web", &get("/login")).route.expect("a router");
    let missing: Vec<Option<&str>> = without.earlier[0].lacks.iter().map(|it| it.actual.as_deref()).collect();
    assert_eq!(missing, [Some("GET"), None, None], "the method, the header and the parameter");
}

#[test]
fn an_instance_that_is_not_dialed_has_a_reason() {
    let said = web().explain("web", &get("/"));
    let targets = &said.outcomes[0].targets;
    assert_eq!(targets[0].id, "v1.web.default.default.dc1");
    let offered: Vec<_> = targets[0]
        .endpoints
        .iter()
        .map(|it| (it.address.as_str(), it.instance.as_deref(), it.health))
        .collect();
    assert_eq!(offered, [("127.0.0.1:21001", Some("a"), "available")]);
    let out: Vec<(&str, &str)> =
        targets[0].left_out.iter().map(|it| (it.instance.as_str(), it.why.as_str())).collect();
    assert_eq!(
        out,
        [
            ("b", "not of the subset: Service.Meta.version == v1"),
            ("c", "a registered check is warning, and the subset is OnlyPassing"),
            ("d", "a registered check is critical"),
        ]
    );
    assert_eq!((targets[0].serves, targets[1].serves), (true, false));
    assert_eq!(targets[1].id, "v1.web.default.default.dc2");
}

#[test]
fn what_is_read_and_has_no_effect_here_is_warned_of() {
    let warned = |path, part: &str| {
        let said = web().explain("web", &get(path));
        assert!(said.warnings.iter().any(|it| it.contains(part)), "{path}: {:?}", said.warnings);
    };
    warned("/", "service-resolver web: RequestTimeout has no effect here (web.hcl:9:");
    warned("/in-vain", "NumRetries has no effect without a condition");
    let post = web().explain("web", &Get { method: "POST", ..get("/retry") });
    assert!(post.warnings.iter().any(|it| it.starts_with("POST is not idempotent")), "{:?}", post.warnings);
    let retries = post.outcomes[0].retries.as_ref().expect("a request");
    assert_eq!(
        (retries.number, retries.on.join(" ")),
        (3, "5xx reset connect-failure refused-stream".to_owned())
    );
}

#[test]
fn a_service_that_nobody_knows_has_a_default_decision_and_a_warning() {
    let said = world(&[("a.hcl", "")]).explain("nobody", &get("/"));
    assert_eq!((said.route.is_none(), said.request.is_none()), (true, true), "tcp");
    assert_eq!(said.outcomes[0].resolver, "nobody.default.default.dc1");
    assert_eq!(
        said.warnings,
        [
            "nothing is registered as nobody, and no entry has its name",
            "no endpoint is available in nobody.default.default.dc1: the answer is a closed connection",
        ]
    );
}

#[test]
fn a_request_that_is_hashed_goes_to_one_endpoint() {
    let entry = r#"
config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-resolver" Name = "web" LoadBalancer { Policy = "maglev" HashPolicies = [{ Field = "header" FieldValue = "x-user" }] } },
] }
services = [
  { id = "a" name = "web" port = 1 connect { sidecar_service { port = 21001 } } },
  { id = "b" name = "web" port = 2 connect { sidecar_service { port = 21002 } } },
]
"#;
    let world = world(&[("web.hcl", entry)]);
    let (chain, table) = world.table("web");
    for user in 0..20 {
        let request = Get { headers: vec![("x-user", user.to_string())], ..get("/") };
        let said = world.explain_table(&chain, &table, &request);
        assert_eq!(said.outcomes[0].load_balancer.value, "maglev");
        let hash = said.outcomes[0].hash.as_ref().expect("a hash policy");
        let decision = table.decide(&request.head(), crate::Draw(user));
        let tried = crate::pick::Tried::default();
        let pick =
            decision.resolver.pick_for(decision.endpoint_hash, &tried, crate::Draw(user), crate::Tick(0));
        let picked = pick.expect("an endpoint").endpoint.address.to_string();
        assert_eq!(hash.endpoint.as_deref(), Some(picked.as_str()));
    }
    let unhashed = world.explain_table(&chain, &table, &get("/"));
    assert_eq!(unhashed.outcomes[0].hash.as_ref().and_then(|it| it.value.as_deref()), None);
}

#[test]
fn a_sticky_request_is_shown_on_its_own_leg_alone() {
    let entry = r#"
config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-splitter" Name = "web" Sticky { Field = "header" FieldValue = "x-user" }
    Splits = [{ Weight = 50 }, { Weight = 50 Service = "canary" }] },
] }
"#;
    let world = world(&[("web.hcl", entry)]);
    let (chain, table) = world.table("web");
    for user in 0..20 {
        let request = Get { headers: vec![("x-user", user.to_string())], ..get("/") };
        let said = world.explain_table(&chain, &table, &request);
        let taken = table.decide(&request.head(), crate::Draw(user)).leg_index;
        assert_eq!(said.split.as_ref().map(|it| it.chosen), Some("sticky"));
        assert_eq!(said.outcomes.iter().map(|it| it.leg).collect::<Vec<_>>(), [taken]);
        assert!(draw(&said).contains("<- this request"), "{}", draw(&said));
    }
    let by_turns = world.explain_table(&chain, &table, &get("/"));
    assert_eq!((by_turns.split.map(|it| it.chosen), by_turns.outcomes.len()), (Some("by turns"), 2));
}

#[test]
fn requests_of_an_empty_leg_are_shown_where_they_go() {
    let mesh = |rules: &str| {
        let entries = format!(
            r#"config_entries {{ bootstrap = [
  {{ Kind = "proxy-defaults" Name = "global" Config {{ protocol = "http" }} }},
  {{ Kind = "service-splitter" Name = "web" {rules}
    Splits = [{{ Weight = 20 }}, {{ Weight = 50 Service = "a" }}, {{ Weight = 30 Service = "b" }}] }},
] }}
services = [
  {{ name = "a" port = 1 connect {{ sidecar_service {{ port = 21001 }} }} }},
  {{ name = "b" port = 2 connect {{ sidecar_service {{ port = 21002 }} }} }},
]
"#
        );
        world(&[("web.hcl", &entries)])
    };
    for (rule, instead, answer) in [
        ("", vec![], "the answer is 503 (UH)"),
        ("EmptyLeg = \"fail\"", vec![], "the answer is 503 (UH)"),
        ("EmptyLeg = \"next\"", vec![1], "requests of this leg go to a.default.default.dc1 instead"),
        (
            "EmptyLeg = \"renormalise\"",
            vec![1, 2],
            "requests of this leg go to a.default.default.dc1, b.default.default.dc1 instead",
        ),
    ] {
        let said = mesh(rule).explain("web", &get("/"));
        let of_legs: Vec<_> = said.outcomes.iter().map(|it| it.instead.clone()).collect();
        assert_eq!(of_legs, [instead, vec![], vec![]], "{rule}");
        assert_eq!(said.warnings, [format!("no endpoint is available in web.default.default.dc1: {answer}")]);
    }
    let world = mesh("EmptyLeg = \"renormalise\" Sticky { Field = \"header\" FieldValue = \"x-user\" }");
    for user in 0..20 {
        let request = Get { headers: vec![("x-user", user.to_string())], ..get("/") };
        let legs: Vec<_> = world.explain("web", &request).outcomes.iter().map(|it| it.leg).collect();
        assert!(matches!(legs[..], [Some(1 | 2)] | [Some(0), Some(1 | 2)]), "{legs:?}");
    }
}

#[test]
fn a_redirect_and_what_an_answer_gets_are_shown() {
    let entries = r#"
config_entries { bootstrap = [
  { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
  { Kind = "service-router" Name = "web" Routes = [
    { Destination { Service = "old" ResponseHeaders { Add { x-a = "1" } Remove = ["x-b"] } } } ] },
  { Kind = "service-resolver" Name = "old" Redirect { Service = "new" ServiceSubset = "v2" } },
  { Kind = "service-resolver" Name = "new" Subsets { v2 {} } },
] }
"#;
    let said = world(&[("web.hcl", entries)]).explain("web", &get("/"));
    let redirects: Vec<_> = said.outcomes[0].redirects.iter().map(|it| (&*it.from, &*it.to)).collect();
    assert_eq!(redirects, [("old", "v2.new")]);
    assert_eq!(said.outcomes[0].response_headers, ["-x-b", "+x-a=1"]);
    assert!(draw(&said).contains("redirect          old -> v2.new (web.hcl:6:"), "{}", draw(&said));
}

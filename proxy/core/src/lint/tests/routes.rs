//! Routers.

use super::{check, check_none};

/// A router of `web` with these routes, one a line from line 4 on.
fn router(routes: &[&str]) -> String {
    format!("Kind = \"service-router\"\nName = \"web\"\nRoutes = [\n{},\n]\n", routes.join(",\n"))
}

fn http(criteria: &str) -> String {
    format!("{{ Match {{ HTTP {{ {criteria} }} }} Destination {{ Service = \"api\" }} }}")
}

/// Whether a route of `later` is shadowed by one of `earlier` before it.
#[track_caller]
fn shadows(earlier: &str, later: &str, shadowed: bool) {
    let text = router(&[&http(earlier), &http("PathExact = \"/else\""), &http(later)]);
    if shadowed {
        let found = super::warnings(&text);
        let here =
            |line: &String| line.starts_with("x.hcl:6:") && line.contains("Routes[0] takes every request");
        assert!(found.len() == 1 && found.iter().all(here), "{earlier} before {later}: {found:#?}");
    } else {
        check_none(&text);
    }
}

#[test]
fn a_route_behind_one_that_takes_all_it_would_take_is_named_with_it() {
    for (earlier, later) in [
        (r#"PathPrefix = "/a""#, r#"PathPrefix = "/a/b""#),
        (r#"PathPrefix = "/a""#, r#"PathExact = "/a""#),
        (r#"PathPrefix = "/a""#, r#"PathRegex = "/a/[0-9]+""#),
        (r#"PathExact = "/a""#, r#"PathExact = "/a""#),
        (r#"PathPrefix = "/A" CaseInsensitive = true"#, r#"PathPrefix = "/a/b" CaseInsensitive = true"#),
        (r#"PathRegex = "/a/[0-9]+""#, r#"PathRegex = "/a/[0-9]+""#),
        (r#"PathRegex = "/a/[0-9]+""#, r#"PathExact = "/a/17""#),
        (r#"PathRegex = "/a/.*""#, r#"PathPrefix = "/a/b""#),
        (r#"PathPrefix = "/a""#, r#"PathPrefix = "/a" Methods = ["GET"]"#),
        (r#"PathPrefix = "/a" Methods = ["GET", "PUT"]"#, r#"PathPrefix = "/a" Methods = ["put"]"#),
        (
            r#"Header = [{ Name = "X-A" Present = true }]"#,
            r#"Header = [{ Name = "x-a" Exact = "1" }] PathPrefix = "/a""#,
        ),
        (
            r#"Header = [{ Name = "x-a" Exact = "1" Invert = true }]"#,
            r#"Header = [{ Name = "x-a" Exact = "2" }]"#,
        ),
        (r#"QueryParam = [{ Name = "q" Present = true }]"#, r#"QueryParam = [{ Name = "q" Exact = "1" }]"#),
    ] {
        shadows(earlier, later, true);
    }
}

#[test]
fn a_route_that_can_still_match_is_not_named() {
    for (earlier, later) in [
        (r#"PathPrefix = "/a/b""#, r#"PathPrefix = "/a""#),
        (r#"PathExact = "/a""#, r#"PathPrefix = "/a""#),
        (r#"PathPrefix = "/a""#, r#"PathPrefix = "/A/b""#),
        (r#"PathPrefix = "/a""#, r#"PathPrefix = "/a/b" CaseInsensitive = true"#),
        (r#"PathRegex = "/a|/b""#, r#"PathPrefix = "/a""#),
        (r#"PathPrefix = "/apis""#, r#"PathRegex = "/apis?/x""#),
        (r#"PathPrefix = "/a" Methods = ["GET"]"#, r#"PathPrefix = "/a""#),
        (r#"PathPrefix = "/a" Methods = ["GET"]"#, r#"PathPrefix = "/a" Methods = ["GET", "PUT"]"#),
        (
            r#"Header = [{ Name = "x-a" Present = true }]"#,
            r#"Header = [{ Name = "x-a" Present = true Invert = true }]"#,
        ),
        (
            r#"Header = [{ Name = "x-a" Exact = "1" Invert = true }]"#,
            r#"Header = [{ Name = "x-a" Present = true Invert = true }]"#,
        ),
        (
            r#"Header = [{ Name = "x-a" Present = true }]"#,
            r#"QueryParam = [{ Name = "x-a" Present = true }]"#,
        ),
    ] {
        shadows(earlier, later, false);
    }
}

#[test]
fn a_route_behind_a_catch_all_never_matches() {
    let api = "{ Destination { Service = \"api\" } }";
    check(&router(&[api, &http("PathExact = \"/a\"")]), "5:30", "Routes[0] has no Match");
    check(
        &router(&[&http("PathPrefix = \"/\""), &http("PathExact = \"/a\"")]),
        "5:30",
        "Routes[0] takes every",
    );
}

#[test]
fn repeating_the_implicit_last_route_is_no_mistake() {
    check_none(&router(&[&http("PathPrefix = \"/a\""), "{ Match { HTTP { PathPrefix = \"/\" } } }"]));
}

#[test]
fn criteria_that_exclude_each_other_are_named() {
    let twice = r#"Header = [{ Name = "x-a" Exact = "1" }, { Name = "X-A" Prefix = "2" }]"#;
    check(&router(&[&http(twice)]), "4:16", "never matches: what it asks of header x-a cannot hold at once");
}

#[test]
fn retries_without_a_condition_are_named() {
    check(&router(&["{ Destination { Service = \"api\" NumRetries = 3 } }"]), "4:46", "3 retries of nothing");
    check_none(&router(&[
        "{ Destination { Service = \"api\" NumRetries = 3 RetryOnConnectFailure = true } }",
    ]));
}

#[test]
fn a_router_behind_a_router_is_not_used() {
    let inner = "Kind = \"service-router\"\nName = \"api\"\nRoutes = [{ Match { HTTP { PathPrefix = \"/x\" } } Destination { Service = \"admin\" } }]\n";
    let outer = router(&["{ Match { HTTP { PathPrefix = \"/a\" } } Destination { Service = \"api\" } }"]);
    let found = super::warnings_of(&[
        ("mesh.hcl", super::MESH),
        ("services.hcl", super::SERVICES),
        ("api.hcl", inner),
        ("web.hcl", &outer),
    ]);
    assert_eq!(
        found,
        [
            "web.hcl:4:64: warning: Routes[0].Destination.Service: the routes of service-router \"api\" do not hold for \
             these requests: a router is used only where its own service is asked for"
        ]
    );
}

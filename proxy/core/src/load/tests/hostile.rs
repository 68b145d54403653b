//! Hostile files, scaled down: each ends in a clear error or is taken, and says no more than anybody reads.

use super::*;

/// The number of problems and the first of them, cut to 100 characters.
fn said(path: &str, text: &str) -> (usize, String) {
    let (_, problems) = read(&[(path, text)]);
    (problems.len(), problems.first().map(|it| it.chars().take(100).collect()).unwrap_or_default())
}

const ROUTER: &str = "Kind = \"service-router\"\nName = \"web\"\n";

#[test]
fn a_router_may_have_thousands_of_routes() {
    let route = |i: usize| {
        format!("{{ Match {{ HTTP {{ PathPrefix = \"/p{i}\" }} }} Destination {{ Service = \"api\" }} }},\n")
    };
    let routes: String = (0..2_000).map(route).collect();
    let config = good(&[("e.hcl", &format!("{ROUTER}Routes = [\n{routes}]"))]);
    assert_eq!(config.entries.routers[&name("web")].routes.len(), 2_000);
}

#[test]
fn a_catalog_may_have_thousands_of_instances() {
    let service = |i: usize| {
        format!(
            "service {{ name = \"s\" id = \"s{i}\" address = \"10.0.0.{}\" connect {{ sidecar_service {{}} }} }}\n",
            i % 250
        )
    };
    let text: String = (0..2_000).map(service).collect();
    assert_eq!(good(&[("e.hcl", &text)]).registrations.len(), 4_000);
}

#[test]
fn what_there_is_too_much_of_is_said_a_thousand_times_at_most() {
    let unknown: String = (0..3_000).map(|i| format!("Zebra{i} = 1\n")).collect();
    let twice = "service { name = \"web\" connect { sidecar_service {} } }\n".repeat(1_500);
    let entries =
        format!("{ROUTER}---\n").replace("Kind = ", "Kind: ").replace("Name = ", "Name: ").repeat(1_500);
    for (path, text, first) in [
        (
            "e.hcl",
            &format!("{ROUTER}{unknown}"),
            "e.hcl:3:1: Zebra0: unknown field: invalid config key \"Zebra0\"",
        ),
        ("e.hcl", &twice, "e.hcl:2:9: id: service id \"web\" is registered twice, first at e.hcl:1:9"),
        (
            "e.yaml",
            &entries,
            "e.yaml:4:7: Name: service-router \"web\" is defined twice, first at e.yaml:1:7",
        ),
        ("e.hcl", &"a = b\n".repeat(1_500), "e.hcl:1:5: `b` is not a value: strings are quoted, write \"b\""),
    ] {
        let (count, problem) = said(path, text);
        assert!(count == 1_001 && problem == first, "{count} {problem}");
    }
}

#[test]
fn a_name_a_number_or_an_expression_beyond_measure_is_one_error() {
    let splitter = |weight: &str| {
        format!(
            "{{\"Kind\": \"service-splitter\", \"Name\": \"web\",\n\"Splits\": [{{\"Weight\": {weight}}}]}}"
        )
    };
    let long = 1 << 17;
    let regex =
        |text: &str| format!("{ROUTER}Routes = [{{ Match {{ HTTP {{ PathRegex = \"{text}\" }} }} }}]");
    for (path, text, first) in [
        ("e.hcl", format!("{ROUTER}{} = 1", "k".repeat(long)), "e.hcl:3:1: kkk"),
        ("e.hcl", format!("{ROUTER}Routes = \"{}\"", "s".repeat(long)), "e.hcl:3:10: Routes: is a string"),
        ("e.hcl", ROUTER.replace("web", &"n".repeat(long)), "e.hcl:2:8: Name: service name \"nnn"),
        ("e.json", splitter(&"9".repeat(long)), "e.json:2:23: Splits[0].Weight: 999"),
        ("e.json", splitter("1e999"), "e.json:2:23: Splits[0].Weight: 1e999 is too large"),
        ("e.json", splitter("NaN"), "e.json:2:23: is not JSON: `NaN` is not a value"),
        (
            "e.json",
            splitter("\"NaN\""),
            "e.json:2:23: Splits[0].Weight: is a string where a number is expected",
        ),
        ("e.hcl", regex("(a{1000}){1000}"), "e.hcl:3:40: Routes[0].Match.HTTP.PathRegex: "),
        ("e.hcl", regex("(((((a{99}){99}){99})*)*)*"), "e.hcl:3:40: Routes[0].Match.HTTP.PathRegex: "),
        ("e.hcl", regex(&"(".repeat(10_000)), "e.hcl:3:40: Routes[0].Match.HTTP.PathRegex: "),
        ("e.hcl", format!("a = \"{}", "x".repeat(long)), "e.hcl:1:5: the string is not closed"),
        ("e.hcl", format!("a = <<EOF\n{}", "x\n".repeat(long)), "e.hcl:1:5: the heredoc is not closed"),
    ] {
        let (_, problems) = read(&[(path, &text)]);
        let [problem] = &problems[..] else { panic!("{first}: {} problems", problems.len()) };
        assert!(problem.starts_with(first) && problem.len() < 3_000, "{problem}");
    }
}

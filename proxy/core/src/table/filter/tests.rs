//! Filters over one instance, each with what it says of it.

use super::*;

fn instance() -> Instance {
    Instance {
        id: "web-1".to_owned(),
        service: "web".parse().expect("a valid name"),
        sidecar_id: "web-1-sidecar-proxy".to_owned(),
        sidecar_service: "web-sidecar-proxy".parse().expect("a valid name"),
        datacenter: "dc1".parse().expect("a valid name"),
        node: "node-1".to_owned(),
        host: "10.0.0.1".to_owned(),
        port: 8080,
        address: "10.0.0.1:21000".to_owned(),
        tags: vec!["blue".to_owned(), "canary".to_owned()],
        meta: [("version", "v1"), ("a b", "x"), ("empty", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        weight_passing: 10,
        weight_warning: 1,
        status: HealthStatus::Warning,
    }
}

fn check(filter: &str, expected: bool) {
    let filter_read = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(filter_read.takes(&instance()), expected, "{filter}");
}

#[test]
fn fields_compare_with_values_quoted_or_not() {
    for filter in [
        "",
        "  ",
        "Service.Meta.version == v1",
        "Service.Meta.version == \"v1\"",
        "Service.Meta.version == `v1`",
        "Service.Meta.version==v1",
        "Service.Meta[\"version\"] == v1",
        "\"/Service/Meta/version\" == v1",
        "Service.Meta[\"a b\"] == x",
        "Service.Meta.version != v2",
        "Service.ID == web-1",
        "Service.ID == \"web-1-sidecar-proxy\"",
        "Service.Service == web",
        "Service.Port == 8080",
        "Service.Weights.Passing == 10",
        "Service.Address == \"10.0.0.1\"",
        "Service.Address == 10.0.0.1",
        "Node.Node == node-1",
        "Node.Datacenter == dc1",
        "Checks.Status == warning",
    ] {
        check(filter, true);
    }
    for filter in [
        "Service.Meta.version == V1",
        "Service.Port == 80",
        "Checks.Status == passing",
        "Service.ID != web-1",
    ] {
        check(filter, false);
    }
}

#[test]
fn an_unquoted_value_may_have_points() {
    check("Service.Meta.version == v1.2", false);
    check("Service.Meta.version != v1.2 and v1 in Service.Meta.version", true);
}

#[test]
fn lists_and_maps_can_be_searched_both_ways_round() {
    for (filter, expected) in [
        ("blue in Service.Tags", true),
        ("\"blue\" in Service.Tags", true),
        ("blu in Service.Tags", false),
        ("green not in Service.Tags", true),
        ("Service.Tags contains canary", true),
        ("Service.Tags not contains canary", false),
        ("version in Service.Meta", true),
        ("Service.Meta contains zone", false),
        ("\"0.0\" in Service.Address", true),
    ] {
        check(filter, expected);
    }
}

#[test]
fn a_missing_key_is_empty_and_equal_to_nothing() {
    for (filter, expected) in [
        ("Service.Meta.zone == \"\"", false),
        ("Service.Meta.zone != a", true),
        ("a in Service.Meta.zone", false),
        ("a not in Service.Meta.zone", true),
        ("Service.Meta.zone is empty", true),
        ("Service.Meta.zone is not empty", false),
        ("Service.Meta.empty is empty", true),
        ("Service.Meta.version is empty", false),
        ("Service.Tags is not empty", true),
        ("Node.Meta is empty", true),
        ("Node.Meta.rack matches `.*`", false),
    ] {
        check(filter, expected);
    }
}

#[test]
fn expressions_match_anywhere_unless_anchored() {
    check("Service.Meta.version matches `v[0-9]`", true);
    check("Service.Meta.version matches \"^1\"", false);
    check("Service.Meta.version not matches \"^1\"", true);
    check("Service.ID matches `^web-\\d+$`", true);
}

#[test]
fn not_binds_more_than_and_which_binds_more_than_or() {
    const T: &str = "Service.Service == web";
    const F: &str = "Service.Service == api";
    for (filter, expected) in [
        (format!("{T} or {T} and {F}"), true),
        (format!("({T} or {T}) and {F}"), false),
        (format!("{F} and {T} or {T}"), true),
        (format!("not {F} and {T}"), true),
        (format!("not {T} or {T}"), true),
        (format!("not ({T} or {T})"), false),
        (format!("not not {T}"), true),
    ] {
        check(&filter, expected);
    }
}

#[test]
fn what_is_no_filter_is_refused_with_place_and_reason() {
    for (filter, at, part) in [
        ("Service.Meta.version = v1", 22, "unexpected '='"),
        ("Service.Meta.version == ", 25, "expected a value, found the end"),
        ("Service.Foo == v1", 1, "no field Service.Foo"),
        ("Meta.version == v1", 1, "Service.Meta.KEY"),
        ("Service.Tags", 13, "expected an operator"),
        ("Service.Tags is full", 17, "\"empty\""),
        ("Service.Meta. == x", 15, "expected a name"),
        ("(Service.ID == a", 17, "\")\""),
        ("Service.ID == a Service.ID == b", 17, "\"and\""),
        ("Service.ID == \"a", 15, "no end"),
        ("Service.ID matches \"(\"", 20, "regular expression"),
        ("Service.ID == a and", 20, "found the end"),
        ("ä == b", 1, "unexpected 'ä'"),
        ("Service.ID == b ä", 17, "unexpected 'ä'"),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.at, at, "{filter}: {error}");
        assert!(error.message.contains(part), "{filter}: {error}");
    }
}

#[test]
fn a_long_or_deep_filter_does_not_exhaust_the_stack() {
    let long = vec!["Service.ID == web-1"; 100_000].join(" and ");
    check(&long, true);
    let deep = format!("{}Service.ID == a{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Filter::parse(&deep).is_err_and(|error| error.message.contains("nested")));
    assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
}

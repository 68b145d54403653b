//! Filters over one instance, each with what it says of it.

use std::sync::Arc;

use super::*;
use crate::catalog::{HealthCheck, HealthEntry};
use crate::entry::{HealthStatus, MeshGatewayMode};

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
        tags: ["blue".to_owned(), "canary".to_owned()].into(),
        meta: Arc::new(
            [("version", "v1"), ("a b", "x"), ("empty", "")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        weight_passing: 10,
        weight_warning: 1,
        status: HealthStatus::Warning,
        health: HealthEntry {
            tagged_addresses: [("lan".to_owned(), ("10.0.0.9".to_owned(), 8181))].into(),
            enable_tag_override: true,
            checks: vec![HealthCheck {
                id: "service:web-1".to_owned(),
                name: "alive".to_owned(),
                status: HealthStatus::Warning,
                kind: "http",
                service_id: "web-1".to_owned(),
                ..HealthCheck::default()
            }],
            local_service_port: 8080,
            mesh_gateway: MeshGatewayMode::Local,
            ..HealthEntry::default()
        },
    }
}

fn check(filter: &str, expected: bool) {
    let filter_read = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(filter_read.takes(&instance()), expected, "{filter}");
}

#[test]
fn fields_compare_with_names_numbers_and_quoted_texts() {
    for filter in [
        "",
        "Service.Meta.version == v1",
        "Service.Meta.version == \"v1\"",
        "Service.Meta.version == `v1`",
        "Service.Meta.version==v1",
        "Service.Meta[\"version\"] == v1",
        "Service[ `Meta` ][\"version\"] == v1",
        "\"/Service/Meta/version\" == v1",
        "Service.Meta[\"a b\"] == x",
        "Service.Meta.version != v2",
        "Service.ID == \"web-1\"",
        "Service.ID == \"web-1-sidecar-proxy\"",
        "Service.Service == web",
        "Service.Kind == \"connect-proxy\"",
        "Service.Port == 8080",
        "Service.Port == 21000",
        "Service.Port == \"0x1f90\"",
        "Service.Port != 80",
        "Service.Weights.Passing == 10",
        "Service.Address == \"10.0.0.1\"",
        "Service.TaggedAddresses.lan.Address == \"10.0.0.9\"",
        "Service.TaggedAddresses.lan.Port == 8181",
        "Service.TaggedAddresses.wan.Port != 8181",
        "Service.EnableTagOverride == true",
        "Service.EnableTagOverride != \"F\"",
        "Service.Connect.Native == false",
        "Service.PeerName == ``",
        "Service.Proxy.DestinationServiceName == web",
        "Service.Proxy.LocalServicePort == 8080",
        "Service.Proxy.MeshGateway.Mode == local",
        "Node.Node == `node-1`",
        "Node.Datacenter == dc1",
    ] {
        check(filter, true);
    }
    for filter in [
        "Service.Meta.version == V1",
        "Service.Meta.version == a.b[`c`]",
        "Service.Port == -80",
        "Service.Port == 80",
        "Service.ID != \"web-1\"",
        "Service.TaggedAddresses.wan.Port == 8181",
    ] {
        check(filter, false);
    }
}

#[test]
fn one_check_is_enough_even_for_a_negated_operator() {
    for (filter, expected) in [
        ("Checks.Status == warning", true),
        ("Checks.Status == passing", true),
        ("Checks.Status == critical", false),
        ("Checks.Status != passing", true),
        ("Checks.Status != warning", true),
        ("not Checks.Status == warning", false),
        ("Checks.CheckID == serfHealth", true),
        ("Checks.CheckID == \"service:web-1\"", true),
        ("Checks.Name contains ali", true),
        ("Checks.Type == http", true),
        ("canary in Checks.ServiceTags", true),
        ("Checks is empty", false),
        ("Service.Proxy.Upstreams is empty", true),
    ] {
        check(filter, expected);
    }
}

#[test]
fn keywords_can_be_names_and_values() {
    for (filter, expected) in [
        ("not in Service.Tags", false),
        ("is not in Service.Tags", true),
        ("not not in Service.Tags", true),
        ("not not not in Service.Tags", false),
        ("Service.Meta.version == not", false),
        ("not Service.Meta.version == or", true),
    ] {
        check(filter, expected);
    }
}

#[test]
fn white_space_separates_words_and_may_surround_signs() {
    for filter in [
        "\t\r\n ( \t\r\n Service.Service \t == \r\n web \n ) \n",
        "Service.Tags  is \t not \n empty",
        "(Service.Service==web)  and  (Service.Port==8080)",
        "not   (Service.Service==api)",
    ] {
        check(filter, true);
    }
    for filter in ["(Service.Service==web)and(Service.Port==8080)", "not(Service.Service==api)", "  "] {
        assert!(Filter::parse(filter).is_err(), "{filter}");
    }
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
        ("lan in Service.TaggedAddresses", true),
        ("Service.TaggedAddresses not contains wan", true),
        ("wan in Node.TaggedAddresses", true),
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
        ("Service.Meta.zone not matches a", true),
        ("Service.Meta is empty", false),
        ("Service.Meta.empty == ``", true),
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
fn faults_of_syntax_are_told_with_their_place_as_go_bexpr_does() {
    for (filter, message) in [
        ("Service.ID == \"12x", "1:19 (18): rule \"string\": Unterminated string literal"),
        ("Service.ID == `12x", "1:19 (18): rule \"string\": Unterminated string literal"),
        ("Service.ID == \"\\d\"", "1:15 (14): rule \"string\": invalid syntax"),
        ("Service.Port == 3x", "1:18 (17): rule \"number\": Invalid number literal"),
        ("Service.Port == 01", "1:18 (17): rule \"number\": Invalid number literal"),
        ("Service[3] == abc", "1:9 (8): rule \"index\": Invalid index"),
        ("x in Service[\"Meta\"", "1:20 (19): rule \"index\": Unclosed index expression"),
        ("x in\n32", "2:1 (5): rule \"match\": Invalid selector"),
        ("(Service.ID == a", "1:17 (16): rule \"grouping\": Unmatched parentheses"),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.to_string(), message, "{filter}");
        assert_eq!(error.fault, Fault::Syntax, "{filter}");
    }
}

#[test]
fn a_fault_of_syntax_weighs_more_than_a_selector_without_sense_before_it() {
    for (filter, fault) in [
        ("ServiceMeta.env == prod", Fault::Meaning),
        ("ServiceMeta.env == prod and Service.ID == a", Fault::Meaning),
        ("ServiceMeta.env == prod and", Fault::Syntax),
        ("(ServiceMeta.env == prod", Fault::Syntax),
        ("ServiceMeta.env = prod", Fault::Syntax),
    ] {
        assert_eq!(Filter::parse(filter).expect_err(filter).fault, fault, "{filter}");
    }
}

#[test]
fn what_is_no_filter_is_refused_with_place_and_reason() {
    for (filter, at, part) in [
        ("Service.Meta.version = v1", 21, "expected an operator"),
        ("Service.Meta.version == ", 25, "expected a value"),
        ("Service.Tags", 13, "expected an operator"),
        ("Service.Tags is full", 13, "expected an operator"),
        ("Service.Meta. == x", 13, "expected an operator"),
        ("(Service.ID == a b)", 18, "\")\""),
        ("Service.ID == a Service.ID == b", 17, "\"and\""),
        ("Service.ID == web-1", 18, "stands in quotes"),
        ("Service.Meta.version == v1.2", 27, "stands in quotes"),
        ("32 == 32", 3, "expected an operator"),
        ("Service.ID == a and ", 21, "expected a value"),
        ("ä == b", 1, "expected a value"),
        ("Service.ID == b ä", 17, "\"and\""),
        ("not Service.ID = b", 15, "expected an operator"),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.at, at, "{filter}: {error}");
        assert!(
            error.message.contains("no match found") && error.message.contains(part),
            "{filter}: {error}"
        );
    }
}

#[test]
fn what_an_entry_does_not_have_or_cannot_be_asked_is_refused() {
    for (filter, message) in [
        ("Service.Foo == v1", "Selector \"Service.Foo\" is not valid"),
        ("Meta.version == v1", "Selector \"Meta\" is not valid"),
        ("not Service.Meta.a.b == v1", "Selector \"Service.Meta.a.b\" is not valid"),
        ("Service in Node", "Invalid match operator \"In\" for selector \"Node\""),
        ("8 in Service.Port", "Invalid match operator \"In\" for selector \"Service.Port\""),
        ("Service.Tags != a", "Invalid match operator \"Not Equal\" for selector \"Service.Tags\""),
        ("Service.Meta.a is empty", "Invalid match operator \"Is Empty\" for selector \"Service.Meta.a\""),
        ("a in Checks", "Invalid match operator \"In\" for selector \"Checks\""),
        (
            "Service.Port == abc",
            "Failed to coerce value \"abc\" for selector \"Service.Port\": strconv.ParseInt: parsing \"abc\"",
        ),
        (
            "Service.EnableTagOverride == yes",
            "Failed to coerce value \"yes\" for selector \"Service.EnableTagOverride\": strconv.ParseBool",
        ),
        ("Service.ID matches \"(\"", "Failed to compile regular expression \"(\""),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.fault, Fault::Meaning, "{filter}");
        assert!(error.message.starts_with(message), "{filter}: {error}");
    }
}

#[test]
fn a_long_or_deep_filter_does_not_exhaust_the_stack() {
    let long = vec!["Service.Service == web"; 100_000].join(" and ");
    check(&long, true);
    let deep = format!("{}Service.ID == a{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Filter::parse(&deep).is_err_and(|error| error.message.contains("nested")));
    assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
}

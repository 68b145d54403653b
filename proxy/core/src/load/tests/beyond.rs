//! The fields that Consul does not know: in every form, refused when they contradict, and refused where only Consul's
//! are wanted.

use super::*;
use crate::entry::{CookieConfig, EmptyLeg, Sticky, StickyField};

const HCL: &str = r#"
Kind = "service-splitter"
Name = "web"
Sticky = [
  { Field = "header" FieldValue = "x-user" },
  { Field = "cookie" FieldValue = "sid" CookieConfig { TTL = "1h" Path = "/" } },
  { Field = "query_parameter" FieldValue = "u" },
  { Field = "caller_identity" },
  { Field = "source_ip" },
]
EmptyLeg = "renormalise"
Splits = [{ Weight = 50 }, { Weight = 50 Peer = "us" }]
"#;
const BLOCKS: &str = r#"
kind = "service-splitter"
name = "web"
sticky { field = "header" field_value = "x-user" }
sticky {
  field = "cookie"
  field_value = "sid"
  cookie_config { ttl = "1h" path = "/" }
}
sticky { field = "query_parameter" field_value = "u" }
sticky { field = "caller_identity" }
sticky { field = "source_ip" }
empty_leg = "renormalise"
splits { weight = 50 }
splits { weight = 50 peer = "us" }
"#;
const JSON: &str = r#"{
  "Kind": "service-splitter", "Name": "web",
  "Sticky": [
    {"Field": "header", "FieldValue": "x-user"},
    {"Field": "cookie", "FieldValue": "sid", "CookieConfig": {"TTL": 3600000000000, "Path": "/"}},
    {"Field": "query_parameter", "FieldValue": "u"}, {"Field": "caller_identity"}, {"Field": "source_ip"}
  ],
  "EmptyLeg": "renormalise",
  "Splits": [{"Weight": 50}, {"Weight": 50, "Peer": "us"}]
}"#;
const YAML: &str = r"
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceSplitter
metadata: { name: web }
spec:
  sticky:
    - { field: header, fieldValue: x-user }
    - { field: cookie, fieldValue: sid, cookieConfig: { ttl: 1h, path: / } }
    - { field: query_parameter, fieldValue: u }
    - field: caller_identity
    - field: source_ip
  emptyLeg: renormalise
  splits: [{ weight: 50 }, { weight: 50, peer: us }]
";

#[test]
fn a_splitters_rules_are_read_in_every_form() {
    for (file, text) in [("e.hcl", HCL), ("e.hcl", BLOCKS), ("e.json", JSON), ("e.yaml", YAML)] {
        let config = good(&[(file, text)]);
        let web = &config.entries.splitters[&name("web")];
        let by = |field, value: &str| Sticky { field, field_value: value.to_owned(), cookie_config: None };
        let cookie = CookieConfig {
            ttl: Some(std::time::Duration::from_secs(3_600)),
            path: "/".to_owned(),
            session: false,
        };
        let expected = [
            by(StickyField::Header, "x-user"),
            Sticky { cookie_config: Some(cookie), ..by(StickyField::Cookie, "sid") },
            by(StickyField::QueryParameter, "u"),
            by(StickyField::CallerIdentity, ""),
            by(StickyField::SourceIp, ""),
        ];
        assert_eq!(web.sticky, expected, "{text}");
        assert_eq!(web.empty_leg, Some(EmptyLeg::Renormalise));
        assert_eq!(web.splits[1].peer, Some(name("us")));
    }
}

/// What is said about a splitter with `body`, from line 3 on.
fn said(body: &str) -> Vec<String> {
    let text = format!("Kind = \"service-splitter\"\nName = \"web\"\n{body}\nSplits = [{{ Weight = 100 }}]");
    let (_, problems) = read(&[("e.hcl", &text)]);
    problems.iter().map(|it| it.trim_start_matches("e.hcl:").to_owned()).collect()
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    for (body, expected) in [
        (
            "Sticky { FieldValue = \"a\" }",
            "3:1: Sticky: Field is required: one of header, cookie, query_parameter, source_ip, caller_identity",
        ),
        (
            "Sticky { Field = \"heder\" FieldValue = \"a\" }",
            "3:18: Sticky.Field: \"heder\" is none of header, cookie, query_parameter, source_ip, caller_identity, did you mean \"header\"?",
        ),
        ("Sticky { Field = \"header\" }", "3:1: Sticky: Field \"header\" was specified without a FieldValue"),
        (
            "Sticky { Field = \"source_ip\" FieldValue = \"a\" }",
            "3:1: Sticky: A FieldValue cannot be specified for Field \"source_ip\"",
        ),
        (
            "Sticky { Field = \"header\" FieldValue = \"a\" CookieConfig { Session = true } }",
            "3:1: Sticky: cookie_config provided for \"header\"",
        ),
        (
            "Sticky { Field = \"cookie\" FieldValue = \"a\" CookieConfig { Session = true TTL = \"1s\" } }",
            "3:1: Sticky: a session cookie cannot have an associated TTL",
        ),
        (
            "EmptyLeg = \"renormalize\"",
            "3:12: EmptyLeg: \"renormalize\" is none of fail, next, renormalise, did you mean \"renormalise\"?",
        ),
        ("Stiky {}", "3:1: Stiky: unknown field: invalid config key \"Stiky\", did you mean \"Sticky\"?"),
    ] {
        let said = said(body);
        let place = |text: &str| text.splitn(3, ':').nth(2).unwrap_or_default().trim().to_owned();
        let found: Vec<_> = said.iter().map(|it| place(it)).collect();
        assert_eq!(found, [place(expected)], "{body}: {said:?}");
    }
}

#[test]
fn a_peer_excludes_what_it_excludes_in_a_resolver() {
    let split = |text: &str| {
        let text =
            format!("Kind = \"service-splitter\"\nName = \"web\"\nSplits = [{{ Weight = 100 {text} }}]");
        read(&[("e.hcl", &text)]).1
    };
    let route = |text: &str| {
        let text =
            format!("Kind = \"service-router\"\nName = \"web\"\nRoutes = [{{ Destination {{ {text} }} }}]");
        read(&[("e.hcl", &text)]).1
    };
    for (text, expected) in [
        ("Peer = \"us\" Datacenter = \"dc2\"", "Peer cannot be set with Datacenter"),
        ("Peer = \"us\" ServiceSubset = \"v1\"", "Peer cannot be set with ServiceSubset"),
    ] {
        for said in [split(text), route(text)] {
            assert!(said.len() == 1 && said[0].ends_with(expected), "{text}: {said:?}");
        }
    }
    assert_eq!(split("Datacenter = \"dc2\" ServiceSubset = \"v1\""), Vec::<String>::new());
}

#[test]
fn nothing_beyond_consul_is_read_where_only_consuls_fields_are_wanted() {
    let router = "Kind = \"service-router\"\nName = \"web\"\nRoutes = [\n{ Destination { Peer = \"us\" } },\n\
                  { Destination { Datacenter = \"dc2\" } }]";
    let service = "service {\n name = \"web\"\n datacenter = \"dc2\"\n}";
    let defaults = "Kind = \"service-defaults\"\nName = \"web\"\nUpstreamConfig { Defaults { PassiveHealthCheck {\n\
                    HoldDown = \"5s\"\nRamp = \"0s\" } } }";
    let files: Vec<File> = [("a.hcl", HCL), ("b.hcl", router), ("c.hcl", service), ("d.hcl", defaults)]
        .iter()
        .map(|(path, text)| File { path: path.into(), bytes: text.as_bytes().to_vec() })
        .collect();
    let (_, problems) = load_with(&files, Options { strict_consul: true });
    let fields: Vec<_> = problems.iter().map(|it| (it.place.line, it.field.as_str())).collect();
    let expected = [
        (4, "Sticky"),
        (11, "EmptyLeg"),
        (12, "Splits[1].Peer"),
        (4, "Routes[0].Destination.Peer"),
        (5, "Routes[1].Destination.Datacenter"),
        (3, "service.datacenter"),
        (4, "UpstreamConfig.Defaults.PassiveHealthCheck.HoldDown"),
        (5, "UpstreamConfig.Defaults.PassiveHealthCheck.Ramp"),
    ];
    assert_eq!(fields, expected);
    let message = "Consul does not know this field (--strict-consul)";
    assert!(problems.iter().all(|problem| problem.message == message), "{problems:?}");
    assert_eq!(load_with(&files, Options::default()).1, []);
}

#[test]
fn times_of_return_are_from_none_to_an_hour() {
    let said = |times: &str| {
        let text = format!(
            "Kind = \"service-defaults\"\nName = \"web\"\nUpstreamConfig {{ Defaults {{ PassiveHealthCheck {{ {times} }} }} }}"
        );
        let (config, problems) = read(&[("e.hcl", &text)]);
        let check = config
            .entries
            .defaults
            .get(&name("web"))
            .and_then(|it| it.upstream_config.defaults.passive_health_check);
        (check.and_then(|it| Some((it.hold_down?.as_secs(), it.ramp?.as_secs()))), problems)
    };
    assert_eq!(said("HoldDown = \"0s\" Ramp = \"1h\"").0, Some((0, 3_600)));
    for (times, expected) in [
        ("HoldDown = \"61m\"", "HoldDown must be between 0s and 1h"),
        ("Ramp = \"-1s\"", "Ramp must be between 0s and 1h"),
    ] {
        let (_, problems) = said(times);
        assert!(problems.len() == 1 && problems[0].ends_with(expected), "{times}: {problems:?}");
    }
}

#[test]
fn a_balancer_of_ours_is_a_policy_where_more_than_consuls_are_wanted() {
    let resolver = |policy: &str| {
        let text =
            format!("Kind = \"service-resolver\"\nName = \"web\"\nLoadBalancer {{ Policy = \"{policy}\" }}");
        [File { path: "a.hcl".into(), bytes: text.into_bytes() }]
    };
    let said = |policy, strict_consul| -> Vec<String> {
        let (_, problems) = load_with(&resolver(policy), Options { strict_consul });
        problems.iter().map(|it| it.message.clone()).collect()
    };
    let bad = |rest: &str| [format!("Bad LoadBalancer policy: {rest}")];
    assert_eq!(said("peak_ewma", false), Vec::<String>::new());
    assert_eq!(
        said("peak_ewma", true),
        bad(
            "\"peak_ewma\" is not supported by Consul (--strict-consul), which knows none, random, round_robin, \
             least_request, ring_hash, maglev"
        )
    );
    assert_eq!(said("peak_ewna", false), bad("\"peak_ewna\" is not supported, did you mean \"peak_ewma\"?"));
    assert_eq!(said("peak_ewna", true), bad("\"peak_ewna\" is not supported"));
}

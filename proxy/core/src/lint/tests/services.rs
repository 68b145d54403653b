//! Services, splits, resolvers, exports and upstreams.

use super::{check, check_none};

#[test]
fn a_destination_that_nobody_answers_is_named_with_the_service_that_may_be_meant() {
    check(
        "Kind = \"service-router\"\nName = \"web\"\nRoutes = [{ Match { HTTP { PathPrefix = \"/a\" } } Destination { Service = \"amdin\" } }]\n",
        "3:74",
        "leads nowhere: no instance of amdin is registered in dc1, did you mean \"admin\"?",
    );
    check(
        "Kind = \"service-splitter\"\nName = \"web\"\nSplits = [{ Weight = 50 }, { Weight = 50 Service = \"wev\" }]\n",
        "3:52",
        "this leg leads nowhere: no instance of wev is registered in dc1, did you mean \"web\"?",
    );
    check(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"gone\" }\n",
        "3:10",
        "leads nowhere: no instance of gone",
    );
    check(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nConnectTimeout = \"3s\"\n",
        "2:8",
        "no instance of virtual is registered in dc1",
    );
}

#[test]
fn where_failover_or_a_redirect_takes_over_nothing_need_be_registered() {
    check_none("Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"api\" }\n");
    check_none("Kind = \"service-resolver\"\nName = \"virtual\"\nFailover { \"*\" { Service = \"api\" } }\n");
    check_none(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"api\" Peer = \"east\" }\n",
    );
}

#[test]
fn a_peer_or_datacenter_that_is_not_there_is_named() {
    check(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"api\" Peer = \"esat\" }\n",
        "3:10",
        "leads nowhere: there is no peering esat yet, did you mean \"east\"?",
    );
    check(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"web\" Peer = \"east\" }\n",
        "3:10",
        "peer east does not export web to us",
    );
    check(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"web\" Datacenter = \"dc9\" }\n",
        "3:10",
        "neither an instance of web nor a mesh gateway is registered in dc9",
    );
}

#[test]
fn legs_that_get_nothing_are_named() {
    check(
        "Kind = \"service-splitter\"\nName = \"web\"\nSplits = [\n  { Weight = 100 },\n  { Weight = 0 Service = \"api\" },\n]\n",
        "5:14",
        "a weight that is 0",
    );
    check(
        "Kind = \"service-splitter\"\nName = \"web\"\nSplits = [\n  { Weight = 99.996 },\n  { Weight = 0.004 Service = \"api\" },\n]\n",
        "5:14",
        "a weight that is 0, in hundredths of a per cent: no request takes this leg",
    );
}

#[test]
fn a_splitter_that_its_router_leads_past_is_named() {
    let entries = "config_entries { bootstrap = [\n\
        { Kind = \"service-router\" Name = \"web\" Routes = [{ Destination { Service = \"api\" } }] },\n\
        { Kind = \"service-splitter\" Name = \"web\" Splits = [{ Weight = 50 }, { Weight = 50 Service = \"admin\" }] },\n] }\n";
    check(entries, "3:36", "never used: every request for web is taken by a route");
}

#[test]
fn hash_policies_behind_the_first_leg_that_hashes_are_named() {
    let hashing = |name: &str, header: &str| {
        format!(
            "{{ Kind = \"service-resolver\" Name = \"{name}\" LoadBalancer {{ Policy = \"maglev\" HashPolicies = [{{ Field = \"header\" FieldValue = \"{header}\" }}] }} }},\n"
        )
    };
    let entries = |second: &str| {
        format!(
            "config_entries {{ bootstrap = [\n{}{}{{ Kind = \"service-splitter\" Name = \"web\" Splits = [\n{{ Weight = 50 Service = \"api\" }},\n{{ Weight = 50 Service = \"admin\" }}] }},\n] }}\n",
            hashing("api", "x-user"),
            hashing("admin", second)
        )
    };
    check(&entries("x-other"), "6:25", "HashPolicies of service-resolver \"admin\" are not used here");
    check_none(&entries("x-user"));
}

const SUBSETS: &str = "Kind = \"service-resolver\"\nName = \"api\"\nDefaultSubset = \"v1\"\nSubsets {\n";

#[test]
fn a_subset_that_takes_no_instance_is_named() {
    let subset =
        |filter: &str| format!("{SUBSETS}  v1 {{ Filter = \"Service.Meta.version == {filter}\" }}\n}}\n");
    check(&subset("v3"), "5:17", "takes no instance: none of the 2 of api matches");
    check_none(&subset("v1"));
}

#[test]
fn a_subset_that_nothing_leads_to_is_named() {
    let text = format!(
        "{SUBSETS}  v1 {{ Filter = \"Service.Meta.version == v1\" }}\n  v2 {{ Filter = \"Service.Meta.version == v2\" }}\n}}\n"
    );
    check(&text, "6:6", "never used: no route, split, redirect, failover or DefaultSubset leads to it");
    check_none(&format!("{text}Failover {{ v1 {{ ServiceSubset = \"v2\" }} }}\n"));
}

#[test]
fn fields_beside_a_redirect_to_another_service_have_no_effect() {
    check(
        "Kind = \"service-resolver\"\nName = \"virtual\"\nConnectTimeout = \"3s\"\nRedirect { Service = \"api\" }\n",
        "3:18",
        "has no effect: Redirect sends every request on to api",
    );
}

#[test]
fn a_request_timeout_behind_a_splitter_has_no_effect() {
    let entries = |split: &str| {
        format!(
            "config_entries {{ bootstrap = [\n{{ Kind = \"service-resolver\" Name = \"web\" RequestTimeout = \"3s\" }},\n{split}] }}\n"
        )
    };
    let splitter = "{ Kind = \"service-splitter\" Name = \"web\" Splits = [{ Weight = 50 }, { Weight = 50 Service = \"api\" }] },\n";
    check(&entries(splitter), "2:59", "the service-splitter of web comes first");
    check_none(&entries(""));
}

#[test]
fn gateway_modes_that_cannot_be_are_named() {
    let redirect =
        "Kind = \"service-resolver\"\nName = \"virtual\"\nRedirect { Service = \"api\" Peer = \"east\" }\n";
    let mesh = |mode: &str| format!("{}MeshGateway {{ Mode = \"{mode}\" }}\n", super::MESH);
    for (mode, words) in [
        ("none", "none has no effect on api.default.default.external.east"),
        ("local", "local needs a mesh gateway in dc1"),
    ] {
        let mesh = mesh(mode);
        let files = [("mesh.hcl", mesh.as_str()), ("services.hcl", super::SERVICES), ("x.hcl", redirect)];
        let found = super::warnings_of(&files);
        assert!(
            found.len() == 1 && found[0].starts_with("mesh.hcl:5:22:") && found[0].contains(words),
            "{found:?}"
        );
    }
}

#[test]
fn exports_of_nothing_and_to_nobody_are_named() {
    check(
        "Kind = \"exported-services\"\nName = \"default\"\nServices = [\n  { Name = \"apo\" Consumers = [{ Peer = \"east\" }] },\n]\n",
        "4:12",
        "exports nothing: there is no service apo here, did you mean \"api\"?",
    );
    check(
        "Kind = \"exported-services\"\nName = \"default\"\nServices = [\n  { Name = \"api\" Consumers = [{ Peer = \"east\" }, { Peer = \"west\" }] },\n]\n",
        "4:59",
        "exports to nobody: there is no peering west yet",
    );
}

#[test]
fn an_exported_tcp_service_that_is_redirected_is_named() {
    let exported = |protocol: &str| {
        format!(
            r#"config_entries {{ bootstrap = [
  {{ Kind = "service-defaults" Name = "virtual" Protocol = "{protocol}" }},
  {{ Kind = "service-defaults" Name = "api" Protocol = "{protocol}" }},
  {{ Kind = "service-resolver" Name = "virtual" Redirect {{ Service = "api" }} }},
  {{ Kind = "exported-services" Name = "default" Services = [{{ Name = "virtual" Consumers = [{{ Peer = "east" }}] }}] }},
] }}
"#
        )
    };
    check(
        &exported("tcp"),
        "5:70",
        "cannot introduce new discovery chain targets like \"api.default.default.dc1\"",
    );
    check_none(&exported("http"));
}

#[test]
fn upstreams_that_nobody_answers_are_named() {
    let caller = |upstream: &str| {
        format!(
            "service {{ name = \"shop\" port = 9 connect {{ sidecar_service {{ proxy {{ upstreams = [\n{{ local_bind_port = 1234 {upstream} }}] }} }} }} }}\n"
        )
    };
    check(&caller("destination_name = \"ap1\""), "2:45", "no instance of ap1 is registered in dc1");
    check(&caller("destination_name = \"web\" destination_peer = \"east\""), "2:45", "does not export web");
    check_none(&caller("destination_name = \"api\""));
    check_none(&caller("destination_name = \"api\" destination_peer = \"east\""));
}

#[test]
fn more_warnings_than_anybody_reads_are_counted() {
    let legs: Vec<String> = (0..1_200).map(|i| format!("{{ Weight = 0 Service = \"s{i}\" }}")).collect();
    let text = format!(
        "Kind = \"service-splitter\"\nName = \"web\"\nSplits = [\n{{ Weight = 100 }},\n{}]\n",
        legs.join(",\n")
    );
    let found = super::warnings(&text);
    assert_eq!(found.len(), 1_001);
    assert!(
        found.last().is_some_and(|last| last.ends_with("200 more warnings are not listed")),
        "{:?}",
        found.last()
    );
}

/// Entries in one file, each on a line of its own from line 2 on.
fn entries(all: &[&str]) -> String {
    format!("config_entries {{ bootstrap = [\n{},\n] }}\n", all.join(",\n"))
}

const PAST_WEB: &str =
    "{ Kind = \"service-splitter\" Name = \"web\" Splits = [{ Weight = 100 Service = \"api\" }] }";

#[test]
fn a_resolver_that_every_request_is_led_past_is_named() {
    let resolver = "{ Kind = \"service-resolver\" Name = \"web\" ConnectTimeout = \"3s\" }";
    check(
        &entries(&[PAST_WEB, resolver]),
        "3:36",
        "never used: every request for web is split or routed to others",
    );
    check_none(&entries(&[resolver]));
}

#[test]
fn a_redirect_to_a_service_that_is_split_is_named() {
    let redirect = "{ Kind = \"service-resolver\" Name = \"virtual\" Redirect { Service = \"web\" } }";
    check(&entries(&[PAST_WEB, redirect]), "3:67", "the splitter of web does not hold for these requests");
}

#[test]
fn words_about_upstreams_that_no_sidecar_has_are_named() {
    let overrides = |name: &str| {
        format!(
            "{{ Kind = \"service-defaults\" Name = \"shop\" Protocol = \"http\" UpstreamConfig {{ Overrides = [{{ Name = \"{name}\" ConnectTimeoutMs = 70 }}] }} }}"
        )
    };
    let shop = "service { name = \"shop\" port = 9 connect { sidecar_service { proxy { upstreams = [{ destination_name = \"api\" local_bind_port = 1234 }] } } } }\n";
    let text = |name: &str| format!("{}{shop}", entries(&[&overrides(name)]));
    check(&text("admin"), "2:100", "never used: no sidecar of shop has an upstream admin");
    check_none(&text("api"));
}

#[test]
fn ten_thousand_redirects_in_a_row_are_followed_once() {
    let redirect = |i: usize| {
        format!(
            "{{\"Kind\": \"service-resolver\", \"Name\": \"s{i}\", \"Redirect\": {{\"Service\": \"s{}\"}}}}",
            i + 1
        )
    };
    let all: Vec<String> = (0..10_000).map(redirect).collect();
    let text = format!("[{}]", all.join(",\n"));
    let found = super::warnings_of(&[("x.json", &text)]);
    assert!(found.len() == 1 && found[0].contains("no instance of s10000"), "{found:?}");
}

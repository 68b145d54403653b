//! Chains.

use super::{check, check_same};

fn router(routes: &[&str]) -> String {
    format!("Kind = \"service-router\"\nName = \"web\"\nRoutes = [\n{}\n]\n", routes.join(",\n"))
}

const A: &str = "{ Match { HTTP { PathPrefix = \"/a\" } } Destination { Service = \"api\" } }";
const AB: &str = "{ Match { HTTP { PathPrefix = \"/a/b\" } } Destination { Service = \"web\" } }";
const C: &str = "{ Match { HTTP { PathExact = \"/c\" } } Destination { Service = \"web\" } }";

#[test]
fn routes_that_come_go_and_lead_elsewhere_are_told() {
    check(&router(&[A]), &router(&[A, C]), &["service web", "  + route path /c: to web"]);
    check(&router(&[A, C]), &router(&[C]), &["service web", "  - route path /a*: to api"]);
    check(
        &router(&[A]),
        &router(&["{ Match { HTTP { PathPrefix = \"/a\" } } Destination { Service = \"web\" } }"]),
        &["service web", "  ~ route path /a*: to api -> to web"],
    );
}

#[test]
fn what_a_route_does_to_requests_is_told_as_it_takes_effect() {
    let with = |more: &str| {
        router(&[&format!(
            "{{ Match {{ HTTP {{ PathPrefix = \"/a\" }} }} Destination {{ Service = \"api\" {more} }} }}"
        )])
    };
    check(
        &with("RequestTimeout = \"3s\""),
        &with("NumRetries = 2 RetryOn = [\"5xx\"] PrefixRewrite = \"/\""),
        &["service web", "  ~ route path /a*: to api, within 3s -> to api, rewritten to /, 2 retries on 5xx"],
    );
    check(
        &with("RequestTimeout = \"3s\" RequestHeaders { Set { x-tenant = \"alpha\" } }"),
        &with("RequestTimeout = \"4s\" RequestHeaders { Set { x-tenant = \"alpha\" } }"),
        &[
            "service web",
            "  ~ route path /a*",
            "      to api, within 3s, request headers x-tenant=alpha",
            "   -> to api, within 4s, request headers x-tenant=alpha",
        ],
    );
    check_same(&with(""), &with("RequestTimeout = \"15s\" IdleTimeout = \"5m\" NumRetries = 4"));
}

#[test]
fn routes_that_share_requests_and_change_places_are_told() {
    check(&router(&[AB, A, C]), &router(&[A, AB, C]), &["service web", "  - route path /a/b*: to web"]);
    let get = "{ Match { HTTP { Methods = [\"GET\"] } } Destination { Service = \"web\" } }";
    check(
        &router(&[A, get]),
        &router(&[get, A]),
        &["service web", "  ~ route method GET: after route path /a* -> before route path /a*"],
    );
}

#[test]
fn what_never_matches_or_shares_no_request_may_move() {
    check_same(&router(&[A, C]), &router(&[C, A]));
    let regex = "{ Match { HTTP { PathRegex = \"/items/[0-9]+\" } } Destination { Service = \"api\" } }";
    check_same(&router(&[regex, C]), &router(&[C, regex]));
    check_same(&router(&[AB, regex]), &router(&[regex, AB]));
    check_same(&router(&[A]), &router(&[A, AB]));
    check_same(&router(&[A]), &router(&[A, "{ Match { HTTP { PathPrefix = \"/\" } } }"]));
}

fn splitter(splits: &str) -> String {
    format!("Kind = \"service-splitter\"\nName = \"web\"\nSplits = [{splits}]\n")
}

#[test]
fn shares_are_told_as_they_are_served() {
    check(
        &splitter("{ Weight = 90 }, { Weight = 10 Service = \"api\" }"),
        &splitter("{ Weight = 50 }, { Weight = 50 Service = \"api\" }"),
        &["service web", "  ~ leg web: 90% -> 50%", "  ~ leg api: 10% -> 50%"],
    );
    check_same(
        &splitter("{ Weight = 100 }"),
        &splitter("{ Weight = 100 }, { Weight = 0 Service = \"api\" }"),
    );
}

#[test]
fn what_keeps_requests_on_a_leg_and_saves_them_from_an_empty_one_is_told() {
    let with = |more: &str| splitter("{ Weight = 50 }, { Weight = 50 Service = \"api\" }") + more;
    let sticky = |field: &str| with(&format!("Sticky = [{{ Field = \"{field}\" FieldValue = \"u\" }}]\n"));
    check(&with(""), &sticky("header"), &["service web", "  + sticky by: header u"]);
    check(&sticky("header"), &sticky("cookie"), &["service web", "  ~ sticky by: header u -> cookie u"]);
    check(
        &with("EmptyLeg = \"next\""),
        &with("EmptyLeg = \"renormalise\""),
        &["service web", "  ~ a leg without endpoints: the next leg takes it -> the other legs share it"],
    );
    check_same(&with(""), &with("EmptyLeg = \"fail\""));
}

#[test]
fn a_service_that_gets_a_splitter_no_longer_goes_to_itself_alone() {
    check(
        "",
        &splitter("{ Weight = 100 Service = \"api\" }"),
        &["service web", "  - goes to: web", "  - connect timeout of web: 5s", "  + leg api: 100%"],
    );
}

fn resolver(text: &str) -> String {
    format!("Kind = \"service-resolver\"\nName = \"api\"\n{text}\n")
}

#[test]
fn what_a_resolver_says_is_told_under_its_service() {
    for (old, new, expected) in [
        ("ConnectTimeout = \"3s\"", "ConnectTimeout = \"9s\"", "~ connect timeout of api: 3s -> 9s"),
        ("", "RequestTimeout = \"9s\"", "+ request timeout: 9s"),
        (
            "Failover { \"*\" { Targets = [{ Peer = \"a\" }, { Service = \"web\" }] } }",
            "Failover { \"*\" { Targets = [{ Service = \"web\" }, { Peer = \"a\" }] } }",
            "~ failover of api: api at peer a, then web -> web, then api at peer a",
        ),
        (
            "LoadBalancer { Policy = \"random\" }",
            "LoadBalancer { Policy = \"maglev\" }",
            "~ load balancer of api: {\"Policy\":\"random\"} -> {\"Policy\":\"maglev\"}",
        ),
    ] {
        check(&resolver(old), &resolver(new), &["service api", &format!("  {expected}")]);
    }
}

#[test]
fn a_subsets_filter_is_told_with_the_instances_that_it_selects() {
    let subset = |filter: &str| {
        resolver(&format!("DefaultSubset = \"s\"\nSubsets {{ s {{ Filter = \"{filter}\" }} }}"))
    };
    check(
        &subset("Service.Meta.version == v1"),
        &subset("Service.Meta.version == v2"),
        &[
            "service api",
            "  ~ filter of s of api: Service.Meta.version == v1 -> Service.Meta.version == v2",
            "  ~ instances of s of api: api-1 -> api-2",
        ],
    );
}

#[test]
fn protocols_and_gateway_modes_are_told_where_they_take_effect() {
    let defaults = |text: &str| format!("Kind = \"service-defaults\"\nName = \"api\"\n{text}\n");
    check(
        &defaults("Protocol = \"http\""),
        &defaults("Protocol = \"grpc\""),
        &["service api", "  ~ protocol: http -> grpc"],
    );
    // Nothing of api's is in another cluster.
    check_same(
        &defaults("Protocol = \"http\""),
        &defaults("Protocol = \"http\"\nMeshGateway { Mode = \"local\" }"),
    );
}

#[test]
fn what_differs_only_in_writing_is_no_change() {
    check_same(&resolver("connect_timeout = \"5000ms\"\nMeta { a = \"b\" }"), "{}");
    check_same(
        &splitter("{ Weight = 50 }, { Weight = 50 Service = \"api\" }"),
        "config_entries { bootstrap { kind = \"service-splitter\" name = \"web\" splits { weight = 50.0 service = \"web\" } splits { weight = 50 service = \"api\" } } }",
    );
}

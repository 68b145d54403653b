//! What shapes a discovery chain: router, splitter, resolver.

use super::*;

#[test]
fn a_router_is_refused_as_consul_refuses_it() {
    let http = |body: &str| format!("Routes = [{{ Match {{ HTTP {{ {body} }} }} }}]");
    let only_one = "Route[0] Header[0] should only contain one of Present, Exact, Prefix, Suffix, or Regex";
    let one_value = "Route[0] QueryParam[0] should only contain one of Present, Exact, or Regex";
    let one_path = "Route[0] should only contain at most one of PathExact, PathPrefix, or PathRegex";
    let rewrite =
        "Route[0] cannot make use of PrefixRewrite without configuring either PathExact or PathPrefix";
    check(
        "service-router",
        &[
            ("", None),
            ("Routes = [{}]", None),
            (&http("PathExact = \"/a\" CaseInsensitive = true"), None),
            (&http("PathExact = \"a\""), Some("Route[0] PathExact doesn't start with '/': \"a\"")),
            (&http("PathPrefix = \"a\""), Some("Route[0] PathPrefix doesn't start with '/': \"a\"")),
            (&http("PathExact = \"/a\" PathPrefix = \"/b\""), Some(one_path)),
            (&http("PathPrefix = \"/a\" PathRegex = \"/b\""), Some(one_path)),
            (&http("Header = [{ Present = true }]"), Some("Route[0] Header[0] missing required Name field")),
            (&http("Header = [{ Name = \"a\" Present = true Invert = true }]"), None),
            (&http("Header = [{ Name = \"a\" Present = true Suffix = \"b\" }]"), Some(only_one)),
            (&http("Header = [{ Name = \"a\" }]"), Some(only_one)),
            (
                &http("QueryParam = [{ Exact = \"a\" }]"),
                Some("Route[0] QueryParam[0] missing required Name field"),
            ),
            (&http("QueryParam = [{ Name = \"a\" Exact = \"b\" Regex = \"c\" }]"), Some(one_value)),
            (&http("Methods = [\"get\", \"Post\"]"), None),
            (&http("Methods = [\"brew\"]"), Some("Route[0] Methods contains an invalid method \"BREW\"")),
            (&http("Methods = [\"GET\", \"get\"]"), Some("Route[0] Methods contains \"GET\" more than once")),
            ("Routes = [{ Destination { PrefixRewrite = \"/\" } }]", Some(rewrite)),
            (
                "Routes = [{ Match { HTTP { PathRegex = \"/a\" } } Destination { PrefixRewrite = \"/\" } }]",
                Some(rewrite),
            ),
            (
                "Routes = [{ Match { HTTP { PathExact = \"/a\" } } Destination { PrefixRewrite = \"/\" } }]",
                None,
            ),
            (
                "Routes = [{ Destination { RetryOn = [\"often\"] } }]",
                Some("Route[0] contains an invalid retry condition: \"often\""),
            ),
            ("Routes = [{ Destination { RequestHeaders { Set { x-a = \"%PROTOCOL% 100%%\" } } } }]", None),
            (
                "Routes = [{ Destination { RequestHeaders { Add { x-a = \"%PROTOCL%\" } } } }]",
                Some("unknown command operator %PROTOCL%, did you mean %PROTOCOL%?"),
            ),
            (
                "Routes = [{ Destination { ResponseHeaders { Set { x-a = \"100%\" } } } }]",
                Some("\"%\" is no command operator; a percent sign is written %%"),
            ),
            (
                "Routes = [{ Destination { RequestHeaders { Set { \":path\" = \"/b\" } } } }]",
                Some("header \":path\" cannot be modified"),
            ),
            (
                "Routes = [{ Destination { RequestHeaders { Remove = [\"Host\"] } } }]",
                Some("header \"Host\" cannot be modified"),
            ),
            (
                "Routes = [{ Destination { RetryOn = [\"\"] } }]",
                Some("Route[0] contains an invalid retry condition: \"\""),
            ),
        ],
    );
}

#[test]
fn a_splitter_is_refused_as_consul_refuses_it() {
    check(
        "service-splitter",
        &[
            ("Splits = []", Some("no splits configured")),
            ("Splits = [{ Weight = 100 }]", None),
            ("Splits = [{ Weight = 99 }]", Some("the sum of all split weights must be 100, not 99.000000")),
            (
                "Splits = [{ Weight = 100.01 }]",
                Some("the sum of all split weights must be 100, not 100.010000"),
            ),
            (
                "Splits = [{ Weight = 100 }, { Weight = -0.01 Service = \"b\" }]",
                Some("the sum of all split weights must be 100, not 99.990000"),
            ),
            ("Splits = [{ Weight = 1e300 }]", Some("the sum of all split weights must be 100, not inf")),
            // Each becomes 50.01 in 32 bits, as in Consul.
            (
                "Splits = [{ Weight = 50.005 }, { Weight = 50.005 Service = \"b\" }]",
                Some("must be 100, not 100.02"),
            ),
            ("Splits = [{ Weight = 33.334 }, { Weight = 66.666 Service = \"b\" }]", None),
            (
                "Splits = [{ Weight = 50 ServiceSubset = \"v1\" }, { Weight = 50 Service = \"web\" ServiceSubset = \"v1\" }]",
                Some(
                    "split destination occurs more than once: service=\"web\", subset=\"v1\", namespace=\"\", partition=\"\"",
                ),
            ),
            ("Splits = [{ Weight = 50 }, { Weight = 50 RequestHeaders { Add { a = \"b\" } } }]", None),
        ],
    );
}

#[test]
fn a_resolver_is_refused_as_consul_refuses_it() {
    let any = |body: &str| format!("Failover {{ \"*\" {{ {body} }} }}");
    check(
        "service-resolver",
        &[
            ("", None),
            ("Subsets { \"\" {} }", Some("Subset defined with empty name")),
            ("Subsets { \"-v1\" {} }", Some("Subset \"-v1\" is invalid")),
            (
                "Subsets { v1 { Filter = \"not a filter\" } }",
                Some("Filter for subset \"v1\" is not a valid expression"),
            ),
            // Consul writes what is an expression, whatever it selects.
            ("Subsets { v1 { Filter = \"ServiceMeta.env == prod\" } }", None),
            ("DefaultSubset = \"v9\"", Some("DefaultSubset \"v9\" is not a valid subset")),
            ("PrioritizeByLocality {}", None),
            (
                "PrioritizeByLocality { Mode = \"failover\" }",
                Some("Prioritize-by-locality requires Consul Enterprise"),
            ),
            ("Redirect {}", Some("Redirect is empty")),
            (
                "Redirect { Service = \"b\" Partition = \"ap1\" }",
                Some("Redirect: Setting Partition requires Consul Enterprise"),
            ),
            (
                "Redirect { Service = \"b\" SamenessGroup = \"g\" }",
                Some("Redirect: Setting SamenessGroup requires Consul Enterprise"),
            ),
            ("Redirect { Datacenter = \"dc2\" }", None),
            (
                "Redirect { ServiceSubset = \"v1\" }",
                Some("Redirect.ServiceSubset defined without Redirect.Service"),
            ),
            (
                "Redirect { Service = \"web\" ServiceSubset = \"v1\" }",
                Some("Redirect.ServiceSubset \"v1\" is not a valid subset of \"web\""),
            ),
            (
                "Redirect { Service = \"b\" } Failover { \"*\" { Service = \"c\" } }",
                Some("Redirect and Failover cannot both be set"),
            ),
            ("Failover { v1 { Service = \"b\" } }", Some("Bad Failover[\"v1\"]: not a valid subset")),
            (
                &any(""),
                Some(
                    "Bad Failover[\"*\"]: one of Service, ServiceSubset, Namespace, Targets, SamenessGroup, or Datacenters is required",
                ),
            ),
            (&any("Service = \"b\" Policy { Regions = [\"r1\"] }"), None),
            (
                &any("Service = \"b\" Policy { Mode = \"sequential\" }"),
                Some("Bad Failover[\"*\"]: Setting failover policies requires Consul Enterprise"),
            ),
            (
                &any("SamenessGroup = \"g\""),
                Some("Bad Failover[\"*\"]: Setting SamenessGroup requires Consul Enterprise"),
            ),
            (
                &any("Namespace = \"ns1\""),
                Some("Bad Failover[\"*\"]: Setting Namespace requires Consul Enterprise"),
            ),
            (
                &any("Targets = [{ Partition = \"ap1\" }]"),
                Some("Bad Failover[\"*\"].Targets[0]: Setting Partition requires Consul Enterprise"),
            ),
            (
                &any("ServiceSubset = \"v1\" Targets = [{ Peer = \"p\" }]"),
                Some("Bad Failover[\"*\"]: Targets cannot be set with ServiceSubset"),
            ),
            ("RequestTimeout = \"-1s\"", Some("Bad RequestTimeout '-1s', must be >= 0")),
            (
                "LoadBalancer { Policy = \"fastest\" }",
                Some("Bad LoadBalancer policy: \"fastest\" is not supported"),
            ),
            (
                "LoadBalancer { Policy = \"ring_hash\" LeastRequestConfig { ChoiceCount = 2 } }",
                Some(
                    "Bad LoadBalancer configuration. LeastRequestConfig specified for incompatible load balancing policy \"ring_hash\"",
                ),
            ),
            (
                "LoadBalancer { HashPolicies = [{ SourceIP = true }] }",
                Some(
                    "Bad LoadBalancer configuration: HashPolicies specified for non-hash-based Policy: \"\"",
                ),
            ),
            (
                "LoadBalancer { Policy = \"maglev\" HashPolicies = [{ Field = \"cookie\" FieldValue = \"s\" CookieConfig { Session = true TTL = \"1s\" } }] }",
                Some("Bad LoadBalancer HashPolicy[0]: a session cookie cannot have an associated TTL"),
            ),
        ],
    );
}

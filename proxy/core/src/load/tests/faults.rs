//! Faults, each with the place, the field and the words that it is to be reported with.

use super::*;

/// Reads each text as `e.hcl` and compares everything that is said about it, the file's name left out.
fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let (_, problems) = read(&[("e.hcl", text)]);
        let problems: Vec<_> = problems.iter().map(|it| it.trim_start_matches("e.hcl:")).collect();
        assert_eq!(problems, *expected, "{text}");
    }
}

/// The same for the body of an entry: `kind`, then a name, then the text from line 3 on.
fn check_entry(kind: &str, cases: &[(&str, &[&str])]) {
    for (body, expected) in cases {
        check(&[(&format!("Kind = \"{kind}\"\nName = \"web\"\n{body}"), expected)]);
    }
}

#[test]
fn what_is_no_document_at_all_is_said_so() {
    check(&[
        (
            "Kind = \"service-rooter\"\nName = \"web\"",
            &["1:8: Kind: invalid config entry kind: service-rooter, did you mean \"service-router\"?"],
        ),
        ("Kind = \"service-router\"", &["1:8: Name: Name is required"]),
        ("Kind = \"service-router\"\nName = \"\"", &["1:8: Name: Name is required"]),
        (
            "Kind = \"service-router\"\nName = 5",
            &["2:8: warning: Name: is a number: read as \"5\", as in Consul"],
        ),
        (
            "kind = \"mesh-gateway\"\nname = \"gw\"",
            &["1:8: kind: \"mesh-gateway\" is a kind of registration, which stands in a `service` block"],
        ),
        (
            "Kind = \"ingress-gateway\"\nName = \"x\"",
            &["1:8: warning: Kind: ingress-gateway has no effect here"],
        ),
        (
            "srvice { name = \"web\" }",
            &["1:1: srvice: unknown field: invalid config key srvice, did you mean \"service\"?"],
        ),
        (
            "datacentre = \"dc1\"",
            &["1:1: datacentre: unknown field: invalid config key datacentre, did you mean \"datacenter\"?"],
        ),
        (
            "datacenter = \"DC 1\"",
            &["1:14: datacenter: datacenter \"DC 1\" is not valid: 1 to 63 of a-z, 0-9, '_' and inner '-'"],
        ),
        (
            "acl { defualt_policy = \"deny\" }",
            &[
                "1:7: acl.defualt_policy: unknown field: invalid config key acl.defualt_policy, did you mean \"default_policy\"?",
            ],
        ),
    ]);
}

#[test]
fn a_routers_faults_are_told_as_consul_tells_them() {
    check_entry(
        "service-router",
        &[
            (
                "Routes = [{ Match { HTTP { PathPrefx = \"/a\" } } }]",
                &[
                    "3:28: Routes[0].Match.HTTP.PathPrefx: unknown field: invalid config key \"Routes[0].Match.HTTP.PathPrefx\", did you mean \"PathPrefix\"?",
                ],
            ),
            (
                "Routes = [{}, { Match { HTTP { PathExact = \"a\" } } }]",
                &["3:44: Routes[1].Match.HTTP.PathExact: Route[1] PathExact doesn't start with '/': \"a\""],
            ),
            (
                "routes = [{ match { http { path_prefix = \"a\" } } }]",
                &[
                    "3:42: routes[0].match.http.path_prefix: Route[0] PathPrefix doesn't start with '/': \"a\"",
                ],
            ),
            (
                "Routes = [{ Match { HTTP { PathExact = \"/a\" PathRegex = \"/b\" } } }]",
                &[
                    "3:57: Routes[0].Match.HTTP.PathRegex: Route[0] should only contain at most one of PathExact, \
             PathPrefix, or PathRegex",
                ],
            ),
            (
                "Routes = [{ Match { HTTP { PathRegex = \"/(a\" } } }]",
                &["3:40: Routes[0].Match.HTTP.PathRegex: is not a valid regular expression: unclosed group"],
            ),
            (
                "Routes = [{ Match { HTTP { Header = [{ Present = true }] } } }]",
                &["3:38: Routes[0].Match.HTTP.Header[0]: Route[0] Header[0] missing required Name field"],
            ),
            (
                "Routes = [{ Match { HTTP { Header = [{ Name = \"x\" Invert = true }] } } }]",
                &[
                    "3:38: Routes[0].Match.HTTP.Header[0]: Route[0] Header[0] should only contain one of Present, Exact, \
             Prefix, Suffix, or Regex",
                ],
            ),
            (
                "Routes = [{ Match { HTTP { Header = [{ Name = \"x\" Contains = \"y\" }] } } }]",
                &[
                    "3:38: Routes[0].Match.HTTP.Header[0]: Route[0] Header[0] should only contain one of Present, Exact, \
             Prefix, Suffix, or Regex",
                    "3:51: Routes[0].Match.HTTP.Header[0].Contains: unknown field: invalid config key \"Routes[0].Match.HTTP.Header[0].Contains\"",
                ],
            ),
            (
                "Routes = [{ Match { HTTP { QueryParam = [{ Exact = \"y\" }] } } }]",
                &[
                    "3:42: Routes[0].Match.HTTP.QueryParam[0]: Route[0] QueryParam[0] missing required Name field",
                ],
            ),
            (
                "Routes = [{ Match { HTTP { QueryParam = [{ Name = \"x\" Exact = \"y\" Present = true }] } } }]",
                &[
                    "3:42: Routes[0].Match.HTTP.QueryParam[0]: Route[0] QueryParam[0] should only contain one of Present, \
             Exact, or Regex",
                ],
            ),
            (
                "Routes = [{ Match { HTTP { Methods = [\"get\", \"FETCH\", \"GET\"] } } }]",
                &[
                    "3:46: Routes[0].Match.HTTP.Methods[1]: Route[0] Methods contains an invalid method \"FETCH\"",
                    "3:55: Routes[0].Match.HTTP.Methods[2]: Route[0] Methods contains \"GET\" more than once",
                ],
            ),
            (
                "Routes = [{ Destination { PrefixRewrite = \"/\" } }]",
                &[
                    "3:43: Routes[0].Destination.PrefixRewrite: Route[0] cannot make use of PrefixRewrite without \
             configuring either PathExact or PathPrefix",
                ],
            ),
            (
                "Routes = [{ Destination { RetryOn = [\"5xy\"] } }]",
                &[
                    "3:38: Routes[0].Destination.RetryOn[0]: Route[0] contains an invalid retry condition: \"5xy\", did \
             you mean \"5xx\"?",
                ],
            ),
            (
                "Routes = [{ Destination { RequestTimeout = \"soon\" NumRetries = -1 } }]",
                &[
                    "3:44: Routes[0].Destination.RequestTimeout: \"soon\" is not a duration such as \"15s\", \"1m30s\" or \
             \"250ms\"",
                    "3:64: Routes[0].Destination.NumRetries: -1 is out of range: an integer from 0 to 4294967295",
                ],
            ),
            (
                "Routes = [{ Destination { RequestTimeout = 15 RetryOnConnectFailure = \"yes\" } }]",
                &[
                    "3:44: warning: Routes[0].Destination.RequestTimeout: 15 is that many nanoseconds: write \"15s\" for \
             seconds",
                    "3:71: Routes[0].Destination.RetryOnConnectFailure: is a string where true or false is expected",
                ],
            ),
            (
                "Routes = [{ Destination { RetryOnStatusCodes = [503, 5033] } }]",
                &[
                    "3:54: Routes[0].Destination.RetryOnStatusCodes[1]: 5033 is out of range: an integer from 100 to 599",
                ],
            ),
            (
                "Routes = [{ Destination { Peer = \"east\" Datacenter = \"dc2\" ServiceSubset = \"v1\" } }]",
                &[
                    "3:25: Routes[0].Destination: Peer cannot be set with Datacenter",
                    "3:25: Routes[0].Destination: Peer cannot be set with ServiceSubset",
                ],
            ),
        ],
    );
}

#[test]
fn a_splitters_faults_are_told_as_consul_tells_them() {
    check_entry(
        "service-splitter",
        &[
            ("", &["1:8: Splits: no splits configured"]),
            (
                "Splits = [{ Weight = 50 }, { Wieght = 50 Service = \"b\" }]",
                &[
                    "3:30: Splits[1].Wieght: unknown field: invalid config key \"Splits[1].Wieght\", did you mean \"Weight\"?",
                ],
            ),
            (
                "Splits = [{ Weight = 99.99 }]",
                &["3:10: Splits: the sum of all split weights must be 100, not 99.990000"],
            ),
            ("Splits = [{ Weight = 33.333 }, { Weight = 66.67 Service = \"b\" }]", &[]),
            (
                "Splits = [{ Weight = 120 }, { Weight = -20 Service = \"b\" }]",
                &[
                    "3:22: Splits[0].Weight: 120 is out of range: per cent, from 0 to 100",
                    "3:40: Splits[1].Weight: -20 is out of range: per cent, from 0 to 100",
                ],
            ),
            (
                "Splits = [{ Weight = \"100\" }]",
                &["3:22: warning: Splits[0].Weight: is a string: read as 100, as in Consul"],
            ),
            (
                "Splits = [\n{ Weight = 50 },\n{ Weight = 50\nService = \"web\" }]",
                &["5:1: Splits[1]: split destination occurs more than once: service=\"web\", subset=\"\", \
             namespace=\"\", partition=\"\""],
            ),
            ("Splits = \"v1\"", &["3:10: Splits: is a string where a map is expected"]),
        ],
    );
}

#[test]
fn a_resolvers_faults_are_told_as_consul_tells_them() {
    check_entry(
        "service-resolver",
        &[
            (
                "DefaultSubset = \"v9\"\nSubsets { v1 { Filter = \"\" } v2 {} }",
                &["3:17: DefaultSubset: DefaultSubset \"v9\" is not a valid subset, did you mean \"v1\"?"],
            ),
            (
                "Subsets { \"\" {} V1 {} }",
                &[
                    "3:14: Subsets[\"\"]: Subset defined with empty name",
                    "3:20: Subsets[\"V1\"]: Subset \"V1\" is invalid: subset name \"V1\" is not valid: at most 63 of a-z, 0-9 \
             and inner '-'",
                ],
            ),
            ("Redirect {}", &["3:10: Redirect: Redirect is empty"]),
            (
                "Redirect { Service = \"b\" }\nFailover { \"*\" { Datacenters = [\"dc2\"] } }",
                &["3:10: Redirect: Redirect and Failover cannot both be set"],
            ),
            (
                "Redirect { Peer = \"p\" }",
                &["3:10: Redirect: Redirect.Peer defined without Redirect.Service"],
            ),
            (
                "Redirect { Service = \"b\" Peer = \"p\" Datacenter = \"dc2\" }",
                &["3:10: Redirect: Redirect.Peer cannot be set with Redirect.Datacenter"],
            ),
            (
                "Redirect { Service = \"b\" Peer = \"p\" ServiceSubset = \"v1\" }",
                &["3:10: Redirect: Redirect.Peer cannot be set with Redirect.ServiceSubset"],
            ),
            (
                "Redirect { ServiceSubset = \"v1\" }",
                &["3:28: Redirect.ServiceSubset: Redirect.ServiceSubset defined without Redirect.Service"],
            ),
            (
                "Redirect { Service = \"web\" ServiceSubset = \"v1\" }",
                &[
                    "3:44: Redirect.ServiceSubset: Redirect.ServiceSubset \"v1\" is not a valid subset of \"web\"",
                ],
            ),
            (
                "Redirect { Service = \"b\" Namespace = \"x\" Partition = \"default\" SamenessGroup = \"g\" }",
                &[
                    "3:38: Redirect.Namespace: Redirect: Setting Namespace requires Consul Enterprise",
                    "3:80: Redirect.SamenessGroup: Redirect: Setting SamenessGroup requires Consul Enterprise",
                ],
            ),
            (
                "Failover { v1 { Service = \"b\" } }",
                &["3:15: Failover[\"v1\"]: Bad Failover[\"v1\"]: not a valid subset"],
            ),
            (
                "Failover { \"*\" {} }",
                &[
                    "3:16: Failover[\"*\"]: Bad Failover[\"*\"]: one of Service, ServiceSubset, Namespace, Targets, \
             SamenessGroup, or Datacenters is required",
                ],
            ),
            (
                "Failover { \"*\" { ServiceSubset = \"v1\" } }",
                &[
                    "3:34: Failover[\"*\"].ServiceSubset: Bad Failover[\"*\"]: ServiceSubset \"v1\" is not a valid subset of \
             \"web\"",
                ],
            ),
            (
                "Failover { \"*\" { Service = \"b\" Datacenters = [\"dc2\", \"\"] Targets = [{ Peer = \"p\" }] } }",
                &[
                    "3:16: Failover[\"*\"]: Bad Failover[\"*\"]: Targets cannot be set with Datacenters",
                    "3:16: Failover[\"*\"]: Bad Failover[\"*\"]: Targets cannot be set with Service",
                    "3:54: Failover[\"*\"].Datacenters[1]: Bad Failover[\"*\"].Datacenters: found empty datacenter",
                ],
            ),
            (
                "Failover { \"*\" { Targets = [{ Peer = \"p\" Datacenter = \"dc2\" }, { ServiceSubset = \"v1\" }] } }",
                &[
                    "3:29: Failover[\"*\"].Targets[0]: Bad Failover[\"*\"].Targets[0]: Peer cannot be set with Datacenter",
                    "3:82: Failover[\"*\"].Targets[1].ServiceSubset: Bad Failover[\"*\"].Targets[1]: ServiceSubset \"v1\" is \
             not a valid subset of \"web\"",
                ],
            ),
            (
                "Failover { \"*\" { Datacenters = [\"dc2\"] Policy { Mode = \"sequential\" } } }",
                &[
                    "3:56: Failover[\"*\"].Policy.Mode: Bad Failover[\"*\"]: Setting failover policies requires Consul \
             Enterprise",
                ],
            ),
            ("ConnectTimeout = \"-1s\"", &["3:18: ConnectTimeout: Bad ConnectTimeout '-1s', must be >= 0"]),
            (
                "LoadBalancer { Policy = \"ring_hsh\" }",
                &[
                    "3:25: LoadBalancer.Policy: Bad LoadBalancer policy: \"ring_hsh\" is not supported, did you mean \
             \"ring_hash\"?",
                ],
            ),
            (
                "LoadBalancer { Policy = \"random\" RingHashConfig {} HashPolicies = [{ SourceIP = true }] }",
                &[
                    "3:49: LoadBalancer.RingHashConfig: Bad LoadBalancer configuration. RingHashConfig specified for \
             incompatible load balancing policy \"random\"",
                    "3:67: LoadBalancer.HashPolicies: Bad LoadBalancer configuration: HashPolicies specified for \
             non-hash-based Policy: \"random\"",
                ],
            ),
            (
                "LoadBalancer { Policy = \"maglev\" HashPolicies = [{ Field = \"header\" SourceIP = true }] }",
                &[
                    "3:50: LoadBalancer.HashPolicies[0]: Bad LoadBalancer HashPolicy[0]: A single hash policy cannot hash \
             both a source address and a \"header\"",
                    "3:50: LoadBalancer.HashPolicies[0]: Bad LoadBalancer HashPolicy[0]: Field \"header\" was specified \
             without a FieldValue",
                ],
            ),
            (
                "Meta { k = \"a\" }\nmeta { l = 1 k = \"b\" }",
                &["4:18: warning: Meta[\"k\"]: is given twice, first on line 3: the last counts"],
            ),
            (
                "ConnectTimeout = \"1s\"\nconnect_timeout = \"2s\"",
                &["4:19: warning: ConnectTimeout: is given twice, first on line 3: the last counts"],
            ),
            (
                "LoadBalancer { Policy = \"random\" }\nLoadBalancer { Policy = \"maglev\" }",
                &["4:14: LoadBalancer: is given twice where one map is expected, first on line 3"],
            ),
        ],
    );
}

#[test]
fn faults_of_the_other_kinds_are_told_as_consul_tells_them() {
    check_entry(
        "service-defaults",
        &[
            (
                "Protocol = \"htp\"",
                &["3:12: Protocol: invalid value for protocol: htp (known: tcp, http, http2, grpc)"],
            ),
            (
                "MeshGateway { Mode = \"remot\" }",
                &["3:22: MeshGateway.Mode: Invalid Mesh Gateway Mode: \"remot\", did you mean \"remote\"?"],
            ),
            (
                "UpstreamConfig { Overrides = [{ Protocol = \"http\" }] }",
                &["3:31: UpstreamConfig.Overrides[0]: error in upstream override for :: Name is required"],
            ),
            (
                "UpstreamConfig { Defaults { PassiveHealthCheck { MaxEjectionPercent = 101 } } }",
                &[
                    "3:71: UpstreamConfig.Defaults.PassiveHealthCheck.MaxEjectionPercent: error in upstream defaults: passive \
             health check max_ejection_percent must be a percentage between 0 and 100",
                ],
            ),
            (
                "EnvoyExtensions = [{ Name = \"builtin/lua\" }]",
                &["3:19: warning: EnvoyExtensions: Envoy's extensions have no effect here"],
            ),
        ],
    );
    check(&[
        (
            "Kind = \"service-defaults\"\nName = \"*\"",
            &[
                "2:8: Name: service-defaults name must be the name of a service, and not a wildcard: proxy-defaults hold \
             for all",
            ],
        ),
        (
            "Kind = \"proxy-defaults\"\nName = \"globl\"",
            &["2:8: Name: invalid name (\"globl\"), only \"global\" is supported"],
        ),
        (
            "Kind = \"proxy-defaults\"\nName = \"global\"\nConfig { protcol = \"http\" envoy_tracing_json = \"{}\" }",
            &[
                "3:10: warning: Config.protcol: is not known and is not used, did you mean \"protocol\"?",
                "3:27: warning: Config.envoy_tracing_json: is Envoy's own and is not used",
            ],
        ),
        (
            "Kind = \"mesh\"\nTLS { Incoming { TLSMinVersion = \"1.2\" } }",
            &[
                "2:34: TLS.Incoming.TLSMinVersion: error in incoming TLS configuration: no matching TLS version found for \
             1.2, please specify one of [TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3]",
            ],
        ),
        (
            "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"consul\" Consumers = [{}] }]",
            &[
                "3:22: warning: Services[0].Name: Services[0]: the \"consul\" service is never exported",
                "3:44: warning: Services[0].Consumers[0]: Services[0].Consumers[0]: names no Peer: nobody is exported to",
            ],
        ),
        (
            "Kind = \"service-intentions\"\nName = \"web\"\nSources = [{ Name = \"a\" }, { Name = \"b\" Action = \"alow\" }]",
            &[
                "3:12: Sources[0]: Sources[0].Action must be set to 'allow' or 'deny'",
                "3:50: Sources[1].Action: Sources[1].Action must be set to 'allow' or 'deny', did you mean \"allow\"?",
            ],
        ),
        (
            "Kind = \"service-intentions\"\nName = \"web\"\nSources = [{ Name = \"a\" Permissions = [{ Action = \"deny\" }] }]",
            &["3:40: Sources[0].Permissions[0]: Sources[0].Permissions[0].HTTP is required"],
        ),
    ]);
}

#[test]
fn every_problem_of_a_directory_is_listed_in_reading_order() {
    let (_, problems) = read(&[
        ("d/a-b.hcl", "Kind = \"service-resolver\"\nName = \"web\"\nConnectTimeout = \"1x\""),
        ("d/a/b.json", "{\"Kind\": \"service-resolver\",\n\"Name\": \"web\",\n\"Redirct\": {}}"),
        ("d/broken.json", "{\"a\": 1,}"),
        (
            "d/k.yaml",
            "apiVersion: consul.hashicorp.com/v1alpha1\nkind: ServiceSpliter\n---\napiVersion: v1\nkind: Service\nspec: {}\n",
        ),
    ]);
    assert_eq!(
        problems,
        [
            "d/a-b.hcl:3:18: ConnectTimeout: \"1x\" is not a duration such as \"15s\", \"1m30s\" or \"250ms\"",
            "d/a/b.json:1:10: Name: service-resolver \"web\" is defined twice, first at d/a-b.hcl:1:8",
            "d/a/b.json:3:1: Redirct: unknown field: invalid config key \"Redirct\", did you mean \"Redirect\"?",
            "d/broken.json:1:8: is not JSON: trailing commas are not allowed",
            "d/k.yaml:2:7: kind: \"ServiceSpliter\" is no kind of resource, did you mean \"ServiceSplitter\"?",
            "d/k.yaml:5:7: warning: kind: Service of v1 is no resource of Consul's and is not used",
        ]
    );
}

#[test]
fn a_value_that_is_read_weakly_and_still_wrong_is_named_once() {
    check_entry(
        "service-defaults",
        &[(
            "Protocol = 7",
            &["3:12: Protocol: invalid value for protocol: 7 (known: tcp, http, http2, grpc)"],
        )],
    );
}

#[test]
fn a_directory_is_complete_unless_a_file_cannot_be_read() {
    for (text, complete) in
        [("a = ", false), ("Kind = service-router\nName = \"a\"", true), ("zebra = 1", true)]
    {
        let (config, problems) = read(&[("e.hcl", text), ("empty.hcl", "")]);
        assert_eq!((config.complete, problems.is_empty()), (complete, false), "{text}");
    }
}

#[test]
fn a_flood_of_problems_is_cut_off_with_their_number() {
    let text: String = (0..1_500).map(|i| format!("zz{i} = 1\n")).collect();
    let (_, problems) = read(&[("e.hcl", &text)]);
    assert_eq!(problems.len(), 1_001);
    assert_eq!(problems.last().map(String::as_str), Some("e.hcl:1000:1: 500 more problems are not listed"));
}

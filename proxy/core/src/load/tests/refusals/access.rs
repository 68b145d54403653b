//! Who may call, who may import, and whose tokens count.

use super::*;

#[test]
fn exported_services_are_refused_as_consul_refuses_them() {
    let consumer = |body: &str| format!("Services = [{{ Name = \"web\" Consumers = [{{ {body} }}] }}]");
    check(
        "exported-services",
        &[
            ("", None),
            (
                "Services = [{ Consumers = [{ Peer = \"p\" }] }]",
                Some("Services[0]: service name cannot be empty"),
            ),
            ("Services = [{ Name = \"web\" }]", Some("Services[0]: must have at least one consumer")),
            (&consumer("PeerName = \"p\""), None),
            (&consumer("peer_name = \"p\""), None),
            (&consumer("Partition = \"default\""), None),
            ("Services = [{ Name = \"web\" Namespace = \"ns1\" Consumers = [{ Peer = \"p\" }] }]", None),
            (
                &consumer("Partition = \"ap1\""),
                Some("Services[0].Consumers[0]: partitions are an enterprise-only feature"),
            ),
            (
                &consumer("Partition = \"*\""),
                Some("Services[0].Consumers[0]: exporting to all partitions (wildcard) is not supported"),
            ),
            (
                &consumer("Peer = \"*\""),
                Some("Services[0].Consumers[0]: exporting to all peers (wildcard) is not supported"),
            ),
            (
                &consumer("SamenessGroup = \"g\""),
                Some("Services[0].Consumers[0]: sameness-groups are an enterprise-only feature"),
            ),
            (
                &consumer("Peer = \"p\" Partition = \"default\""),
                Some(
                    "Services[0].Consumers[0]: must define at most one of Peer, Partition, or SamenessGroup",
                ),
            ),
        ],
    );
    for name in ["", "Name = \"*\"", "Name = \"other\""] {
        let (_, problems) = read(&[("e.hcl", &format!("Kind = \"exported-services\"\n{name}"))]);
        assert!(problems[0].contains("exported-services Name must be \"default\""), "{name} {problems:?}");
    }
}

#[test]
fn intentions_are_refused_as_consul_refuses_them() {
    let source = |body: &str| format!("Sources = [{{ Name = \"a\" {body} }}]");
    let http = |body: &str| source(&format!("Permissions = [{{ Action = \"allow\" HTTP {{ {body} }} }}]"));
    let one_path = "Sources[0].Permissions[0].HTTP should only contain at most one of PathExact, PathPrefix, or PathRegex";
    let one_value = "Sources[0].Permissions[0].HTTP.Header[0] should only contain one of Present, Exact, Prefix, Suffix, Contains, or Regex";
    let no_case = "Sources[0].Permissions[0].HTTP.Header[0] should set one of Exact, Prefix, Suffix, or Contains when using IgnoreCase";
    check(
        "service-intentions",
        &[
            ("", Some("At least one source is required")),
            ("Sources = [{ Action = \"allow\" }]", Some("Sources[0].Name is required")),
            (
                "Sources = [{ Name = \"a*\" Action = \"allow\" }]",
                Some("Sources[0].Name: wildcard character '*' cannot be used with partial values"),
            ),
            (
                &source("Action = \"allow\" Peer = \"*\""),
                Some("Sources[0].Peer: cannot use wildcard '*' in peer"),
            ),
            (
                &source("Action = \"allow\" SamenessGroup = \"g\""),
                Some("Sources[0].SamenessGroup: Sameness groups are a Consul Enterprise feature."),
            ),
            (&source(&format!("Action = \"deny\" Description = \"{}\"", "x".repeat(512))), None),
            (
                &source(&format!("Action = \"deny\" Description = \"{}\"", "x".repeat(513))),
                Some("Sources[0].Description exceeds maximum length 512"),
            ),
            (
                &source("Action = \"deny\" LegacyMeta { a = \"b\" }"),
                Some("Sources[0].LegacyMeta must be omitted"),
            ),
            (
                &source(
                    "Action = \"deny\" LegacyID = \"x\" LegacyCreateTime = \"2015-10-21T16:29:00Z\" Precedence = 1",
                ),
                None,
            ),
            (&source(""), Some("Sources[0].Action must be set to 'allow' or 'deny'")),
            (&source("Action = \"Allow\""), Some("Sources[0].Action must be set to 'allow' or 'deny'")),
            (
                &source("Action = \"allow\" Type = \"external\""),
                Some("Sources[0].Type must be set to 'consul'"),
            ),
            (
                &source(
                    "Action = \"allow\" Permissions = [{ Action = \"deny\" HTTP { PathExact = \"/\" } }]",
                ),
                Some("Sources[0].Action must be omitted if Permissions are specified"),
            ),
            (
                &source("Permissions = [{ HTTP { PathExact = \"/\" } }]"),
                Some("Sources[0].Permissions[0].Action must be set to 'allow' or 'deny'"),
            ),
            (
                &source("Permissions = [{ Action = \"allow\" }]"),
                Some("Sources[0].Permissions[0].HTTP is required"),
            ),
            (&http(""), Some("Sources[0].Permissions[0].HTTP should not be empty")),
            (
                &http("PathExact = \"a\""),
                Some("Sources[0].Permissions[0].HTTP.PathExact doesn't start with '/': \"a\""),
            ),
            (&http("PathExact = \"/a\" PathRegex = \"/b\""), Some(one_path)),
            (
                &http("Header = [{ Exact = \"a\" }]"),
                Some("Sources[0].Permissions[0].HTTP.Header[0] missing required Name field"),
            ),
            (&http("Header = [{ Name = \"a\" Exact = \"b\" Contains = \"c\" }]"), Some(one_value)),
            (&http("Header = [{ Name = \"a\" Present = true IgnoreCase = true }]"), Some(no_case)),
            (&http("Header = [{ Name = \"a\" Contains = \"b\" IgnoreCase = true Invert = true }]"), None),
            (
                &http("Methods = [\"BREW\"]"),
                Some("Sources[0].Permissions[0].HTTP.Methods contains an invalid method \"BREW\""),
            ),
            (
                &http("Methods = [\"GET\", \"get\"]"),
                Some("Sources[0].Permissions[0].HTTP.Methods contains \"GET\" more than once"),
            ),
            ("JWT { Providers = [{}] }", Some("JWT provider name is required")),
            (
                "Sources = [{ Name = \"a\" Action = \"allow\" }, { Name = \"a\" Action = \"deny\" }]",
                Some("Sources[1] defines \"a\" more than once"),
            ),
            (
                "Sources = [{ Name = \"a\" Peer = \"p\" Action = \"allow\" }, { Name = \"a\" Peer = \"p\" Action = \"deny\" }]",
                Some("Sources[1] defines peer(\"p\") \"a\" more than once"),
            ),
            (
                "Sources = [{ Name = \"a\" Peer = \"p\" Action = \"allow\" }, { Name = \"a\" Action = \"deny\" }]",
                None,
            ),
        ],
    );
    let any = "Kind = \"service-intentions\"\nName = \"*\"\nSources = [{ Name = \"a\" Permissions = [{ Action = \"deny\" HTTP { PathExact = \"/\" } }] }]";
    let (_, problems) = read(&[("e.hcl", any)]);
    let words = "Sources[0].Permissions cannot be specified on intentions with wildcarded destinations";
    assert!(problems[0].contains(words), "{problems:?}");
}

#[test]
fn a_jwt_provider_is_refused_as_consul_refuses_it() {
    let set = |body: &str| format!("JSONWebKeySet {{ {body} }}");
    let remote = |body: &str| set(&format!("Remote {{ URI = \"https://a.example/keys\" {body} }}"));
    let cluster = |body: &str| remote(&format!("JWKSCluster {{ {body} }}"));
    let keys = |body: &str| format!("JSONWebKeySet {{ Local {{ JWKS = \"e30=\" }} }} {body}");
    let one_location = "must set exactly one of: JWT location header, query param or cookie";
    check(
        "jwt-provider",
        &[
            ("", Some("JSONWebKeySet is required")),
            (&set(""), Some("must specify exactly one of Local or Remote JSON Web key set")),
            (
                &set("Local { JWKS = \"e30=\" } Remote { URI = \"https://a\" }"),
                Some("must specify exactly one of Local or Remote JSON Web key set"),
            ),
            (&set("Local { JWKS = \"{}\" }"), Some("JWKS must be valid base64 encoded string")),
            (
                &set("Local { JWKS = \"e30=\" Filename = \"f\" }"),
                Some("must specify exactly one of String or filename for local keyset"),
            ),
            (&set("Local { Filename = \"f\" }"), None),
            (&set("Remote {}"), Some("Remote JWKS URI is required")),
            (&set("Remote { URI = \"no uri\" }"), Some("Remote JWKS URI is invalid")),
            (
                &remote(
                    "RequestTimeoutMs = 5 CacheDuration = \"10m\" FetchAsynchronously = true UseSNI = true RetryPolicy { NumRetries = 2 RetryPolicyBackOff { BaseInterval = \"1s\" MaxInterval = \"10s\" } }",
                ),
                None,
            ),
            (
                &remote("RetryPolicy { RetryPolicyBackOff { BaseInterval = \"2s\" MaxInterval = \"1s\" } }"),
                Some("retry policy backoff's MaxInterval should be greater or equal to BaseInterval"),
            ),
            (
                &cluster(
                    "DiscoveryType = \"LOGICAL_DNS\" ConnectTimeout = \"5s\" TLSCertificates { TrustedCA { Filename = \"f\" } }",
                ),
                None,
            ),
            (
                &cluster("DiscoveryType = \"GUESS\""),
                Some("unsupported jwks cluster discovery type: \"GUESS\""),
            ),
            (
                &cluster("TLSCertificates {}"),
                Some(
                    "must specify exactly one of: CaCertificateProviderInstance or TrustedCA for JKWS' TLSCertificates",
                ),
            ),
            (
                &cluster("TLSCertificates { TrustedCA { Filename = \"f\" InlineString = \"s\" } }"),
                Some(
                    "must specify exactly one of: Filename, EnvironmentVariable, InlineString or InlineBytes for JWKS' TrustedCA",
                ),
            ),
            (&keys("Locations = [{}]"), Some(one_location)),
            (&keys("Locations = [{ Header { Name = \"a\" } Cookie { Name = \"b\" } }]"), Some(one_location)),
            (&keys("Locations = [{ Header {} }]"), Some("JWT location header name must be specified")),
            (
                &keys("Locations = [{ QueryParam {} }]"),
                Some("JWT location query param name must be specified"),
            ),
            (&keys("Locations = [{ Cookie {} }]"), Some("JWT location cookie name must be specified")),
            (&keys("Forwarding {}"), Some("Header name required for forwarding config")),
            (&keys("CacheConfig { Size = 5 } ClockSkewSeconds = 0"), None),
        ],
    );
}

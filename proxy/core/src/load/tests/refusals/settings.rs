//! What holds for a service, for all proxies and for the whole cluster.

use super::*;

#[test]
fn service_defaults_are_refused_as_consul_refuses_them() {
    let override_of = |body: &str| format!("UpstreamConfig {{ Overrides = [{{ {body} }}] }}");
    let default = |body: &str| format!("UpstreamConfig {{ Defaults {{ {body} }} }}");
    check(
        "service-defaults",
        &[
            ("Protocol = \"GRPC\"", None),
            ("Protocol = \"mysql\"", Some("invalid value for protocol: mysql")),
            (
                "MutualTLSMode = \"loose\"",
                Some("Invalid MutualTLSMode \"loose\". Must be one of \"\", \"strict\", or \"permissive\"."),
            ),
            (
                "BalanceInboundConnections = \"some\"",
                Some("invalid value for balance_inbound_connections: some"),
            ),
            (
                &default("BalanceOutboundConnections = \"some\""),
                Some("error in upstream defaults: invalid value for balance_outbound_connections: some"),
            ),
            (&default("Name = \"a\""), Some("error in upstream defaults: Name must be empty")),
            (&default("ConnectTimeoutMs = -20 Protocol = \"TCP\""), None),
            (&default("EnvoyListenerJSON = \"{}\" EnvoyClusterJSON = \"{}\""), None),
            (&override_of("Protocol = \"http\""), Some("error in upstream override for :: Name is required")),
            (
                &override_of("Name = \"*\""),
                Some("error in upstream override for *:: Wildcard name is not supported"),
            ),
            (
                &override_of("Name = \"a\" Peer = \"p\" Limits { MaxConnections = -1 }"),
                Some("error in upstream override for a:p: max connections cannot be negative"),
            ),
            (
                &override_of("Name = \"a\" Limits { MaxPendingRequests = -1 }"),
                Some("max pending requests cannot be negative"),
            ),
            (
                &override_of("Name = \"a\" Limits { MaxConcurrentRequests = -1 }"),
                Some("max concurrent requests cannot be negative"),
            ),
            (
                &override_of("Name = \"a\" PassiveHealthCheck { Interval = \"-1s\" }"),
                Some("passive health check interval cannot be negative"),
            ),
            (
                &override_of("Name = \"a\" PassiveHealthCheck { BaseEjectionTime = \"-1s\" }"),
                Some("passive health check base_ejection_time cannot be negative"),
            ),
            (
                &override_of("Name = \"a\" PassiveHealthCheck { EnforcingConsecutive5xx = 101 }"),
                Some("passive health check enforcing_consecutive_5xx must be a percentage between 0 and 100"),
            ),
            (
                "UpstreamConfig {} Destination { Addresses = [\"a.example\"] Port = 1 }",
                Some("UpstreamConfig and Destination are mutually exclusive for service defaults"),
            ),
            ("Destination { Addresses = [\"a.example\", \"10.0.0.1\", \"2001:db8::1\"] Port = 443 }", None),
            ("Destination { Port = 443 }", Some("Destination must contain at least one valid address")),
            ("Destination { Addresses = [\"a.example\"] }", Some("Invalid Port number 0")),
            ("Destination { Addresses = [\"a.example\"] Port = 65536 }", Some("Invalid Port number 65536")),
            (
                "Destination { Addresses = [\"*.example\"] Port = 1 }",
                Some("Could not validate address *.example as an IP or Hostname"),
            ),
            (
                "Destination { Addresses = [\"a..example\"] Port = 1 }",
                Some("Could not validate address a..example as an IP or Hostname"),
            ),
            (
                "Destination { Addresses = [\"a\", \"a\"] Port = 1 }",
                Some("Duplicate address 'a' is not allowed"),
            ),
            ("EnvoyExtensions = [{}]", Some("invalid EnvoyExtensions[0]: Name is required")),
            (
                "EnvoyExtensions = [{ Name = \"mine\" }]",
                Some("invalid EnvoyExtensions[0][mine]: name \"mine\" is not a built-in extension"),
            ),
            (
                "EnvoyExtensions = [{ Name = \"builtin/lua\" Required = true ConsulVersion = \">= 1.16\" Arguments { Script = \"\" } }]",
                None,
            ),
            (
                "Namespace = \"ns1\"",
                Some("invalid config key \"Namespace\", namespaces are a consul enterprise feature"),
            ),
            ("namespace = \"default\" partition = \"default\"", None),
        ],
    );
}

#[test]
fn proxy_defaults_are_refused_as_consul_refuses_them() {
    let socket_directory = |length: usize| {
        format!("Config {{ envoy_hcp_metrics_bind_socket_dir = \"{}\" }}", "d".repeat(length))
    };
    check(
        "proxy-defaults",
        &[
            ("FailoverPolicy { Mode = \"order-by-locality\" Regions = [\"r1\"] }", None),
            (
                "FailoverPolicy { Mode = \"random\" }",
                Some("Failover-policy mode must be one of '', 'sequential', or 'order-by-locality'"),
            ),
            (
                "PrioritizeByLocality { Mode = \"none\" }",
                Some("Prioritize-by-locality requires Consul Enterprise"),
            ),
            ("AccessLogs { Type = \"syslog\" }", Some("invalid access log type: syslog")),
            (
                "AccessLogs { Type = \"file\" }",
                Some("path must be specified when using file type access logs"),
            ),
            ("AccessLogs { Path = \"/log\" }", Some("path is only valid for file type access logs")),
            (
                "AccessLogs { JSONFormat = \"{}\" TextFormat = \"x\" }",
                Some("cannot specify both access log JSONFormat and TextFormat"),
            ),
            ("AccessLogs { JSONFormat = \"{\" }", Some("invalid access log json for JSON format")),
            (
                "AccessLogs { TextFormat = \"%RESPONSE_COD%\" }",
                Some("unknown command operator %RESPONSE_COD%, did you mean %RESPONSE_CODE%?"),
            ),
            (
                "AccessLogs { JSONFormat = \"{\\\"a\\\": {\\\"b\\\": \\\"%REQ%\\\"}}\" }",
                Some("%REQ%: names no header"),
            ),
            ("AccessLogs { Enabled = true JSONFormat = \"{\\\"a\\\": \\\"%PATH%\\\"}\" }", None),
            // Consul fills it in from Config, whatever is written.
            ("Protocol = \"http\"", None),
            ("Mode = \"direct\" MutualTLSMode = \"strict\" Expose { Checks = true }", None),
            (
                &socket_directory(71),
                Some("Config: envoy_hcp_metrics_bind_socket_dir length 71 exceeds max 70"),
            ),
            (&socket_directory(70), None),
            (
                "EnvoyExtensions = [{ Name = \"builtin/wasm\" }, {}]",
                Some("invalid EnvoyExtensions[1]: Name is required"),
            ),
        ],
    );
    let (_, problems) = read(&[("e.hcl", "Kind = \"proxy-defaults\"")]);
    assert_eq!(problems, Vec::<String>::new(), "there is one, so it need not be named");
}

#[test]
fn a_mesh_is_refused_as_consul_refuses_it() {
    let tls = |body: &str| format!("TLS {{ Outgoing {{ {body} }} }}");
    let normalization = |body: &str| format!("HTTP {{ Incoming {{ RequestNormalization {{ {body} }} }} }}");
    check(
        "mesh",
        &[
            (&tls("TLSMinVersion = \"TLS_AUTO\" TLSMaxVersion = \"TLSv1_3\""), None),
            (
                &tls("TLSMaxVersion = \"tlsv1_3\""),
                Some(
                    "error in outgoing TLS configuration: no matching TLS version found for tlsv1_3, please specify one of [TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3]",
                ),
            ),
            (
                &tls("TLSMinVersion = \"TLSv1_3\" TLSMaxVersion = \"TLSv1_2\""),
                Some(
                    "configuring max version TLSv1_2 less than the configured min version TLSv1_3 is invalid",
                ),
            ),
            (
                &tls("TLSMinVersion = \"TLSv1_3\" CipherSuites = [\"TLS_RSA_WITH_AES_256_CBC_SHA\"]"),
                Some(
                    "configuring CipherSuites is only applicable to connections negotiated with TLS 1.2 or earlier, TLSMinVersion is set to TLSv1_3",
                ),
            ),
            (
                &tls("CipherSuites = [\"RC4\"]"),
                Some("error in outgoing TLS configuration: no matching Envoy TLS cipher suite found for RC4"),
            ),
            (
                &normalization("PathWithEscapedSlashesAction = \"DROP\""),
                Some(
                    "error in HTTP incoming request normalization configuration: no matching PathWithEscapedSlashesAction value found for DROP, please specify one of [IMPLEMENTATION_SPECIFIC_DEFAULT, KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_REDIRECT, UNESCAPE_AND_FORWARD]",
                ),
            ),
            (
                &normalization("HeadersWithUnderscoresAction = \"DROP\""),
                Some(
                    "no matching HeadersWithUnderscoresAction value found for DROP, please specify one of [ALLOW, REJECT_REQUEST, DROP_HEADER]",
                ),
            ),
        ],
    );
}

//! Faults of registrations and of an agent's settings, each with its place and Consul's words.

use super::*;

/// Reads each text as `e.hcl` and compares everything that is said about it, the file's name left out.
fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let (_, problems) = read(&[("e.hcl", text)]);
        let problems: Vec<_> = problems.iter().map(|it| it.trim_start_matches("e.hcl:")).collect();
        assert_eq!(problems, *expected, "{text}");
    }
}

/// The same for what stands in `service { … }`, from line 2 on.
fn check_service(cases: &[(&str, &[&str])]) {
    for (body, expected) in cases {
        check(&[(&format!("service {{ name = \"web\"\n{body}\n}}"), expected)]);
    }
}

#[test]
fn a_registrations_faults_name_the_upstream_that_is_wrong() {
    let upstreams = |text: &str| {
        format!(
            "service {{ name = \"a\" connect {{ sidecar_service {{ proxy {{\nupstreams = [{text}] }} }} }} }}"
        )
    };
    let at = "service.connect.sidecar_service.proxy.upstreams";
    for (text, expected) in [
        ("{ local_bind_port = 1 }", vec!["2:14: @[0]: upstream destination name cannot be empty"]),
        (
            "{ destination_name = \"*\" local_bind_port = 1 }",
            vec!["2:35: @[0].destination_name: upstream destination name cannot be a wildcard"],
        ),
        (
            "{ destination_name = \"b\" }",
            vec!["2:14: @[0]: upstream local bind port or local socket path must be defined and nonzero"],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 0 }",
            vec!["2:14: @[0]: upstream local bind port or local socket path must be defined and nonzero"],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 local_bind_socket_path = \"/b\" }",
            vec![
                "2:14: @[0]: only one of upstream local bind port or local socket path can be defined and nonzero",
            ],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 destination_peer = \"p\" datacenter = \"dc2\" }",
            vec!["2:14: @[0]: upstream cannot specify both destination peer and datacenter"],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 destination_type = \"servce\" }",
            vec!["2:14: @[0]: unknown upstream destination type: \"servce\""],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 destination_type = \"prepared_query\" }",
            vec!["2:14: warning: @[0]: is a prepared query, which has no effect here"],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 },\n{ destination_name = \"c\" local_bind_port = 1 }",
            vec![
                "3:1: @[1]: upstreams cannot contain duplicates by local bind address and port or unix path; \
                 \"127.0.0.1:1\" is specified twice",
            ],
        ),
        (
            "{ destination_name = \"b\" local_bind_socket_path = \"/s\" },\n\
             { destination_name = \"c\" local_bind_socket_path = \"/s\" }",
            vec![
                "3:1: @[1]: upstreams cannot contain duplicates by local bind address and port or unix path; \
                 \"/s\" is specified twice",
            ],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 },\n{ destination_name = \"b\" local_bind_port = 2 }",
            vec![
                "3:1: @[1]: upstreams cannot contain duplicates of [type=\"service\", name=\"b\", partition=\"\", \
                 namespace=\"\", peer=\"\", datacenter=\"\"]",
            ],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 }, { destination_name = \"b\" local_bind_port = 2 datacenter = \"dc2\" }",
            vec![],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 70000 }",
            vec!["2:57: @[0].local_bind_port: 70000 is out of range: an integer from 0 to 65535"],
        ),
        (
            "{ destination_name = \"b\" local_bind_port = 1 local_bind_socket_mode = \"rw\" }",
            vec!["2:84: @[0].local_bind_socket_mode: \"rw\" is no file mode: octal digits such as \"0600\""],
        ),
        (
            "{ destination_nam = \"b\" local_bind_port = 1 }",
            vec![
                "2:14: @[0]: upstream destination name cannot be empty",
                "2:16: @[0].destination_nam: unknown field: invalid config key @[0].destination_nam, did you mean \"destination_name\"?",
            ],
        ),
    ] {
        let (_, problems) = read(&[("e.hcl", &upstreams(text))]);
        let expected: Vec<_> = expected.iter().map(|it| format!("e.hcl:{}", it.replace('@', at))).collect();
        assert_eq!(problems, expected, "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_service_is_said_in_consuls_words() {
    check(&[
        ("service { port = 80 }", &["1:9: service: Service name missing"]),
        (
            "service { name = \"a b\" }",
            &[
                "1:18: service.name: service name \"a b\" is not valid: 1 to 253 letters, digits, '-', '_' and '.'",
            ],
        ),
        (
            "service { name = \"a_b\" }",
            &["1:18: warning: service.name: Service name will not be discoverable via DNS due to invalid \
                 characters. Valid characters include all alpha-numerics and dashes"],
        ),
        (
            "service { kind = \"connect-proxy\" }",
            &[
                "1:9: service: Service name missing",
                "1:9: service: Proxy.DestinationServiceName must be non-empty for Connect proxy services",
            ],
        ),
    ]);
    check_service(&[
        (
            "port = \"80\"",
            &["2:8: service.port: is a string where a number is expected: write 80 without quotes"],
        ),
        ("port = -1", &["2:8: service.port: -1 is out of range: an integer from 0 to 65535"]),
        (
            "weights { passing = 70000 }",
            &[
                "2:9: service.weights: Invalid weight definition for service web: DNS Weight must be between 0 and \
                 65535",
            ],
        ),
        (
            "weights { passing = 0 }",
            &[
                "2:9: service.weights: Invalid weight definition for service web: Passing must be greater than 0",
            ],
        ),
        (
            "weights { warning = -1 }",
            &[
                "2:9: service.weights: Invalid weight definition for service web: Warning must be greater or equal \
                 than 0",
            ],
        ),
        (
            "port = 1 socket_path = \"/s\"",
            &["1:9: service: service web cannot have both socket path /s and address/port"],
        ),
        (
            "meta { \"a b\" = \"c\" }",
            &[
                "2:6: service.meta: invalid meta for service web: Couldn't load metadata pair ('a b', 'c'): Key \
                 contains invalid characters",
            ],
        ),
        (
            "meta { consul-x = \"c\" }",
            &[
                "2:6: service.meta: invalid meta for service web: Couldn't load metadata pair ('consul-x', 'c'): Key \
                 prefix 'consul-' is reserved for internal use",
            ],
        ),
        (
            "tagged_addresses { lan_ipv4 { address = \"::1\" } }",
            &[
                "2:18: service.tagged_addresses: Service tagged address \"lan_ipv4\" must be a valid ipv4 address",
            ],
        ),
        ("locality { zone = \"a\" }", &["2:10: service.locality: zone cannot be set without region"]),
        (
            "locality { regoin = \"a\" }",
            &[
                "2:12: service.locality.regoin: unknown field: invalid config key service.locality.regoin, did you mean \"region\"?",
            ],
        ),
        ("namespace = \"default\" partition = \"default\" token = \"t\" enable_tag_override = true", &[]),
        ("namespace = \"x\"", &["2:13: service.namespace: Setting namespace requires Consul Enterprise"]),
        (
            "kind = \"mesh-gatewy\"",
            &[
                "2:8: service.kind: \"mesh-gatewy\" is none of typical, connect-proxy, mesh-gateway, ingress-gateway, \
                 terminating-gateway, api-gateway, did you mean \"mesh-gateway\"?",
            ],
        ),
        (
            "connect { native = true }",
            &[
                "1:9: service: Port or SocketPath must be set for a Connect native service.",
                "2:20: warning: service.connect.native: connect.native has no effect here",
            ],
        ),
    ]);
}

#[test]
fn a_proxy_and_a_gateway_are_asked_for_what_they_need_and_refused_what_they_cannot_have() {
    check_service(&[
        (
            "kind = \"connect-proxy\" port = 1",
            &["1:9: service: Proxy.DestinationServiceName must be non-empty for Connect proxy services"],
        ),
        (
            "kind = \"connect-proxy\" port = 1 proxy { destination_service_name = \"*\" }",
            &[
                "2:68: service.proxy.destination_service_name: Proxy.DestinationServiceName must not be a wildcard for \
                 Connect proxy services",
            ],
        ),
        (
            "kind = \"connect-proxy\" proxy { destination_service_name = \"b\" } connect { native = true }",
            &[
                "1:9: service: A Proxy cannot also be Connect Native, only typical services",
                "2:84: warning: service.connect.native: connect.native has no effect here",
            ],
        ),
        ("kind = \"mesh-gateway\"", &["1:9: service: Port must be non-zero for a mesh-gateway"]),
        (
            "kind = \"mesh-gateway\" port = 1 connect { sidecar_service {} } proxy { local_service_port = 2 \
             upstreams = [{ destination_name = \"b\" local_bind_port = 3 }] }",
            &[
                "1:9: service: A mesh-gateway cannot have a sidecar service defined",
                "1:9: service: The Proxy.LocalServicePort configuration is invalid for a mesh-gateway",
                "1:9: service: The Proxy.Upstreams configuration is invalid for a mesh-gateway",
            ],
        ),
        (
            "kind = \"mesh-gateway\" port = 1 proxy { upstreams = [{}] }",
            &[
                "1:9: service: The Proxy.Upstreams configuration is invalid for a mesh-gateway",
                "2:53: service.proxy.upstreams[0]: upstream destination name cannot be empty",
            ],
        ),
        (
            "kind = \"terminating-gateway\" proxy { config { envoy_x = 1 } }",
            &[
                "1:9: service: Port must be non-zero for a terminating-gateway",
                "2:8: warning: service.kind: a registration of kind terminating-gateway has no effect here",
                "2:47: warning: service.proxy.config.envoy_x: is Envoy's own and is not used",
            ],
        ),
        (
            "kind = \"api-gateway\"",
            &["2:8: warning: service.kind: a registration of kind api-gateway has no effect here"],
        ),
        (
            "connect { sidecar_service { id = \"x\" } }",
            &[
                "2:34: service.connect.sidecar_service.id: sidecar_service can't specify an ID: it follows from its service's",
            ],
        ),
        (
            "connect { sidecar_service { connect { sidecar_service {} } } }",
            &[
                "2:55: service.connect.sidecar_service.connect.sidecar_service: sidecar_service can't have a nested \
                 sidecar_service",
            ],
        ),
        (
            "connect { sidecar_service { proxy { access_logs { type = \"fil\" } } } }",
            &["2:58: service.connect.sidecar_service.proxy.access_logs.type: invalid access log type: fil, \
                 did you mean \"file\"?"],
        ),
    ]);
}

#[test]
fn a_checks_faults_are_told_as_consul_tells_them() {
    let interval =
        "2:7: service.check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks";
    check_service(&[
        ("check { http = \"http://x\" }", &[interval]),
        ("check { udp = \"x:1\" interval = \"0s\" }", &[interval]),
        ("check { name = \"x\" }", &["2:7: service.check: TTL must be > 0 for TTL checks"]),
        (
            "check { ttl = \"1s\" interval = \"1s\" }",
            &["2:7: service.check: Interval and TTL cannot both be specified"],
        ),
        (
            "check { alias_service = \"b\" tcp = \"b:1\" interval = \"1s\" }",
            &["2:7: service.check: Interval cannot be set for Alias checks"],
        ),
        (
            "check { alias_service = \"b\" ttl = \"1s\" }",
            &["2:7: service.check: TTL must be not be set for Alias checks"],
        ),
        (
            "checks = [{ tcp = \"b:1\" interval = \"1s\" failures_before_warning = 3 failures_before_critical = 2 }]",
            &["2:11: service.checks[0]: FailuresBeforeWarning can't be higher than FailuresBeforeCritical"],
        ),
        (
            "check { tcp = \"b:1\" interval = \"soon\" }",
            &[
                "2:32: service.check.interval: \"soon\" is not a duration such as \"15s\", \"1m30s\" or \"250ms\"",
            ],
        ),
        (
            "check { ttl = \"10s\" }",
            &["2:7: warning: service.check: checks by ttl are not run here: a status written here stays"],
        ),
        (
            "check { ScriptArgs = [\"x\"] interval = \"1s\" }",
            &[
                "2:7: warning: service.check: checks by script_args are not run here: a status written here stays",
            ],
        ),
        (
            "check { http = \"http://x\" tcp = \"x:1\" interval = \"1s\" }",
            &["2:7: warning: service.check: has more than one of http, tcp and grpc: only http is run"],
        ),
    ]);
}

#[test]
fn an_exposed_path_is_refused_as_consul_refuses_it() {
    let paths = |paths: &str| {
        format!(
            "service {{ name = \"a\" connect {{ sidecar_service {{\nproxy {{ expose {{ paths = [{paths}] }} }} }} }} }}"
        )
    };
    let at = "service.connect.sidecar_service.proxy.expose.paths";
    for (body, expected) in [
        (
            "{ path = \"/a\" listener_port = 1 protocol = \"HTTP2\" }, { path = \"/a\" listener_port = 2 }",
            None,
        ),
        ("{ listener_port = 1 }", Some(format!("2:27: {at}[0]: empty path exposed"))),
        ("{ path = \"/\" }", Some(format!("2:27: {at}[0]: invalid listener port: 0"))),
        (
            "{ path = \"/\" listener_port = -1 }",
            Some(format!("2:56: {at}[0].listener_port: invalid listener port: -1")),
        ),
        (
            "{ path = \"/\" listener_port = 65536 }",
            Some(format!("2:56: {at}[0].listener_port: invalid listener port: 65536")),
        ),
        (
            "{ path = \"/a\" listener_port = 9 }, { path = \"/b\" listener_port = 9 }",
            Some(format!("2:92: {at}[1].listener_port: duplicate listener ports exposed: 9")),
        ),
        (
            "{ path = \"/\" listener_port = 9 protocol = \"foo\" }",
            Some(format!(
                "2:69: {at}[0].protocol: protocol 'foo' not supported for path: /, must be in: [http http2]"
            )),
        ),
    ] {
        check(&[(&paths(body), &expected.iter().map(String::as_str).collect::<Vec<_>>())]);
    }
}

#[test]
fn what_is_wrong_with_an_entry_at_bootstrap_is_said_in_consuls_words() {
    let bootstrap = |body: &str| format!("config_entries {{ bootstrap = [\n{body}] }}");
    check(&[
        (
            &bootstrap("{ Kind = \"service-splitter\" Name = \"a\" Splits = [{ Weight = 100 Zebra = 1 }] }"),
            &[
                "2:65: config_entries.bootstrap[0].Splits[0].Zebra: unknown field: invalid config key \"Splits[0].Zebra\"",
            ],
        ),
        (
            &bootstrap("{ foo = \"bar\" }"),
            &["2:1: config_entries.bootstrap[0]: Payload does not contain a kind/Kind"],
        ),
        (
            &bootstrap("{ kind = \"foo\" }"),
            &["2:10: config_entries.bootstrap[0].kind: invalid config entry kind: foo"],
        ),
        (
            &bootstrap(
                "{ Kind = \"service-resolver\" Name = \"a\" }, { Kind = \"service-resolver\" Name = \"b\" Zebra = 1 }",
            ),
            &["2:82: config_entries.bootstrap[1].Zebra: unknown field: invalid config key \"Zebra\""],
        ),
    ]);
}

#[test]
fn an_empty_check_is_none_unless_it_stands_in_a_list() {
    check(&[
        ("service { name = \"a\" check {} }", &[]),
        (
            "service { name = \"a\" checks = [{}] }",
            &["1:32: service.checks[0]: TTL must be > 0 for TTL checks"],
        ),
    ]);
}

#[test]
fn an_id_is_registered_once_in_a_datacenter() {
    check(&[
        (
            "service { name = \"a\" connect { sidecar_service {} } }\nservices { id = \"a\" name = \"b\" connect { sidecar_service {} } }",
            &["2:10: id: service id \"a\" is registered twice, first at e.hcl:1:9"],
        ),
        (
            "service { name = \"a\" }\nservice { name = \"b\" }\nservice { name = \"c\" id = \"a\" }",
            &["3:9: id: service id \"a\" is registered twice, first at e.hcl:1:9"],
        ),
        ("service { name = \"a\" }\nservice { name = \"a\" datacenter = \"dc2\" }", &[]),
        (
            "datacenter = \"dc2\"\nservice { name = \"a\" }\nservice { name = \"a\" datacenter = \"dc2\" }",
            &["3:9: id: service id \"a\" is registered twice, first at e.hcl:2:9"],
        ),
    ]);
}

#[test]
fn sidecars_get_their_ports_from_the_agents_range() {
    let sidecars = "service { name = \"a\" connect { sidecar_service {} } }\nservice { name = \"b\" connect { sidecar_service {} } }";
    check(&[
        (
            &format!("ports {{ sidecar_min_port = 30000 sidecar_max_port = 30000 }}\n{sidecars}"),
            &[
                "3:48: port: no port provided for sidecar_service and none left in the configured range [30000, 30000]",
            ],
        ),
        (
            &format!("ports {{ sidecar_min_port = 0 }}\nservice {{ name = \"a\" connect {{ sidecar_service {{ port = 1 }} }} }}\n{sidecars}")
                .replacen("name = \"a\"", "name = \"c\"", 1),
            &[
                "3:48: port: no port provided for sidecar_service and auto-assignment disabled in config",
                "4:48: port: no port provided for sidecar_service and auto-assignment disabled in config",
            ],
        ),
        (
            "ports { sidecar_min_port = 2 sidecar_max_port = 1 }",
            &["1:7: ports: sidecar_min_port 2 is above sidecar_max_port 1"],
        ),
        ("ports { grcp = 8502 }", &["1:9: ports.grcp: unknown field: invalid config key ports.grcp, did you mean \"grpc\"?"]),
        ("ports { grpc = 8502 https = -1 dns = 0 }", &[]),
        ("serviec { name = \"a\" }", &["1:1: serviec: unknown field: invalid config key serviec, did you mean \"service\"?"]),
        ("log_sublevels { agent = \"debug\" }\nbind_adr = \"x\"", &[
            "2:1: bind_adr: unknown field: invalid config key bind_adr, did you mean \"bind_addr\"?",
        ]),
    ]);
}

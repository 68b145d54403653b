//! Registrations and agent settings.

use super::*;
use crate::entry::{Action, HealthStatus, Kind, MeshGatewayMode, Protocol};

/// What is compared of a registration: id, name, kind, address, port.
fn listed_as(config: &Config) -> Vec<String> {
    let line = |it: &Registration| {
        let kind = match it.kind {
            Kind::Typical => "service",
            Kind::ConnectProxy => "sidecar",
            Kind::MeshGateway => "gateway",
        };
        format!("{kind} {} of {} on {}:{}", it.id, it.name, it.address, it.port)
    };
    config.registrations.iter().map(line).collect()
}

#[test]
fn a_registration_may_be_written_in_every_form_that_consul_reads() {
    let expected = [
        "service web of web on 127.0.0.1:8080",
        "sidecar web-sidecar-proxy of web-sidecar-proxy on 127.0.0.1:21000",
    ];
    for (name, text) in [
        ("block.hcl", "service {\n name = \"web\"\n port = 8080\n connect { sidecar_service {} }\n}"),
        ("attribute.hcl", "service = { name = \"web\", port = 8080, connect = { sidecar_service = {} } }"),
        ("list.hcl", "services = [{ name = \"web\" port = 8080 connect { sidecar_service {} } }]"),
        ("blocks.hcl", "services {\n name = \"web\"\n port = 8080\n connect { sidecar_service = {} }\n}"),
        ("one.json", r#"{"service": {"name": "web", "port": 8080, "connect": {"sidecar_service": {}}}}"#),
        ("camel.json", r#"{"Services": [{"Name": "web", "Port": 8080, "Connect": {"SidecarService": {}}}]}"#),
        (
            "json-in.hcl",
            "\n {\"service\": [{\"name\": \"web\", \"port\": 8080, \"connect\": {\"sidecar_service\": {}}}]}",
        ),
        (
            "labelled.hcl",
            "\"service\" {\n \"name\" = \"web\"\n \"port\" = 8080\n connect \"sidecar_service\" {}\n}",
        ),
        (
            "list-of-blocks.hcl",
            "service = [{ name = \"web\" port = 8080 connect = [{ sidecar_service = [{}] }] }]",
        ),
        ("list.yaml", "Services:\n- Name: web\n  Port: 8080\n  Connect: {SidecarService: {}}\n"),
        ("one.yaml", "service:\n  name: web\n  port: 8080\n  connect:\n    sidecar_service: {}\n"),
    ] {
        assert_eq!(listed_as(&good(&[(name, text)])), expected, "{name}");
    }
}

#[test]
fn a_sidecar_takes_after_its_service_and_says_otherwise_where_it_does() {
    let config = good(&[(
        "web.hcl",
        r#"
        service {
          id = "web-1"  name = "web"  port = 8080  address = "10.0.0.1"  tags = ["a"]  datacenter = "dc2"
          meta { version = 2 }
          weights { passing = 10  warning = 3 }
          connect { sidecar_service {
            proxy {
              upstreams = [
                { destination_name = "api" local_bind_port = 5000 config { protocol = "http" connect_timeout_ms = 300 } },
                { destination_name = "db" destination_peer = "east" local_bind_socket_path = "/run/db"
                  local_bind_socket_mode = "0600" mesh_gateway { mode = "local" } },
              ]
            }
          } }
        }
        service { name = "own" port = 1 connect { sidecar_service {
          port = 20000  address = "10.0.0.2"  tags = ["b"]
          proxy { local_service_port = 9  local_service_address = "127.0.0.9" }
        } } }
        service { name = "unix" socket_path = "/run/app" connect { sidecar_service {} } }
        "#,
    )]);
    let [_, web, _, own, _, unix] = &config.registrations[..] else { panic!("{config:?}") };
    assert_eq!((web.id.as_str(), web.name.as_str()), ("web-1-sidecar-proxy", "web-sidecar-proxy"));
    assert_eq!((web.address.as_str(), web.own_address, web.port), ("10.0.0.1", true, 21_000));
    assert_eq!((&web.datacenter, &web.tags[..]), (&Some(name("dc2")), &["a".to_owned()][..]));
    assert_eq!((web.weight_passing, web.weight_warning), (10, 3));
    assert_eq!(web.meta["version"], "2");
    let proxy = &web.proxy;
    assert_eq!(proxy.destination_service_name, Some(name("web")));
    assert_eq!(proxy.destination_service_id.as_deref(), Some("web-1"));
    assert_eq!(proxy.local_service_port, Some(8080));
    let [api, db] = &proxy.upstreams[..] else { panic!("{proxy:?}") };
    assert_eq!((api.config.protocol, api.local_bind_port), (Some(Protocol::Http), Some(5000)));
    assert_eq!(api.config.connect_timeout, Some(std::time::Duration::from_millis(300)));
    assert_eq!((&db.destination_peer, db.local_bind_socket_mode), (&Some(name("east")), Some(0o600)));
    assert_eq!(db.config.mesh_gateway, MeshGatewayMode::Local);

    assert_eq!((own.address.as_str(), own.port, &own.tags[..]), ("10.0.0.2", 20_000, &["b".to_owned()][..]));
    assert_eq!(own.proxy.local_service_address.as_deref(), Some("127.0.0.9"));
    assert_eq!(own.proxy.local_service_port, Some(9));
    assert_eq!((unix.own_address, unix.proxy.local_service_port), (false, None));
    assert_eq!(unix.proxy.local_service_socket_path.as_deref(), Some(std::path::Path::new("/run/app")));
}

#[test]
fn every_field_of_a_definition_is_accepted() {
    let text = r#"
    service {
      id = "web-1" name = "web" kind = "" tags = ["a"] address = "{{ GetInterfaceIP "eth0" }}" port = 80
      meta { a = "b" } token = "t" enable_tag_override = true weights { passing = 2 warning = 0 }
      tagged_addresses { lan { address = "10.0.0.1" port = 80 } virtual { address = "240.0.0.1" } }
      locality { region = "r" zone = "z" }
      check {
        id = "c" name = "n" notes = "x" http = "http://x" method = "GET" header { X = ["y"] } body = "b"
        disable_redirects = true interval = "1s" timeout = "1s" output_max_size = 4 tls_server_name = "s"
        tls_skip_verify = true success_before_passing = 1 failures_before_warning = 1 failures_before_critical = 2
        deregister_critical_service_after = "1m" status = "passing" service_id = "web-1" token = "t"
      }
      checks = [{ CheckID = "d" grpc = "x:1/s" grpc_use_tls = true interval = "1s" }]
      connect { sidecar_service {
        port = 20000 checks = [{ tcp = "x:1" interval = "1s" }]
        proxy {
          destination_service_name = "web" destination_service_id = "web-1" local_service_address = "127.0.0.1"
          local_service_port = 81 local_service_socket_path = "" mode = "direct"
          transparent_proxy { outbound_listener_port = 15001 dialed_directly = false }
          mesh_gateway { mode = "local" } expose { checks = true paths = [{ path = "/m" listener_port = 9 local_path_port = 8 protocol = "http" }] }
          access_logs { enabled = true type = "stdout" }
          config { protocol = "http" }
          upstreams {
            destination_type = "service" destination_name = "api" destination_namespace = "default"
            destination_partition = "default" datacenter = "dc2" local_bind_address = "127.0.0.2" local_bind_port = 1
            config { connect_timeout_ms = 1 limits { max_connections = 1 } } mesh_gateway { mode = "remote" }
          }
        }
      } }
    }"#;
    let (config, problems) = read(&[("web.hcl", text)]);
    let template = "address templates are not evaluated here: the default is used";
    assert_eq!(problems, [format!("web.hcl:3:66: warning: service.address: {template}")]);
    assert_eq!(config.registrations.len(), 2);
    assert_eq!(config.registrations[0].checks.len(), 2);
}

#[test]
fn a_sidecar_dials_its_services_socket_unless_it_has_an_address_and_a_port_of_its_own() {
    for (proxy, expected) in [
        ("", (Some("/s"), None)),
        ("local_service_port = 9", (Some("/s"), Some(9))),
        ("local_service_address = \"127.0.0.2\" local_service_port = 9", (None, Some(9))),
        ("local_service_socket_path = \"/own\"", (Some("/own"), None)),
    ] {
        let text = format!(
            "service {{ name = \"a\" socket_path = \"/s\" connect {{ sidecar_service {{ proxy {{ {proxy} }} }} }} }}"
        );
        let config = good(&[("a.hcl", &text)]);
        let read = &config.registrations[1].proxy;
        let path = read.local_service_socket_path.as_ref().and_then(|path| path.to_str());
        assert_eq!((path, read.local_service_port), expected, "{proxy}");
    }
}

#[test]
fn sidecars_without_a_port_are_numbered_by_address_in_reading_order_past_those_taken() {
    let service = |name: &str, rest: &str, sidecar: &str| {
        format!(
            "service {{ name = \"{name}\" port = 80 {rest} connect {{ sidecar_service {{ {sidecar} }} }} }}\n"
        )
    };
    let first = service("a", "", "") + &service("b", "address = \"10.0.0.9\"", "");
    let second = service("c", "", "") + &service("d", "", "port = 21001") + &service("e", "", "");
    let config = good(&[("1.hcl", &first), ("2.hcl", &second)]);
    let ports: Vec<_> =
        config.registrations.iter().filter(|it| it.kind == Kind::ConnectProxy).map(|it| it.port).collect();
    assert_eq!(ports, [21_000, 21_000, 21_002, 21_001, 21_003]);
}

#[test]
fn a_gateway_and_a_written_out_proxy_are_read() {
    let config = good(&[(
        "gateway.hcl",
        r#"
        advertise_addr = "10.1.1.1"
        service {
          kind = "mesh-gateway"  name = "gateway"  port = 8443
          tagged_addresses { lan { address = "10.1.1.1" port = 8443 } wan { address = "198.51.100.1" port = 443 } }
          proxy { config {
            envoy_gateway_bind_tagged_addresses = true
            envoy_gateway_bind_addresses { wide { address = "0.0.0.0" port = 8444 } }
          } }
        }
        service {
          kind = "connect-proxy"  id = "p"  name = "web-proxy"  port = 20000
          proxy { destination_service_name = "web"  destination_service_id = "web"
                  config { bind_port = 20001  local_request_timeout_ms = 500  max_inbound_connections = 7 } }
          checks = [{ name = "up" tcp = "127.0.0.1:20000" interval = "10s" status = "warning" }]
        }
        "#,
    )]);
    assert_eq!(
        listed_as(&config),
        ["gateway gateway of gateway on 10.1.1.1:8443", "sidecar p of web-proxy on 10.1.1.1:20000"]
    );
    let [gateway, proxy] = &config.registrations[..] else { panic!("{config:?}") };
    assert_eq!(gateway.tagged_addresses["wan"], ("198.51.100.1".to_owned(), 443));
    assert_eq!(gateway.proxy.gateway_bind_addresses["wide"], ("0.0.0.0".to_owned(), 8444));
    assert!(gateway.proxy.gateway_bind_tagged_addresses && !gateway.proxy.gateway_no_default_bind);
    assert_eq!((proxy.proxy.bind_port, proxy.proxy.max_inbound_connections), (Some(20_001), Some(7)));
    assert_eq!(proxy.checks[0].status, Some(HealthStatus::Warning));
}

#[test]
fn an_agents_directory_is_read_as_it_stands() {
    let (config, problems) = read(&[
        (
            "agent.hcl",
            r#"
            datacenter = "east"  data_dir = "/opt/consul"  server = true  bootstrap_expect = 1  node_name = "n1"
            bind_addr = "{{ GetInterfaceIP "eth0" }}"
            advertise_addr = "{{ GetPrivateIP }}"
            client_addr = "0.0.0.0"
            ports { grpc = 8502  grpc_tls = 8503 }
            ui_config { enabled = true }
            telemetry { prometheus_retention_time = "60s" }
            acl = { enabled = true  default_policy = "deny"  tokens { agent = "x" } }
            connect { enabled = true  ca_config { private_key_type = "rsa" private_key_bits = 2048 leaf_cert_ttl = "24h" } }
            peering { enabled = false }
            config_entries { bootstrap = [
              { Kind = "proxy-defaults" Name = "global" Config { protocol = "http" } },
            ] }
            "#,
        ),
        ("empty.hcl", ""),
        ("comment.hcl", "# nothing\n"),
        ("empty.yaml", "---\n# nothing\n"),
        ("later.json", r#"{"default_intention_policy": "allow", "node_name": "n2"}"#),
    ]);
    assert_eq!(
        problems,
        [
            "agent.hcl:4:30: warning: advertise_addr: address templates are not evaluated here: the default is used",
        ]
    );
    let agent = &config.agent;
    assert_eq!((agent.datacenter.as_str(), agent.node_name.as_str()), ("east", "n2"));
    assert_eq!((agent.advertise_addr.as_str(), agent.default_policy), ("127.0.0.1", Action::Allow));
    assert_eq!((agent.ca.private_key_type.as_deref(), agent.ca.private_key_bits), (Some("rsa"), Some(2048)));
    assert_eq!((agent.ca.leaf_ttl.map(|ttl| ttl.as_secs()), agent.peering), (Some(86_400), false));
    let global = config.entries.proxy_defaults.as_ref().expect("bootstrapped");
    assert_eq!(global.protocol, Some(Protocol::Http));
}

#[test]
fn an_empty_directory_has_consuls_defaults() {
    let agent = good(&[]).agent;
    assert_eq!(agent.datacenter, name("dc1"));
    assert_eq!((agent.bind_addr.as_str(), agent.advertise_addr.as_str()), ("0.0.0.0", "127.0.0.1"));
    assert_eq!((agent.default_policy, agent.peering), (Action::Allow, true));
}

#[test]
fn what_services_in_a_row_and_their_sidecars_say_alike_is_kept_once() {
    let service = |id: &str, version: &str| {
        format!(
            r#"{{ id = "{id}" name = "web" port = 1 tags = ["a"] meta {{ version = "{version}" }}
            check {{ http = "http://127.0.0.1/" interval = "10s" }} connect {{ sidecar_service {{}} }} }},"#
        )
    };
    let text = format!("services = [{}{}{}]", service("1", "v1"), service("2", "v1"), service("3", "v2"));
    let config = good(&[("a.hcl", &text)]);
    let [first, sidecar, second, _, third, _] = &config.registrations[..] else { panic!("{config:?}") };
    assert!(Arc::ptr_eq(&first.meta, &sidecar.meta) && Arc::ptr_eq(&first.meta, &second.meta));
    assert!(Arc::ptr_eq(&first.tags, &third.tags) && Arc::ptr_eq(&first.checks, &third.checks));
    assert_eq!((first.checks.len(), sidecar.checks.len()), (1, 0));
    assert_eq!((&*second.meta["version"], &*third.meta["version"]), ("v1", "v2"));
}

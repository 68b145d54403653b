//! Every kind with every field that Consul has for it.

use super::*;
use crate::entry::{
    Action, Expose, ExposePath, JwtKeys, JwtLocation, Limits, MeshGatewayMode, PassiveHealthCheck, Protocol,
};

/// Loads one file about which nothing but warnings is said, which are given.
fn warned(text: &str, expected: &[&str]) -> EntrySet {
    let (config, problems) = read(&[("e.hcl", text)]);
    assert_eq!(problems, expected);
    Arc::unwrap_or_clone(config.entries)
}

#[test]
fn a_router_with_every_field_is_read() {
    let entries = warned(
        r#"
        Kind = "service-router"  Name = "web"  Namespace = "default"  Partition = "default"
        Meta { owner = "team" }  CreateIndex = 1  ModifyIndex = 2  Hash = 3  Status {}
        Routes = [{
          Match { HTTP {
            PathPrefix = "/a"  CaseInsensitive = true  Methods = ["get", "POST"]
            Header = [
              { Name = "a" Present = true Invert = true }, { Name = "b" Exact = "x" }, { Name = "c" Prefix = "x" },
              { Name = "d" Suffix = "x" }, { Name = "e" Regex = "x+" },
            ]
            QueryParam = [{ Name = "a" Present = true }, { Name = "b" Exact = "x" }, { Name = "c" Regex = "x+" }]
          } }
          Destination {
            Service = "api"  ServiceSubset = "v1"  Namespace = "ns"  Partition = "ap"  PrefixRewrite = "/"
            RequestTimeout = "-1s"  IdleTimeout = 5000000000  NumRetries = 3  RetryOnConnectFailure = true
            RetryOn = ["5xx", "reset"]  RetryOnStatusCodes = [503]
            RequestHeaders { Add { a = "1" } Set { b = "2" } Remove = ["c"] }
            ResponseHeaders { Add { d = 4 } }
          }
        }]
        "#,
        &[],
    );
    let router = &entries.routers[&name("web")];
    assert_eq!(router.meta["owner"], "team");
    let json = serde_json::to_value(&router.routes[0]).expect("JSON");
    let http = &json["Match"]["HTTP"];
    assert_eq!(http["Methods"], serde_json::json!(["GET", "POST"]));
    assert_eq!(http["Header"][0], serde_json::json!({"Name": "a", "Present": true, "Invert": true}));
    assert_eq!(
        json["Destination"],
        serde_json::json!({
            "Service": "api", "ServiceSubset": "v1", "Namespace": "ns", "Partition": "ap", "PrefixRewrite": "/",
            "RequestTimeout": "-1s", "IdleTimeout": "5s", "NumRetries": 3, "RetryOnConnectFailure": true,
            "RetryOn": ["5xx", "reset"], "RetryOnStatusCodes": [503],
            "RequestHeaders": {"Add": {"a": "1"}, "Set": {"b": "2"}, "Remove": ["c"]},
            "ResponseHeaders": {"Add": {"d": "4"}},
        })
    );
}

#[test]
fn a_resolver_with_every_field_is_read() {
    let entries = warned(
        r#"
        kind = "service-resolver"  name = "web"  default_subset = "v1"
        connect_timeout = "15s"  request_timeout = "0s"
        subsets = { v1 = { filter = "Service.Meta.version == v1" only_passing = true }, "v2" = {} }
        failover = {
          "*"  = { datacenters = ["dc2", "dc3"] }
          "v1" = { service_subset = "v2" }
          v2 { targets = [{ peer = "east" }, { service = "b" datacenter = "dc2" partition = "default" }] }
        }
        load_balancer {
          policy = "ring_hash"
          ring_hash_config { minimum_ring_size = 64 maximum_ring_size = 128 }
          hash_policies = [
            { field = "header" field_value = "x-user" terminal = true },
            { field = "cookie" field_value = "s" cookie_config { ttl = "1h" path = "/" } },
            { source_ip = true },
          ]
        }
        "#,
        &[],
    );
    let web = &entries.resolvers[&name("web")];
    assert_eq!(web.failover.keys().map(String::as_str).collect::<Vec<_>>(), ["*", "v1", "v2"]);
    assert_eq!(web.failover["*"].datacenters, [name("dc2"), name("dc3")]);
    assert_eq!(web.failover["v2"].targets.len(), 2);
    assert!(web.subsets[&name("v1")].only_passing);
    assert_eq!(
        serde_json::to_value(&web.load_balancer).expect("JSON"),
        serde_json::json!({
            "Policy": "ring_hash", "RingHashConfig": {"MinimumRingSize": 64, "MaximumRingSize": 128},
            "HashPolicies": [
                {"Field": "header", "FieldValue": "x-user", "Terminal": true},
                {"Field": "cookie", "FieldValue": "s", "CookieConfig": {"TTL": 3_600_000_000_000_u64, "Path": "/"}},
                {"SourceIP": true},
            ],
        })
    );
}

#[test]
fn defaults_with_every_field_are_read() {
    let entries = warned(
        r#"config_entries {
          bootstrap {
            Kind = "service-defaults"  Name = "web"  Protocol = "HTTP"  Mode = "direct"  MutualTLSMode = "strict"
            TransparentProxy { OutboundListenerPort = 1  DialedDirectly = true }
            MeshGateway { Mode = "local" }  ExternalSNI = "web.example"
            Expose { Checks = true Paths = [{ ListenerPort = 9 Path = "/m" LocalPathPort = 8 Protocol = "http2" }] }
            MaxInboundConnections = 5  LocalConnectTimeoutMs = 100  LocalRequestTimeoutMs = 0
            BalanceInboundConnections = "exact_balance"
            RateLimits { InstanceLevel { RequestsPerSecond = 10 RequestsMaxBurst = 20
              Routes = [{ PathPrefix = "/a" RequestsPerSecond = 1 RequestsMaxBurst = 2 }] } }
            UpstreamConfig {
              Defaults { MeshGateway { Mode = "remote" } Limits { MaxConnections = 0 MaxPendingRequests = 1
                         MaxConcurrentRequests = 2 } }
              Overrides = [{ Name = "api" Peer = "east" Protocol = "grpc" ConnectTimeoutMs = 300
                PassiveHealthCheck { Interval = 1000000000 MaxFailures = 1 EnforcingConsecutive5xx = 0
                                     MaxEjectionPercent = 100 BaseEjectionTime = "30s" }
                BalanceOutboundConnections = "exact_balance" }]
            }
          }
          bootstrap {
            Kind = "proxy-defaults"  Name = "global"  MeshGateway { Mode = "none" }
            Config { protocol = "http"  local_connect_timeout_ms = 1  local_request_timeout_ms = 2
                     local_idle_timeout_ms = 3  max_inbound_connections = 4  balance_inbound_connections = "exact_balance"
                     envoy_prometheus_bind_addr = "0.0.0.0:9102"  envoy_stats_bind_addr = "127.0.0.1:9103" }
            AccessLogs { Enabled = true DisableListenerLogs = true Type = "file" Path = "/log" TextFormat = "%PATH%" }
          }
        }"#,
        &[],
    );
    let web = &entries.defaults[&name("web")];
    assert_eq!((web.protocol, web.mesh_gateway), (Some(Protocol::Http), MeshGatewayMode::Local));
    assert_eq!((web.dialed_directly, web.max_inbound_connections), (true, 5));
    let path = ExposePath { listener_port: 9, path: "/m".to_owned(), local_path_port: 8, http2: true };
    assert_eq!(web.expose, Expose { checks: true, paths: vec![path] });
    assert_eq!(
        web.rate_limits.as_ref().map(|it| (it.requests_per_second, it.routes.len())),
        Some((Some(10), 1))
    );
    let limits =
        Limits { max_connections: Some(0), max_pending_requests: Some(1), max_concurrent_requests: Some(2) };
    assert_eq!(web.upstream_config.defaults.limits, limits);
    let api = &web.upstream_config.overrides[0];
    assert_eq!((&api.name, &api.peer), (&Some(name("api")), &Some(name("east"))));
    let check = PassiveHealthCheck {
        interval: Some(std::time::Duration::from_secs(1)),
        max_failures: Some(1),
        enforcing_consecutive_5xx: Some(0),
        max_ejection_percent: Some(100),
        base_ejection_time: Some(std::time::Duration::from_secs(30)),
        ..PassiveHealthCheck::default()
    };
    assert_eq!(api.passive_health_check, Some(check));
    let global = entries.proxy_defaults.expect("read");
    assert_eq!((global.protocol, global.mesh_gateway), (Some(Protocol::Http), MeshGatewayMode::None));
    assert_eq!(global.prometheus_bind_addr.as_deref(), Some("0.0.0.0:9102"));
    assert_eq!(global.access_logs.format.source(), Some("%PATH%"));
}

#[test]
fn entries_of_the_whole_cluster_are_read() {
    let entries = warned(
        r#"config_entries { bootstrap = [
          { Kind = "mesh"  Peering { PeerThroughMeshGateways = true }
            TransparentProxy { MeshDestinationsOnly = true }  ValidateClusters = false
            TLS { Incoming { TLSMinVersion = "TLSv1_2" TLSMaxVersion = "TLSv1_3" CipherSuites = ["TLS_RSA_WITH_AES_128_CBC_SHA"] }
                  Outgoing { TLSMinVersion = "TLS_AUTO" } }
            HTTP { SanitizeXForwardedClientCert = true  Incoming { RequestNormalization {
              InsecureDisablePathNormalization = true MergeSlashes = true
              PathWithEscapedSlashesAction = "REJECT_REQUEST" HeadersWithUnderscoresAction = "DROP_HEADER" } } } },
          { Kind = "exported-services"  Name = "default"
            Services = [{ Name = "web" Namespace = "default" Consumers = [{ Peer = "east" }, { Peer = "west" }] },
                        { Name = "*" Consumers = [{ Peer = "north" }] }] },
          { Kind = "service-intentions"  Name = "web"
            JWT { Providers = [{ Name = "okta" }] }
            Sources = [
              { Name = "a" Action = "allow" Precedence = 9 Type = "consul" Description = "x" LegacyID = "" },
              { Name = "*" Peer = "east" Permissions = [
                { Action = "deny" HTTP { PathExact = "/x" Header = [{ Name = "h" Contains = "y" IgnoreCase = true }] } },
                { Action = "allow" HTTP { Methods = ["get"] } JWT { Providers = [{ Name = "okta"
                  VerifyClaims = [{ Path = ["roles", "admin"] Value = "yes" }] }] } },
              ] },
            ] },
        ] }"#,
        &[],
    );
    let mesh = entries.mesh.as_ref().expect("read");
    assert!(mesh.peer_through_mesh_gateways && mesh.sanitize_x_forwarded_client_cert);
    assert_eq!(mesh.tls_incoming.min_version.as_deref(), Some("TLSv1_2"));
    assert!(mesh.normalization.merge_slashes && mesh.normalization.insecure_disable_path_normalization);
    assert!(entries.exports(&name("web"), &name("west")) && entries.exports(&name("api"), &name("north")));
    assert!(!entries.exports(&name("api"), &name("west")));
    let any = &entries.intentions["web"];
    assert_eq!(any.jwt.as_ref().map(|jwt| jwt.providers[0].name.as_str()), Some("okta"));
    assert_eq!((any.sources[0].action, any.sources[1].action), (Some(Action::Allow), None));
    let [deny, allow] = &any.sources[1].permissions[..] else { panic!("{any:?}") };
    let http = deny.http.as_ref().expect("read");
    assert_eq!((http.header[0].contains.as_deref(), http.header[0].ignore_case), (Some("y"), true));
    let claims = &allow.jwt.as_ref().expect("read").providers[0].verify_claims;
    assert_eq!(claims, &[(vec!["roles".to_owned(), "admin".to_owned()], "yes".to_owned())]);
}

#[test]
fn a_token_provider_and_a_sameness_group_are_read_and_named() {
    let (config, problems) = read(&[(
        "e.yaml",
        "apiVersion: consul.hashicorp.com/v1alpha1
kind: JWTProvider
metadata: {name: okta}
spec:
  issuer: okta
  audiences: [api]
  clockSkewSeconds: 10
  cacheConfig: {size: 1}
  jsonWebKeySet:
    remote: {uri: https://okta.example/keys, fetchAsynchronously: true, cacheDuration: 10m, requestTimeoutMs: 1000}
  locations: [{header: {name: Authorization, valuePrefix: Bearer, forward: true}}, {queryParam: {name: t}}]
  forwarding: {headerName: x-token, padForwardPayloadHeader: true}
---
apiVersion: consul.hashicorp.com/v1alpha1
kind: SamenessGroup
metadata: {name: group}
spec:
  defaultForFailover: true
  includeLocal: true
  members: [{partition: a}, {peer: b}]
",
    )]);
    assert_eq!(
        problems,
        [
            "e.yaml:2:7: warning: Kind: tokens are not verified yet: no request is asked for one",
            "e.yaml:15:7: warning: Kind: sameness-groups are an enterprise-only feature of Consul and have no effect \
             here",
        ]
    );
    let okta = &config.entries.jwt_providers["okta"];
    assert_eq!(okta.keys, JwtKeys::Remote("https://okta.example/keys".to_owned()));
    assert_eq!(okta.locations[1], JwtLocation::QueryParam("t".to_owned()));
}

#[test]
fn resources_of_kubernetes_are_named_as_kubernetes_names_them() {
    let text = "apiVersion: v1
kind: List
items:
- apiVersion: consul.hashicorp.com/v1alpha1
  kind: ServiceIntentions
  metadata: {name: some-name, namespace: apps, annotations: {a: b}}
  spec:
    destination: {name: web, namespace: default}
    sources: [{name: api, action: allow}]
  status: {conditions: []}
- apiVersion: consul.hashicorp.com/v1alpha1
  kind: ServiceDefaults
  metadata: {name: web}
  spec: {protocol: http, meshGateway: {mode: local}, externalSNI: web.example, localRequestTimeoutMs: 5}
- apiVersion: consul.hashicorp.com/v1alpha1
  kind: Mesh
  metadata: {name: mesh}
  spec: {tls: {incoming: {tlsMinVersion: TLSv1_3}}}
";
    let entries = good(&[("list.yaml", text)]).entries;
    assert_eq!(entries.intentions["web"].sources[0].name, "api");
    assert_eq!(entries.defaults[&name("web")].external_sni.as_deref(), Some("web.example"));
    assert_eq!(entries.mesh.as_ref().expect("read").tls_incoming.min_version.as_deref(), Some("TLSv1_3"));
}

#[test]
fn the_api_answer_with_all_entries_of_a_kind_is_read() {
    let text = r#"[{"Kind": "service-defaults", "Name": "a"}, {"Kind": "service-defaults", "Name": "b"}]"#;
    assert_eq!(good(&[("all.json", text)]).entries.defaults.len(), 2);
}

#[test]
fn what_an_api_answer_leaves_empty_is_not_set() {
    let text = r#"[
      {"Kind": "service-resolver", "Name": "a", "DefaultSubset": "", "Subsets": null, "Failover": {}, "Redirect": {
         "Service": "b", "ServiceSubset": "", "Namespace": "", "Partition": "", "Datacenter": "", "Peer": "",
         "SamenessGroup": ""}, "ConnectTimeout": 0, "RequestTimeout": "0s", "LoadBalancer": null,
       "PrioritizeByLocality": null, "Meta": null, "Partition": "default", "Namespace": "default"},
      {"Kind": "service-defaults", "Name": "a", "Protocol": "", "MeshGateway": {}, "Expose": {"Paths": null},
       "EnvoyExtensions": null, "UpstreamConfig": null, "Destination": null, "ExternalSNI": "", "TransparentProxy": {},
       "LocalConnectTimeoutMs": 0, "MutualTLSMode": "", "Mode": ""},
      {"Kind": "exported-services", "Name": "default", "Services": [{"Name": "a", "Namespace": "", "Consumers":
         [{"Peer": "east", "Partition": "", "SamenessGroup": ""}]}]}
    ]"#;
    let entries = good(&[("answer.json", text)]).entries;
    let a = &entries.resolvers[&name("a")];
    assert_eq!((a.default_subset.as_ref(), a.failover.len(), a.load_balancer.as_ref()), (None, 0, None));
    assert_eq!(entries.defaults[&name("a")].protocol, None);
}

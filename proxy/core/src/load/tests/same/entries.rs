//! One entry of each kind with every field that its custom resource has too.

use serde_json::{Value, json};

/// The custom resource's kind and the entry.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("ServiceRouter", router()),
        ("ServiceSplitter", splitter()),
        ("ServiceResolver", resolver()),
        ("ServiceResolver", redirect()),
        ("ServiceDefaults", service_defaults()),
        ("ServiceDefaults", destination()),
        ("ProxyDefaults", proxy_defaults()),
        ("Mesh", mesh()),
        ("ExportedServices", exported_services()),
        ("ServiceIntentions", intentions()),
        ("JWTProvider", jwt_provider(json!({ "Local": { "JWKS": "e30=" } }))),
        ("JWTProvider", jwt_provider(json!({ "Local": { "Filename": "/keys.json" } }))),
        ("JWTProvider", jwt_provider(remote())),
        ("SamenessGroup", sameness_group()),
    ]
}

fn modifiers() -> Value {
    json!({ "Add": { "x-a": "1" }, "Set": { "X-B": "2" }, "Remove": ["x-c", "x-d"] })
}

fn router() -> Value {
    json!({
        "Kind": "service-router", "Name": "web", "Meta": { "teamOwner": "edge" },
        "Routes": [
            {
                "Match": { "HTTP": {
                    "PathPrefix": "/a", "CaseInsensitive": true, "Methods": ["GET", "POST"],
                    "Header": [
                        { "Name": "a", "Present": true, "Invert": true }, { "Name": "b", "Exact": "x" },
                        { "Name": "c", "Prefix": "x" }, { "Name": "d", "Suffix": "x" }, { "Name": "e", "Regex": "x+" },
                    ],
                    "QueryParam": [
                        { "Name": "a", "Present": true }, { "Name": "b", "Exact": "x" }, { "Name": "c", "Regex": "x+" },
                    ],
                } },
                "Destination": {
                    "Service": "api", "ServiceSubset": "v1", "Namespace": "default", "Partition": "default",
                    "PrefixRewrite": "/", "RequestTimeout": "1m30s", "IdleTimeout": "250ms", "NumRetries": 3,
                    "RetryOnConnectFailure": true, "RetryOn": ["5xx", "reset"], "RetryOnStatusCodes": [502, 503],
                    "RequestHeaders": modifiers(), "ResponseHeaders": modifiers(),
                },
            },
            { "Match": { "HTTP": { "PathExact": "/b" } }, "Destination": { "Service": "b" } },
            { "Match": { "HTTP": { "PathRegex": "/c.*" } } },
        ],
    })
}

fn splitter() -> Value {
    json!({
        "Kind": "service-splitter", "Name": "web", "Meta": { "k": "v" },
        "Splits": [
            { "Weight": 99.5, "ServiceSubset": "v1", "Namespace": "default", "Partition": "default" },
            { "Weight": 0.5, "Service": "b", "RequestHeaders": modifiers(), "ResponseHeaders": modifiers() },
        ],
    })
}

fn resolver() -> Value {
    json!({
        "Kind": "service-resolver", "Name": "web", "Meta": { "k": "v" }, "DefaultSubset": "v1",
        "ConnectTimeout": "15s", "RequestTimeout": "1.5s",
        "Subsets": {
            "v1": { "Filter": "Service.Meta.version == v1", "OnlyPassing": true },
            "v2": { "Filter": "Service.Meta.version == v2" },
        },
        "Failover": {
            "*": { "Service": "other", "ServiceSubset": "v9", "Datacenters": ["dc2", "dc3"] },
            "v1": { "Policy": { "Regions": ["r1", "r2"] }, "Targets": [
                { "Peer": "east" },
                { "Service": "b", "ServiceSubset": "v1", "Datacenter": "dc2", "Namespace": "default",
                  "Partition": "default" },
            ] },
        },
        "LoadBalancer": {
            "Policy": "ring_hash", "RingHashConfig": { "MinimumRingSize": 64, "MaximumRingSize": 128 },
            "HashPolicies": [
                { "Field": "header", "FieldValue": "x-user", "Terminal": true },
                { "Field": "cookie", "FieldValue": "s", "CookieConfig": { "TTL": "1h", "Path": "/" } },
                { "Field": "cookie", "FieldValue": "t", "CookieConfig": { "Session": true } },
                { "SourceIP": true },
            ],
        },
    })
}

fn redirect() -> Value {
    json!({
        "Kind": "service-resolver", "Name": "web",
        "Redirect": {
            "Service": "b", "ServiceSubset": "v1", "Namespace": "default", "Partition": "default", "Datacenter": "dc2",
        },
        "LoadBalancer": { "Policy": "least_request", "LeastRequestConfig": { "ChoiceCount": 5 } },
    })
}

fn service_defaults() -> Value {
    json!({
        "Kind": "service-defaults", "Name": "web", "Meta": { "k": "v" }, "Protocol": "http", "Mode": "direct",
        "TransparentProxy": { "OutboundListenerPort": 15001, "DialedDirectly": true }, "MutualTLSMode": "strict",
        "MeshGateway": { "Mode": "local" }, "ExternalSNI": "web.example",
        "Expose": { "Checks": true, "Paths": [
            { "ListenerPort": 9, "Path": "/m", "LocalPathPort": 8, "Protocol": "http2" },
        ] },
        "UpstreamConfig": {
            "Defaults": {
                "Protocol": "http2", "ConnectTimeoutMs": 300, "MeshGateway": { "Mode": "remote" },
                "Limits": { "MaxConnections": 0, "MaxPendingRequests": 1, "MaxConcurrentRequests": 2 },
                "EnvoyListenerJSON": "{}", "EnvoyClusterJSON": "{}",
            },
            "Overrides": [
                {
                    "Name": "api", "Peer": "east", "Namespace": "default", "Partition": "default",
                    "PassiveHealthCheck": {
                        "Interval": "1s", "MaxFailures": 1, "EnforcingConsecutive5xx": 0, "MaxEjectionPercent": 100,
                        "BaseEjectionTime": "30s",
                    },
                },
                { "Name": "db", "Protocol": "tcp" },
            ],
        },
        "MaxInboundConnections": 5, "LocalConnectTimeoutMs": 100, "LocalRequestTimeoutMs": 200,
        "BalanceInboundConnections": "exact_balance",
        "RateLimits": { "InstanceLevel": {
            "RequestsPerSecond": 10, "RequestsMaxBurst": 20,
            "Routes": [
                { "PathExact": "/a", "RequestsPerSecond": 1, "RequestsMaxBurst": 2 },
                { "PathPrefix": "/b", "RequestsPerSecond": 3 }, { "PathRegex": "/c+", "RequestsPerSecond": 4 },
            ],
        } },
        "EnvoyExtensions": [{ "Name": "builtin/lua", "Required": true, "Arguments": { "ProxyType": "connect-proxy" } }],
    })
}

fn destination() -> Value {
    json!({
        "Kind": "service-defaults", "Name": "outside",
        "Destination": { "Addresses": ["a.example", "10.0.0.1"], "Port": 443 },
    })
}

fn proxy_defaults() -> Value {
    json!({
        "Kind": "proxy-defaults", "Name": "global", "Meta": { "k": "v" }, "Mode": "direct",
        "TransparentProxy": { "OutboundListenerPort": 15001, "DialedDirectly": true }, "MutualTLSMode": "strict",
        "MeshGateway": { "Mode": "none" }, "Expose": { "Checks": true },
        "Config": {
            "protocol": "http", "local_connect_timeout_ms": 1, "local_request_timeout_ms": 2, "local_idle_timeout_ms": 3,
            "max_inbound_connections": 4, "envoy_prometheus_bind_addr": "0.0.0.0:9102",
            "envoy_stats_bind_addr": "127.0.0.1:9103",
        },
        "AccessLogs": {
            "Enabled": true, "DisableListenerLogs": true, "Type": "file", "Path": "/log", "JSONFormat": "{\"a\": 1}",
        },
        "FailoverPolicy": { "Mode": "sequential", "Regions": ["r1"] },
        "EnvoyExtensions": [{ "Name": "builtin/wasm" }],
    })
}

fn mesh() -> Value {
    json!({
        "Kind": "mesh", "Meta": { "k": "v" }, "TransparentProxy": { "MeshDestinationsOnly": true },
        "AllowEnablingPermissiveMutualTLS": true, "ValidateClusters": true,
        "TLS": {
            "Incoming": {
                "TLSMinVersion": "TLSv1_1", "TLSMaxVersion": "TLSv1_3",
                "CipherSuites": ["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"],
            },
            "Outgoing": { "TLSMinVersion": "TLS_AUTO" },
        },
        "HTTP": {
            "SanitizeXForwardedClientCert": true,
            "Incoming": { "RequestNormalization": {
                "InsecureDisablePathNormalization": true, "MergeSlashes": true,
                "PathWithEscapedSlashesAction": "REJECT_REQUEST", "HeadersWithUnderscoresAction": "DROP_HEADER",
            } },
        },
        "Peering": { "PeerThroughMeshGateways": true },
    })
}

fn exported_services() -> Value {
    json!({
        "Kind": "exported-services", "Name": "default", "Meta": { "k": "v" },
        "Services": [
            { "Name": "web", "Namespace": "default", "Consumers": [{ "Peer": "east" }, { "Peer": "west" }] },
            { "Name": "*", "Consumers": [{ "Peer": "north" }] },
        ],
    })
}

fn intentions() -> Value {
    let requirement = json!({ "Providers": [
        { "Name": "okta", "VerifyClaims": [{ "Path": ["perms", "role"], "Value": "admin" }] }, { "Name": "own" },
    ] });
    json!({
        "Kind": "service-intentions", "Name": "web", "Meta": { "k": "v" }, "JWT": requirement,
        "Sources": [
            { "Name": "*", "Action": "deny", "Description": "nobody else" },
            { "Name": "a", "Namespace": "default", "Partition": "default", "Action": "allow" },
            { "Name": "b", "Peer": "east", "Permissions": [
                { "Action": "allow", "JWT": requirement, "HTTP": {
                    "PathPrefix": "/a", "Methods": ["GET"],
                    "Header": [
                        { "Name": "a", "Contains": "x", "IgnoreCase": true, "Invert": true },
                        { "Name": "b", "Present": true }, { "Name": "c", "Exact": "x" }, { "Name": "d", "Prefix": "x" },
                        { "Name": "e", "Suffix": "x" }, { "Name": "f", "Regex": "x+" },
                    ],
                } },
                { "Action": "deny", "HTTP": { "PathExact": "/b" } }, { "Action": "deny", "HTTP": { "PathRegex": "/c.*" } },
            ] },
        ],
    })
}

fn jwt_provider(keys: Value) -> Value {
    json!({
        "Kind": "jwt-provider", "Name": "okta", "Meta": { "k": "v" }, "Issuer": "okta", "Audiences": ["api", "web"],
        "JSONWebKeySet": keys,
        "Locations": [
            { "Header": { "Name": "Authorization", "ValuePrefix": "Bearer ", "Forward": true } },
            { "QueryParam": { "Name": "token" } }, { "Cookie": { "Name": "token" } },
        ],
        "Forwarding": { "HeaderName": "x-token", "PadForwardPayloadHeader": true },
        "ClockSkewSeconds": 10, "CacheConfig": { "Size": 100 },
    })
}

fn remote() -> Value {
    json!({ "Remote": {
        "URI": "https://okta.example/keys", "RequestTimeoutMs": 1000, "CacheDuration": "10m",
        "FetchAsynchronously": true, "UseSNI": true,
        "RetryPolicy": { "NumRetries": 2, "RetryPolicyBackOff": { "BaseInterval": "1s", "MaxInterval": "10s" } },
        "JWKSCluster": {
            "DiscoveryType": "STATIC", "ConnectTimeout": "5s",
            "TLSCertificates": { "TrustedCA": { "Filename": "/ca.pem" } },
        },
    } })
}

fn sameness_group() -> Value {
    json!({
        "Kind": "sameness-group", "Name": "group", "Meta": { "k": "v" }, "DefaultForFailover": true,
        "IncludeLocal": true, "Members": [{ "Partition": "default" }, { "Peer": "east" }, { "Partition": "ap1" }],
    })
}

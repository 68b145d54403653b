//! What routes change on the way: headers, with Envoy's command operators in their values, and paths.

use spillway_harness::{Call, Mesh, MeshBuilder, Reply, Version, router};

const SERVICES: [&str; 2] = ["lines", "frames"];

/// A service of HTTP/1.1 and one of HTTP/2, with this in the destination of a route for `/old`.
async fn routed(destination: &str) -> Mesh {
    let services = |mesh: MeshBuilder| {
        mesh.cluster("dc1", |c| c.service("web", 1).service("lines", 1).http2_service("frames", 1, "http2"))
    };
    let mesh = SERVICES.into_iter().fold(services(Mesh::builder()), |mesh, service| {
        mesh.entry("dc1", router(service).route(r#"PathPrefix = "/old""#, destination))
    });
    mesh.start().await
}

#[tokio::test]
async fn a_route_rewrites_prefixes_in_every_version() {
    let mesh = routed("PrefixRewrite = \"/new\"").await;
    for service in SERVICES {
        for version in [Version::Http10, Version::Http11, Version::Http2] {
            mesh.client("dc1/web").call(version, service, &Call::new("GET", "/old/a?b=/old")).await;
            let target = mesh.app(&format!("dc1/{service}")).last().target;
            assert_eq!(target, "/new/a?b=/old", "{version:?} to {service}");
        }
    }
}

#[tokio::test]
async fn a_route_changes_headers_in_every_version() {
    let mesh = routed(
        r#"RequestHeaders {
            Add = { "x-kept" = "two", "x-query" = "%QUERY_PARAM(q)%", "x-nothing" = "%REQ(x-none)%" }
            Set = {
                "x-from"     = "%PROTOCOL% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
                "x-upstream" = "to %UPSTREAM_CLUSTER%: 100%%"
                "x-copy"     = "<%REQ(x-missing?x-asked):3%>"
                "x-set"      = "plain"
                "x-port"     = "%DOWNSTREAM_REMOTE_ADDRESS%"
            }
            Remove = ["x-secret"]
        }
        ResponseHeaders {
            Set    = { "x-answer" = "%RESPONSE_CODE% %RESP(x-made)% to %REQ(x-asked)%" }
            Remove = ["x-made"]
        }"#,
    )
    .await;
    for service in SERVICES {
        let app = mesh.app(&format!("dc1/{service}"));
        app.reply(Reply::Header("x-made", "of wood"));
        for (version, name) in
            [(Version::Http10, "HTTP/1.0"), (Version::Http11, "HTTP/1.1"), (Version::Http2, "HTTP/2")]
        {
            let call = Call::new("GET", "/old?q=1&r=2")
                .header("x-kept", "one")
                .header("x-set", "received")
                .header("x-secret", "yes")
                .header("x-asked", "abcdef");
            let answer = mesh.client("dc1/web").call(version, service, &call).await;
            let seen = app.last();
            let from = format!("{name} 127.0.0.1");
            for (header, value) in [
                ("x-query", Some("1")),
                ("x-nothing", None),
                ("x-from", Some(from.as_str())),
                ("x-copy", Some("<abc>")),
                ("x-set", Some("plain")),
                ("x-secret", None),
            ] {
                assert_eq!(seen.header(header), value, "{header} of {version:?} to {service}");
            }
            let address = seen.header("x-port").and_then(|it| it.parse::<std::net::SocketAddr>().ok());
            assert!(address.is_some_and(|it| it.port() > 0), "{version:?} to {service}: {address:?}");
            assert_eq!(seen.headers("x-kept"), ["one", "two"], "{version:?} to {service}");
            let upstream = seen.header("x-upstream").unwrap_or_default();
            assert!(upstream.starts_with(&format!("to {service}.default.dc1.internal.")), "{upstream}");
            assert!(upstream.ends_with(": 100%"), "{upstream}");
            assert_eq!(answer.header("x-answer"), Some("200 of wood to abcdef"), "{version:?} to {service}");
            assert_eq!(answer.header("x-made"), None, "{version:?} to {service}");
        }
    }
}

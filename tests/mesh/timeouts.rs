//! What bounds a request in time, in every version of HTTP and towards services of every protocol.

use spillway_harness::{Call, Mesh, MeshBuilder, Reply, Then, Version, resolver, router};
use tokio::task::JoinSet;

const SERVICES: [&str; 2] = ["lines", "frames"];
const VERSIONS: [Version; 2] = [Version::Http11, Version::Http2];

/// A service of HTTP/1.1 and one of HTTP/2.
fn services() -> MeshBuilder {
    Mesh::builder()
        .cluster("dc1", |c| c.service("web", 1).service("lines", 1).http2_service("frames", 1, "http2"))
}

/// A route for everything, with this in its destination.
fn routed(mesh: MeshBuilder, destination: &str) -> MeshBuilder {
    SERVICES.into_iter().fold(mesh, |mesh, service| {
        mesh.entry("dc1", router(service).route(r#"PathPrefix = "/""#, destination))
    })
}

/// Every caller gets a 504 from every service, whose application says nothing.
async fn all_time_out(mesh: MeshBuilder) {
    let mesh = mesh.start().await;
    let mut calls = JoinSet::new();
    for service in SERVICES {
        mesh.app(&format!("dc1/{service}")).reply(Reply::Nothing(Then::Stall));
        for version in VERSIONS {
            for call in [Call::new("GET", "/"), Call::new("POST", "/").pieces(&["hello"])] {
                let web = mesh.client("dc1/web");
                calls.spawn(async move {
                    let answer = web.call(version, service, &call).await;
                    assert_eq!(answer.status, 504, "{version:?} to {service}: {call:?}");
                    assert!(answer.text().starts_with("request timeout"), "{}", answer.text());
                });
            }
        }
    }
    assert_eq!(calls.join_all().await.len(), 8);
    assert_eq!(mesh.sidecar("dc1/web").refusals("UT"), 8);
}

#[tokio::test]
async fn a_routes_request_timeout_bounds_every_request() {
    all_time_out(routed(services(), "RequestTimeout = \"100ms\"")).await;
}

#[tokio::test]
async fn a_routes_idle_timeout_bounds_an_answers_silence_before_it() {
    all_time_out(routed(services(), "IdleTimeout = \"100ms\"\nRequestTimeout = \"-1s\"")).await;
}

#[tokio::test]
async fn a_resolvers_request_timeout_bounds_what_no_route_does() {
    let resolvers = SERVICES.into_iter().fold(services(), |mesh, service| {
        mesh.entry("dc1", resolver(service).with("RequestTimeout = \"100ms\""))
    });
    all_time_out(resolvers).await;
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut_and_does_not_look_whole() {
    let mesh = routed(services(), "IdleTimeout = \"100ms\"").start().await;
    for service in SERVICES {
        mesh.app(&format!("dc1/{service}")).reply(Reply::Halves);
        for version in VERSIONS {
            let answer = mesh.client("dc1/web").call(version, service, &Call::new("GET", "/")).await;
            assert_eq!((answer.status, answer.is_whole), (200, false), "{version:?} to {service}");
        }
    }
}

#[tokio::test]
async fn a_connect_timeout_bounds_the_handshake_too() {
    let resolvers = SERVICES.into_iter().fold(services(), |mesh, service| {
        mesh.entry("dc1", resolver(service).with("ConnectTimeout = \"100ms\""))
    });
    let mesh = resolvers.start().await;
    for service in SERVICES {
        let _mute = mesh.mute(&format!("dc1/{service}/0"));
        for version in VERSIONS {
            let answer = mesh.client("dc1/web").call(version, service, &Call::new("GET", "/")).await;
            assert_eq!(answer.status, 503, "{version:?} to {service}");
            assert!(answer.text().contains("took longer than 100ms"), "{}", answer.text());
        }
    }
}

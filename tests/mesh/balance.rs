//! Which endpoint a request goes to, as far as that takes more than the pick itself.

use spillway_core::Tick;
use spillway_harness::{Mesh, Reply, eventually, resolver};

/// Two instances of api, balanced so.
async fn balanced(policy: &str) -> Mesh {
    Mesh::builder()
        .cluster("dc1", |c| c.service("api", 2).service("web", 1))
        .entry("dc1", resolver("api").with(&format!("LoadBalancer {{ Policy = \"{policy}\" }}")))
        .start()
        .await
}

/// Whether web's sidecar expects some latency of an instance of api.
fn is_timed(mesh: &Mesh, path: &str) -> bool {
    mesh.sidecar("dc1/web").endpoint(mesh.instance(path).address()).expected(Tick(0)).is_some()
}

#[tokio::test]
async fn answers_are_timed_where_the_balancer_goes_by_latency() {
    let mesh = balanced("peak_ewma").await;
    mesh.app("dc1/api/1").reply(Reply::Status(500));
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..20 {
        api.get("/").await;
    }
    eventually("an answer is timed", || is_timed(&mesh, "dc1/api/0")).await;
    assert!(mesh.app("dc1/api/1").count() > 0);
    assert!(!is_timed(&mesh, "dc1/api/1"), "its failures say nothing of how quick it is");
}

#[tokio::test]
async fn answers_are_not_timed_where_nobody_asks() {
    let mesh = balanced("least_request").await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..20 {
        api.get("/").await;
    }
    assert!(!is_timed(&mesh, "dc1/api/0") && !is_timed(&mesh, "dc1/api/1"));
}

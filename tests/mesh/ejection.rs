//! Outlier ejection: who leaves the pick, how often that counts, and how they return.

use std::sync::Arc;

use spillway_core::endpoint::Endpoint;
use spillway_harness::{Mesh, MeshBuilder, Reply, within};

/// Two instances of api, and a caller with this `passive_health_check`.
fn checked(passive_health_check: &str) -> MeshBuilder {
    let config = format!("passive_health_check {{\n{passive_health_check}\n}}");
    Mesh::builder()
        .cluster("dc1", |c| c.service("api", 2).service_with("web", 1, |_, web| web.upstream_config(&config)))
}

/// What web's sidecar knows of one instance of api.
fn endpoint(mesh: &Mesh, path: &str) -> Arc<Endpoint> {
    mesh.sidecar("dc1/web").endpoint(mesh.instance(path).address())
}

/// Row 4.82.
#[tokio::test]
async fn consecutive_connection_failures_eject_an_endpoint_once_until_a_probe_brings_it_back() {
    let mesh = checked("max_failures = 3\n base_ejection_time = \"1s\"").start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let dead = endpoint(&mesh, "dc1/api/0");
    mesh.sidecar("dc1/api/0").kill();
    while dead.ejections_total() == 0 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1", "its failure costs no request");
    }
    assert_eq!(dead.connect_failures_total(), 3);
    for _ in 0..20 {
        api.get("/").await;
    }
    assert_eq!((dead.connect_failures_total(), dead.ejections_total()), (3, 1), "it is left in peace");
    mesh.sidecar("dc1/api/0").start().await;
    let returned = async { while api.get("/").await.served_by() != "dc1/api/0" {} };
    within("the endpoint serves again", returned).await;
    assert_eq!(dead.ejections_total(), 1);
}

/// Row 4.82, the race: whatever fails at the same time, it trips once.
#[tokio::test]
async fn failures_at_the_same_time_eject_once() {
    let mesh = checked("max_failures = 3\n base_ejection_time = \"30s\"").start().await;
    mesh.sidecar("dc1/api/0").kill();
    let web = mesh.client("dc1/web");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let web = web.clone();
            tokio::spawn(async move { web.get("http://api/").await.served_by().to_owned() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no call panics"), "dc1/api/1");
    }
    let dead = endpoint(&mesh, "dc1/api/0");
    let mut api = web.connect("api").await;
    while dead.ejections_total() == 0 {
        api.get("/").await;
    }
    assert_eq!(dead.ejections_total(), 1);
}

#[tokio::test]
async fn consecutive_answers_of_5xx_eject_where_the_share_allows_it() {
    let mesh =
        checked("max_failures = 3\n max_ejection_percent = 50\n base_ejection_time = \"30s\"").start().await;
    mesh.app("dc1/api/0").reply(Reply::Status(500));
    let mut api = mesh.client("dc1/web").connect("api").await;
    let failing = endpoint(&mesh, "dc1/api/0");
    while failing.ejections_total() == 0 {
        api.get("/").await;
    }
    assert_eq!(mesh.app("dc1/api/0").count(), 3);
    for _ in 0..20 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1");
    }
    mesh.app("dc1/api/1").reply(Reply::Status(503));
    for _ in 0..10 {
        assert_eq!(api.get("/").await.status, 503, "the last one stays, whatever it answers");
    }
}

/// As with Envoy, whose default is ten per cent, too.
#[tokio::test]
async fn by_default_answers_of_5xx_eject_nobody_from_so_small_a_service() {
    let mesh = checked("max_failures = 3").start().await;
    mesh.app("dc1/api/0").reply(Reply::Status(500));
    let mut api = mesh.client("dc1/web").connect("api").await;
    while mesh.app("dc1/api/0").count() < 10 {
        api.get("/").await;
    }
    assert_eq!(endpoint(&mesh, "dc1/api/0").ejections_total(), 0);
}

/// `max_ejection_percent` bounds ejections for 5xx answers only: the only instance of a service leaves, too.
#[tokio::test]
async fn the_last_endpoint_is_ejected_when_it_refuses_connections() {
    let mesh = checked("max_failures = 2\n base_ejection_time = \"30s\"").start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    mesh.service("dc1/api").refuse_connections();
    let both = [endpoint(&mesh, "dc1/api/0"), endpoint(&mesh, "dc1/api/1")];
    assert_eq!([api.get("/").await.status, api.get("/").await.status], [503, 503]);
    assert_eq!(both.map(|endpoint| endpoint.ejections_total()), [1, 1]);
    let sidecar = mesh.sidecar("dc1/web");
    assert_eq!((sidecar.refusals("UF"), sidecar.refusals("UH")), (2, 0));
    assert_eq!(api.get("/").await.status, 503);
    assert_eq!((sidecar.refusals("UF"), sidecar.refusals("UH")), (2, 1), "nobody is asked any more");
}

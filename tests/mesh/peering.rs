//! Two clusters that are peered: each its own CA and trust domain, joined by their gateways.

use spillway_harness::{Mesh, MeshBuilder, exported_services, peer, resolver, router, splitter, within};

/// api in both clusters, exported by dc2, and a caller in dc1.
fn two_clusters() -> MeshBuilder {
    Mesh::builder()
        .cluster("dc1", |c| {
            c.service("api", 2).service_with("web", 1, |_, web| {
                let checks = "max_failures = 2\n base_ejection_time = \"500ms\"";
                let checks = format!("passive_health_check {{\n{checks}\n}}");
                web.upstream_config(&checks).peer_upstream("api", "dc2")
            })
        })
        .cluster("dc2", |c| c.service("api", 1).exports("api", "dc1"))
}

/// A name for the peer's service that routers and splitters can use.
const REDIRECT: &str = "Redirect {\n  Service = \"api\"\n  Peer    = \"dc2\"\n}";

/// Gateways forward through their own cluster's: the other one of the two modes.
const LOCAL_MODE: &str = "Kind = \"proxy-defaults\"\nName = \"global\"\nConfig {\n  protocol = \"http\"\n}\nMeshGateway {\n  Mode = \"local\"\n}\n";

/// Rows 4.1, 4.7, 4.49, 4.74.
#[tokio::test]
async fn a_peer_serves_when_no_local_endpoint_accepts() {
    let mesh = two_clusters().entry("dc1", resolver("api").failover_to(peer("dc2"))).start().await;
    let web = mesh.client("dc1/web");
    assert!(web.get("http://api/").await.served_by().starts_with("dc1/api/"));
    mesh.service("dc1/api").refuse_connections();
    for _ in 0..10 {
        assert_eq!(web.get("http://api/").await.served_by(), "dc2/api/0");
    }
}

/// Row 4.9 with a peer.
#[tokio::test]
async fn traffic_comes_home_from_the_peer_once_the_own_service_is_back() {
    let mesh = two_clusters().entry("dc1", resolver("api").failover_to(peer("dc2"))).start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    mesh.service("dc1/api").refuse_connections();
    for _ in 0..10 {
        assert_eq!(api.get("/").await.served_by(), "dc2/api/0");
    }
    mesh.service("dc1/api").accept_connections().await;
    let home = async { while !api.get("/").await.served_by().starts_with("dc1/api/") {} };
    within("traffic comes home", home).await;
}

/// Rows 4.3, 4.11, 4.13 and, with the local leg dead, 4.17.
#[tokio::test]
async fn a_splitter_shares_requests_between_clusters_and_its_local_leg_fails_over() {
    let mesh = two_clusters()
        .entry("dc1", resolver("api").failover_to(peer("dc2")))
        .entry("dc1", resolver("api-peer").with(REDIRECT))
        .entry("dc1", splitter("api", &[(50.0, ""), (50.0, "api-peer")]))
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let mut abroad = 0;
    for _ in 0..200 {
        abroad += usize::from(api.get("/").await.served_by() == "dc2/api/0");
    }
    assert!((97..=103).contains(&abroad), "{abroad} of 200");
    mesh.service("dc1/api").refuse_connections();
    for _ in 0..20 {
        assert_eq!(api.get("/").await.served_by(), "dc2/api/0");
    }
}

/// Row 4.25 with a peer.
#[tokio::test]
async fn a_route_sends_a_header_s_bearer_to_the_peer() {
    let mesh = two_clusters()
        .entry("dc1", resolver("api-peer").with(REDIRECT))
        .entry(
            "dc1",
            router("api")
                .route(r#"Header = [{ Name = "x-cluster", Exact = "dc2" }]"#, r#"Service = "api-peer""#),
        )
        .start()
        .await;
    let web = mesh.client("dc1/web");
    let answer = web.request("GET", "http://api/").header("x-cluster", "dc2").send().await;
    assert_eq!(answer.served_by(), "dc2/api/0");
    assert!(web.get("http://api/").await.served_by().starts_with("dc1/"));
}

/// Row 4.69: with and without `destination_peer`.
#[tokio::test]
async fn an_upstream_at_a_peer_is_served_there() {
    let mesh = two_clusters().start().await;
    let web = mesh.client("dc1/web");
    assert_eq!(web.get("http://api.dc2/").await.served_by(), "dc2/api/0");
    assert!(web.get("http://api/").await.served_by().starts_with("dc1/"));
}

/// Rows 4.52, 4.64: the own gateway passes on what it cannot read.
#[tokio::test]
async fn in_local_mode_requests_go_through_the_gateways_of_both_clusters() {
    let mesh = two_clusters().entry("dc1", LOCAL_MODE).start().await;
    let mut api = mesh.client("dc1/web").connect("api.dc2").await;
    assert_eq!(api.get("/").await.served_by(), "dc2/api/0");
    mesh.gateway("dc1").kill();
    assert_eq!(api.get("/").await.status, 503, "there is no other way");
    mesh.gateway("dc1").start().await;
    let again = async { while api.get("/").await.status != 200 {} };
    within("the gateway passes on again", again).await;
}

#[tokio::test]
async fn a_peer_whose_gateway_is_dead_is_back_with_it() {
    let mesh = two_clusters().start().await;
    let mut api = mesh.client("dc1/web").connect("api.dc2").await;
    assert_eq!(api.get("/").await.status, 200);
    mesh.gateway("dc2").kill();
    assert_eq!(api.get("/").await.status, 503);
    mesh.gateway("dc2").start().await;
    let again = async { while api.get("/").await.status != 200 {} };
    within("the peer serves again", again).await;
}

/// Row 4.53 in part: a tcp service passes the gateway unread.
#[tokio::test]
async fn a_tcp_service_of_a_peer_passes_the_gateway() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service_with("web", 1, |_, web| web.peer_upstream("db", "dc2")))
        .cluster("dc2", |c| c.tcp_service("db", 1).exports("db", "dc1"))
        .start()
        .await;
    let mut db = mesh.client("dc1/web").connect("db.dc2").await;
    assert_eq!(db.line().await.as_deref(), Some("dc2/db/0"));
    db.send("hello\n").await;
    assert_eq!(db.line().await.as_deref(), Some("hello"));
    db.half_close().await;
    assert_eq!(db.line().await.as_deref(), Some("bye"));
}

/// Row 4.71.
#[tokio::test]
async fn what_is_exported_no_more_cannot_be_reached() {
    let mesh = two_clusters().start().await;
    let web = mesh.client("dc1/web");
    assert_eq!(web.get("http://api.dc2/").await.status, 200);
    mesh.apply("dc2", exported_services::<&str>(&[])).await;
    let gone = async { while web.get("http://api.dc2/").await.status == 200 {} };
    within("the service is out of reach", gone).await;
    mesh.apply("dc2", exported_services(&[("api", "dc1")])).await;
    let back = async { while web.get("http://api.dc2/").await.status != 200 {} };
    within("the service is back", back).await;
}

/// Row 4.75 in part.
#[tokio::test]
async fn a_peering_that_is_deleted_carries_nothing() {
    let mesh = two_clusters().start().await;
    let web = mesh.client("dc1/web");
    assert_eq!(web.get("http://api.dc2/").await.status, 200);
    mesh.delete_peering("dc2", "dc1");
    let gone = async { while web.get("http://api.dc2/").await.status == 200 {} };
    within("the peering is gone", gone).await;
}

/// Row 4.73 for http: the gateway calls the application, and says on whose behalf.
#[tokio::test]
async fn an_application_learns_which_caller_of_the_peer_is_behind_the_gateway() {
    let mesh = two_clusters().start().await;
    let web = mesh.client("dc1/web");
    let evil = "URI=spiffe://dc2.test/ns/default/dc/dc2/svc/root";
    let request = web.request("GET", "http://api.dc2/").header("x-forwarded-client-cert", evil);
    request.send().await;
    let seen = mesh.app("dc2/api").last();
    let told = seen.headers("x-forwarded-client-cert");
    assert_eq!(told.len(), 1, "{seen:?}");
    let caller = "URI=spiffe://dc1.test/ns/default/dc/dc1/svc/web";
    assert!(told[0].contains(caller) && !told[0].contains("svc/root"), "{told:?}");
}

/// Row 4.8 with a peer, and the other cluster's instances one after the other.
#[tokio::test]
async fn an_instance_that_dies_behind_the_gateway_costs_no_request() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service_with("web", 1, |_, web| web.peer_upstream("api", "dc2")))
        .cluster("dc2", |c| c.service("api", 2).exports("api", "dc1"))
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api.dc2").await;
    for _ in 0..10 {
        assert_eq!(api.get("/").await.status, 200);
    }
    mesh.sidecar("dc2/api/0").kill();
    for _ in 0..10 {
        assert_eq!(api.get("/").await.served_by(), "dc2/api/1");
    }
    mesh.app("dc2/api/1").kill();
    assert_eq!(api.get("/").await.status, 503);
}

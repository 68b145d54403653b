//! Changes of configuration under way: taken whole or not at all, and nobody's connection ends.

use spillway_harness::{Mesh, MeshBuilder, Reply, Then, eventually, resolver, splitter};

fn two_services() -> MeshBuilder {
    Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service("rewrite", 1).service("web", 1))
        .entry("dc1", splitter("api", &[(100.0, "api"), (0.0, "rewrite")]))
}

/// Row 4.21.
#[tokio::test]
async fn a_changed_splitter_decides_the_next_request_of_an_open_connection() {
    let mesh = two_services().start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    mesh.app("dc1/api").reply_times(1, Reply::Nothing(Then::Stall));
    api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    mesh.app("dc1/api").has_received(2).await;
    mesh.apply("dc1", splitter("api", &[(0.0, "api"), (100.0, "rewrite")])).await;
    mesh.app("dc1/api").release();
    assert_eq!(api.answer().await.served_by(), "dc1/api/0", "what was in flight goes on as it began");
    assert_eq!(api.get("/").await.served_by(), "dc1/rewrite/0");
}

#[tokio::test]
async fn an_invalid_change_leaves_the_last_good_configuration_in_force() {
    let mesh = two_services().start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    mesh.apply_invalid("dc1", splitter("api", &[(0.0, "api"), (99.0, "rewrite")])).await;
    assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    mesh.apply_invalid("dc1", splitter("api", &[(0.0, "api"), (100.0, "rewrite.v9")])).await;
    assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    mesh.apply("dc1", splitter("api", &[(0.0, "api"), (100.0, "rewrite")])).await;
    assert_eq!(api.get("/").await.served_by(), "dc1/rewrite/0");
}

#[tokio::test]
async fn an_upstream_that_is_taken_away_is_not_found_and_listens_no_more() {
    let mesh = two_services().start().await;
    let web = mesh.client("dc1/web");
    let mut api = web.connect("api").await;
    api.get("/").await;
    mesh.forget_upstream("dc1/web/0", "api").await;
    let answer = api.get("/").await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    let gone = async { while web.can_connect("api").await {} };
    spillway_harness::within("the listener closes", gone).await;
    assert_eq!(web.get("http://rewrite/").await.served_by(), "dc1/rewrite/0");
}

#[tokio::test]
async fn changes_in_quick_succession_fail_no_request() {
    let mesh = two_services().start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for i in 0..10 {
        let leg = ["api", "rewrite"][i % 2];
        mesh.apply("dc1", resolver("api").with(&format!("ConnectTimeout = \"{}s\"", i + 1))).await;
        mesh.apply("dc1", splitter("api", &[(100.0, leg)])).await;
        for _ in 0..5 {
            assert_eq!(api.get("/").await.served_by(), format!("dc1/{leg}/0"));
        }
    }
}

/// An endpoint that a change does not concern keeps what is known of it, and its connections.
#[tokio::test]
async fn a_change_forgets_neither_health_nor_connections() {
    let mesh = two_services().start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.get("/").await;
    let connections = mesh.app("dc1/api").connections();
    let address = mesh.instance("dc1/api").address();
    let before = mesh.sidecar("dc1/web").endpoint(address);
    mesh.apply("dc1", splitter("api", &[(99.0, "api"), (1.0, "rewrite")])).await;
    while api.get("/").await.served_by() != "dc1/api/0" {}
    assert_eq!(mesh.sidecar("dc1/web").endpoint(address).uid, before.uid);
    assert_eq!(mesh.app("dc1/api").connections(), connections);
    eventually("nothing is in flight", || before.in_flight() == 0).await;
}

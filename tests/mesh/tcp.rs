//! Services that speak TCP: a connection is the request. Row 4.43.

use spillway_harness::{Connection, Mesh, resolver, service};

async fn databases() -> Mesh {
    Mesh::builder()
        .cluster("dc1", |c| c.tcp_service("db", 2).tcp_service("db-backup", 1).service("web", 1))
        .entry("dc1", resolver("db").failover_to(service("db-backup")))
        .start()
        .await
}

/// Who greets.
async fn greeting(connection: &mut Connection) -> String {
    connection.line().await.unwrap_or_default()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_so_does_the_end_of_each() {
    let mesh = databases().await;
    let mut db = mesh.client("dc1/web").connect("db").await;
    assert!(greeting(&mut db).await.starts_with("dc1/db/"));
    for word in ["one", "two"] {
        db.send(&format!("{word}\n")).await;
        assert_eq!(db.line().await.as_deref(), Some(word));
    }
    db.half_close().await;
    assert_eq!(db.line().await.as_deref(), Some("bye"));
    assert!(db.is_closed().await);
}

#[tokio::test]
async fn a_server_that_has_said_all_still_hears() {
    let mesh = databases().await;
    let mut db = mesh.client("dc1/web").connect("db").await;
    let greeted = greeting(&mut db).await;
    db.send("enough\n").await;
    assert_eq!(db.line().await, None, "its end arrives");
    db.send("one more").await;
    db.half_close().await;
    mesh.app(&greeted).has_received(1).await;
    assert_eq!(mesh.app(&greeted).last().text(), "one more");
}

#[tokio::test]
async fn a_large_transfer_arrives_whole() {
    let mesh = databases().await;
    let mut db = mesh.client("dc1/web").connect("db").await;
    greeting(&mut db).await;
    let line = "x".repeat(2 * 1024 * 1024);
    db.send(&format!("{line}\n")).await;
    assert_eq!(db.line().await.map(|it| it.len()), Some(line.len()));
}

#[tokio::test]
async fn a_connection_goes_to_the_next_endpoint_and_then_to_the_next_target() {
    let mesh = databases().await;
    let web = mesh.client("dc1/web");
    mesh.sidecar("dc1/db/0").kill();
    for _ in 0..10 {
        assert_eq!(greeting(&mut web.connect("db").await).await, "dc1/db/1");
    }
    mesh.service("dc1/db").refuse_connections();
    assert_eq!(greeting(&mut web.connect("db").await).await, "dc1/db-backup/0");
    mesh.service("dc1/db-backup").refuse_connections();
    assert_eq!(web.connect("db").await.rest().await, "", "nobody is left");
}

#[tokio::test]
async fn a_connection_ends_when_its_upstream_dies() {
    let mesh = databases().await;
    let mut db = mesh.client("dc1/web").connect("db").await;
    let greeted = greeting(&mut db).await;
    mesh.sidecar(&greeted).kill();
    assert_eq!(db.rest().await, "");
}

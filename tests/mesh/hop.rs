//! The hop between two sidecars: one connection for many, which its ends do not notice.

use spillway_harness::{Mesh, Reply, Then, eventually};

async fn api_and_web(instances: usize) -> Mesh {
    Mesh::builder().cluster("dc1", |c| c.service("api", instances).service("web", 1)).start().await
}

#[tokio::test]
async fn many_requests_at_once_share_a_connection_and_none_waits_for_another() {
    let mesh = api_and_web(1).await;
    let web = mesh.client("dc1/web");
    mesh.app("dc1/api").reply_times(16, Reply::Nothing(Then::Stall));
    let mut stalled = Vec::new();
    for n in 1..=16 {
        let mut connection = web.connect("api").await;
        connection.send("GET /stalled HTTP/1.1\r\nhost: api\r\n\r\n").await;
        mesh.app("dc1/api").has_received(n).await;
        stalled.push(connection);
    }
    assert_eq!(web.get("http://api/").await.served_by(), "dc1/api/0", "it waits for none of them");
    let sessions = mesh.sidecar("dc1/api").sum(|counters| &counters.connections);
    assert!(sessions <= 2, "one for each worker of web: {sessions}");
    mesh.app("dc1/api").release();
    for connection in &mut stalled {
        connection.send("GET /next HTTP/1.1\r\nhost: api\r\n\r\n").await;
    }
}

/// A POST is never sent twice, so only an endpoint that ends nothing unasked loses none while it goes away.
#[tokio::test]
async fn a_sidecar_that_drains_loses_no_post_on_kept_connections() {
    let mesh = api_and_web(2).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut connection = mesh.client("dc1/web").connect("api").await;
        for _ in 0..4 {
            assert_eq!(connection.request("POST", "/", &[("content-length", "0")]).await.status, 200);
        }
        clients.push(connection);
    }
    mesh.sidecar("dc1/api/0").stop();
    for round in 0..20 {
        for connection in &mut clients {
            let answer = connection.request("POST", "/", &[("content-length", "0")]).await;
            assert_eq!(answer.status, 200, "in round {round}");
        }
    }
    mesh.sidecar("dc1/api/0").ended().await;
}

/// What a callee does to one of the connections that share a session happens to that one alone.
#[tokio::test]
async fn an_answer_that_breaks_off_ends_one_exchange_and_no_other() {
    let mesh = api_and_web(1).await;
    let web = mesh.client("dc1/web");
    let (mut broken, mut whole) = (web.connect("api").await, web.connect("api").await);
    assert_eq!(whole.get("/").await.status, 200);
    mesh.app("dc1/api")
        .reply_times(1, Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Then::Close));
    broken.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    assert!(!broken.answer().await.is_whole, "half an answer does not look whole");
    assert_eq!(whole.get("/").await.served_by(), "dc1/api/0", "on the connection that it had");
    let sessions = mesh.sidecar("dc1/api").sum(|counters| &counters.connections);
    assert!(sessions <= 2, "no new one was made: {sessions}");
}

#[tokio::test]
async fn when_the_connection_between_them_dies_what_may_be_sent_again_is() {
    let mesh = api_and_web(1).await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.get("/").await;
    mesh.sidecar("dc1/api").kill();
    mesh.sidecar("dc1/api").start().await;
    assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    let life = mesh.sidecar("dc1/web").sum(|counters| &counters.connections_active);
    assert_eq!(life, 1, "the caller noticed nothing");
    eventually("its session is the only one", || {
        mesh.sidecar("dc1/api").sum(|counters| &counters.connections_active) == 1
    })
    .await;
}

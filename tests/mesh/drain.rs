//! How a sidecar ends: in good order when it is told to, at once when it is killed.

use std::time::{Duration, Instant};

use spillway_harness::{Mesh, Reply, Then, eventually, within};

async fn api_and_web(instances: usize) -> Mesh {
    Mesh::builder().cluster("dc1", |c| c.service("api", instances).service("web", 1)).start().await
}

#[tokio::test]
async fn what_is_in_flight_finishes_while_new_connections_are_refused() {
    let mesh = api_and_web(1).await;
    mesh.app("dc1/api").reply_times(1, Reply::Nothing(Then::Stall));
    let web = mesh.client("dc1/web");
    let (mut busy, mut idle) = (web.connect("api").await, web.connect("api").await);
    busy.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    mesh.app("dc1/api").has_received(1).await;
    mesh.sidecar("dc1/web").stop();
    assert!(idle.is_closed().await, "what is idle closes now");
    let refused = async { while web.can_connect("api").await {} };
    within("new connections are refused", refused).await;
    mesh.app("dc1/api").release();
    let answer = busy.answer().await;
    assert_eq!((answer.served_by(), answer.keeps_alive()), ("dc1/api/0", false));
    assert!(busy.is_closed().await);
    mesh.sidecar("dc1/web").ended().await;
}

#[tokio::test]
async fn an_instance_that_drains_fails_nobody() {
    let mesh = api_and_web(2).await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..10 {
        api.get("/").await;
    }
    mesh.sidecar("dc1/api/0").stop();
    for _ in 0..50 {
        assert_eq!(api.get("/").await.status, 200);
    }
    mesh.sidecar("dc1/api/0").ended().await;
    for _ in 0..10 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1");
    }
}

#[tokio::test]
async fn what_is_not_done_in_time_is_told_so() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service_with("web", 1, |_, web| web.drain_ms(200)))
        .start()
        .await;
    mesh.app("dc1/api").reply(Reply::Nothing(Then::Stall));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    mesh.app("dc1/api").has_received(1).await;
    let begun = Instant::now();
    mesh.sidecar("dc1/web").stop();
    let last = api.answer().await;
    assert_eq!((last.status, last.keeps_alive()), (503, false));
    assert!(last.text().starts_with("draining: "), "{}", last.text());
    assert!(begun.elapsed() >= Duration::from_millis(200));
    mesh.sidecar("dc1/web").ended().await;
}

#[tokio::test]
async fn a_sidecar_that_is_killed_leaves_nothing_behind() {
    let mesh = api_and_web(1).await;
    let web = mesh.client("dc1/web");
    let mut api = web.connect("api").await;
    api.get("/").await;
    let life = mesh.sidecar("dc1/web").life();
    mesh.sidecar("dc1/web").kill();
    assert!(!web.can_connect("api").await);
    assert_eq!(api.rest().await, "");
    eventually("its threads end", || life.strong_count() == 0).await;
    mesh.sidecar("dc1/web").start().await;
    assert_eq!(web.get("http://api/").await.served_by(), "dc1/api/0");
}

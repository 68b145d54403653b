//! What is sent once more, where, and what never is.

use spillway_harness::{Instance, Mesh, Reply, Then, eventually, peer, resolver, router};

/// Three instances of api whose route lets requests be repeated after whatever goes wrong.
async fn forgiving() -> Mesh {
    let retries = "NumRetries = 5\nRetryOn = [\"5xx\", \"reset\", \"gateway-error\"]";
    Mesh::builder()
        .cluster("dc1", |c| c.service("api", 3).service("web", 1))
        .entry("dc1", router("api").route(r#"PathPrefix = "/""#, retries))
        .start()
        .await
}

fn each_replies(mesh: &Mesh, reply: &Reply) {
    for i in 0..3 {
        mesh.app(&format!("dc1/api/{i}")).reply(reply.clone());
    }
}

/// The instance that a request with this id has reached.
async fn reached<'a>(mesh: &'a Mesh, id: &str) -> &'a Instance {
    let all = ["dc1/api/0", "dc1/api/1", "dc1/api/2"].map(|path| mesh.instance(path));
    let here = || all.iter().position(|instance| instance.app().count_of(id) > 0);
    eventually("the request reaches somebody", || here().is_some()).await;
    all[here().unwrap_or_default()]
}

#[tokio::test]
async fn a_get_is_repeated_until_somebody_serves_it() {
    let mesh = forgiving().await;
    mesh.app("dc1/api/0").reply(Reply::Status(500));
    mesh.app("dc1/api/1").reply(Reply::Status(503));
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..10 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/2");
    }
    assert!(mesh.sidecar("dc1/web").sum(|counters| &counters.retries) > 0);
}

#[tokio::test]
async fn a_retry_never_goes_to_an_endpoint_that_has_failed_the_request() {
    let mesh = forgiving().await;
    each_replies(&mesh, &Reply::Status(500));
    let answer = mesh.client("dc1/web").get("http://api/").await;
    assert_eq!(answer.status, 500, "the last answer is passed on");
    let counts = [0, 1, 2].map(|i| mesh.app(&format!("dc1/api/{i}")).count());
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(mesh.sidecar("dc1/web").sum(|counters| &counters.retries), 2);
}

#[tokio::test]
async fn without_a_policy_an_answer_is_final() {
    let mesh = Mesh::builder().cluster("dc1", |c| c.service("api", 3).service("web", 1)).start().await;
    each_replies(&mesh, &Reply::Status(503));
    assert_eq!(mesh.client("dc1/web").get("http://api/").await.status, 503);
    assert_eq!(mesh.service("dc1/api").count(), 1);
}

/// Whatever goes wrong behind a POST and whatever its route says: it may have done its work.
#[tokio::test]
async fn a_post_that_was_sent_is_never_sent_again() {
    let mesh = forgiving().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for (id, fault) in [
        ("closed", Reply::Nothing(Then::Close)),
        ("reset", Reply::Nothing(Then::Reset)),
        ("malformed", Reply::Bytes("HTTP/1.1 abc\r\n\r\n", Then::Close)),
        ("failed", Reply::Status(500)),
        ("unavailable", Reply::Status(503)),
    ] {
        each_replies(&mesh, &fault);
        let headers = [("x-request-id", id), ("content-length", "0")];
        let answer = api.request("POST", "/", &headers).await;
        assert!(answer.status >= 500, "{id}: {}", answer.line);
        assert_eq!(mesh.service("dc1/api").count_of(id), 1, "{id}");
    }
    assert_eq!(mesh.sidecar("dc1/web").sum(|counters| &counters.retries), 0);
}

#[tokio::test]
async fn a_post_whose_upstream_dies_is_answered_503_and_not_sent_again() {
    let mesh = forgiving().await;
    each_replies(&mesh, &Reply::Nothing(Then::Stall));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("POST / HTTP/1.1\r\nhost: api\r\nx-request-id: p\r\ncontent-length: 5\r\n\r\nhello").await;
    reached(&mesh, "p").await.sidecar().kill();
    let answer = api.answer().await;
    assert_eq!((answer.status, mesh.sidecar("dc1/web").refusals("UC")), (503, 1));
    assert_eq!(mesh.service("dc1/api").count_of("p"), 1);
}

#[tokio::test]
async fn a_get_whose_upstream_dies_is_served_by_another() {
    let mesh = forgiving().await;
    each_replies(&mesh, &Reply::Nothing(Then::Stall));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET / HTTP/1.1\r\nhost: api\r\nx-request-id: g\r\n\r\n").await;
    let dead = reached(&mesh, "g").await;
    each_replies(&mesh, &Reply::Own(Then::GoOn));
    dead.sidecar().kill();
    let answer = api.answer().await;
    assert_ne!(answer.served_by(), dead.name());
    assert_eq!(mesh.service("dc1/api").count_of("g"), 2);
}

/// A fifth of the active requests, and three in any case: what is beyond gets the answer that there is.
#[tokio::test]
async fn retries_beyond_the_budget_are_left_undone() {
    let mesh = forgiving().await;
    mesh.sidecar("dc1/api/2").kill();
    let (failing, stalling) = (mesh.app("dc1/api/0"), mesh.app("dc1/api/1"));
    failing.reply(Reply::Status(500));
    stalling.reply(Reply::Nothing(Then::Stall));
    let load = mesh.sidecar("dc1/web").load("api");
    let mut calls = Vec::new();
    while calls.len() < 18 && load.retry_overflows() < 2 {
        let web = mesh.client("dc1/web");
        calls.push(tokio::spawn(async move { web.get("http://api/").await.status }));
        let settled = || calls.iter().filter(|call| call.is_finished()).count() + stalling.count();
        eventually("it stalls, or is answered", || settled() == calls.len()).await;
        assert!(load.retries() <= 3);
    }
    assert_eq!((load.retries(), load.retry_overflows()), (3, 2));
    stalling.release();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.expect("no call panics"));
    }
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 2);
    eventually("the budget is whole again", || load.retries() == 0).await;
}

/// Nothing was sent, so going on is no retry; but a dead service is left in peace.
#[tokio::test]
async fn a_dead_service_is_answered_for_at_once_and_hardly_tried() {
    let mesh = forgiving().await;
    mesh.service("dc1/api").refuse_connections();
    let mut api = mesh.client("dc1/web").connect("api").await;
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(api.get("/").await.status, 503);
    }
    assert!(begun.elapsed().as_secs() < 10, "100 ms each: {:?}", begun.elapsed());
    let attempts = |i| {
        let address = mesh.instance(&format!("dc1/api/{i}")).address();
        mesh.sidecar("dc1/web").endpoint(address).connect_failures_total()
    };
    assert!((0..3).map(attempts).sum::<u64>() <= 120);
    assert_eq!(mesh.sidecar("dc1/web").sum(|counters| &counters.retries), 0);
}

/// The sidecar's retry fails at a gateway that would retry it as well; what the gateway alone retries, it may.
#[tokio::test]
async fn only_one_hop_retries() {
    let retries = "NumRetries = 5\nRetryOn = [\"5xx\"]";
    let route = || router("api").route(r#"PathPrefix = "/""#, retries);
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            c.service("api", 1).service_with("web", 1, |_, web| web.peer_upstream("api", "dc2"))
        })
        .cluster("dc2", |c| c.service("api", 3).exports("api", "dc1"))
        .entry("dc1", route())
        .entry("dc1", resolver("api").failover_to(peer("dc2")))
        .entry("dc2", route())
        .start()
        .await;
    mesh.app("dc1/api/0").reply(Reply::Status(500));
    for i in 0..3 {
        mesh.app(&format!("dc2/api/{i}")).reply(Reply::Status(500));
    }
    let count_of = |id| (mesh.service("dc1/api").count_of(id), mesh.service("dc2/api").count_of(id));
    let mut both = mesh.client("dc1/web").connect("api").await;
    // An application's word for it counts for nothing.
    let headers = [("x-request-id", "both"), ("x-spillway-retried", "true")];
    assert_eq!(both.request("GET", "/", &headers).await.status, 500);
    assert_eq!(count_of("both"), (1, 1));
    let mut gateway = mesh.client("dc1/web").connect("api.dc2").await;
    let answer = gateway.request("GET", "/", &[("x-request-id", "gateway")]).await;
    assert_eq!((answer.status, answer.header("x-spillway-retried")), (500, None));
    assert_eq!(count_of("gateway"), (0, 3));
    for i in 0..3 {
        let received = mesh.app(&format!("dc2/api/{i}")).received();
        assert!(received.iter().all(|it| it.header("x-spillway-retried").is_none()), "it is between proxies");
    }
}

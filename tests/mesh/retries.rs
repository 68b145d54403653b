//! What is sent once more, where, and what never is.

use spillway_harness::{Instance, Mesh, Reply, Then, router};

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
    spillway_harness::eventually("the request reaches somebody", || here().is_some()).await;
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

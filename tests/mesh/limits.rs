//! How much at once: circuit breakers of an upstream, and what an instance takes.

use std::sync::Arc;

use spillway_core::breaker::Load;
use spillway_harness::{Answer, Connection, InstanceBuilder, Mesh, Reply, Then, eventually, within};

/// One instance of api and of db, and a caller whose upstreams have these `limits`.
async fn limited(limits: &str) -> Mesh {
    let config = format!("limits {{\n{limits}\n}}");
    Mesh::builder()
        .cluster("dc1", |c| {
            c.service("api", 1)
                .tcp_service("db", 1)
                .service_with("web", 1, |_, web| web.upstream_config(&config).workers(2))
        })
        .start()
        .await
}

/// What web's sidecar has in flight to a service.
fn load(mesh: &Mesh, service: &str) -> Arc<Load> {
    mesh.sidecar("dc1/web").load(service)
}

/// Sends a GET, whose answer is to be read later.
async fn ask(mesh: &Mesh) -> Connection {
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    api
}

/// The answer of a request that met a limit: which, in the body.
fn limit(answer: &Answer) -> String {
    let overloaded = answer.header("x-envoy-overloaded");
    assert_eq!((answer.status, overloaded), (503, Some("true")), "{}", answer.text());
    answer.text()
}

#[tokio::test]
async fn a_request_waits_for_the_only_connection_and_the_next_is_turned_away() {
    let mesh = limited("max_connections = 1\n max_pending_requests = 1").await;
    let load = load(&mesh, "api");
    mesh.app("dc1/api/0").reply_times(1, Reply::Nothing(Then::Stall));
    let mut first = ask(&mesh).await;
    mesh.app("dc1/api/0").has_received(1).await;
    let mut second = ask(&mesh).await;
    eventually("the second request waits", || load.pending() == 1).await;
    let third = ask(&mesh).await.answer().await;
    assert_eq!(limit(&third), "limit reached: MaxPendingRequests (1) of api.default.default.dc1\n");
    mesh.app("dc1/api/0").release();
    assert_eq!([first.answer().await.status, second.answer().await.status], [200, 200]);
    assert_eq!((load.connection_overflows(), load.pending_overflows()), (1, 1));
    assert_eq!((mesh.sidecar("dc1/web").refusals("UO"), load.pending()), (1, 0));
}

#[tokio::test]
async fn a_request_beyond_those_that_may_run_is_turned_away_until_one_has_ended() {
    let mesh = limited("max_concurrent_requests = 1").await;
    mesh.app("dc1/api/0").reply_times(1, Reply::Nothing(Then::Stall));
    let mut first = ask(&mesh).await;
    mesh.app("dc1/api/0").has_received(1).await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let text = limit(&api.get("/").await);
    assert_eq!(text, "limit reached: MaxConcurrentRequests (1) of api.default.default.dc1\n");
    mesh.app("dc1/api/0").release();
    assert_eq!(first.answer().await.status, 200);
    let load = load(&mesh, "api");
    eventually("the first request has ended", || load.requests() == 0).await;
    for _ in 0..5 {
        assert_eq!(api.get("/").await.status, 200);
    }
    eventually("none is left", || load.requests() == 0).await;
}

#[tokio::test]
async fn a_limit_of_zero_is_none_at_all() {
    for (limits, named) in [
        ("max_connections = 0", "MaxConnections (0)"),
        ("max_pending_requests = 0", "MaxPendingRequests (0)"),
        ("max_concurrent_requests = 0", "MaxConcurrentRequests (0)"),
    ] {
        let mesh = limited(limits).await;
        let text = limit(&mesh.client("dc1/web").get("http://api/").await);
        assert_eq!(text, format!("limit reached: {named} of api.default.default.dc1\n"));
        assert_eq!(mesh.service("dc1/api").count(), 0, "{limits}");
    }
}

#[tokio::test]
async fn a_tcp_connection_beyond_the_limit_is_closed_until_another_has_ended() {
    let mesh = limited("max_connections = 1").await;
    let web = mesh.client("dc1/web");
    let mut first = web.connect("db").await;
    assert_eq!(first.line().await.as_deref(), Some("dc1/db/0"));
    assert_eq!(web.connect("db").await.rest().await, "");
    let load = load(&mesh, "db");
    assert_eq!((load.connections(), load.connection_overflows()), (1, 1));
    assert_eq!(mesh.sidecar("dc1/web").refusals("UO"), 1);
    drop(first);
    eventually("the first connection has ended", || load.connections() == 0).await;
    assert_eq!(web.connect("db").await.line().await.as_deref(), Some("dc1/db/0"));
}

/// Callers on both workers share one connection, which only one worker can have at a time.
#[tokio::test]
async fn a_connection_that_idles_where_nobody_needs_it_makes_room_elsewhere() {
    let mesh = limited("max_connections = 1").await;
    let web = mesh.client("dc1/web");
    let mut callers = [web.connect("api").await, web.connect("api").await];
    for _ in 0..5 {
        for api in &mut callers {
            assert_eq!(api.get("/").await.status, 200);
        }
    }
    assert_eq!(load(&mesh, "api").connections(), 1);
}

#[tokio::test]
async fn a_crowd_is_served_over_few_connections_that_never_exceed_their_limit() {
    let mesh = limited("max_connections = 2").await;
    let load = load(&mesh, "api");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (web, load) = (mesh.client("dc1/web"), Arc::clone(&load));
            tokio::spawn(async move {
                let mut api = web.connect("api").await;
                for _ in 0..10 {
                    assert_eq!(api.get("/").await.status, 200);
                    assert!(load.connections() <= 2);
                }
            })
        })
        .collect();
    for call in calls {
        call.await.expect("every request is served");
    }
    eventually("all have ended", || (load.pending(), load.requests()) == (0, 0)).await;
    assert_eq!(mesh.service("dc1/api").count(), 200);
}

/// The limit is the process's, not a generation's: what is in flight counts on.
#[tokio::test]
async fn a_change_of_configuration_forgets_nothing_that_is_in_flight() {
    let mesh = limited("max_concurrent_requests = 1").await;
    mesh.app("dc1/api/0").reply_times(1, Reply::Nothing(Then::Stall));
    let mut first = ask(&mesh).await;
    mesh.app("dc1/api/0").has_received(1).await;
    let resolver = spillway_harness::resolver("api").with("ConnectTimeout = \"3s\"");
    mesh.apply("dc1", resolver).await;
    limit(&ask(&mesh).await.answer().await);
    mesh.app("dc1/api/0").release();
    assert_eq!(first.answer().await.status, 200);
}

/// An instance of api with this in its sidecar's `proxy.config`, and two callers.
async fn guarded(proxy_config: &str) -> Mesh {
    let api = |_: usize, api: InstanceBuilder| api.proxy_config(proxy_config);
    Mesh::builder()
        .cluster("dc1", |c| c.service_with("api", 1, api).service("web", 1).service("other", 1))
        .start()
        .await
}

#[tokio::test]
async fn a_connection_beyond_those_that_an_instance_takes_is_refused_until_one_has_ended() {
    let mesh = guarded("max_inbound_connections = 1").await;
    assert_eq!(mesh.client("dc1/web").get("http://api/").await.status, 200);
    let other = mesh.client("dc1/other");
    assert_eq!(other.get("http://api/").await.status, 503);
    assert!(mesh.sidecar("dc1/api/0").refused_connections() > 0);
    mesh.sidecar("dc1/web").kill();
    let served = async { while other.get("http://api/").await.status != 200 {} };
    within("there is room", served).await;
}

#[tokio::test]
async fn an_application_has_as_long_as_its_sidecar_says() {
    for config in ["local_request_timeout_ms = 200", "local_idle_timeout_ms = 200"] {
        let mesh = guarded(config).await;
        mesh.app("dc1/api/0").reply(Reply::Nothing(Then::Stall));
        assert_eq!(mesh.client("dc1/web").get("http://api/").await.status, 504, "{config}");
        assert_eq!(mesh.sidecar("dc1/api/0").refusals("UT"), 1, "{config}");
    }
    for config in ["local_request_timeout_ms = 0", "local_idle_timeout_ms = 0"] {
        let mesh = guarded(config).await;
        assert_eq!(mesh.client("dc1/web").get("http://api/").await.status, 200, "{config}");
    }
}

#[tokio::test]
async fn requests_beyond_an_instance_s_rate_are_answered_429_and_not_sent_elsewhere() {
    let limits = "RateLimits {\n InstanceLevel {\n RequestsPerSecond = 1\n RequestsMaxBurst = 3\n }\n}";
    let defaults = format!("Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"http\"\n{limits}\n");
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service("web", 1))
        .entry("dc1", defaults.as_str())
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..3 {
        assert_eq!(api.get("/").await.status, 200);
    }
    // On a slow day some more are due meanwhile.
    let mut answer = api.get("/").await;
    while answer.status == 200 {
        answer = api.get("/").await;
    }
    assert_eq!((answer.status, answer.header("x-envoy-ratelimited")), (429, Some("true")));
    assert_eq!(answer.text(), "rate limit of 1 requests a second reached: api\n");
    assert_eq!(mesh.sidecar("dc1/api/0").refusals("RL"), 1);
    assert_eq!(mesh.sidecar("dc1/web").sum(|counters| &counters.moved_on), 0);
}

//! Where requests go when somebody does not answer: the next endpoint, the next target, and back.

use spillway_harness::{
    Client, Mesh, MeshBuilder, Reply, Then, datacenter, eventually, resolver, router, service, within,
};

/// Two instances of api, one of the service that takes over, and a caller that ejects for half a second.
fn with_backup() -> MeshBuilder {
    let checks = "passive_health_check {\n max_failures = 5\n base_ejection_time = \"500ms\"\n}";
    Mesh::builder()
        .cluster("dc1", |c| {
            c.service("api", 2)
                .service("api-backup", 1)
                .service_with("web", 1, |_, web| web.upstream_config(checks))
        })
        .entry("dc1", resolver("api").failover_to(service("api-backup")))
}

#[tokio::test]
async fn a_request_goes_on_to_the_next_endpoint_when_one_refuses() {
    let mesh = with_backup().start().await;
    mesh.sidecar("dc1/api/0").kill();
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..20 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1");
    }
    assert_eq!(mesh.sidecar("dc1/web").sum(|counters| &counters.failovers), 0);
}

/// Rows 4.7 and 4.34 without a peer: while one is left, none leaves.
#[tokio::test]
async fn another_service_serves_when_no_endpoint_accepts() {
    let mesh = with_backup().start().await;
    let web = mesh.client("dc1/web");
    assert!(web.get("http://api/").await.served_by().starts_with("dc1/api/"));
    mesh.service("dc1/api").refuse_connections();
    for _ in 0..20 {
        assert_eq!(web.get("http://api/").await.served_by(), "dc1/api-backup/0");
    }
}

/// Row 4.9.
#[tokio::test]
async fn traffic_returns_once_the_first_target_has_proved_itself() {
    let mesh = with_backup().start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    mesh.service("dc1/api").refuse_connections();
    for _ in 0..10 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api-backup/0");
    }
    mesh.service("dc1/api").accept_connections().await;
    let returned = async {
        while !api.get("/").await.served_by().starts_with("dc1/api/") {
            tokio::task::yield_now().await;
        }
    };
    within("traffic returns", returned).await;
}

#[tokio::test]
async fn no_request_fails_while_traffic_returns_bit_by_bit() {
    let checks = "passive_health_check {\n base_ejection_time = \"300ms\"\n hold_down = \"200ms\"\n ramp = \"500ms\"\n}";
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            c.service("api", 1)
                .service("api-backup", 1)
                .service_with("web", 1, |_, web| web.upstream_config(checks))
        })
        .entry("dc1", resolver("api").failover_to(service("api-backup")))
        .start()
        .await;
    mesh.service("dc1/api").refuse_connections();
    let web = mesh.client("dc1/web");
    let primary = mesh.sidecar("dc1/web").endpoint(mesh.instance("dc1/api/0").address());
    while primary.ejections_total() == 0 {
        assert_eq!(web.get("http://api/").await.served_by(), "dc1/api-backup/0");
    }
    mesh.service("dc1/api").accept_connections().await;
    let ejections = primary.ejections_total();
    // Whether the primary serves, request by request, until it has for long.
    let call = async |web: Client| {
        let (mut api, mut primary) = (web.connect("api").await, Vec::new());
        while !primary.ends_with(&[true; 50]) {
            let answer = api.get("/").await;
            assert_eq!(answer.status, 200);
            primary.push(answer.served_by() == "dc1/api/0");
        }
        primary
    };
    let (web, again) = (&web, &call);
    let callers = async { tokio::join!(again(web.clone()), again(web.clone()), again(web.clone())) };
    let (first, second, third) = within("traffic returns", callers).await;
    // A machine that is busy with other things makes few requests while the share grows.
    let all = [first, second, third];
    let mut since = all.iter().map(|served| served.iter().skip_while(|primary| !**primary));
    assert!(since.any(|mut served| served.any(|primary| !primary)), "it does not get all at once");
    assert_eq!(primary.ejections_total(), ejections, "and it stays");
}

/// The sidecar lives and accepts, but has nobody to pass the request to: it says so, and the caller's moves on.
#[tokio::test]
async fn a_request_moves_on_when_only_the_application_is_down() {
    let mesh = with_backup().start().await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    mesh.app("dc1/api/0").kill();
    for id in 0..20 {
        let id = format!("one-down-{id}");
        let answer = api.request("POST", "/", &[("x-request-id", &id), ("content-length", "0")]).await;
        assert_eq!(answer.served_by(), "dc1/api/1");
        assert_eq!(answer.header("x-spillway-unprocessed"), None, "the header is between sidecars");
        assert_eq!(mesh.service("dc1/api").count_of(&id), 1);
    }
    mesh.app("dc1/api/1").kill();
    assert_eq!(api.get("/").await.served_by(), "dc1/api-backup/0");
}

/// Row 4.8: an answer is an answer.
#[tokio::test]
async fn an_answer_of_500_is_passed_on_and_moves_nothing() {
    let mesh = with_backup().start().await;
    mesh.sidecar("dc1/api/1").kill();
    mesh.app("dc1/api/0").reply_times(1, Reply::Status(500));
    let mut api = mesh.client("dc1/web").connect("api").await;
    assert_eq!(api.get("/").await.status, 500);
    assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    assert_eq!(mesh.service("dc1/api-backup").count(), 0);
}

#[tokio::test]
async fn a_request_that_nobody_takes_is_answered_503() {
    let mesh = with_backup().start().await;
    mesh.service("dc1/api").refuse_connections();
    mesh.service("dc1/api-backup").refuse_connections();
    let answer = mesh.client("dc1/web").get("http://api/").await;
    assert_eq!((answer.status, mesh.sidecar("dc1/web").refusals("UF")), (503, 1));
    assert!(answer.text().contains("api-backup"), "{}", answer.text());
}

/// A connection that is reset may have carried the request: only a route can say that it may be sent again.
#[tokio::test]
async fn an_application_that_resets_each_connection_costs_no_request_that_may_be_repeated() {
    let mesh = with_backup()
        .entry("dc1", router("api").route(r#"PathPrefix = "/""#, r#"RetryOn = ["5xx"]"#))
        .start()
        .await;
    mesh.app("dc1/api/0").reset_connections(true);
    let mut api = mesh.client("dc1/web").connect("api").await;
    for _ in 0..20 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/1");
    }
    assert!(mesh.sidecar("dc1/api/0").refusals("UC") > 0, "it was never asked");
}

/// Row 4.58 in part: an instance of another datacenter, dialed directly.
#[tokio::test]
async fn another_datacenter_serves_when_the_own_one_is_dead() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            c.service_with("api", 2, |i, it| if i == 1 { it.datacenter("dc2") } else { it }).service("web", 1)
        })
        .entry("dc1", resolver("api").failover_to(datacenter("dc2")))
        .start()
        .await;
    let web = mesh.client("dc1/web");
    for _ in 0..10 {
        assert_eq!(web.get("http://api/").await.served_by(), "dc1/api/0");
    }
    mesh.sidecar("dc1/api/0").kill();
    assert_eq!(web.get("http://api/").await.served_by(), "dc1/api/1");
}

/// A target that stalls is not one that is gone: nobody else gets the request.
#[tokio::test]
async fn an_endpoint_that_is_slow_keeps_its_requests() {
    let mesh = with_backup().start().await;
    mesh.sidecar("dc1/api/1").kill();
    mesh.app("dc1/api/0").reply_times(1, Reply::Nothing(Then::Stall));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    mesh.app("dc1/api/0").has_received(1).await;
    mesh.app("dc1/api/0").release();
    assert_eq!(api.answer().await.served_by(), "dc1/api/0");
    eventually("nothing is in flight", || {
        mesh.sidecar("dc1/web").sum(|counters| &counters.requests_active) == 0
    })
    .await;
    assert_eq!(mesh.service("dc1/api-backup").count(), 0);
}

/// Row 4.10: the time limit covers TCP and TLS together.
#[tokio::test]
async fn an_endpoint_that_accepts_and_says_nothing_is_left_after_the_connect_timeout() {
    let mesh = with_backup()
        .entry("dc1", resolver("api").with("ConnectTimeout = \"300ms\"").failover_to(service("api-backup")))
        .start()
        .await;
    let _mute = [mesh.mute("dc1/api/0"), mesh.mute("dc1/api/1")];
    let begun = std::time::Instant::now();
    assert_eq!(mesh.client("dc1/web").get("http://api/").await.served_by(), "dc1/api-backup/0");
    assert!(begun.elapsed().as_millis() >= 500, "both were given their time: {:?}", begun.elapsed());
}

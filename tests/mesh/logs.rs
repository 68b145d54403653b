//! Access logs: what a line says of a request, of a connection, and of one that came to nothing.

use serde_json::{Value, json};
use spillway_harness::{ClusterBuilder, Connection, Mesh, Reply, Then, resolver, router, service, splitter};

/// One instance of api and one of web, which log.
async fn logging(hcl: &str) -> Mesh {
    let cluster = |c: ClusterBuilder| c.service("api", 1).service("web", 1).access_logs(hcl);
    Mesh::builder().cluster("dc1", cluster).start().await
}

/// The line of the sidecar that called, or of the one that was called, for the request with this path.
async fn line(mesh: &Mesh, path: &str, side: Side) -> Value {
    let inbound = |line: &Value| line["upstream_cluster"] == "local_app";
    let is = |line: &Value| line["path"] == path && inbound(line) == (side == Side::Inbound);
    mesh.access_log("dc1").line(path, is).await
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Inbound,
    Outbound,
}

/// The fields of `line` that `expected` has.
#[track_caller]
fn check(line: &Value, expected: &Value) {
    for (name, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&line[name], value, "{name} of {line:#}");
    }
}

#[tokio::test]
async fn a_line_says_what_was_asked_decided_and_answered() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service("other", 1).service("web", 1).access_logs(""))
        .entry("dc1", router("api").route(r#"PathPrefix = "/a""#, r#"Service = "split""#))
        .entry("dc1", splitter("split", &[(100.0, "api"), (0.0, "other")]))
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    let headers = [("user-agent", "curl \"8\""), ("x-forwarded-for", "10.0.0.9"), ("content-length", "0")];
    assert_eq!(api.request("POST", "/a/path?q=1", &headers).await.status, 200);
    let outbound = line(&mesh, "/a/path?q=1", Side::Outbound).await;
    let (sidecar, sent) = (mesh.instance("dc1/api").address(), "dc1/api/0".len());
    check(
        &outbound,
        &json!({
            "route_name": "Routes[0]", "method": "POST", "protocol": "HTTP/1.1", "response_code": 200,
            "response_flags": null, "response_code_details": "via_upstream", "bytes_received": 0,
            "bytes_sent": sent, "x_forwarded_for": "10.0.0.9", "user_agent": "curl \"8\"", "authority": "api",
            "upstream_host": sidecar.to_string(), "upstream_cluster": "api.default.dc1.internal.dc1.test",
            "upstream_transport_failure_reason": null, "requested_server_name": null,
            "downstream_local_address": mesh.client("dc1/web").address("api").to_string(),
            "spillway": {
                "service": "api", "leg": "api.default.default.dc1", "target": "api.default.default.dc1",
                "attempts": 1, "reason": null,
            },
        }),
    );
    assert!(outbound["start_time"].as_str().is_some_and(|it| it.ends_with('Z')), "{outbound:#}");
    assert!(outbound["duration"].is_u64() && outbound["upstream_service_time"].is_u64(), "{outbound:#}");
    let inbound = line(&mesh, "/a/path?q=1", Side::Inbound).await;
    check(
        &inbound,
        &json!({
            "route_name": null, "response_code": 200, "downstream_local_address": sidecar.to_string(),
            "downstream_remote_address": outbound["upstream_local_address"],
            "requested_server_name": "api.default.dc1.internal.dc1.test", "request_id": outbound["request_id"],
        }),
    );
    assert_eq!(mesh.app("dc1/api").last().header("x-request-id"), inbound["request_id"].as_str());
}

#[tokio::test]
async fn bodies_are_counted_without_their_framing() {
    let mesh = logging("").await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    mesh.app("dc1/api").reply_times(1, Reply::Chunked(&["spill", "way"], &[]));
    api.send("POST /chunks HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n").await;
    api.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").await;
    assert_eq!(api.answer().await.text(), "spillway");
    for side in [Side::Outbound, Side::Inbound] {
        check(&line(&mesh, "/chunks", side).await, &json!({ "bytes_received": 11, "bytes_sent": 8 }));
    }
}

#[tokio::test]
async fn a_format_of_ones_own_is_kept_to_and_changes_without_a_restart() {
    let text = |format: &str| format!("TextFormat = \"{format}\"");
    let format = "%REQ(:METHOD)% %REQ(X-NONE?X-ID)% %RESP(X-SERVED-BY)% %TRAILER(X-SUM)% %RESPONSE_CODE%";
    let mesh = logging(&text(format)).await;
    let log = mesh.access_log("dc1");
    mesh.app("dc1/api").reply(Reply::Chunked(&["spillway"], &[("x-sum", "8")]));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.request("GET", "/", &[("x-id", "one"), ("te", "trailers")]).await;
    log.says("a line of each side", |text| text == "GET one dc1/api/0 8 200\n".repeat(2)).await;
    mesh.apply("dc1", log.entry(&text("%PATH(NQ)% %REQ(X-NONE)%\\n"))).await;
    api.get("/two?q").await;
    log.says("lines of the new form", |text| text.ends_with("/two -\n/two -\n")).await;
    mesh.apply("dc1", log.entry("DisableListenerLogs = true")).await;
    api.get("/three").await;
    log.says("lines of the last form", |text| text.matches("\"/three\"").count() == 2).await;
}

#[tokio::test]
async fn a_failover_is_told_with_what_was_tried() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("api", 1).service("spare", 1).service("web", 1).access_logs(""))
        .entry("dc1", resolver("api").failover_to(service("spare")))
        .start()
        .await;
    mesh.service("dc1/api").refuse_connections();
    assert_eq!(mesh.client("dc1/web").get("http://api/over").await.served_by(), "dc1/spare/0");
    let line = line(&mesh, "/over", Side::Outbound).await;
    check(
        &line,
        &json!({
            "response_code": 200, "response_flags": null,
            "spillway": {
                "service": "api", "leg": null, "target": "spare.default.default.dc1", "attempts": 2, "reason": null,
            },
        }),
    );
    let failure = line["upstream_transport_failure_reason"].as_str();
    assert!(failure.is_some_and(|it| it.starts_with("cannot connect to ")), "{line:#}");
}

#[tokio::test]
async fn an_answer_that_did_not_arrive_whole_is_told_from_one_that_did() {
    let mesh = logging("").await;
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it";
    mesh.app("dc1/api").reply_times(1, Reply::Bytes(cut, Then::Close));
    let mut api = mesh.client("dc1/web").connect("api").await;
    api.send("GET /cut HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let _cut = api.try_answer().await;
    let details = "upstream_reset_after_response_started{connection_termination}";
    let expected = json!({ "response_code": 200, "response_flags": "UC", "response_code_details": details });
    check(&line(&mesh, "/cut", Side::Inbound).await, &expected);
    mesh.app("dc1/api").reply_times(1, Reply::Nothing(Then::Stall));
    let mut api = mesh.client("dc1/web").connect_to_die("api").await;
    api.send("GET /left HTTP/1.1\r\nhost: api\r\n\r\n").await;
    line_is_not_there_yet(&mesh, "/left");
    mesh.app("dc1/api").has_received(2).await;
    drop(api);
    let line = line(&mesh, "/left", Side::Outbound).await;
    check(&line, &json!({ "response_code": 0, "response_flags": "DC" }));
    assert_eq!(line["spillway"]["reason"], "the downstream left");
    mesh.app("dc1/api").release();
}

fn line_is_not_there_yet(mesh: &Mesh, path: &str) {
    assert!(!mesh.access_log("dc1").text().contains(path), "a line is written when its request has ended");
}

#[tokio::test]
async fn a_tcp_connection_has_a_line_when_it_ends() {
    let cluster = |c: ClusterBuilder| c.tcp_service("db", 1).service("web", 1).access_logs("");
    let mesh = Mesh::builder().cluster("dc1", cluster).start().await;
    let log = mesh.access_log("dc1");
    let mut db: Connection = mesh.client("dc1/web").connect("db").await;
    let greeting = db.line().await.unwrap_or_default();
    db.send("hello\n").await;
    assert_eq!(db.line().await.as_deref(), Some("hello"));
    assert_eq!(log.text(), "", "a line is written when its connection has ended");
    db.half_close().await;
    let rest = db.rest().await;
    let cluster = "db.default.dc1.internal.dc1.test";
    let line = log.line("of web's sidecar", |line| line["upstream_cluster"] == cluster).await;
    let down = greeting.len() + "\nhello\n".len() + rest.len();
    check(
        &line,
        &json!({
            "bytes_received": 6, "bytes_sent": down, "method": null, "protocol": null, "response_flags": null,
            "upstream_host": mesh.instance("dc1/db").address().to_string(),
        }),
    );
    log.line("of db's sidecar", |line| line["upstream_cluster"] == "local_app").await;
    mesh.service("dc1/db").refuse_connections();
    assert_eq!(mesh.client("dc1/web").connect("db").await.rest().await, "");
    let line = log.line("of a connection that nobody took", |line| line["response_flags"] == "UF").await;
    assert!(line["connection_termination_details"].as_str().is_some(), "{line:#}");
}

#[tokio::test]
async fn a_connection_that_is_refused_has_a_line_unless_these_are_disabled() {
    for (hcl, logged) in [("", true), ("DisableListenerLogs = true", false)] {
        let mesh = logging(hcl).await;
        if let Some(mut nobody) = mesh.dial("dc1/api", None).await {
            // TLS 1.3 tells a client that its certificate is missed when it reads.
            assert!(nobody.try_answer().await.is_none());
        }
        mesh.client("dc1/web").get("http://api/after").await;
        line(&mesh, "/after", Side::Inbound).await;
        let refused: Vec<Value> = mesh.access_log("dc1").lines();
        let refused: Vec<&Value> = refused.iter().filter(|line| line["protocol"].is_null()).collect();
        assert_eq!(refused.len(), usize::from(logged), "{refused:?}");
        for line in refused {
            let why = line["connection_termination_details"].as_str().unwrap_or_default();
            assert!(why.starts_with("TLS handshake failed: "), "{why}");
            assert_eq!(line["downstream_local_address"], mesh.instance("dc1/api").address().to_string());
        }
    }
}

#[tokio::test]
async fn a_gateway_logs_what_it_passes_on_and_names_that_lead_nowhere() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("web", 1))
        .cluster("dc2", |c| c.service("api", 1).exports("api", "dc1").access_logs(""))
        .entry("dc1", resolver("api").with("Redirect { Service = \"api\" Peer = \"dc2\" }"))
        .start()
        .await;
    assert_eq!(mesh.client("dc1/web").get("http://api/there").await.served_by(), "dc2/api/0");
    let log = mesh.access_log("dc2");
    let external = "api.default.default.dc1.external.dc2.test";
    let line = log.line("of the gateway", |line| line["requested_server_name"] == external).await;
    check(&line, &json!({ "path": "/there", "response_code": 200 }));
    let identity = mesh.authority("dc1").issue("spiffe://dc1.test/ns/default/dc/dc1/svc/web");
    assert!(mesh.dial_gateway("dc2", "nobody.example", &identity).await.is_none());
    let line = log.line("of a name that is nobody's", |line| line["response_flags"] == "NR").await;
    assert_eq!(line["requested_server_name"], "nobody.example");
}

//! The router: which request goes where, and what becomes of it on the way.

use spillway_harness::{Mesh, MeshBuilder, Reply, router};

/// A caller, and services for routes to name.
fn services() -> MeshBuilder {
    Mesh::builder().cluster("dc1", |c| {
        c.service("api", 1).service("admin", 1).service("canary", 1).service("writer", 1).service("web", 1)
    })
}

/// Rows 4.19, 4.23 to 4.25 of the feature table: path prefix (a plain one), header, query, method; first match wins.
#[tokio::test]
async fn a_request_takes_the_first_route_that_it_matches() {
    let mesh = services()
        .entry(
            "dc1",
            router("api")
                .route(r#"PathPrefix = "/admin""#, r#"Service = "admin""#)
                .route(r#"Header = [{ Name = "x-env", Exact = "qa" }]"#, r#"Service = "canary""#)
                .route(r#"QueryParam = [{ Name = "beta", Present = true }]"#, r#"Service = "canary""#)
                .route(r#"Methods = ["PUT", "DELETE"]"#, r#"Service = "writer""#),
        )
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for (method, target, headers, expected) in [
        ("GET", "/", &[][..], "dc1/api/0"),
        ("GET", "/admin", &[], "dc1/admin/0"),
        ("GET", "/administrator?beta", &[], "dc1/admin/0"),
        ("GET", "/Admin", &[], "dc1/api/0"),
        ("GET", "/", &[("X-Env", "qa")], "dc1/canary/0"),
        ("GET", "/", &[("x-env", "QA")], "dc1/api/0"),
        ("GET", "/?a=b&beta=1", &[], "dc1/canary/0"),
        ("GET", "/?betas", &[], "dc1/api/0"),
        ("PUT", "/", &[], "dc1/writer/0"),
        ("DELETE", "/admin/users", &[], "dc1/admin/0"),
    ] {
        let answer = api.request(method, target, headers).await;
        assert_eq!(answer.served_by(), expected, "{method} {target} {headers:?}");
    }
}

#[tokio::test]
async fn a_rewritten_prefix_is_what_the_application_sees() {
    let mesh = services()
        .entry(
            "dc1",
            router("api")
                .route(r#"PathPrefix = "/v1/""#, "PrefixRewrite = \"/\"")
                .route(r#"PathExact = "/old""#, "PrefixRewrite = \"/new\""),
        )
        .start()
        .await;
    let mut api = mesh.client("dc1/web").connect("api").await;
    for (sent, seen) in
        [("/v1/users?id=%20a", "/users?id=%20a"), ("/v1/", "/"), ("/old?x", "/new?x"), ("/older", "/older")]
    {
        api.get(sent).await;
        assert_eq!(mesh.app("dc1/api").last().target, seen, "{sent}");
    }
}

#[tokio::test]
async fn headers_are_changed_as_the_route_says() {
    let changes = r#"
        RequestHeaders {
          Add    = { x-added = "by-route" }
          Set    = { x-set = "by-route" }
          Remove = ["x-secret"]
        }
        ResponseHeaders {
          Add    = { x-added = "by-route" }
          Set    = { x-set = "by-route" }
          Remove = ["x-internal"]
        }"#;
    let mesh = services().entry("dc1", router("api").route(r#"PathPrefix = "/""#, changes)).start().await;
    mesh.app("dc1/api").reply_times(1, Reply::Header("x-internal", "app-7"));
    mesh.app("dc1/api").reply_times(1, Reply::Header("x-set", "by-app"));
    let web = mesh.client("dc1/web");
    let sent = [("x-added", "by-web"), ("x-set", "by-web"), ("X-Secret", "web")];
    let mut api = web.connect("api").await;
    let first = api.request("GET", "/", &sent).await;
    let seen = mesh.app("dc1/api").last();
    assert_eq!(seen.headers("x-added"), ["by-web", "by-route"]);
    assert_eq!(seen.headers("x-set"), ["by-route"]);
    assert_eq!(seen.header("x-secret"), None);
    assert_eq!((first.header("x-internal"), first.header("x-added")), (None, Some("by-route")));
    let second = api.get("/").await;
    assert_eq!(second.header("x-set"), Some("by-route"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_504() {
    use spillway_harness::Then;
    let mesh = services()
        .entry("dc1", router("api").route(r#"PathPrefix = "/slow""#, "RequestTimeout = \"200ms\""))
        .start()
        .await;
    mesh.app("dc1/api").reply_times(1, Reply::Nothing(Then::Stall));
    let web = mesh.client("dc1/web");
    let answer = web.get("http://api/slow").await;
    assert_eq!((answer.status, mesh.sidecar("dc1/web").refusals("UT")), (504, 1));
    assert_eq!(web.get("http://api/slow").await.served_by(), "dc1/api/0");
}

#[tokio::test]
async fn a_service_without_an_endpoint_is_answered_503() {
    let mesh = services().entry("dc1", spillway_harness::resolver("nobody")).start().await;
    let answer = mesh.client("dc1/web").get("http://nobody/").await;
    assert_eq!((answer.status, mesh.sidecar("dc1/web").refusals("UH")), (503, 1));
    assert!(answer.text().contains("nobody"), "{}", answer.text());
}

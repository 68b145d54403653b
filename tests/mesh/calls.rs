//! gRPC: what a call's status, its deadline and its failures mean on the way.

use spillway_harness::{
    Answer, Call, Client, ClusterBuilder, Mesh, MeshBuilder, Reply, Then, Version, router, within,
};

/// Two instances of a gRPC service, and a caller with this in its upstreams' `config`.
fn calls(config: &'static str) -> MeshBuilder {
    Mesh::builder().cluster("dc1", |c: ClusterBuilder| {
        c.service_with("web", 1, |_, web| web.upstream_config(config)).http2_service("calls", 2, "grpc")
    })
}

async fn call(client: &Client, headers: &[(&'static str, &'static str)]) -> Answer {
    let call = Call::new("POST", "/greeter/hello").pieces(&["message"]).header("te", "trailers");
    let call = call.header("content-type", "application/grpc");
    let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
    client.call(Version::Http2, "calls", &call).await
}

/// `grpc-status`, wherever it stands.
fn status(answer: &Answer) -> Option<&str> {
    let trailer = answer.trailers.iter().find(|(name, _)| name == "grpc-status");
    trailer.map(|(_, value)| value.as_str()).or(answer.header("grpc-status"))
}

const OK: Reply = Reply::Chunked(&["answer"], &[("grpc-status", "0")]);
const UNAVAILABLE: Reply = Reply::Chunked(&[], &[("grpc-status", "14"), ("grpc-message", "not now")]);

/// The first instance is unavailable, in its trailers; the second is well.
async fn half_unavailable(mesh: MeshBuilder) -> Mesh {
    let mesh = mesh.start().await;
    mesh.app("dc1/calls/0").reply(UNAVAILABLE);
    mesh.app("dc1/calls/1").reply(OK);
    mesh
}

#[tokio::test]
async fn a_status_in_trailers_is_retried_where_the_policy_names_it() {
    let retry = router("calls").route(r#"PathPrefix = "/greeter""#, "RetryOn = [\"unavailable\"]");
    let mesh = half_unavailable(calls("").entry("dc1", retry)).await;
    let failing = mesh.app("dc1/calls/0");
    let calls = async {
        while failing.count() == 0 {
            let answer = call(&mesh.client("dc1/web"), &[]).await;
            assert_eq!((answer.status, status(&answer)), (200, Some("0")));
            assert_eq!((answer.served_by(), answer.text().as_str()), ("dc1/calls/1", "answer"));
        }
    };
    within("the failing instance is asked", calls).await;
    assert_eq!(mesh.app("dc1/calls/1").last().text(), "message", "the message was sent again");
}

#[tokio::test]
async fn a_status_in_trailers_passes_where_no_policy_names_it() {
    let retry = router("calls").route(r#"PathPrefix = "/greeter""#, "RetryOn = [\"internal\"]");
    let mesh = half_unavailable(calls("").entry("dc1", retry)).await;
    let web = mesh.client("dc1/web");
    let unavailable = async {
        loop {
            let answer = call(&web, &[]).await;
            if status(&answer) != Some("0") {
                return answer;
            }
        }
    };
    let answer = within("the other instance is asked", unavailable).await;
    assert_eq!((answer.status, status(&answer)), (200, Some("14")));
    assert!(answer.trailers.contains(&("grpc-message".to_owned(), "not now".to_owned())), "{answer:?}");
}

#[tokio::test]
async fn calls_that_fail_in_their_trailers_eject_their_endpoint() {
    let config = "passive_health_check {\n max_failures = 2\n max_ejection_percent = 100\n}";
    let mesh = half_unavailable(calls(config)).await;
    let web = mesh.client("dc1/web");
    let failing = mesh.app("dc1/calls/0");
    within("it has failed twice", async {
        while failing.count() < 2 {
            call(&web, &[]).await;
        }
    })
    .await;
    for _ in 0..10 {
        assert_eq!(status(&call(&web, &[]).await), Some("0"));
    }
}

#[tokio::test]
async fn a_calls_own_deadline_bounds_it() {
    let mesh = calls("").start().await;
    for app in ["dc1/calls/0", "dc1/calls/1"] {
        mesh.app(app).reply(Reply::Nothing(Then::Stall));
    }
    let answer = call(&mesh.client("dc1/web"), &[("grpc-timeout", "100m")]).await;
    assert_eq!((answer.status, status(&answer)), (200, Some("4")));
    assert!(answer.header("grpc-message").is_some_and(|it| it.starts_with("request timeout")), "{answer:?}");
}

#[tokio::test]
async fn a_routes_timeout_is_a_deadline_exceeded_to_a_call() {
    let slow = router("calls").route(r#"PathPrefix = "/greeter""#, "RequestTimeout = \"100ms\"");
    let mesh = calls("").entry("dc1", slow).start().await;
    for app in ["dc1/calls/0", "dc1/calls/1"] {
        mesh.app(app).reply(Reply::Nothing(Then::Stall));
    }
    assert_eq!(status(&call(&mesh.client("dc1/web"), &[]).await), Some("4"));
}

#[tokio::test]
async fn a_call_that_nobody_can_take_is_unavailable() {
    let mesh = calls("").start().await;
    mesh.service("dc1/calls").refuse_connections();
    let answer = call(&mesh.client("dc1/web"), &[]).await;
    assert_eq!((answer.status, status(&answer), answer.text().as_str()), (200, Some("14"), ""));
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert!(
        answer.header("grpc-message").is_some_and(|it| it.starts_with("every connection attempt failed"))
    );
}

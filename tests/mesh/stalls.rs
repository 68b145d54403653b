//! Whoever is slow or says nothing more delays nobody else. Every sidecar here has one worker: all connections share it.

use std::time::{Duration, Instant};

use spillway_harness::{Connection, Mesh, Reply, Then};

/// How many stall at once.
const STALLED: usize = 16;

/// Less than any time limit of a sidecar: who waits for one of another connection's takes longer.
const PROMPT: Duration = Duration::from_secs(3);

/// Two instances of api, and web.
async fn start() -> Mesh {
    Mesh::builder().cluster("dc1", |c| c.service("api", 2).service("web", 1)).start().await
}

/// Connections on which this was said and nothing is read.
async fn say(mesh: &Mesh, what: &str) -> Vec<Connection> {
    let web = mesh.client("dc1/web");
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut connection = web.connect("api").await;
        connection.send(what).await;
        stalled.push(connection);
    }
    stalled
}

/// Requests on a kept connection and on new ones are answered at once.
async fn others_are_served(mesh: &Mesh, besides: &str) {
    let web = mesh.client("dc1/web");
    let mut kept = web.connect("api").await;
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(kept.get("/").await.status, 200, "besides {besides}");
        assert_eq!(web.get("http://api/").await.status, 200, "besides {besides}");
        let took = begun.elapsed();
        assert!(took < PROMPT, "besides {besides} two requests took {took:?}");
    }
}

#[tokio::test]
async fn a_caller_that_stalls_delays_nobody_else() {
    let mesh = start().await;
    let body = "x".repeat(4 << 20);
    for (who, says) in [
        ("callers that say nothing", String::new()),
        ("half a head", "GET / HTTP/1.1\r\nho".to_owned()),
        ("half a body", "POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 10\r\n\r\nhalf".to_owned()),
        (
            "half a chunk",
            "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf".to_owned(),
        ),
    ] {
        let _stalled = say(&mesh, &says).await;
        others_are_served(&mesh, who).await;
    }
    for app in ["dc1/api/0", "dc1/api/1"] {
        mesh.app(app).reply_times(STALLED / 2, Reply::Echo);
    }
    let says = format!("POST / HTTP/1.1\r\nhost: api\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let _stalled = say(&mesh, &says).await;
    others_are_served(&mesh, "callers that do not read their answers").await;
}

#[tokio::test]
async fn an_upstream_that_stalls_delays_nobody_else() {
    let mesh = start().await;
    let get = "GET / HTTP/1.1\r\nhost: api\r\n\r\n";
    for (who, reply) in
        [("applications that do not answer", Reply::Nothing(Then::Stall)), ("half an answer", Reply::Halves)]
    {
        let before = mesh.service("dc1/api").count();
        for app in ["dc1/api/0", "dc1/api/1"] {
            mesh.app(app).reply_times(STALLED / 2, reply.clone());
        }
        let _stalled = say(&mesh, get).await;
        spillway_harness::eventually("all have asked", || {
            mesh.service("dc1/api").count() == before + STALLED
        })
        .await;
        others_are_served(&mesh, who).await;
    }
}

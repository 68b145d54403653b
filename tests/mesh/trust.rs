//! Who is believed: both ends of every connection prove who they are, and applications are told who called.

use spillway_harness::{Authority, Mesh, MeshBuilder};

const API: &str = "spiffe://dc1.test/ns/default/dc/dc1/svc/api";
const WEB: &str = "spiffe://dc1.test/ns/default/dc/dc1/svc/web";

fn api_and_web(instances: usize) -> MeshBuilder {
    Mesh::builder().cluster("dc1", |c| c.service("api", instances).service("web", 1))
}

/// A connection failure like any other: nothing is sent, it counts, and the next endpoint serves.
#[tokio::test]
async fn an_endpoint_that_proves_to_be_somebody_else_gets_nothing() {
    for (who, id) in [
        ("another service", "spiffe://dc1.test/ns/default/dc/dc1/svc/apis"),
        ("the service of another datacenter", "spiffe://dc1.test/ns/default/dc/dc2/svc/api"),
        ("the gateway", "spiffe://dc1.test/gateway/mesh/dc/dc1"),
        ("the service with a foreign certificate", API),
        ("the service with an expired certificate", API),
    ] {
        let mesh = api_and_web(2).start().await;
        let identity = match who {
            "the service with a foreign certificate" => Authority::stranger("dc1.test").issue(id),
            "the service with an expired certificate" => mesh.authority("dc1").issue_expired(id),
            _ => mesh.authority("dc1").issue(id),
        };
        let impostor = mesh.impersonate("dc1/api/0", &identity);
        let endpoint = mesh.sidecar("dc1/web").endpoint(mesh.instance("dc1/api/0").address());
        let mut api = mesh.client("dc1/web").connect("api").await;
        while endpoint.connect_failures_total() == 0 {
            assert_eq!(api.get("/").await.served_by(), "dc1/api/1", "{who}");
        }
        assert!(impostor.connections() > 0, "{who} was not asked");
        assert_eq!(impostor.requests(), 0, "{who}");
    }
}

/// The control of the test above: with the right certificate the same server would have been believed.
#[tokio::test]
async fn an_endpoint_that_proves_to_be_the_service_is_believed() {
    let mesh = api_and_web(1).start().await;
    let identity = mesh.authority("dc1").issue(API);
    let impostor = mesh.impersonate("dc1/api/0", &identity);
    assert_eq!(mesh.client("dc1/web").get("http://api/").await.served_by(), "an impostor");
    assert_eq!(impostor.requests(), 1);
}

#[tokio::test]
async fn a_caller_that_proves_nothing_reaches_no_application() {
    let mesh = api_and_web(1).start().await;
    let (own, stranger) = (mesh.authority("dc1"), Authority::stranger("dc1.test"));
    for (who, identity) in [
        ("nobody", None),
        ("a stranger", Some(stranger.issue(WEB))),
        ("web with an expired certificate", Some(own.issue_expired(WEB))),
        ("web of another trust domain", Some(own.issue("spiffe://dc2.test/ns/default/dc/dc1/svc/web"))),
        ("no workload", Some(own.issue("spiffe://dc1.test"))),
    ] {
        // TLS 1.3 lets a client believe that the handshake went well before the server has judged it.
        if let Some(mut connection) = mesh.dial("dc1/api", identity.as_ref()).await {
            let _ = connection.try_send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
            assert!(connection.try_answer().await.is_none(), "{who}");
        }
        assert_eq!(mesh.app("dc1/api").count(), 0, "{who}");
    }
    let mut web = mesh.dial("dc1/api", Some(&own.issue(WEB))).await.expect("web is let in");
    assert_eq!(web.get("/").await.served_by(), "dc1/api/0");
}

/// Whatever the caller's own application or an insider says, and however: the application learns one thing, from
/// the handshake.
#[tokio::test]
async fn an_application_is_told_who_called_by_the_mesh_alone() {
    let mesh = api_and_web(1).start().await;
    let evil = "URI=spiffe://dc1.test/ns/default/dc/dc1/svc/root";
    let said = [
        ("x-forwarded-client-cert", evil),
        ("X-Forwarded-Client-Cert", evil),
        ("connection", "x-forwarded-client-cert"),
    ];
    let outside = mesh.client("dc1/web").connect("api").await;
    let identity = mesh.authority("dc1").issue(WEB);
    let inside = mesh.dial("dc1/api", Some(&identity)).await.expect("web is let in");
    for mut connection in [outside, inside] {
        connection.request("GET", "/", &said).await;
        connection
            .send(&format!(
                "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n\
                 0\r\nx-forwarded-client-cert: {evil}\r\n\r\n"
            ))
            .await;
        connection.answer().await;
    }
    let received = mesh.app("dc1/api").received();
    assert_eq!(received.len(), 4);
    for request in received {
        let told = request.headers("x-forwarded-client-cert");
        assert_eq!(told.len(), 1, "{request:?}");
        assert!(
            told[0].contains(&format!("URI={WEB}")) && told[0].contains(&format!("By={API}")),
            "{told:?}"
        );
        assert!(!told[0].contains("svc/root"), "{told:?}");
        assert!(request.trailers.is_empty(), "{request:?}");
    }
}

/// Section 6 of the reliability bars: what a cluster does not export is closed to its peers, whichever way they come.
#[tokio::test]
async fn a_workload_of_a_peer_reaches_what_is_exported_to_it_and_nothing_else() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service_with("web", 1, |_, web| web.peer_upstream("api", "dc2")))
        .cluster("dc2", |c| c.service("api", 1).service("secret", 1).exports("api", "dc1"))
        .start()
        .await;
    let web = mesh.authority("dc1").issue("spiffe://dc1.test/ns/default/dc/dc1/svc/web");
    let exported = "api.default.default.dc1.external.dc2.test";
    let mut api = mesh.dial_gateway("dc2", exported, &web).await.expect("api is exported");
    assert_eq!(api.get("/").await.served_by(), "dc2/api/0");
    for sni in [
        "secret.default.default.dc1.external.dc2.test",
        "api.default.default.dc3.external.dc2.test",
        "default.default.dc1.external.dc2.test",
        "secret.default.dc2.internal.dc2.test",
        "api.default.dc2.internal.dc2.test",
        "dc2.internal.dc2.test",
        "elsewhere.test",
    ] {
        if let Some(mut connection) = mesh.dial_gateway("dc2", sni, &web).await {
            let _ = connection.try_send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
            assert!(connection.try_answer().await.is_none(), "{sni}");
        }
    }
    let mut around = mesh.dial("dc2/secret", Some(&web)).await;
    if let Some(connection) = &mut around {
        let _ = connection.try_send("GET / HTTP/1.1\r\nhost: secret\r\n\r\n").await;
        assert!(connection.try_answer().await.is_none(), "around the gateway");
    }
    assert_eq!((mesh.app("dc2/api").count(), mesh.app("dc2/secret").count()), (1, 0));
}

/// A tcp service meets its callers itself, so it is its own sidecar that keeps other peers out.
#[tokio::test]
async fn a_tcp_service_meets_workloads_of_the_peers_that_it_is_exported_to_alone() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service("web", 1))
        .cluster("dc3", |c| c.service("web", 1))
        .cluster("dc2", |c| {
            c.tcp_service("db", 1).service("api", 1).exports("db", "dc1").exports("api", "dc3")
        })
        .start()
        .await;
    for (peer, greeting) in [("dc1", Some("dc2/db/0")), ("dc3", None)] {
        let web = format!("spiffe://{peer}.test/ns/default/dc/{peer}/svc/web");
        let web = mesh.authority(peer).issue(&web);
        for sni in [
            format!("db.default.default.{peer}.external.dc2.test"),
            "db.default.dc2.internal.dc2.test".to_owned(),
        ] {
            let greeted = match mesh.dial_gateway("dc2", &sni, &web).await {
                Some(mut db) => db.line().await,
                None => None,
            };
            assert_eq!(greeted.as_deref(), greeting, "{peer} by {sni}");
        }
    }
}

/// A peer's CA speaks for its own trust domain and no other, whatever it signs.
#[tokio::test]
async fn the_ca_of_a_peer_vouches_for_nobody_but_its_own() {
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service_with("web", 1, |_, web| web.peer_upstream("api", "dc2")))
        .cluster("dc2", |c| c.service("api", 1).exports("api", "dc1"))
        .start()
        .await;
    let exported = "api.default.default.dc1.external.dc2.test";
    for id in ["spiffe://dc2.test/ns/default/dc/dc2/svc/web", "spiffe://dc3.test/ns/default/dc/dc3/svc/web"] {
        let forged = mesh.authority("dc1").issue(id);
        for mut connection in
            [mesh.dial_gateway("dc2", exported, &forged).await, mesh.dial("dc2/api", Some(&forged)).await]
                .into_iter()
                .flatten()
        {
            let _ = connection.try_send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
            assert!(connection.try_answer().await.is_none(), "{id}");
        }
    }
    assert_eq!(mesh.app("dc2/api").count(), 0);
}

/// Old and new roots overlap: who has heard of the new one and who has not believe each other.
#[tokio::test]
async fn a_new_root_breaks_no_connection() {
    let mesh = api_and_web(2).start().await;
    let web = mesh.client("dc1/web");
    let mut open = web.connect("api").await;
    open.get("/").await;
    mesh.rotate_ca("dc1");
    mesh.sidecar("dc1/api/0").kill();
    mesh.sidecar("dc1/api/0").start().await;
    mesh.sidecar("dc1/api/1").kill();
    assert_eq!(open.get("/").await.served_by(), "dc1/api/0", "the old caller, the new instance");
    mesh.sidecar("dc1/api/1").start().await;
    mesh.sidecar("dc1/web").kill();
    mesh.sidecar("dc1/web").start().await;
    assert_eq!(web.get("http://api/").await.status, 200);
    mesh.rotate_ca("dc1");
    assert_eq!(web.get("http://api/").await.status, 200);
}

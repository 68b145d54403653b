//! Unix sockets on either side of the sidecars, for HTTP and for bytes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use spillway_harness::{Connection, Mesh};
use tokio::net::{TcpStream, UnixListener, UnixStream};

/// Puts a Unix socket before an application.
fn relay(at: &Path, to: SocketAddr) {
    let listener = UnixListener::bind(at).expect("nothing is there");
    drop(tokio::spawn(async move {
        while let Ok((mut unix, _)) = listener.accept().await {
            drop(tokio::spawn(async move {
                let mut tcp = TcpStream::connect(to).await?;
                tokio::io::copy_bidirectional(&mut unix, &mut tcp).await
            }));
        }
    }));
}

async fn connect(upstream: &str, at: &Path) -> Connection {
    Connection::new(upstream, UnixStream::connect(at).await.expect("the sidecar listens"))
}

#[tokio::test]
async fn unix_sockets_serve_on_either_side() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| -> PathBuf { dir.path().join(name) };
    let mesh = Mesh::builder()
        .cluster("dc1", |c| {
            c.service_with("web", 1, |_, web| {
                web.upstream_socket("api", at("api")).upstream_socket("db", at("db"))
            })
            .service_with("api", 1, |_, api| api.app_socket(at("api-app")))
            .tcp_service_with("db", 1, |_, db| db.app_socket(at("db-app")))
        })
        .start()
        .await;
    relay(&at("api-app"), mesh.app("dc1/api").address());
    relay(&at("db-app"), mesh.app("dc1/db").address());

    let mut api = connect("api", &at("api")).await;
    for _ in 0..2 {
        assert_eq!(api.get("/").await.served_by(), "dc1/api/0");
    }
    let seen = mesh.app("dc1/api").last();
    assert!(seen.header("x-forwarded-client-cert").is_some_and(|cert| cert.ends_with("/svc/web")));

    let mut db = connect("db", &at("db")).await;
    assert_eq!(db.line().await.as_deref(), Some("dc1/db/0"));
    db.send("hello\n").await;
    assert_eq!(db.line().await.as_deref(), Some("hello"));
    db.half_close().await;
    assert_eq!(db.line().await.as_deref(), Some("bye"), "the end of one way leaves the other open");
    assert!(db.is_closed().await);
}

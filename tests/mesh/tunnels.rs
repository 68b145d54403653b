//! Upgrades: Upgrade in HTTP/1.1, extended CONNECT in HTTP/2, and each bridged to the other.

use spillway_harness::{Answer, Client, Connection, InstanceBuilder, Mesh, Reply, Tunnel};

use super::protocols::mesh;

const SERVICES: [&str; 3] = ["lines", "frames", "calls"];

/// What a WebSocket of HTTP/1.1 begins with; the key and what accepts it are those of RFC 6455.
const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Asks in HTTP/1.1's way.
async fn upgrade(client: &Client, upstream: &str) -> (Connection, Answer) {
    let mut connection = client.connect(upstream).await;
    let answer = connection.request("GET", "/chat?room=1", &UPGRADE).await;
    (connection, answer)
}

/// Asks in HTTP/2's way.
async fn connect(client: &Client, upstream: &str) -> Tunnel {
    let http2 = client.http2(upstream).await;
    http2.tunnel("/chat?room=1", "websocket").await
}

async fn echoes_lines(upstream: &str, (mut connection, answer): (Connection, Answer)) {
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")), "{upstream}");
    for word in ["one", "two"] {
        connection.send(&format!("{word}\n")).await;
        assert_eq!(connection.line().await.as_deref(), Some(word), "{upstream}");
    }
    connection.half_close().await;
    assert!(connection.is_closed().await, "{upstream}");
}

async fn echoes_frames(upstream: &str, mut tunnel: Tunnel) {
    assert_eq!(tunnel.status, 200, "{upstream}");
    for word in ["one\n", "two\n"] {
        tunnel.send(word);
        assert_eq!(tunnel.bytes(4).await, word, "{upstream}");
    }
    tunnel.end();
    assert!(tunnel.is_ended().await, "{upstream}");
}

#[tokio::test]
async fn a_websocket_of_http1_reaches_every_service() {
    let mesh = mesh().await;
    for upstream in SERVICES {
        let (connection, answer) = upgrade(&mesh.client("dc1/web"), upstream).await;
        let seen = mesh.app(&format!("dc1/{upstream}")).last();
        assert_eq!(seen.target, "/chat?room=1");
        if upstream != "lines" {
            assert_eq!((seen.method.as_str(), seen.header(":protocol")), ("CONNECT", Some("websocket")));
            assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPTED), "{upstream}");
        }
        echoes_lines(upstream, (connection, answer)).await;
    }
}

#[tokio::test]
async fn a_websocket_of_http2_reaches_every_service() {
    let mesh = mesh().await;
    for upstream in SERVICES {
        let tunnel = connect(&mesh.client("dc1/web"), upstream).await;
        let seen = mesh.app(&format!("dc1/{upstream}")).last();
        assert_eq!(seen.target, "/chat?room=1");
        if upstream == "lines" {
            assert_eq!((seen.method.as_str(), seen.header("upgrade")), ("GET", Some("websocket")));
            assert_eq!(seen.header("sec-websocket-key").map(str::len), Some(24), "one was made");
        }
        echoes_frames(upstream, tunnel).await;
    }
}

#[tokio::test]
async fn an_http2_application_that_knows_no_extended_connect_is_asked_over_http1() {
    let mesh = mesh().await;
    for upstream in ["frames", "calls"] {
        let app = mesh.app(&format!("dc1/{upstream}"));
        app.tunnels(false);
        echoes_lines(upstream, upgrade(&mesh.client("dc1/web"), upstream).await).await;
        assert_eq!(app.last().header("sec-websocket-key"), Some(UPGRADE[3].1));
        echoes_frames(upstream, connect(&mesh.client("dc1/web"), upstream).await).await;
        assert_eq!(app.last().version, "HTTP/1.1");
        let answer = mesh.client("dc1/web").get(&format!("http://{upstream}/")).await;
        assert_eq!((answer.status, app.last().version.as_str()), (200, "HTTP/2.0"));
    }
}

#[tokio::test]
async fn gateways_pass_tunnels_on() {
    let peers = |_, web: InstanceBuilder| {
        SERVICES.into_iter().fold(web, |web, service| web.peer_upstream(service, "dc2"))
    };
    let mesh = Mesh::builder()
        .cluster("dc1", |c| c.service_with("web", 1, peers))
        .cluster("dc2", |c| {
            let c =
                c.service("lines", 1).http2_service("frames", 1, "http2").http2_service("calls", 1, "grpc");
            SERVICES.into_iter().fold(c, |c, service| c.exports(service, "dc1"))
        })
        .start()
        .await;
    for service in SERVICES {
        let (web, upstream) = (mesh.client("dc1/web"), format!("{service}.dc2"));
        echoes_lines(&upstream, upgrade(&web, &upstream).await).await;
        echoes_frames(&upstream, connect(&web, &upstream).await).await;
    }
}

#[tokio::test]
async fn a_tunnel_that_is_refused_is_an_answer_like_any_other() {
    let mesh = mesh().await;
    for upstream in SERVICES {
        let app = mesh.app(&format!("dc1/{upstream}"));
        app.reply(Reply::Status(403));
        let mut connection = mesh.client("dc1/web").connect(upstream).await;
        let head: String = UPGRADE.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        connection.send(&format!("GET /chat HTTP/1.1\r\nhost: x\r\n{head}\r\n")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (403, app.name()), "{upstream}");
        assert_eq!(app.count(), 1, "{upstream}");
        let mut tunnel = connect(&mesh.client("dc1/web"), upstream).await;
        assert_eq!(tunnel.status, 403, "{upstream}");
        assert_eq!(tunnel.bytes(64).await, app.name(), "{upstream}");
    }
}

#[tokio::test]
async fn a_success_without_a_switch_of_protocols_grants_no_connect() {
    let mesh = mesh().await;
    mesh.app("dc1/lines").reply(Reply::Status(200));
    assert_eq!(upgrade(&mesh.client("dc1/web"), "lines").await.1.status, 200);
    let mut tunnel = connect(&mesh.client("dc1/web"), "lines").await;
    assert_eq!(tunnel.status, 502);
    assert!(tunnel.bytes(20).await.starts_with("malformed answer"), "it says why");
}

#[tokio::test]
async fn any_protocol_may_be_switched_to_but_another_http() {
    let mesh = mesh().await;
    for upstream in ["frames", "calls"] {
        let web = mesh.client("dc1/web");
        let mut connection = web.connect(upstream).await;
        let headers = [("connection", "upgrade"), ("upgrade", "Chat/2")];
        let answer = connection.request("GET", "/", &headers).await;
        assert_eq!((answer.status, answer.header("upgrade")), (101, Some("Chat/2")));
        assert_eq!(answer.header("sec-websocket-accept"), None);
        assert_eq!(mesh.app(&format!("dc1/{upstream}")).last().header(":protocol"), Some("chat/2"));
        for protocol in ["h2c", "tls/1.2", "a b", "a, b"] {
            assert_eq!(web.http2(upstream).await.tunnel("/", protocol).await.status, 400, "{protocol}");
        }
    }
}

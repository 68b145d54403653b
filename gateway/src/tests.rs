//! Clusters with gateways and sidecars, each a process of its own as far as the engine can tell: real files, real
//! TLS, ports that the system chose.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use spillway_certs::ca::{Ca, LEAF_TTL};
use spillway_certs::peering::{Deleted, PeerStore};
use spillway_certs::{Alpn, IdentitySource, KeyType, TlsContexts, TlsPolicy, TrustBundles};
use spillway_core::endpoint::Address;
use spillway_core::entry::CaConfig;
use spillway_core::name::{PeerName, SpiffeId};
use spillway_proxy::listener::{Bound, bind};
use spillway_proxy::process::{Plane, Process, ProcessOptions};
use spillway_proxy::sidecar::Sidecar;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet, LocalSet};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Gateway, peering};

/// Long enough for a busy machine, short enough to be waited for when something is wrong.
const SOON: Duration = Duration::from_secs(20);

/// Between two looks at whether what is waited for has come about.
const LOOK: Duration = Duration::from_millis(10);

/// What each process of a cluster listens on.
const LISTENERS: [(&str, &[&str]); 4] = [
    ("gateway", &["gateway"]),
    ("web", &["web-sidecar"]),
    ("db", &["db-sidecar"]),
    ("client", &["client-sidecar", "to-web", "to-db"]),
];

/// A cluster: `web` (http) and `db` (tcp) with sidecars, `client` with upstreams at the peer, and a gateway.
struct Cluster {
    name: &'static str,
    dir: tempfile::TempDir,
    ports: HashMap<&'static str, u16>,
    /// Listeners that are held for processes that are yet to start.
    held: HashMap<&'static str, Bound>,
    /// By what they listen on. They end with the cluster.
    processes: HashMap<&'static str, Task>,
    applications: JoinSet<()>,
}

/// Ends when it is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Cluster {
    /// A cluster whose trust domain is `NAME.consul`, and all of its processes.
    async fn start(name: &'static str, peer: &str, entries: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let domain = format!("{name}.consul").parse().unwrap();
        Ca::init(dir.path(), Some(domain), &CaConfig::default()).unwrap();
        let mut cluster = Self {
            name,
            dir,
            ports: HashMap::new(),
            held: HashMap::new(),
            processes: HashMap::new(),
            applications: JoinSet::new(),
        };
        for port in LISTENERS.iter().flat_map(|(_, ports)| *ports) {
            cluster.hold(port);
        }
        for (app, http) in [("web", true), ("db", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            cluster.ports.insert(app, listener.local_addr().unwrap().port());
            cluster.applications.spawn_local(application(listener, http));
        }
        cluster.write("registrations.json", &cluster.registrations(peer));
        cluster.entries(entries);
        let config_dir = cluster.dir.path().to_owned();
        cluster.run("gateway", Gateway::new(None, config_dir.clone()));
        for id in ["web", "db", "client"] {
            cluster.run(id, Sidecar::new(id, config_dir.clone()));
        }
        cluster
    }

    fn hold(&mut self, port: &'static str) {
        let bound = bind(&Address::Ip(([127, 0, 0, 1], 0).into()), None).unwrap();
        let Bound::Tcp(listener) = &bound else { panic!("no TCP") };
        self.ports.insert(port, listener.local_addr().unwrap().port());
        self.held.insert(port, bound);
    }

    fn registrations(&self, peer: &str) -> Value {
        let sidecar = |name: &str| json!({"address": "127.0.0.1", "port": self.ports[name]});
        let upstream = |name: &str| {
            let port = self.ports[format!("to-{name}").as_str()];
            json!({"destination_name": name, "destination_peer": peer, "local_bind_port": port})
        };
        let mut client = sidecar("client-sidecar");
        client["proxy"] = json!({"upstreams": [upstream("web"), upstream("db")]});
        json!({"services": [
            {
                "kind": "mesh-gateway",
                "name": "mesh-gateway",
                "address": "127.0.0.1",
                "port": self.ports["gateway"],
            },
            {"name": "web", "port": self.ports["web"], "connect": {"sidecar_service": sidecar("web-sidecar")}},
            {"name": "db", "port": self.ports["db"], "connect": {"sidecar_service": sidecar("db-sidecar")}},
            {"name": "client", "port": 1, "connect": {"sidecar_service": client}},
        ]})
    }

    /// Replaces the config entries.
    fn entries(&self, entries: &[Value]) {
        let mut all = vec![json!({"Kind": "service-defaults", "Name": "web", "Protocol": "http"})];
        all.extend_from_slice(entries);
        self.write("entries.json", &json!({"config_entries": {"bootstrap": all}}));
    }

    fn write(&self, file: &str, json: &Value) {
        let path = self.dir.path().join(file);
        let new = path.with_extension("new");
        std::fs::write(&new, json.to_string()).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn run(&mut self, name: &'static str, plane: impl Plane) {
        let (_, names) = LISTENERS.iter().find(|(process, _)| *process == name).unwrap();
        let address = |name: &str| Address::Ip(([127, 0, 0, 1], self.ports[name]).into());
        let inherited = names.iter().map(|name| (address(name), self.held.remove(name).unwrap())).collect();
        let config_dir = self.dir.path().to_owned();
        let options = ProcessOptions {
            config_dirs: vec![config_dir.clone()],
            load: Default::default(),
            admin_bind: None,
            workers: 1,
            drain_time: Duration::ZERO,
            identity: IdentitySource::Ca { config_dir, config: CaConfig::default() },
            inherited,
        };
        let process = Process::start(options, Box::new(plane)).unwrap();
        let run = async move { process.run(std::future::pending()).await.unwrap() };
        self.processes.insert(name, Task(tokio::task::spawn_local(run)));
    }

    async fn dial(&self, port: &str) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.ports[port])).await.unwrap()
    }

    /// What `client` gets from `web` of the peer: status and body. The status is 0 when the connection is closed
    /// instead, as that of a tcp service is: while it is not imported, nobody knows what it speaks.
    async fn get_web(&self) -> (u16, String) {
        let mut stream = self.dial("to-web").await;
        let request =
            "GET / HTTP/1.1\r\nhost: web\r\nx-forwarded-client-cert: URI=me\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    }

    /// A connection of `client` to `db` of the peer that has been answered once.
    async fn connect_db(&self) -> Option<BufReader<TcpStream>> {
        let mut stream = BufReader::new(self.dial("to-db").await);
        ask(&mut stream).await.then_some(stream)
    }

    async fn until_web(&self, answers: bool) -> String {
        let answered = async {
            loop {
                match self.get_web().await {
                    (status, body) if (status == 200) == answers => return body,
                    _ => tokio::time::sleep(LOOK).await,
                }
            }
        };
        timeout(SOON, answered)
            .await
            .unwrap_or_else(|_| panic!("{}: web answers: never {answers}", self.name))
    }

    async fn until_db(&self, answers: bool) -> Option<BufReader<TcpStream>> {
        let answered = async {
            loop {
                let connected = self.connect_db().await;
                if connected.is_some() == answers {
                    return connected;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(SOON, answered).await.unwrap_or_else(|_| panic!("{}: db answers: never {answers}", self.name))
    }
}

/// Whether a line comes back.
async fn ask(stream: &mut BufReader<TcpStream>) -> bool {
    let mut answer = String::new();
    stream.write_all(b"hello\n").await.is_ok()
        && matches!(timeout(SOON, stream.read_line(&mut answer)).await, Ok(Ok(n)) if n > 0)
}

/// An application: answers each request with its `x-forwarded-client-cert`, or each line with itself.
async fn application(listener: TcpListener, http: bool) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn_local(async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            let mut xfcc = Vec::new();
            while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                let header = line.to_ascii_lowercase();
                if !http {
                    stream.write_all(line.as_bytes()).await.unwrap();
                } else if header.starts_with("x-forwarded-client-cert:") {
                    xfcc.push(line.trim_end().split_once(": ").unwrap().1.to_owned());
                } else if line == "\r\n" {
                    let body = std::mem::take(&mut xfcc).join("|");
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                }
                line.clear();
            }
        });
    }
}

fn exports(services: &[&str], peers: &[&str]) -> Value {
    let consumers: Vec<Value> = peers.iter().map(|peer| json!({"Peer": peer})).collect();
    let services: Vec<Value> =
        services.iter().map(|name| json!({"Name": name, "Consumers": consumers})).collect();
    json!({"Kind": "exported-services", "Name": "default", "Services": services})
}

fn peer(name: &str) -> PeerName {
    name.parse().unwrap()
}

async fn establish(acceptor: &Cluster, dialer: &Cluster) {
    let token = peering::generate_token(acceptor.dir.path(), &peer(dialer.name), &[]).unwrap();
    let found = peering::establish(dialer.dir.path(), &peer(acceptor.name), &token).await.unwrap();
    assert_eq!(found.state, "ACTIVE");
}

/// `a` exports `web` and `db` to `b`, whose client calls them.
async fn peered(entries_of_b: &[Value]) -> (Cluster, Cluster) {
    let a = Cluster::start("a", "b", &[exports(&["web", "db"], &["b"])]).await;
    let b = Cluster::start("b", "a", entries_of_b).await;
    establish(&a, &b).await;
    b.until_web(true).await;
    (a, b)
}

/// TLS to a cluster's gateway as a service of another cluster, asking for any name; the gateway is to answer.
async fn tls(to: &Cluster, from: &Cluster, sni: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let trust_domain = format!("{}.consul", to.name).parse().unwrap();
    tls_with(to, from, sni, SpiffeId::mesh_gateway(&trust_domain, &"dc1".parse().unwrap())).await
}

/// [`tls`], with whoever is to answer.
async fn tls_with(
    to: &Cluster,
    from: &Cluster,
    sni: &str,
    expected: SpiffeId,
) -> std::io::Result<TlsStream<TcpStream>> {
    let (ca, own) = (Ca::open(to.dir.path()).unwrap(), Ca::open(from.dir.path()).unwrap());
    let client = SpiffeId::service(own.trust_domain(), &"dc1".parse().unwrap(), &"client".parse().unwrap());
    let leaf = Arc::new(own.issue(&client, LEAF_TTL, KeyType::default()).unwrap());
    let bundles = TrustBundles::new(ca.trust_domain().clone(), ca.roots()).unwrap();
    let contexts = TlsContexts::new(leaf, bundles, TlsPolicy::default()).unwrap();
    let config = contexts.client(&Arc::from([expected]), Alpn::Http1);
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    TlsConnector::from(config).connect(name, to.dial("gateway").await).await
}

/// Whether a request on `stream` is answered.
async fn answers(stream: std::io::Result<TlsStream<TcpStream>>) -> bool {
    let Ok(mut stream) = stream else { return false };
    let mut answer = String::new();
    // TLS 1.3 tells a client that it is refused with the first byte it reads.
    stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n").await.is_ok()
        && timeout(SOON, stream.read_to_string(&mut answer)).await.is_ok_and(|read| read.is_ok())
        && answer.starts_with("HTTP/1.1 200")
}

#[tokio::test]
async fn a_peer_calls_what_is_exported_to_it_and_its_client_is_named_to_the_service() {
    let mesh = async {
        let (_a, b) = peered(&[]).await;
        let xfcc = b.until_web(true).await;
        let callers: Vec<&str> = xfcc.split(',').filter_map(|it| it.split("URI=").nth(1)).collect();
        let (client, gateway) =
            ("spiffe://b.consul/ns/default/dc/dc1/svc/client", "spiffe://a.consul/gateway/mesh/dc/dc1");
        assert_eq!(callers, [client, gateway], "{xfcc}");
        assert!(b.until_db(true).await.is_some());
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn in_mode_local_alone_the_own_gateway_is_on_the_way() {
    let mesh = async {
        for (mode, without) in [("local", false), ("remote", true)] {
            let defaults = json!({"Kind": "proxy-defaults", "Name": "global", "MeshGateway": {"Mode": mode}});
            let (_a, mut b) = peered(&[defaults]).await;
            b.until_db(true).await;
            b.processes.remove("gateway");
            if without {
                assert!(b.connect_db().await.is_some(), "{mode}");
            } else {
                b.until_db(false).await;
            }
        }
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn what_is_no_longer_exported_is_taken_back_from_open_connections() {
    let mesh = async {
        let (a, b) = peered(&[]).await;
        let mut db = b.until_db(true).await.unwrap();
        a.entries(&[exports(&["web"], &["b"])]);
        let mut rest = String::new();
        assert_eq!(timeout(SOON, db.read_to_string(&mut rest)).await.unwrap().unwrap(), 0, "it was closed");
        b.until_db(false).await;
        assert_eq!(b.get_web().await.0, 200, "what is still exported goes on");
        a.entries(&[exports(&["web", "db"], &["b"])]);
        b.until_db(true).await;
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn a_deleted_peering_is_refused_at_both_ends() {
    let mesh = async {
        let (a, b) = peered(&[]).await;
        let mut db = b.until_db(true).await.unwrap();
        assert_eq!(peering::delete(a.dir.path(), &peer("b")).unwrap(), Deleted::Deleting);
        let mut rest = String::new();
        assert_eq!(timeout(SOON, db.read_to_string(&mut rest)).await.unwrap().unwrap(), 0, "it was closed");
        b.until_web(false).await;
        b.until_db(false).await;
        let told = async {
            while peering::read(b.dir.path(), &peer("a")).unwrap().state != "TERMINATED"
                || peering::read(a.dir.path(), &peer("b")).is_ok()
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(SOON, told).await.unwrap();
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn a_peering_is_deleted_although_the_configuration_is_refused() {
    let mesh = async {
        let (a, b) = peered(&[]).await;
        let mut db = b.until_db(true).await.unwrap();
        a.write("broken.json", &json!({"Kind": "service-splitter", "Name": "web", "Splits": "broken"}));
        peering::delete(a.dir.path(), &peer("b")).unwrap();
        let mut rest = String::new();
        assert_eq!(timeout(SOON, db.read_to_string(&mut rest)).await.unwrap().unwrap(), 0, "it was closed");
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn a_peer_learns_that_no_instance_is_left_to_pick() {
    let mesh = async {
        let (mut a, b) = peered(&[]).await;
        b.until_db(true).await;
        let store = PeerStore::new(b.dir.path());
        let healthy = || {
            let imported = store.read(&peer("a")).unwrap().unwrap().imported;
            imported.iter().find(|service| service.name == "db").unwrap().healthy
        };
        assert_eq!(healthy(), 1);
        a.processes.remove("db");
        let known = async {
            while healthy() > 0 {
                // Each failure counts against the instance; the fifth takes it out.
                b.connect_db().await;
            }
        };
        timeout(SOON, known).await.unwrap();
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn only_the_peer_that_a_name_was_made_for_is_let_in_under_it() {
    let mesh = async {
        let (a, b) = peered(&[]).await;
        let c = Cluster::start("c", "a", &[]).await;
        a.entries(&[exports(&["web"], &["b"])]);
        establish(&a, &c).await;
        let name = "web.default.default.b.external.a.consul";
        assert!(answers(tls(&a, &b, name).await).await);
        assert!(!answers(tls(&a, &c, name).await).await, "another peer");
        assert!(!answers(tls(&a, &a, name).await).await, "our own trust domain");
        for name in [
            "web.default.default.c.external.a.consul",
            "client.default.default.b.external.a.consul",
            "x.web.default.default.b.external.a.consul",
            "web.default.default.b.external.b.consul",
            "client.default.dc2.internal.a.consul",
            "dc1.internal.a.consul",
            "localhost",
        ] {
            assert!(!answers(tls(&a, &b, name).await).await, "{name}");
        }
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn a_connection_without_a_hello_that_names_somebody_is_closed() {
    let mesh = async {
        let a = Cluster::start("a", "b", &[]).await;
        for bytes in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x00\x02\x01\x00", b"\x16\x03\x01\xff\xff"]
        {
            let mut stream = a.dial("gateway").await;
            stream.write_all(bytes).await.unwrap();
            let read = timeout(SOON, stream.read(&mut [0; 16])).await.unwrap();
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn our_own_trust_domain_is_passed_through_to_the_instance_itself() {
    let mesh = async {
        let a = Cluster::start("a", "b", &[]).await;
        let web: SpiffeId = "spiffe://a.consul/ns/default/dc/dc1/svc/web".parse().unwrap();
        let name = "web.default.dc1.internal.a.consul";
        assert!(answers(tls_with(&a, &a, name, web.clone()).await).await);
        assert!(!answers(tls_with(&a, &a, "v1.web.default.dc1.internal.a.consul", web.clone()).await).await);
        assert!(!answers(tls(&a, &a, name).await).await, "the gateway itself does not answer");
        let subsets = json!({"v1": {}, "none": {"Filter": "Service.Meta.version == v9"}});
        a.entries(&[json!({"Kind": "service-resolver", "Name": "web", "Subsets": subsets})]);
        let subset = async {
            let name = "v1.web.default.dc1.internal.a.consul";
            while !answers(tls_with(&a, &a, name, web.clone()).await).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(SOON, subset).await.unwrap();
        assert!(!answers(tls_with(&a, &a, "none.web.default.dc1.internal.a.consul", web).await).await);
    };
    LocalSet::new().run_until(mesh).await;
}

#[tokio::test]
async fn another_datacenter_gets_the_very_bytes_of_a_hello_however_it_was_split() {
    let mesh = async {
        let a = Cluster::start("a", "b", &[]).await;
        let remote = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = json!({
            "kind": "mesh-gateway",
            "name": "mesh-gateway",
            "id": "mesh-gateway-dc2",
            "datacenter": "dc2",
            "address": "127.0.0.1",
            "port": remote.local_addr().unwrap().port(),
        });
        a.write("dc2.json", &json!({"services": [gateway]}));
        let none = rustls::RootCertStore::empty();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(none).with_no_client_auth();
        config.alpn_protocols = (0..900).map(|n| format!("protocol-{n}").into_bytes()).collect();
        let name = ServerName::try_from("web.default.dc2.internal.a.consul").unwrap();
        let mut hello = Vec::new();
        rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
        assert!(hello.len() > 10_000);
        let mut received = vec![0; hello.len()];
        let passed = async {
            loop {
                let mut ours = a.dial("gateway").await;
                for piece in hello.chunks(1000) {
                    // Until the registration has been read, the name is nobody's and the connection is closed.
                    let _ = ours.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                // Long enough for a hello to be passed on, so that no answer is one to an earlier attempt.
                let passed_on = timeout(Duration::from_secs(1), remote.accept()).await;
                let Ok(accepted) = passed_on else { continue };
                let mut theirs = accepted.unwrap().0;
                // A health check says nothing.
                if theirs.read_exact(&mut received).await.is_ok() {
                    return (ours, theirs);
                }
            }
        };
        let (mut ours, mut theirs) = timeout(SOON, passed).await.unwrap();
        assert_eq!(received, hello);
        theirs.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        timeout(SOON, ours.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"answer");
    };
    LocalSet::new().run_until(mesh).await;
}

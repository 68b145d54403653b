//! Two clusters and what goes on between them: real TLS, loopback, files in temporary directories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_certs::ca::LEAF_TTL;
use spillway_certs::peering::{Secret, State};
use spillway_certs::{Alpn, KeyType, TlsContexts, TlsPolicy, TrustBundles, pinned_client};
use spillway_core::entry::CaConfig;
use spillway_core::name::SpiffeId;
use spillway_proxy::admin::{PlaneApi, PlaneRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::exports::Own;
use super::hub::{Contexts, DEAD_AFTER, Hub};
use super::message::{ALPN, Export, Message};
use super::server::Server;
use super::wire::{Receiver, send};
use super::*;

/// Long enough for a busy machine, short enough to be waited for when something is wrong.
const SOON: Duration = Duration::from_secs(20);

/// How often a test's stand-in for the file watch looks.
const WATCH: Duration = Duration::from_millis(5);

/// A cluster with a gateway.
struct Cluster {
    dir: tempfile::TempDir,
    store: PeerStore,
    local: watch::Sender<Arc<Local>>,
    hub: Arc<Hub>,
    contexts: Contexts,
    /// The gateway's tasks: they end with the cluster.
    _tasks: JoinSet<()>,
}

impl Cluster {
    async fn start(trust_domain: &str, datacenter: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::init(dir.path(), Some(trust_domain.parse().unwrap()), &CaConfig::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = PeerStore::new(dir.path());
        let own =
            Own { trust_domain: trust_domain.parse().unwrap(), datacenter: datacenter.parse().unwrap() };
        let contexts = contexts(&ca, &own, &store);
        let local = watch::Sender::new(Arc::new(Local {
            own,
            roots: vec![pem::encode_certificates(&ca.roots())],
            gateways: vec![listener.local_addr().unwrap().to_string()],
            records: BTreeMap::new(),
            exports: BTreeMap::new(),
        }));
        let hub = Hub::new(store.clone(), local.subscribe(), contexts.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(Server::new(hub.clone()))));
        tasks.spawn(hub.clone().run());
        tasks.spawn(watch_files(store.clone(), local.clone()));
        Self { dir, store, local, hub, contexts, _tasks: tasks }
    }

    fn export(&self, to: &str, services: &[&str]) {
        self.local.send_modify(|local| {
            let own = local.own.clone();
            let exports = services.iter().map(|name| Export {
                name: (*name).to_owned(),
                protocol: "tcp".to_owned(),
                sni: format!("{name}.default.default.{to}.external.{}", own.trust_domain),
                identities: vec![
                    SpiffeId::service(&own.trust_domain, &own.datacenter, &name.parse().unwrap()).to_string(),
                ],
                healthy: 1,
            });
            Arc::make_mut(local).exports.insert(to.parse().unwrap(), exports.collect());
        });
    }

    fn token(&self, peer: &str) -> Token {
        let local = self.local.borrow().clone();
        Token::decode(&offer(&self.store, &local, &name(peer), &[], self.dir.path()).unwrap()).unwrap()
    }

    async fn establish(&self, peer: &str, token: &Token) -> Result<(), EstablishError> {
        let local = self.local.borrow().clone();
        establish::dial(&self.store, &local, &name(peer), token).await.map(|_| ())
    }

    /// Waits until the file watch has seen `wanted` of the peering with `peer`.
    async fn until(&self, peer: &str, what: &str, wanted: impl Fn(Option<&Peering>) -> bool) {
        let mut local = self.local.subscribe();
        let seen = local.wait_for(|local| {
            let record = local.records.get(&name(peer));
            wanted(record.map(|record| Peering::new(record, Vec::new(), None)).as_ref())
        });
        assert!(
            tokio::time::timeout(SOON, seen).await.is_ok_and(|seen| seen.is_ok()),
            "{peer} was never {what}"
        );
    }

    async fn until_state(&self, peer: &str, state: State) {
        self.until(peer, state.as_str(), |it| it.is_some_and(|it| it.state == state.as_str())).await;
    }

    async fn until_imported(&self, peer: &str, services: &[&str]) {
        let what = format!("exporting {services:?}");
        self.until(peer, &what, |it| it.is_some_and(|it| it.stream_status.imported_services == services))
            .await;
    }

    async fn until_gone(&self, peer: &str) {
        self.until(peer, "gone", |it| it.is_none()).await;
    }

    async fn until_streams(&self, peer: &str, streams: usize) {
        let seen = async {
            while self.hub.status(&name(peer)).streams != streams {
                tokio::time::sleep(WATCH).await;
            }
        };
        assert!(tokio::time::timeout(SOON, seen).await.is_ok(), "{:?}", self.hub.status(&name(peer)));
    }

    fn address(&self) -> String {
        self.local.borrow().gateways[0].clone()
    }
}

fn name(peer: &str) -> PeerName {
    peer.parse().unwrap()
}

/// A gateway's certificate, and the bundles as the files have them at this moment.
fn contexts(ca: &Ca, own: &Own, store: &PeerStore) -> Contexts {
    let id = SpiffeId::mesh_gateway(&own.trust_domain, &own.datacenter);
    let leaf = Arc::new(ca.issue(&id, LEAF_TTL, KeyType::default()).unwrap());
    let bundles = TrustBundles::new(own.trust_domain.clone(), ca.roots()).unwrap();
    let store = store.clone();
    Arc::new(move || {
        let bundles = bundles.clone().with_peers(&store.list().unwrap());
        Some(Arc::new(TlsContexts::new(leaf.clone(), bundles, TlsPolicy::default()).unwrap()))
    })
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let server = server.clone();
        connections.spawn(async move { server.serve(tcp).await });
    }
}

async fn watch_files(store: PeerStore, local: watch::Sender<Arc<Local>>) {
    loop {
        let records: BTreeMap<_, _> =
            store.list().unwrap().into_iter().map(|record| (name(&record.name), record)).collect();
        local.send_if_modified(|local| {
            let news = local.records != records;
            if news {
                Arc::make_mut(local).records = records;
            }
            news
        });
        tokio::time::sleep(WATCH).await;
    }
}

/// Two clusters that know each other as `b` and `a`.
async fn peered() -> (Cluster, Cluster) {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc1").await);
    a.export("b", &["web"]);
    b.establish("a", &a.token("b")).await.unwrap();
    a.until_state("b", State::Active).await;
    b.until_state("a", State::Active).await;
    (a, b)
}

#[tokio::test]
async fn a_token_brings_two_clusters_together() {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc2").await);
    a.export("b", &["api", "web"]);
    b.export("a", &["db"]);
    let token = a.token("b");
    a.until_state("b", State::Pending).await;
    b.establish("a", &token).await.unwrap();
    let record = b.store.read(&name("a")).unwrap().unwrap();
    assert_eq!((record.state.as_str(), record.imported.len()), ("ACTIVE", 2), "when establish returns");
    assert_eq!((record.trust_domain.as_str(), record.datacenter.as_str()), ("a.consul", "dc1"));
    assert_eq!(record.peer_server_addresses, [a.address()]);
    a.until_imported("b", &["db"]).await;
    let record = a.store.read(&name("b")).unwrap().unwrap();
    assert_eq!((record.trust_domain.as_str(), record.datacenter.as_str()), ("b.consul", "dc2"));
    assert_eq!(record.imported[0].spiffe_ids, ["spiffe://b.consul/ns/default/dc/dc2/svc/db"]);
    a.until_streams("b", 2).await;
    b.until_streams("a", 2).await;
    assert!(a.hub.status(&name("b")).last_receive.is_some());
}

#[tokio::test]
async fn what_is_exported_later_reaches_the_peer() {
    let (a, b) = peered().await;
    b.until_imported("a", &["web"]).await;
    a.export("b", &["api", "web"]);
    b.until_imported("a", &["api", "web"]).await;
    a.export("b", &[]);
    b.until_imported("a", &[]).await;
    b.export("a", &["db"]);
    a.until_imported("b", &["db"]).await;
}

#[tokio::test]
async fn one_stream_is_enough_for_both_directions() {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc1").await);
    let behind_a_wall = watch::Sender::new(Arc::new(Local {
        gateways: vec!["127.0.0.1:1".to_owned()],
        ..(**b.local.borrow()).clone()
    }));
    b.local.send_replace(behind_a_wall.borrow().clone());
    b.establish("a", &a.token("b")).await.unwrap();
    a.until_streams("b", 1).await;
    a.export("b", &["web"]);
    b.until_imported("a", &["web"]).await;
    b.export("a", &["db"]);
    a.until_imported("b", &["db"]).await;
}

#[tokio::test]
async fn a_deleted_peering_ends_at_both_ends() {
    let (a, b) = peered().await;
    a.until_streams("b", 2).await;
    assert_eq!(a.store.delete(&name("b")).unwrap(), Deleted::Deleting);
    b.until_state("a", State::Terminated).await;
    a.until_gone("b").await;
    b.until_streams("a", 0).await;
    assert!(b.store.read(&name("a")).unwrap().unwrap().imported.is_empty());
    assert_eq!(b.store.delete(&name("a")).unwrap(), Deleted::Gone);
    b.until_gone("a").await;
}

#[tokio::test]
async fn a_deletion_does_not_wait_for_a_peer_that_is_away() {
    let (a, b) = peered().await;
    a.until_streams("b", 2).await;
    let Cluster { store, local, _tasks, .. } = b;
    drop(_tasks);
    drop(local);
    a.until_streams("b", 0).await;
    a.store.delete(&name("b")).unwrap();
    a.until_gone("b").await;
    assert_eq!(store.read(&name("a")).unwrap().unwrap().state, "ACTIVE", "nobody could tell it");
}

#[tokio::test]
async fn a_token_works_once_and_a_failed_use_leaves_nothing_behind() {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc1").await);
    let c = Cluster::start("c.consul", "dc1").await;
    let token = a.token("b");
    b.establish("a", &token).await.unwrap();
    let error = c.establish("a", &token).await.unwrap_err();
    assert!(matches!(&error, EstablishError::Refused(reason) if reason.contains("works once")), "{error}");
    assert!(c.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_of_our_own_cluster_is_refused_before_anything_is_dialed() {
    let a = Cluster::start("a.consul", "dc1").await;
    let error = a.establish("b", &a.token("x")).await.unwrap_err();
    assert!(matches!(error, EstablishError::Peer(PeerError::OwnCluster(_))), "{error}");
}

#[tokio::test]
async fn only_the_gateway_that_the_tokens_ca_vouches_for_gets_the_secret() {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc1").await);
    let impostor = Cluster::start("a.consul", "dc1").await;
    let mut token = a.token("b");
    token.server_addresses = vec![impostor.address()];
    let error = b.establish("a", &token).await.unwrap_err();
    assert!(matches!(error, EstablishError::Dial(DialError::Unreachable { .. })), "{error}");
    token.server_addresses = vec!["127.0.0.1:1".to_owned(), a.address()];
    b.establish("a", &token).await.unwrap();
}

#[tokio::test]
async fn a_cluster_without_a_gateway_cannot_use_a_token() {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc1").await);
    b.local.send_modify(|local| Arc::make_mut(local).gateways.clear());
    assert!(matches!(b.establish("a", &a.token("b")).await, Err(EstablishError::NoGateway)));
}

#[tokio::test]
async fn a_token_says_where_to_go() {
    let a = Cluster::start("a.consul", "dc1").await;
    let local = a.local.borrow().clone();
    let make =
        |local: &Local, external: &[String]| offer(&a.store, local, &name("b"), external, a.dir.path());
    let token = Token::decode(&make(&local, &["lb.example:443".to_owned()]).unwrap()).unwrap();
    assert_eq!(token.addresses(), ["lb.example:443"]);
    assert_eq!(token.server_addresses, [a.address()]);
    assert!(matches!(make(&local, &["nowhere".to_owned()]), Err(PeeringError::Peer(PeerError::Address(_)))));
    let none = Local { gateways: Vec::new(), ..(*local).clone() };
    assert!(matches!(make(&none, &[]), Err(PeeringError::NoGateway(_))));
}

#[tokio::test]
async fn a_gateway_that_moved_is_found_again() {
    let (a, b) = peered().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let moved = listener.local_addr().unwrap().to_string();
    let _second = {
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(Server::new(a.hub.clone()))));
        tasks
    };
    a.local.send_modify(|local| Arc::make_mut(local).gateways = vec![moved.clone()]);
    b.until("a", "at its new address", |it| it.is_some_and(|it| it.peer_server_addresses == [moved.clone()]))
        .await;
}

/// Sends `lines` under our peering SNI with a client's certificate, or none; gives what comes back until the end.
async fn say(to: &Cluster, as_gateway_of: Option<&Cluster>, lines: &[Vec<u8>]) -> Vec<Message> {
    let token = to.token("stranger");
    let server_name = token.server_name();
    let config = match as_gateway_of {
        None => {
            pinned_client(&token.ca, server_name.as_str(), &TlsPolicy::default(), Alpn::Custom(ALPN)).unwrap()
        }
        Some(cluster) => {
            let gateway = SpiffeId::mesh_gateway(&token.trust_domain, &token.datacenter);
            let (leaf, roots) =
                ((cluster.contexts)().unwrap().leaf().clone(), to.local.borrow().roots.clone());
            let roots = spillway_certs::bundle::roots_from_pem(&roots).unwrap();
            let bundles = TrustBundles::new(token.trust_domain.clone(), roots).unwrap();
            let contexts = TlsContexts::new(leaf, bundles, TlsPolicy::default()).unwrap();
            contexts.client(&Arc::from([gateway]), Alpn::Custom(ALPN))
        }
    };
    let tcp = TcpStream::connect(to.address()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(server_name.to_string()).unwrap();
    let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let (read, mut write) = tokio::io::split(tls);
    for line in lines {
        // The other side may have had enough already.
        let _ = write.write_all(line).await;
    }
    let _ = write.flush().await;
    let mut receiver = Receiver::new(read);
    let mut heard = Vec::new();
    let hear = async {
        while let Ok(Some(message)) = receiver.next().await {
            heard.push(message);
        }
    };
    tokio::time::timeout(SOON, hear).await.expect("the stream is ended");
    heard
}

fn open(cluster: &Cluster, peer: &str, secret: &Secret) -> Vec<u8> {
    let peering = cluster.store.read(&name(peer)).unwrap().unwrap().id;
    Message::Open { peering, secret: secret.clone() }.encode()
}

#[tokio::test]
async fn a_stream_is_opened_by_the_peers_gateway_and_its_secret_alone() {
    let (a, b) = peered().await;
    let c = Cluster::start("c.consul", "dc1").await;
    c.establish("a", &a.token("c")).await.unwrap();
    let secret = |peer| a.store.stream_secret(&name(peer)).unwrap().unwrap();
    let refused = |heard: &[Message]| matches!(heard, [Message::Refused { .. }]);
    assert!(refused(&say(&a, Some(&b), &[open(&a, "b", &Secret::random())]).await), "a wrong secret");
    assert!(refused(&say(&a, Some(&b), &[open(&a, "c", &secret("c"))]).await), "another's peering");
    assert!(
        refused(&say(&a, Some(&b), &[open(&a, "c", &secret("b"))]).await),
        "another's peering, own secret"
    );
    assert!(say(&a, None, &[open(&a, "b", &secret("b"))]).await.is_empty(), "no certificate");
    let unknown = Message::Open { peering: "x".to_owned(), secret: secret("b") }.encode();
    assert!(refused(&say(&a, Some(&b), &[unknown]).await), "an unknown peering");
    let heard = say(&a, Some(&b), &[open(&a, "b", &secret("b")), b"{}\n".to_vec()]).await;
    assert!(
        matches!(heard.last(), Some(Message::Refused { reason }) if reason.contains("no message")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn garbage_ends_a_stream_and_nothing_else() {
    let (a, b) = peered().await;
    let secret = a.store.stream_secret(&name("b")).unwrap().unwrap();
    let facts = b.local.borrow().facts();
    let other = message::Facts { trust_domain: "c.consul".to_owned(), ..facts.clone() };
    let update = |facts| Message::Update { facts, services: Vec::new(), more: false }.encode();
    for line in [
        b"\xff\xfe\n".to_vec(),
        vec![b'x'; 1 << 20],
        update(other),
        update(message::Facts { roots: Vec::new(), ..facts }),
        open(&a, "b", &secret),
    ] {
        let heard = say(&a, Some(&b), &[open(&a, "b", &secret), line]).await;
        assert!(
            heard.iter().all(|it| matches!(it, Message::Update { .. } | Message::Refused { .. })),
            "{heard:?}"
        );
        assert!(say(&a, None, &[vec![b'x'; 1000], b"\n".to_vec()]).await.is_empty());
    }
    assert_eq!(a.store.read(&name("b")).unwrap().unwrap().trust_domain, "b.consul");
    a.export("b", &["still", "here"]);
    b.until_imported("a", &["here", "still"]).await;
}

#[tokio::test]
async fn a_stranger_who_says_nothing_is_let_go() {
    let a = Cluster::start("a.consul", "dc1").await;
    let mut tcp = TcpStream::connect(a.address()).await.unwrap();
    let ended = tokio::time::timeout(SOON, tcp.read(&mut [0; 16])).await;
    assert!(ended.is_ok(), "the connection is ended");
}

/// A hub over one peering that nobody answers, in a time that passes by itself.
fn lonely(state: State) -> (tempfile::TempDir, PeerStore, watch::Sender<Arc<Local>>, Arc<Hub>) {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::init(dir.path(), Some("a.consul".parse().unwrap()), &CaConfig::default()).unwrap();
    let store = PeerStore::new(dir.path());
    let own = Own { trust_domain: "a.consul".parse().unwrap(), datacenter: "dc1".parse().unwrap() };
    let (id, secret) = store.offer(&name("b")).unwrap();
    let remote = spillway_certs::peering::Remote {
        trust_domain: "b.consul".parse().unwrap(),
        datacenter: "dc1".parse().unwrap(),
        ca_pems: Vec::new(),
        server_name: "server.dc1.peering.b.consul".parse().unwrap(),
        addresses: Vec::new(),
    };
    store.redeem(&id, &secret, &remote, "x", &own.trust_domain).unwrap();
    store.update(&name("b"), &id, |record| record.state = state.to_string()).unwrap();
    let contexts = contexts(&ca, &own, &store);
    let records = BTreeMap::from([(name("b"), store.read(&name("b")).unwrap().unwrap())]);
    let roots = vec![pem::encode_certificates(&ca.roots())];
    let local = Local { own, roots, gateways: Vec::new(), records, exports: BTreeMap::new() };
    let local = watch::Sender::new(Arc::new(local));
    let hub = Hub::new(store.clone(), local.subscribe(), contexts);
    (dir, store, local, hub)
}

#[tokio::test(start_paused = true)]
async fn a_peering_that_nothing_is_heard_of_is_failing_after_two_minutes() {
    let (_dir, store, _local, hub) = lonely(State::Active);
    let state = || store.read(&name("b")).unwrap().unwrap().state;
    let hub = tokio::spawn(hub.run());
    tokio::time::sleep(DEAD_AFTER - Duration::from_secs(1)).await;
    assert_eq!(state(), "ACTIVE");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(state(), "FAILING");
    hub.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_told_of_a_deletion_is_not_waited_for() {
    let (_dir, store, local, hub) = lonely(State::Active);
    store.delete(&name("b")).unwrap();
    local.send_modify(|local| {
        let record = store.read(&name("b")).unwrap().unwrap();
        Arc::make_mut(local).records.insert(name("b"), record);
    });
    let hub = tokio::spawn(hub.run());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(store.read(&name("b")).unwrap().is_none());
    hub.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_heartbeats_and_ends_in_silence() {
    let (_dir, store, _local, hub) = lonely(State::Failing);
    let record = store.read(&name("b")).unwrap().unwrap();
    let party =
        session::Party { name: name("b"), id: record.id, trust_domain: record.trust_domain.parse().unwrap() };
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(ours);
    let session = tokio::spawn(async move { session::run(&hub, &party, Receiver::new(read), write).await });
    let (read, mut write) = tokio::io::split(theirs);
    let mut receiver = Receiver::new(read);
    send(&mut write, &Message::Heartbeat).await.unwrap();
    assert!(matches!(receiver.next().await.unwrap(), Some(Message::Update { more: false, .. })));
    let begun = tokio::time::Instant::now();
    let mut heartbeats = 0;
    while receiver.next().await.unwrap() == Some(Message::Heartbeat) {
        heartbeats += 1;
    }
    // The eighth would leave at the moment that the stream is given up.
    assert!(matches!((heartbeats, begun.elapsed().as_secs()), (7 | 8, 120)), "{:?}", session.await.unwrap());
    assert_eq!(store.read(&name("b")).unwrap().unwrap().state, "ACTIVE", "it was heard once");
}

/// Asks the API of a cluster's gateway: status, and the JSON or text that is answered.
async fn ask(cluster: &Cluster, method: &str, path: &str, body: Value) -> (u16, Value) {
    let api = PeeringApi { hub: cluster.hub.clone(), config_dir: cluster.dir.path().to_owned() };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = PlaneRequest {
        method: method.parse().unwrap(),
        path: path.to_owned(),
        query: String::new(),
        body: body.into(),
    };
    let answer = api.answer(request).await.unwrap();
    let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
    (answer.status.as_u16(), body)
}

#[tokio::test]
async fn the_api_does_what_the_commands_do() {
    let (a, b) = (Cluster::start("a.consul", "dc1").await, Cluster::start("b.consul", "dc2").await);
    a.export("b", &["web"]);
    a.export("c", &["web", "db"]);
    let (status, made) = ask(&a, "POST", "/v1/peering/token", json!({"PeerName": "b", "Meta": {}})).await;
    assert_eq!(status, 200);
    let token = made["PeeringToken"].clone();
    let request = json!({"PeerName": "a", "PeeringToken": token});
    assert_eq!(ask(&b, "POST", "/v1/peering/establish", request.clone()).await, (200, json!({})));
    assert_eq!(ask(&b, "POST", "/v1/peering/establish", request).await.0, 502, "the other side refuses it");
    a.until_streams("b", 2).await;
    let (_, read) = ask(&a, "GET", "/v1/peering/b", Value::Null).await;
    assert_eq!((&read["State"], &read["Remote"]["Datacenter"]), (&json!("ACTIVE"), &json!("dc2")));
    assert_eq!(read["StreamStatus"]["ExportedServices"], json!(["web"]));
    assert!(read["StreamStatus"]["LastReceive"].is_string(), "{read}");
    assert_eq!(ask(&a, "GET", "/v1/peerings", Value::Null).await.1[0]["Name"], "b");
    let exported = json!([
        {"Service": "db", "Consumers": {"Peers": ["c"]}},
        {"Service": "web", "Consumers": {"Peers": ["b", "c"]}},
    ]);
    assert_eq!(ask(&a, "GET", "/v1/exported-services", Value::Null).await, (200, exported));
    b.until_imported("a", &["web"]).await;
    let imported = json!([{"Service": "web", "SourcePeer": "a"}]);
    assert_eq!(ask(&b, "GET", "/v1/imported-services", Value::Null).await, (200, imported));
    for deleted in ["b", "b", "never-there"] {
        assert_eq!(ask(&a, "DELETE", &format!("/v1/peering/{deleted}"), Value::Null).await.0, 200);
    }
    b.until_state("a", State::Terminated).await;
}

#[tokio::test]
async fn the_api_says_whose_fault_an_error_is() {
    let a = Cluster::start("a.consul", "dc1").await;
    let own = a.token("b").encode();
    for (method, path, body, expected) in [
        ("GET", "/v1/peering/none", Value::Null, 404),
        ("GET", "/v1/peering/..%2f", Value::Null, 400),
        ("PUT", "/v1/peering/b", Value::Null, 405),
        ("GET", "/v1/peering/token", Value::Null, 405),
        ("POST", "/v1/peerings", Value::Null, 405),
        ("POST", "/v1/peering/token", Value::Null, 400),
        ("POST", "/v1/peering/token", json!({}), 400),
        ("POST", "/v1/peering/token", json!({"PeerName": "B"}), 400),
        ("POST", "/v1/peering/token", json!({"PeerName": "b", "ServerExternalAddresses": ["x"]}), 400),
        ("POST", "/v1/peering/establish", json!({"PeerName": "x", "PeeringToken": "x"}), 400),
        ("POST", "/v1/peering/establish", json!({"PeerName": "x", "PeeringToken": own}), 400),
    ] {
        let (status, said) = ask(&a, method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {said}");
    }
    let api = PeeringApi { hub: a.hub.clone(), config_dir: a.dir.path().to_owned() };
    let unknown = PlaneRequest {
        method: http::Method::GET,
        path: "/v1/x".to_owned(),
        query: String::new(),
        body: Vec::new().into(),
    };
    assert!(api.answer(unknown).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_ahead_of_the_file_watch_is_no_stream_of_a_deleted_peering() {
    let (_dir, store, local, hub) = lonely(State::Active);
    local.send_modify(|local| Arc::make_mut(local).records.clear());
    let record = store.read(&name("b")).unwrap().unwrap();
    let party =
        session::Party { name: name("b"), id: record.id, trust_domain: record.trust_domain.parse().unwrap() };
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(ours);
    tokio::spawn(async move { session::run(&hub, &party, Receiver::new(read), write).await });
    let mut receiver = Receiver::new(theirs);
    assert!(matches!(receiver.next().await.unwrap(), Some(Message::Update { .. })));
    store.delete(&name("b")).unwrap();
    local.send_modify(|_| {});
    assert_eq!(receiver.next().await.unwrap(), Some(Message::Terminated));
}

//! One hop or two of the real engine, without a configuration, between a client and an application that allocate
//! nothing: whatever a test counts meanwhile is the engine's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use spillway_certs::{Ca, IdentitySource, TlsContexts, TlsPolicy};
use spillway_core::breaker::{Breaker, Thresholds};
use spillway_core::endpoint::{Address, Endpoint};
use spillway_core::entry::{CaConfig, Protocol};
use spillway_core::name::{Datacenter, Locus, ServiceName, Sni, SpiffeId, TargetId, TrustDomain};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::pick::{Balance, Target, TargetTls, Via, Weights};
use spillway_core::table::ServiceTable;
use spillway_proxy::generation::{Generation, Published, Role, Service, ServiceSlot};
use spillway_proxy::inbound::Inbound;
use spillway_proxy::listener::{Listener, Serve, bind};
use spillway_proxy::outbound::Outbound;
use spillway_proxy::stats::{ServiceStats, Stats};
use spillway_proxy::worker::{Shared, Workers};

/// What clients of these tests ask.
pub(crate) const REQUEST: &[u8] =
    b"GET /some/path?and=query HTTP/1.1\r\nhost: api.example\r\nuser-agent: test\r\naccept: */*\r\n\r\n";

/// The length of the application's body.
pub(crate) const BODY: usize = 1024;

/// Every step of a test takes a fraction of this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster's trust: a CA of its own, and the identities of `web`, which calls, and `api`, which answers.
pub(crate) struct Trust {
    dir: tempfile::TempDir,
    domain: TrustDomain,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let domain: TrustDomain = "test".parse().expect("a trust domain");
        Ca::init(dir.path(), Some(domain.clone()), &CaConfig::default()).expect("a CA");
        Self { dir, domain }
    }

    pub(crate) fn id(&self, service: &str) -> SpiffeId {
        SpiffeId::service(&self.domain, &datacenter(), &name(service))
    }

    /// What a process that is this service shakes hands with.
    pub(crate) fn tls(&self, service: &str) -> Arc<TlsContexts> {
        let config_dir = self.dir.path().to_owned();
        let source = IdentitySource::Ca { config_dir, config: CaConfig::default() };
        let (leaf, bundles) = source.load(&self.id(service), &[]).expect("a leaf");
        let policy = TlsPolicy::from_mesh(None).expect("the default policy");
        Arc::new(TlsContexts::new(Arc::new(leaf), bundles, policy).expect("contexts"))
    }

    /// Who `api` must prove to be.
    pub(crate) fn api(&self) -> TargetTls {
        let sni = Sni::internal(None, &name("api"), &datacenter(), &self.domain);
        TargetTls { sni, identities: [self.id("api")].into() }
    }
}

fn name(service: &str) -> ServiceName {
    service.parse().expect("a service name")
}

fn datacenter() -> Datacenter {
    "dc1".parse().expect("a datacenter")
}

/// One process's engine: a worker, one listener, one service behind it. Ends when it is dropped.
pub(crate) struct Hop {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _listener: Listener,
    workers: Workers,
}

impl Hop {
    /// The sidecar of an application that calls `to`.
    pub(crate) fn outbound(
        tls: Option<Arc<TlsContexts>>,
        to: SocketAddr,
        expected: Option<TargetTls>,
    ) -> Self {
        let serve = Arc::new(Outbound { slot: ServiceSlot(0), identity: "spiffe://test/web".into() });
        Self::start(tls, Role::Outbound, serve, to, expected)
    }

    /// The sidecar of `api`, which is at `to`.
    pub(crate) fn inbound(trust: &Trust, to: SocketAddr) -> Self {
        let serve = Arc::new(Inbound { slot: ServiceSlot(0), identity: trust.id("api") });
        Self::start(Some(trust.tls("api")), Role::Inbound, serve, to, None)
    }

    fn start(
        tls: Option<Arc<TlsContexts>>,
        role: Role,
        serve: Arc<dyn Serve>,
        to: SocketAddr,
        expected: Option<TargetTls>,
    ) -> Self {
        let published = Published::default();
        if let Some(tls) = tls {
            published.publish_tls(tls);
        }
        let table = ServiceTable::single(name("api"), Protocol::Http, target(to, expected));
        let stats = Arc::new(ServiceStats::new("api", 1));
        let service = Service { table, role, stats, intake: Default::default(), log: None };
        published.publish(Generation { services: vec![Some(Arc::new(service))], log: None });
        let workers =
            Workers::start(1, &Arc::new(Shared::new(published, Stats::default()))).expect("a worker");
        let bound = bind(&Address::Ip(([127, 0, 0, 1], 0).into()), None).expect("a free port");
        let listener = Listener::start(bound, &workers, 0, serve).expect("a listener");
        let Address::Ip(address) = listener.local else { unreachable!("a TCP listener") };
        Self { address, _listener: listener, workers }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.workers.end();
    }
}

fn target(address: SocketAddr, tls: Option<TargetTls>) -> Target {
    let locus = Locus::Datacenter(datacenter());
    Target {
        id: TargetId { service: name("api"), subset: None, locus, tenancy: None },
        cluster: "api".into(),
        via: Via::Direct,
        tls,
        protocol: Protocol::Http,
        connect_timeout: Duration::from_secs(5),
        outlier: OutlierPolicy::default(),
        endpoints: [Arc::new(Endpoint::new(Address::Ip(address), 0, 1))].into(),
        weights: Weights::default(),
        balance: Balance::default(),
        breaker: Breaker::new(Thresholds::UNLIMITED, Arc::default()),
        absent: None,
    }
}

/// An application that answers every request with [`BODY`] bytes. Its threads end with their connections.
pub(crate) fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || stream.map(answer_all));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream) {
    let mut answer = [b'x'; 128 + BODY];
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: test\r\ncontent-length: 1024\r\n\r\n";
    answer[..head.len()].copy_from_slice(head);
    let mut request = [0; 4096];
    let mut read = 0;
    while let Ok(n) = stream.read(&mut request[read..]) {
        read += n;
        if n == 0 {
            return;
        }
        if request[..read].ends_with(b"\r\n\r\n") {
            read = 0;
            if stream.write_all(&answer[..head.len() + BODY]).is_err() {
                return;
            }
        }
    }
}

/// A client's connection.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Asks once and reads the whole answer, which must be the application's.
pub(crate) fn get(stream: &mut (impl Read + Write)) {
    stream.write_all(REQUEST).expect("the request is taken");
    let mut answer = [0; 4096];
    let mut read = 0;
    loop {
        let n = stream.read(&mut answer[read..]).expect("an answer");
        assert!(n > 0, "closed after {read} bytes");
        read += n;
        let head = answer[..read].windows(4).position(|window| window == b"\r\n\r\n");
        if head.is_some_and(|head| read == head + 4 + BODY) {
            assert!(answer.starts_with(b"HTTP/1.1 200"), "the application answers");
            return;
        }
    }
}

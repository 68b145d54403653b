//! Whole exchanges: a client, workers with one service, and an application, over loopback.

mod applications;
mod failures;
mod floods;
mod frames;
mod heads;
mod hops;
mod limits;
mod logs;
mod rules;
mod slow;
mod traffic;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use spillway_certs::TlsContexts;
use spillway_core::breaker::{Breaker, Thresholds};
use spillway_core::endpoint::{Address, Endpoint};
use spillway_core::entry::Protocol;
use spillway_core::name::{Locus, TargetId};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::pick::{Balance, Target, TargetTls, Via, Weights};
use spillway_core::table::ServiceTable;
use tokio::net::TcpStream;

use crate::access_log::AccessLog;
use crate::conn::Conn;
use crate::downstream::Facts;
use crate::generation::{Generation, Intake, Published, Role, Service, ServiceSlot};
use crate::listener::{Listener, Serve, bind};
use crate::serve::serve_http;
use crate::stats::{ServiceStats, Stats};
use crate::stream::{Socket, Stream};
use crate::vouch::Vouched;
use crate::worker::{Shared, Worker, Workers};

/// Workers that serve one service, without TLS, whatever their role.
struct Proxy {
    address: SocketAddr,
    workers: Workers,
    shared: Arc<Shared>,
    stats: Arc<ServiceStats>,
    endpoints: Vec<Arc<Endpoint>>,
    _listener: Listener,
}

/// How a [`Proxy`] differs from a sidecar's outbound listener.
#[derive(Clone, Copy)]
struct Front {
    role: Role,
    xfcc: Option<&'static str>,
    protocol: Protocol,
    thresholds: Thresholds,
}

impl Default for Front {
    fn default() -> Self {
        Self {
            role: Role::Outbound,
            xfcc: None,
            protocol: Protocol::Http2,
            thresholds: Thresholds::default(),
        }
    }
}

impl Serve for Front {
    fn serve(self: Arc<Self>, worker: Rc<Worker>, socket: Socket) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let stream = Stream::plain(socket).expect("a worker's runtime watches sockets");
            let conn = Conn::new(stream, &worker.buffers);
            let vouched = self.xfcc.map(|element| Vouched::of(element, false));
            let facts = Facts {
                slot: ServiceSlot(0),
                role: self.role,
                vouched,
                ..Facts::of(ServiceSlot(0), self.role)
            };
            serve_http(worker, conn, facts).await;
        })
    }
}

impl Proxy {
    /// Forwards to applications at these addresses.
    fn start(front: Front, applications: &[SocketAddr]) -> Self {
        Self::serve(Arc::new(front), front, applications, None, None)
    }

    /// The same with a listener of its own, and perhaps TLS towards what it forwards to.
    fn serve(
        serve: Arc<dyn Serve>,
        front: Front,
        applications: &[SocketAddr],
        contexts: Option<TlsContexts>,
        tls: Option<TargetTls>,
    ) -> Self {
        Self::serve_logged(serve, front, applications, contexts, tls, None)
    }

    /// The same with an access log.
    fn serve_logged(
        serve: Arc<dyn Serve>,
        front: Front,
        applications: &[SocketAddr],
        contexts: Option<TlsContexts>,
        tls: Option<TargetTls>,
        log: Option<Arc<AccessLog>>,
    ) -> Self {
        let endpoint = |(slot, at): (u32, &SocketAddr)| {
            Arc::new(Endpoint::new(Address::Ip(*at), slot, u64::from(slot) + 1))
        };
        let endpoints: Vec<_> = (0..).zip(applications).map(endpoint).collect();
        let target = Target {
            id: TargetId {
                service: "web".parse().expect("a name"),
                subset: None,
                locus: Locus::Datacenter("dc1".parse().expect("a name")),
                tenancy: None,
            },
            cluster: "web".into(),
            via: Via::Direct,
            tls,
            protocol: front.protocol,
            connect_timeout: Duration::from_secs(5),
            outlier: OutlierPolicy::default(),
            breaker: Breaker::new(front.thresholds, Arc::default()),
            endpoints: endpoints.clone().into(),
            weights: Weights::default(),
            balance: Balance::default(),
            absent: None,
        };
        let table = ServiceTable::single(target.id.service.clone(), front.protocol, target);
        let stats = Arc::new(ServiceStats::new("web", 1));
        let service =
            Service { table, role: front.role, stats: Arc::clone(&stats), intake: Intake::default(), log };
        let published = Published::default();
        published.publish(Generation { services: vec![Some(Arc::new(service))], log: None });
        if let Some(contexts) = contexts {
            published.publish_tls(Arc::new(contexts));
        }
        let shared = Arc::new(Shared::new(published, Stats::default()));
        let workers = Workers::start(1, &shared).expect("threads can be made");
        let anywhere = Address::Ip(([127, 0, 0, 1], 0).into());
        let bound = bind(&anywhere, None).expect("port 0 is free");
        let listener = Listener::start(bound, &workers, 0, serve).expect("it is bound");
        let Address::Ip(address) = listener.local else { unreachable!("bound to an IP address") };
        Self { address, workers, shared, stats, endpoints, _listener: listener }
    }

    /// A client that knows that HTTP/2 is spoken.
    async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let tcp = TcpStream::connect(self.address).await.expect("it listens");
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .expect("the preface can be written");
        drop(tokio::spawn(connection));
        sender
    }

    /// A client that speaks HTTP/1.1.
    async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        let tcp = TcpStream::connect(self.address).await.expect("it listens");
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.expect("nothing is sent yet");
        drop(tokio::spawn(connection));
        sender
    }

    /// A client that drives HTTP/2 by hand.
    async fn raw(&self) -> h2::client::SendRequest<Bytes> {
        let tcp = TcpStream::connect(self.address).await.expect("it listens");
        let (sender, connection) = h2::client::handshake(tcp).await.expect("the preface can be written");
        drop(tokio::spawn(connection));
        sender
    }
}

/// A request to the service.
fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder().method(method).uri(format!("http://web.example{path}"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body.into())).expect("a request")
}

/// The same for a client of HTTP/1.1.
fn origin(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let path = request.uri().path().parse().expect("a path");
    *request.uri_mut() = path;
    request.headers_mut().insert("host", http::HeaderValue::from_static("web.example"));
    request
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
    trailers: HeaderMap,
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let body = String::from_utf8_lossy(&collected.to_bytes()).into_owned();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Fails a test that would hang.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it takes a moment")
}

//! A connection to the gateway, from its first byte: read the name it asks for, and do what the table says.
//!
//! Most are passed through undecrypted. Those of peers for services of an HTTP protocol are terminated, under a
//! TLS context that lets in that peer's trust domain and no other. Our own peering name leads to the control
//! thread. A name that is nobody's closes the connection. So does the end of a route, at any time: what an
//! operator takes back is taken back from open connections, too.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use spillway_certs::Accept;
use spillway_core::entry::Protocol;
use spillway_core::name::{Sni, SpiffeId, TrustDomain};
use spillway_core::sni::SniTable;
use spillway_proxy::access_log::{Ends, refused_connection};
use spillway_proxy::conn::Conn;
use spillway_proxy::dial::until;
use spillway_proxy::downstream::Facts;
use spillway_proxy::generation::{Role, ServiceSlot};
use spillway_proxy::inbound::{alpn, client_identity, handshake};
use spillway_proxy::listener::Serve;
use spillway_proxy::serve::serve_http;
use spillway_proxy::stream::{Replayed, Socket, Stream};
use spillway_proxy::tcp::pass_through;
use spillway_proxy::vouch::Vouched;
use spillway_proxy::worker::Worker;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::preread::{ClientHello, HelloError, MAX_WIRE, Parse, Preread};

/// How long a ClientHello may take, however it drips in.
pub(crate) const HELLO: Duration = Duration::from_secs(5);

/// How much of a hello is read at once.
const READ: usize = 2048;

/// Where a name leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// To an endpoint, undecrypted.
    Pass {
        /// The service whose endpoints they are.
        slot: ServiceSlot,
        /// Which peering it serves; none when it is for our own trust domain.
        peering: Option<Arc<str>>,
    },
    /// To a service, after its mTLS has ended here.
    Terminate {
        /// The exported service.
        slot: ServiceSlot,
        /// What it speaks.
        protocol: Protocol,
        /// Whose workloads are let in.
        peer: TrustDomain,
        /// Which peering it serves.
        peering: Arc<str>,
    },
    /// To the peering server.
    Peering,
}

/// A connection for the peering server: what was read of it, and the rest.
#[derive(Debug)]
pub(crate) struct PeeringConnection {
    /// Its ClientHello.
    pub(crate) prelude: Vec<u8>,
    /// Its socket, for the control thread's runtime to watch.
    pub(crate) tcp: std::net::TcpStream,
}

/// Serves the connections of a gateway's listener.
#[derive(Debug)]
pub(crate) struct Front {
    /// Where names lead, as it stands.
    pub(crate) table: watch::Receiver<Arc<SniTable<Route>>>,
    /// Who we are: `By` in `x-forwarded-client-cert`.
    pub(crate) identity: SpiffeId,
    /// To the control thread.
    pub(crate) peering: mpsc::Sender<PeeringConnection>,
}

/// Why a connection was closed before it led anywhere.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("no ClientHello within {HELLO:?}")]
    Slow,
    #[error("the connection ended within its ClientHello")]
    Ended,
    #[error("it asks for no name")]
    Nameless,
    #[error("nobody has the name {0}")]
    Unknown(Sni),
}

impl Refusal {
    /// The name that was asked for.
    fn name(&self) -> Option<&Sni> {
        if let Self::Unknown(name) = self { Some(name) } else { None }
    }

    /// Envoy's flag of what leads nowhere; it has none for what cannot be read.
    fn flag(&self) -> Option<&'static str> {
        matches!(self, Self::Nameless | Self::Unknown(_)).then_some("NR")
    }
}

impl Serve for Front {
    fn serve(self: Arc<Self>, worker: Rc<Worker>, socket: Socket) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(serve(self, worker, socket))
    }
}

async fn serve(front: Arc<Front>, worker: Rc<Worker>, socket: Socket) {
    let Ok(Stream::Tcp(mut tcp)) = Stream::plain(socket) else { return };
    let ends = Ends::of(&tcp);
    let mut prelude = Vec::new();
    let mut table = front.table.clone();
    let found = read_hello(&worker, &mut tcp, &mut prelude).await.and_then(|hello| {
        let name = hello.sni.ok_or(Refusal::Nameless)?;
        let route = table.borrow_and_update().get(&name).cloned();
        route.map(|route| (name.clone(), route)).ok_or(Refusal::Unknown(name))
    });
    let (name, route) = match found {
        Ok(found) => found,
        Err(refusal) => {
            // Relaxed: a count stands for itself.
            worker.shared.stats.unmatched.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(reason = %refusal, "closed a connection");
            let name = refusal.name().map(|name| name.as_str().into());
            // Who leaves without a word, as probes do, is not worth a line.
            if !matches!(refusal, Refusal::Ended) {
                refused_connection(&worker, &Ends { name, ..ends }, refusal.flag(), &refusal);
            }
            return;
        }
    };
    tokio::select! {
        () = follow(&front, &worker, tcp, prelude, &name, route.clone()) => {}
        () = ended(&mut table, &name, &route) => {
            tracing::info!(%name, "closed a connection: its route has ended");
            let ends = Ends { name: Some(name.as_str().into()), ..ends };
            refused_connection(&worker, &ends, None, &"its route has ended");
        }
    }
}

/// Reads into `prelude` until a ClientHello is whole, within [`HELLO`] in all.
async fn read_hello(
    worker: &Rc<Worker>,
    tcp: &mut TcpStream,
    prelude: &mut Vec<u8>,
) -> Result<ClientHello, Refusal> {
    let deadline = worker.deadline().await;
    deadline.set_at(worker.deadline_tick(HELLO));
    let mut preread = Preread::default();
    let read = async {
        loop {
            // Nothing is held for a client that says nothing.
            if tcp.readable().await.is_err() {
                return Err(Refusal::Ended);
            }
            // A hello that is neither whole nor refused is shorter than this.
            prelude.reserve(READ.min(MAX_WIRE.saturating_sub(prelude.len()).max(1)));
            match tcp.read_buf(prelude).await {
                Ok(n) if n > 0 => {}
                _ => return Err(Refusal::Ended),
            }
            match preread.advance(prelude) {
                Parse::Partial => {}
                Parse::Complete(hello) => return Ok(hello),
                Parse::Refused(error) => return Err(error.into()),
            }
        }
    };
    until(worker, &deadline, read).await.unwrap_or(Err(Refusal::Slow))
}

/// Does what the table says.
async fn follow(
    front: &Front,
    worker: &Rc<Worker>,
    tcp: TcpStream,
    prelude: Vec<u8>,
    name: &Sni,
    route: Route,
) {
    match route {
        Route::Pass { slot, .. } => {
            let downstream = Conn::new(Stream::Tcp(tcp), &worker.buffers);
            let facts = Facts::of(slot, Role::Gateway);
            facts.ends.get_or_init(|| Box::new(ends(name, &downstream.stream)));
            pass_through(Rc::clone(worker), downstream, facts, prelude).await;
        }
        Route::Terminate { slot, protocol, peer, .. } => {
            terminate(front, worker, Replayed::new(prelude, tcp), slot, protocol, peer).await;
        }
        Route::Peering => {
            if let Ok(tcp) = tcp.into_std() {
                // Full: more strangers than the peering server would let in anyway.
                let _ = front.peering.try_send(PeeringConnection { prelude, tcp });
            }
        }
    }
}

/// Ends the downstream's mTLS and serves its requests, passing on who it is.
async fn terminate(
    front: &Front,
    worker: &Rc<Worker>,
    tcp: Replayed,
    slot: ServiceSlot,
    protocol: Protocol,
    peer: TrustDomain,
) {
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(slot) else { return };
    let _counted = service.stats.connection(worker.index);
    drop(snapshot);
    let accept = Accept::Only(peer);
    let address = tcp.tcp().peer_addr().ok().map(|address| address.ip());
    let Some(stream) = handshake(worker, tcp, &accept, alpn(protocol)).await else { return };
    let Some(client) = client_identity(worker, &stream) else { return };
    let facts = Facts {
        vouched: Vouched::new(&front.identity, &stream, &client),
        address,
        identity: Some(client.to_string().into()),
        ..Facts::of(slot, Role::Gateway)
    };
    let downstream = Conn::new(stream, &worker.buffers);
    serve_http(Rc::clone(worker), downstream, facts).await;
}

/// The ends of a connection that asked for `name` in the clear.
fn ends(name: &Sni, stream: &Stream) -> Ends {
    Ends { name: Some(name.as_str().into()), ..stream.ends() }
}

/// Ready when the name no longer leads where it did.
async fn ended(table: &mut watch::Receiver<Arc<SniTable<Route>>>, name: &Sni, route: &Route) {
    while table.changed().await.is_ok() {
        if table.borrow_and_update().get(name) != Some(route) {
            return;
        }
    }
    // The gateway itself is ending: what is in flight may finish.
    std::future::pending::<()>().await;
}

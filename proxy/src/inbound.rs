//! The mesh's side: the public listener, mTLS in, the local application out.
//!
//! Mirrors [`crate::outbound`]: one read teaches both.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spillway_certs::{Accept, Alpn};
use spillway_core::breaker::Breaker;
use spillway_core::entry::Protocol;
use spillway_core::name::{SpiffeId, TrustDomain};
use tokio_rustls::TlsAcceptor;

use crate::access_log::{Ends, refused_connection};
use crate::conn::Conn;
use crate::dial::until;
use crate::downstream::Facts;
use crate::generation::{Role, ServiceSlot};
use crate::listener::Serve;
use crate::serve::serve_http;
use crate::stream::{Replayed, Socket, Stream};
use crate::tcp::serve_tcp;
use crate::vouch::Vouched;
use crate::worker::Worker;

/// How long a TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// Serves the connections that the mesh makes to our application.
#[derive(Debug)]
pub struct Inbound {
    /// The local application.
    pub slot: ServiceSlot,
    /// Who we are: `By` in `x-forwarded-client-cert`.
    pub identity: SpiffeId,
}

impl Inbound {
    /// Whose certificates are looked at: where no peer may connect, a peer's fails the handshake.
    fn accept(&self, peers: &[TrustDomain]) -> Accept {
        if peers.is_empty() { Accept::Only(self.identity.trust_domain.clone()) } else { Accept::All }
    }

    fn lets_in(&self, peers: &[TrustDomain], client: &SpiffeId) -> bool {
        client.trust_domain == self.identity.trust_domain || peers.contains(&client.trust_domain)
    }
}

impl Serve for Inbound {
    fn serve(self: Arc<Self>, worker: Rc<Worker>, socket: Socket) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(serve(self, worker, socket))
    }
}

async fn serve(inbound: Arc<Inbound>, worker: Rc<Worker>, socket: Socket) {
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(inbound.slot) else { return };
    let _counted = service.stats.connection(worker.index);
    let protocol = service.table.protocol;
    let service = Arc::clone(service);
    drop(snapshot);
    let admitted = service.intake.connections.as_ref().map(Breaker::connection);
    if let Some(None) = admitted {
        tracing::debug!("refused a connection: there are as many as MaxInboundConnections allows");
        return;
    }
    let address = socket.peer_address();
    let Ok(Stream::Tcp(tcp)) = Stream::plain(socket) else { return };
    let accept = inbound.accept(&service.intake.peers);
    // Apart, so that the connection's task holds no room for it for as long as it lives.
    let handshake = Box::pin(handshake(&worker, Replayed::fresh(tcp), &accept, alpn(protocol)));
    let Some(stream) = handshake.await else { return };
    let Some(client) = client_identity(&worker, &stream) else { return };
    if !inbound.lets_in(&service.intake.peers, &client) {
        let why = "nothing is exported to the client's cluster that leads here";
        tracing::debug!(%client, "refused a client: {why}");
        return refused_connection(&worker, &stream.ends(), None, &why);
    }
    let facts = Facts {
        vouched: Vouched::new(&inbound.identity, &stream, &client),
        address,
        identity: Some(client.to_string().into()),
        ..Facts::of(inbound.slot, Role::Inbound)
    };
    let conn = Conn::new(stream, &worker.buffers);
    match protocol {
        Protocol::Tcp => serve_tcp(worker, conn, facts).await,
        Protocol::Http | Protocol::Http2 | Protocol::Grpc => serve_http(worker, conn, facts).await,
    }
}

/// What is offered to who calls a service of this protocol.
pub fn alpn(protocol: Protocol) -> Alpn {
    match protocol {
        Protocol::Tcp => Alpn::None,
        Protocol::Http => Alpn::Multiplexed,
        Protocol::Http2 | Protocol::Grpc => Alpn::Http2OrHttp1,
    }
}

/// Accepts mTLS within [`HANDSHAKE`]; None, and a line in the log, when it fails.
pub async fn handshake(worker: &Rc<Worker>, tcp: Replayed, accept: &Accept, alpn: Alpn) -> Option<Stream> {
    let Some(contexts) = worker.shared.published.tls() else {
        tracing::warn!("refused a connection: no certificate is loaded");
        return None;
    };
    let deadline = worker.deadline().await;
    deadline.set_at(worker.deadline_tick(HANDSHAKE));
    let acceptor = TlsAcceptor::from(contexts.server(accept, alpn));
    let ends = Ends::of(tcp.tcp());
    let why = match until(worker, &deadline, acceptor.accept(tcp)).await {
        Some(Ok(stream)) => return Some(Stream::Accepted(Box::new(stream))),
        // Who leaves without a word, as probes do, is not worth a line.
        Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!("a client left within its TLS handshake");
            return None;
        }
        Some(Err(error)) => error.to_string(),
        None => format!("it took longer than {HANDSHAKE:?}"),
    };
    let why = format!("TLS handshake failed: {why}");
    tracing::debug!("{why}");
    refused_connection(worker, &ends, None, &why);
    None
}

/// Who the other side proved to be. A resumed session skips the verifier: what it rests on is judged anew.
pub fn client_identity(worker: &Worker, stream: &Stream) -> Option<SpiffeId> {
    let Stream::Accepted(tls) = stream else { return None };
    match spillway_certs::authenticated(tls.get_ref().1, SystemTime::now()) {
        Ok(identity) => identity,
        Err(error) => {
            tracing::debug!(%error, "refused a client");
            refused_connection(worker, &stream.ends(), None, &error);
            None
        }
    }
}

//! The application's side: one listener an upstream, plaintext in, the chain's targets out.
//!
//! Mirrors [`crate::inbound`]: one read teaches both.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use spillway_core::entry::Protocol;

use crate::conn::Conn;
use crate::downstream::Facts;
use crate::generation::{Role, ServiceSlot};
use crate::listener::Serve;
use crate::serve::serve_http;
use crate::stream::{Socket, Stream};
use crate::tcp::serve_tcp;
use crate::worker::Worker;

/// Serves the connections that an application makes to one upstream.
#[derive(Debug)]
pub struct Outbound {
    /// Which upstream.
    pub slot: ServiceSlot,
    /// Who we are, and so who calls: the application has no identity but its sidecar's.
    pub identity: Arc<str>,
}

impl Serve for Outbound {
    fn serve(self: Arc<Self>, worker: Rc<Worker>, socket: Socket) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(serve(self, worker, socket))
    }
}

async fn serve(outbound: Arc<Outbound>, worker: Rc<Worker>, socket: Socket) {
    let (slot, address) = (outbound.slot, socket.peer_address());
    let Ok(stream) = Stream::plain(socket) else { return };
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(slot) else { return };
    let _counted = service.stats.connection(worker.index);
    let protocol = service.table.protocol;
    drop(snapshot);
    let conn = Conn::new(stream, &worker.buffers);
    let identity = Some(Arc::clone(&outbound.identity));
    let facts = Facts { address, identity, ..Facts::of(slot, Role::Outbound) };
    match protocol {
        Protocol::Tcp => serve_tcp(worker, conn, facts).await,
        Protocol::Http | Protocol::Http2 | Protocol::Grpc => serve_http(worker, conn, facts).await,
    }
}

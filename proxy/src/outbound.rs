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
}

impl Serve for Outbound {
    fn serve(self: Arc<Self>, worker: Rc<Worker>, socket: Socket) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(serve(worker, socket, self.slot))
    }
}

async fn serve(worker: Rc<Worker>, socket: Socket, slot: ServiceSlot) {
    let Ok(stream) = Stream::plain(socket) else { return };
    let snapshot = worker.snapshot();
    let Some(service) = snapshot.service(slot) else { return };
    let _counted = service.stats.connection(worker.index);
    let protocol = service.table.protocol;
    drop(snapshot);
    let conn = Conn::new(stream, &worker.buffers);
    match protocol {
        Protocol::Tcp => serve_tcp(worker, conn, slot).await,
        Protocol::Http | Protocol::Http2 | Protocol::Grpc => {
            serve_http(worker, conn, Facts { slot, role: Role::Outbound, vouched: None }, protocol).await;
        }
    }
}

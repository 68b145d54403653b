//! What an idle connection keeps is bounded, and small.
//!
//! A test of its own, because it counts what the whole process has allocated.

mod common;

use std::alloc::System;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use spillway_certs::Alpn;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use common::{Hop, Trust, application, connect, get};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many connections share what a worker has once.
const CONNECTIONS: usize = 200;

/// Bytes that each idle connection keeps which `open` has left after a request or two: on our side, as nothing but the
/// socket is left of the client's.
fn kept(open: impl Fn() -> TcpStream) -> usize {
    let some = |n: usize| (0..n).map(|_| open()).collect::<Vec<_>>();
    let _warm = some(8);
    let region = Region::new(ALLOCATOR);
    let _idle = some(CONNECTIONS);
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated) / CONNECTIONS
}

#[test]
fn an_idle_connection_keeps_no_more_than_it_must() {
    let app = application();
    let plaintext = Hop::outbound(None, app, None);
    let each = kept(|| {
        let mut stream = connect(plaintext.address);
        get(&mut stream);
        stream
    });
    assert!((1..=6 * 1024).contains(&each), "{each} bytes in plaintext");

    let trust = Trust::new();
    let server = Hop::inbound(&trust, app);
    let expected = trust.api();
    let config = trust.tls("web").client(&expected.identities, Alpn::Http1);
    let name = ServerName::try_from(expected.sni.as_str().to_owned()).expect("a server name");
    let each = kept(|| {
        let tls = ClientConnection::new(Arc::clone(&config), name.clone()).expect("a client");
        let mut stream = StreamOwned::new(tls, connect(server.address));
        get(&mut stream);
        get(&mut stream);
        stream.sock
    });
    // 4 KiB are rustls's read buffer, most of the rest the connection's task, which is larger without optimisation.
    assert!((1..=13 * 1024).contains(&each), "{each} bytes in mTLS");
}

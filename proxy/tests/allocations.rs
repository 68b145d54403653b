//! A warm HTTP/1.1 request allocates nothing of ours.
//!
//! A test of its own, because it counts what the whole process allocates: the real engine, with a client and an
//! application that allocate nothing.

mod common;

use std::alloc::System;
use std::net::SocketAddr;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use common::{Hop, Trust, application, connect, get};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests between two counts.
const REQUESTS: usize = 200;

/// What [`REQUESTS`] requests on a warm connection allocate. A tick of the engine's clock may fall among them, so it is
/// the least of several counts.
fn allocations(address: SocketAddr) -> usize {
    let mut client = connect(address);
    let mut ask = || (0..REQUESTS).for_each(|_| get(&mut client));
    ask();
    let counts = (0..5).map(|_| {
        let region = Region::new(ALLOCATOR);
        ask();
        let change = region.change();
        change.allocations + change.reallocations
    });
    counts.min().unwrap_or_default()
}

#[test]
fn a_warm_request_allocates_nothing_but_what_tls_does() {
    let region = Region::new(ALLOCATOR);
    drop(std::hint::black_box(Box::new(1)));
    assert!(region.change().allocations >= 1, "allocations are counted");

    let app = application();
    let plaintext = Hop::outbound(None, app, None);
    assert_eq!(allocations(plaintext.address), 0, "one hop in plaintext");

    let trust = Trust::new();
    let server = Hop::inbound(&trust, app);
    let client = Hop::outbound(Some(trust.tls("web")), server.address, Some(trust.api()));
    // rustls makes a vector of each record that it writes, and one of each that it reads.
    let most = 4 * REQUESTS;
    let made = allocations(client.address);
    assert!(made <= most, "{made} allocations for {REQUESTS} requests through a pair, {most} of them TLS's");
}

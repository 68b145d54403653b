//! A loopback address an instance, as if each were a host.
//!
//! A port that an instance gave up can be bound again: nobody else binds at its address, and the ports that the
//! kernel hands out to connections are those of 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use spillway_core::endpoint::Address;
use spillway_proxy::listener::{Bound, bind};

/// Addresses handed out by this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address that no other instance has: 127.1.0.0 to 127.254.255.255, begun at a place that depends on the
/// process, as several test runs share a machine. 127.0.0.1 where the system has no others (macOS).
pub(crate) fn fresh() -> Ipv4Addr {
    const FIRST: u32 = 0x7f01_0000;
    const COUNT: u32 = 254 << 16;
    let begin = std::process::id().wrapping_mul(1021);
    let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let address = Ipv4Addr::from_bits(FIRST + offset);
    match TcpListener::bind((address, 0)) {
        Ok(_) => address,
        Err(_) => Ipv4Addr::LOCALHOST,
    }
}

/// Binds a free port at `host`.
///
/// # Panics
/// When there is none.
pub(crate) fn bind_any(host: Ipv4Addr) -> (SocketAddr, Bound) {
    let any = Address::Ip(SocketAddr::from((host, 0)));
    let bound = bind(&any, None).unwrap_or_else(|error| panic!("{error}"));
    let Bound::Tcp(listener) = &bound else { unreachable!("a TCP address binds a TCP socket") };
    let addr = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
    (addr, bound)
}

//! Streams that we open: one a peering, to whichever of the peer's gateways answers, for as long as it stands.
//!
//! The peer's gateway has to prove that it is one, by the peer's own bundle and no other; ours is proved by our
//! certificate, and by the secret that establishing the peering left with both.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use spillway_certs::bundle::{BundleError, TrustBundles, roots_from_pem};
use spillway_certs::peering::{PeerError, State};
use spillway_certs::{Alpn, TlsContexts, TlsError};
use spillway_core::catalog::PeerRecord;
use spillway_core::name::{InvalidName, PeerName, SpiffeId, TrustDomain};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::hub::{Hub, is_dialed};
use super::message::{ALPN, Message};
use super::session::{self, End, Party};
use super::wire::{Receiver, send};

/// How long one address may take, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(5);

/// The first wait between two attempts, doubled after each; Consul begins with 8 ms.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait: Consul's.
const LONGEST_WAIT: Duration = Duration::from_secs(64);

/// A stream that lived this long begins to be dialed anew without having to wait long.
const LIVED: Duration = Duration::from_secs(10);

/// How often a peer is told that its peering is deleted before it is left to find out by itself.
const FAREWELLS: u32 = 5;

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No certificate of our own is loaded.
    #[error("no certificate is loaded")]
    NoIdentity,
    /// The record's trust domain or datacenter cannot be.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The peer's roots cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Our own certificate or policy cannot.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Our own files cannot.
    #[error(transparent)]
    Store(#[from] PeerError),
    /// Without its secret a stream cannot be opened.
    #[error("the peering has no stream secret: it was never established")]
    NoSecret,
    /// Nothing to dial.
    #[error("no address of a gateway is known")]
    NoAddress,
    /// The last address that was tried, and why it was given up.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
}

/// Keeps a stream to the peer of this name until the peering `id` has ended.
pub(super) async fn keep(hub: &Arc<Hub>, name: &PeerName, id: &str) {
    let mut attempt = 0;
    let mut local = hub.local.clone();
    while let Some(record) = hub.record(name, id).filter(is_dialed) {
        local.mark_unchanged();
        let deleting = record.state == State::Deleting.as_str();
        let begun = Instant::now();
        let end = stream(hub, name, &record).await;
        attempt = if begun.elapsed() >= LIVED { 0 } else { attempt + 1 };
        match end {
            Ok(End::Deleted) => return forget(hub, name, id),
            Ok(End::Terminated | End::Gone) => return,
            Ok(end) => tracing::info!(peer = %name, reason = %end, "the stream to the peer ended"),
            Err(error) => tracing::info!(peer = %name, %error, "cannot open a stream to the peer"),
        }
        if deleting && attempt >= FAREWELLS {
            tracing::warn!(peer = %name, "the peer could not be told that the peering is deleted");
            return forget(hub, name, id);
        }
        // A deleted peering, or one whose gateways have moved, is not left waiting.
        let changed = async {
            while local.changed().await.is_ok() {
                if hub.record(name, id).is_none_or(|now| now != record) {
                    return;
                }
            }
            // Without a view there is nobody left to dial for: the hub is ending, and this with it.
            std::future::pending::<()>().await;
        };
        let _ = timeout(wait(attempt), changed).await;
    }
}

fn forget(hub: &Hub, name: &PeerName, id: &str) {
    match hub.store.forget(name, id) {
        Ok(()) => tracing::info!(peer = %name, "the peering is gone"),
        Err(error) => tracing::error!(peer = %name, %error, "cannot remove what is left of the peering"),
    }
}

/// Doubling, with half of it left to chance, so that two gateways do not go on meeting each other's restarts.
fn wait(attempt: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << attempt.min(16)).min(LONGEST_WAIT);
    longest.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// One stream, from dialing to its end.
async fn stream(hub: &Arc<Hub>, name: &PeerName, record: &PeerRecord) -> Result<End, DialError> {
    let trust_domain: TrustDomain = record.trust_domain.parse()?;
    let config = client_config(hub, record, &trust_domain)?;
    let secret = hub.store.stream_secret(name)?.ok_or(DialError::NoSecret)?;
    let tls = connect(&record.peer_server_addresses, &record.peer_server_name, config).await?;
    let party = Party { name: name.clone(), id: record.id.clone(), trust_domain };
    let (read, mut write) = tokio::io::split(tls);
    let open = Message::Open { peering: record.peer_id.clone(), secret };
    Ok(match timeout(CONNECT, send(&mut write, &open)).await {
        Err(_) => End::Silent,
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => session::run(hub, &party, Receiver::new(read), write).await,
    })
}

/// TLS under which only the peer's mesh gateway can answer. It is made anew each time: of a peering that is being
/// deleted the contexts in force know nothing any more.
fn client_config(
    hub: &Hub,
    record: &PeerRecord,
    trust_domain: &TrustDomain,
) -> Result<Arc<ClientConfig>, DialError> {
    let ours = (hub.contexts)().ok_or(DialError::NoIdentity)?;
    let roots = roots_from_pem(&record.ca_pems).map_err(BundleError::Pem)?;
    let bundles = TrustBundles::new(trust_domain.clone(), roots)?;
    let contexts = TlsContexts::new(ours.leaf().clone(), bundles, ours.policy().clone())?;
    let gateway = SpiffeId::mesh_gateway(trust_domain, &record.datacenter.parse()?);
    Ok(contexts.client(&Arc::from([gateway]), Alpn::Custom(ALPN)))
}

/// A TLS connection to the first address that gives one, beginning anywhere: gateways share their peers' streams.
pub(super) async fn connect(
    addresses: &[String],
    server_name: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, DialError> {
    let connector = TlsConnector::from(config);
    let first = rand::rng().random_range(0..addresses.len().max(1));
    let mut last = DialError::NoAddress;
    for address in addresses[first..].iter().chain(&addresses[..first]) {
        let unreachable = |source| DialError::Unreachable { address: address.clone(), source };
        match timeout(CONNECT, handshake(address, server_name, &connector)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(source)) => last = unreachable(source),
            Err(_) => last = unreachable(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last)
}

async fn handshake(
    address: &str,
    server_name: &str,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(server_name.to_owned()).map_err(io::Error::other)?;
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let stream = connector.connect(name, tcp).await?;
    // Whoever does not speak our protocol would only wait for another.
    match stream.get_ref().1.alpn_protocol() {
        Some(ALPN) => Ok(stream),
        _ => Err(io::Error::other("it does not speak spillway-peering/1")),
    }
}

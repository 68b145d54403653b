//! Streams that peers open to us, under the SNI of our peering server.
//!
//! A gateway of a peer proves itself by its certificate and opens a lasting stream. Whoever comes without one can
//! do one thing: use a token. Both have to begin at once, and there are only so many at a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use spillway_certs::peering::State;
use spillway_certs::{Accept, Alpn, authenticated};
use spillway_core::name::{PeerName, SpiffeId};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::establish;
use super::hub::Hub;
use super::message::{ALPN, Message};
use super::session::{self, Party};
use super::wire::{Receiver, send};

/// How long a stranger may take for the handshake and the first line.
const BEGIN: Duration = Duration::from_secs(5);

/// Strangers at once: each may make us remember a line of [`super::message::MAX_LINE`].
const STRANGERS: usize = 64;

/// Streams of one peer at once, ours to it included: one of each of its gateways. Each may make us remember an update
/// of [`super::message::MAX_UPDATE`].
const STREAMS: usize = 8;

/// Takes connections under our peering SNI.
pub struct Server {
    hub: Arc<Hub>,
    strangers: Semaphore,
}

/// Why a connection was not kept.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("too many at once")]
    Busy,
    #[error("no certificate is loaded")]
    NoIdentity,
    #[error("the handshake or the first line took too long")]
    Slow,
    #[error("the handshake failed: {0}")]
    Handshake(std::io::Error),
    #[error("it does not speak spillway-peering/1")]
    Alpn,
    #[error(transparent)]
    Identity(#[from] spillway_certs::IdentityError),
    #[error(transparent)]
    Wire(#[from] super::wire::WireError),
    #[error("it did not begin with what it has to begin with")]
    OutOfPlace,
    /// Told to the other side: why does not concern a stranger.
    #[error("there is no such peering with {0}")]
    NoSuchPeering(String),
}

impl Server {
    /// A server of the peerings of `hub`.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, strangers: Semaphore::new(STRANGERS) }
    }

    /// Serves a connection, from its ClientHello on, until it ends.
    pub async fn serve(&self, io: impl AsyncRead + AsyncWrite + Unpin) {
        if let Err(refusal) = self.try_serve(io).await {
            tracing::info!(reason = %refusal, "refused a peering stream");
        }
    }

    async fn try_serve<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Result<(), Refusal> {
        let stranger = self.strangers.try_acquire().map_err(|_| Refusal::Busy)?;
        let begun = timeout(BEGIN, self.begin(io)).await.map_err(|_| Refusal::Slow)??;
        let (client, first, mut receiver, mut sender) = begun;
        match (first, client) {
            (Message::Establish { peering, secret, from, facts }, _) => {
                let request = establish::Request { peering, secret, from, facts };
                establish::answer(&self.hub, request, &mut receiver, &mut sender).await;
                Ok(())
            }
            (Message::Open { peering, secret }, Some(client)) => {
                let party = self.party(&peering, &secret, &client);
                drop(stranger);
                let Some(party) = party else {
                    let refused = Message::Refused { reason: "there is no such peering here".to_owned() };
                    // It may have gone already; what it is told would only have been a courtesy.
                    let _ = timeout(BEGIN, send(&mut sender, &refused)).await;
                    return Err(Refusal::NoSuchPeering(client.to_string()));
                };
                if self.hub.status(&party.name).streams >= STREAMS {
                    return Err(Refusal::Busy);
                }
                let end = session::run(&self.hub, &party, receiver, sender).await;
                tracing::info!(peer = %party.name, reason = %end, "a stream of the peer ended");
                Ok(())
            }
            _ => Err(Refusal::OutOfPlace),
        }
    }

    /// The handshake and the first line.
    async fn begin<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Result<Begun<IO>, Refusal> {
        let contexts = (self.hub.contexts)().ok_or(Refusal::NoIdentity)?;
        let acceptor = TlsAcceptor::from(contexts.server(&Accept::Optional, Alpn::Custom(ALPN)));
        let tls = acceptor.accept(io).await.map_err(Refusal::Handshake)?;
        if tls.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(Refusal::Alpn);
        }
        let client = authenticated(tls.get_ref().1, SystemTime::now())?;
        let (read, write) = tokio::io::split(tls);
        let mut receiver = Receiver::new(read);
        let first = receiver.next().await?.ok_or(Refusal::OutOfPlace)?;
        Ok((client, first, receiver, write))
    }

    /// The peering that `client` may open a stream of: the one with this id, if it is with the client's trust domain
    /// and datacenter, the client is a gateway, and it knows the secret.
    fn party(
        &self,
        peering: &str,
        secret: &spillway_certs::peering::Secret,
        client: &SpiffeId,
    ) -> Option<Party> {
        // What cannot be read cannot be let in; the files' trouble is logged where they are read as configuration.
        let record = self.hub.store.find(peering).ok().flatten()?;
        let name: PeerName = record.name.parse().ok()?;
        let gateway =
            SpiffeId::mesh_gateway(&record.trust_domain.parse().ok()?, &record.datacenter.parse().ok()?);
        let known = self.hub.store.stream_secret(&name).ok().flatten()?;
        let usable = record.state.parse().is_ok_and(State::is_usable);
        let party = Party { name, id: record.id, trust_domain: gateway.trust_domain.clone() };
        (usable && *client == gateway && known.matches(secret)).then_some(party)
    }
}

type Begun<IO> = (Option<SpiffeId>, Message, Receiver<ReadHalf<TlsStream<IO>>>, WriteHalf<TlsStream<IO>>);

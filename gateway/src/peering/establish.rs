//! The use of a token, at both ends: the secret and both sides' facts first, then both sides' services.
//!
//! The dialer needs no certificate and no running gateway of its own; it trusts the CA in the token and nothing
//! else. Once both sides have written the other down, their gateways find each other.

use std::sync::Arc;
use std::time::Duration;

use spillway_certs::peering::{PeerError, PeerStore, Secret, Token};
use spillway_certs::{Alpn, TlsError, TlsPolicy, pinned_client};
use spillway_core::catalog::PeerRecord;
use spillway_core::name::{PeerName, TrustDomain};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::dialer::{DialError, connect};
use super::hub::Hub;
use super::local::Local;
use super::message::{ALPN, Assembly, Export, Facts, Message, MessageError, Update};
use super::session::{self, Party, shortened};
use super::wire::{Receiver, WireError, send};

/// How long the other side may take to answer, and both to tell their services.
const ANSWER: Duration = Duration::from_secs(15);

/// Why a token could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EstablishError {
    /// Our own side does not allow it, or cannot write it down.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The token's CA or server name cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// None of the token's addresses could be reached, or proved to be who it should.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The conversation broke.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The other side's facts cannot be believed.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The other side said no.
    #[error("the other cluster refused: {0}")]
    Refused(String),
    /// The other side said nothing, or nothing that answers.
    #[error("the other cluster's gateway did not answer")]
    NoAnswer,
    /// Streams end at gateways.
    #[error("no mesh gateway is registered here: the other cluster could not reach this one")]
    NoGateway,
}

/// Uses a token under `name`, on behalf of the cluster that `local` shows.
pub(super) async fn dial(
    store: &PeerStore,
    local: &Local,
    name: &PeerName,
    token: &Token,
) -> Result<PeerRecord, EstablishError> {
    if local.gateways.is_empty() {
        return Err(EstablishError::NoGateway);
    }
    let config =
        pinned_client(&token.ca, token.server_name().as_str(), &TlsPolicy::default(), Alpn::Custom(ALPN))?;
    let record = store.dial(name, token, &local.own.trust_domain)?;
    let exports = local.exports(name);
    let request = Request {
        peering: token.peer_id.clone(),
        secret: token.secret.clone(),
        from: record.id.clone(),
        facts: local.facts(),
    };
    let established = async {
        let tls = connect(token.addresses(), token.server_name().as_str(), config).await?;
        timeout(ANSWER, converse(store, tls, name, request, token, exports))
            .await
            .map_err(|_| EstablishError::NoAnswer)?
    };
    let established = established.await;
    if established.is_err() {
        // Nothing is left of what did not come about; the error in hand matters more than one in tidying up.
        let _ = store.abandon(name, &record.id);
    }
    established
}

/// The dialer's part of the conversation.
async fn converse(
    store: &PeerStore,
    io: impl AsyncRead + AsyncWrite,
    name: &PeerName,
    request: Request,
    token: &Token,
    exports: &[Export],
) -> Result<PeerRecord, EstablishError> {
    let (read, mut write) = tokio::io::split(io);
    let mut receiver = Receiver::new(read);
    let Request { peering, secret, from, facts } = request;
    let ours = facts.clone();
    send(&mut write, &Message::Establish { peering, secret, from, facts }).await.map_err(WireError::Io)?;
    let (stream_secret, facts) = match receiver.next().await? {
        Some(Message::Established { stream_secret, facts }) => (stream_secret, facts),
        Some(Message::Refused { reason }) => return Err(EstablishError::Refused(shortened(&reason))),
        _ => return Err(EstablishError::NoAnswer),
    };
    let remote = facts.check_is(&token.trust_domain)?;
    let record = store.dialed(name, &remote, &token.peer_id, stream_secret, Vec::new())?;
    // From here on the peering stands at both ends: what is not told now, a stream will tell.
    match exchange(&ours, exports, &token.trust_domain, &mut receiver, &mut write).await {
        Ok(update) => {
            store.update(name, &record.id, |record| record.imported = update.services)?;
            Ok(store.read(name)?.unwrap_or(record))
        }
        Err(error) => {
            tracing::warn!(peer = %name, %error, "the peering stands, but services were not exchanged yet");
            Ok(record)
        }
    }
}

/// What a dialer asks for.
pub(super) struct Request {
    pub(super) peering: String,
    pub(super) secret: Secret,
    pub(super) from: String,
    pub(super) facts: Facts,
}

/// The acceptor's part of the conversation.
pub(super) async fn answer<R: AsyncRead + Unpin>(
    hub: &Arc<Hub>,
    request: Request,
    receiver: &mut Receiver<R>,
    to: &mut (impl AsyncWrite + Unpin),
) {
    let local = hub.local.borrow().clone();
    let told = timeout(ANSWER, async {
        match redeem(hub, &local, request) {
            Err(error) => {
                tracing::warn!(%error, "refused the use of a peering token");
                send(to, &Message::Refused { reason: error.to_string() }).await.map_err(WireError::Io)?;
                // Read to the end, so that the answer is not lost to a reset.
                to.shutdown().await.map_err(WireError::Io)?;
                while receiver.next().await?.is_some() {}
            }
            Ok((party, stream_secret)) => {
                let facts = local.facts();
                let established = Message::Established { stream_secret, facts: facts.clone() };
                send(to, &established).await.map_err(WireError::Io)?;
                let exports = local.exports(&party.name);
                let update = exchange(&facts, exports, &party.trust_domain, receiver, to).await?;
                session::take(hub, &party, update);
            }
        }
        Ok::<_, EstablishError>(())
    });
    match told.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "establishing a peering was cut short"),
        Err(_) => tracing::info!("establishing a peering was cut short: the other side fell silent"),
    }
}

fn redeem(hub: &Hub, local: &Local, request: Request) -> Result<(Party, Secret), EstablishError> {
    let Request { peering, secret, from, facts } = request;
    let remote = facts.check()?;
    let (record, stream_secret) =
        hub.store.redeem(&peering, &secret, &remote, &from, &local.own.trust_domain)?;
    let name: PeerName = record.name.parse().map_err(PeerError::Name)?;
    tracing::info!(peer = %name, trust_domain = %remote.trust_domain, "a peering was established");
    Ok((Party { name, id: record.id, trust_domain: remote.trust_domain }, stream_secret))
}

/// Tells our services and hears theirs, side by side: neither may wait for the other to finish.
async fn exchange<R: AsyncRead + Unpin>(
    facts: &Facts,
    exports: &[Export],
    theirs: &TrustDomain,
    receiver: &mut Receiver<R>,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<Update, EstablishError> {
    let tell = async {
        for line in Message::update(facts, exports) {
            send(to, &line).await.map_err(WireError::Io)?;
        }
        Ok::<_, EstablishError>(())
    };
    let hear = async {
        let mut assembly = Assembly::default();
        loop {
            match receiver.next().await? {
                Some(Message::Update { facts, services, more }) => {
                    if let Some(update) = assembly.add(facts, services, more, theirs)? {
                        return Ok(update);
                    }
                }
                Some(Message::Unknown | Message::Heartbeat) => {}
                Some(Message::Refused { reason }) => {
                    return Err(EstablishError::Refused(shortened(&reason)));
                }
                _ => return Err(EstablishError::NoAnswer),
            }
        }
    };
    let ((), update) = tokio::try_join!(tell, hear)?;
    Ok(update)
}

//! A lasting stream, from its first update to its end: the same at both ends.
//!
//! Each side tells everything at first and then whatever changes, with heartbeats between; it writes what it is
//! told into `peers/NAME.json`. Telling and listening go on side by side: two long updates must not wait for each
//! other. A stream ends when its peering does, when the peer says so, or when it has been silent for too long.

use std::sync::Arc;
use std::time::Duration;

use spillway_certs::peering::State;
use spillway_core::catalog::PeerRecord;
use spillway_core::name::{PeerName, TrustDomain};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

use super::hub::{DEAD_AFTER, Hub};
use super::local::Local;
use super::message::{Assembly, Export, Facts, Message, MessageError, Update};
use super::wire::{Receiver, WireError, send};

/// Between two heartbeats: Consul's `OutgoingHeartbeatInterval`.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long one line may take to leave: a peer that does not read is given up.
const SEND: Duration = Duration::from_secs(30);

/// How long the peer may take to hang up after a farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// Whose stream it is.
#[derive(Clone, Debug)]
pub(super) struct Party {
    /// Our name for the peer.
    pub(super) name: PeerName,
    /// Our id of the peering.
    pub(super) id: String,
    /// The peer's trust domain.
    pub(super) trust_domain: TrustDomain,
}

/// How a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peering was deleted here, and the peer was told.
    #[error("the peering was deleted")]
    Deleted,
    /// The peering ended otherwise, or the gateway does.
    #[error("the peering has ended")]
    Gone,
    /// The peer deleted the peering.
    #[error("the peer deleted the peering")]
    Terminated,
    /// The peer wants no stream of us.
    #[error("the peer refused the stream: {0}")]
    Refused(String),
    /// The peer hung up.
    #[error("the peer ended the stream")]
    Closed,
    /// Nothing came for [`DEAD_AFTER`], or nothing could be sent.
    #[error("the peer is silent")]
    Silent,
    /// The stream broke, or the peer said something that nobody may say.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Wire(error.into())
    }
}

impl From<MessageError> for End {
    fn from(error: MessageError) -> Self {
        Self::Wire(error.into())
    }
}

/// Keeps a stream that both sides have agreed on.
pub(super) async fn run<S: AsyncRead + AsyncWrite>(
    hub: &Arc<Hub>,
    party: &Party,
    mut receiver: Receiver<ReadHalf<S>>,
    mut sender: WriteHalf<S>,
) -> End {
    let _up = hub.up(&party.name);
    let end = tokio::select! {
        end = tell(hub, party, &mut sender) => end,
        end = listen(hub, party, &mut receiver) => end,
    };
    match &end {
        End::Deleted => {
            // Whatever is still on its way must not turn into a reset that overtakes the farewell.
            let hung_up = async { while let Ok(Some(_)) = receiver.next().await {} };
            let _ = timeout(FAREWELL, hung_up).await;
        }
        End::Wire(WireError::Message(error)) => {
            let refused = Message::Refused { reason: error.to_string() };
            let _ = timeout(FAREWELL, send(&mut sender, &refused)).await;
        }
        _ => {}
    }
    end
}

/// Tells the peer what it does not know yet.
async fn tell(hub: &Arc<Hub>, party: &Party, to: &mut (impl AsyncWrite + Unpin)) -> End {
    let mut local = hub.local.clone();
    let mut told: Option<(Facts, Vec<Export>)> = None;
    let mut next_heartbeat = Instant::now() + HEARTBEAT;
    loop {
        let view = local.borrow_and_update().clone();
        let messages: Vec<Message> = match standing(hub, &view, party) {
            Standing::Stands => {
                let news = (view.facts(), view.exports(&party.name).to_vec());
                if told.as_ref() != Some(&news) {
                    let (facts, exports) = told.insert(news);
                    Message::update(facts, exports).collect()
                } else if next_heartbeat <= Instant::now() {
                    vec![Message::Heartbeat]
                } else {
                    Vec::new()
                }
            }
            Standing::Deleted => vec![Message::Terminated],
            Standing::Ended => return End::Gone,
        };
        for message in &messages {
            match timeout(SEND, send(to, message)).await {
                Err(_) => return End::Silent,
                Ok(Err(error)) => return error.into(),
                Ok(Ok(())) => hub.sent(&party.name),
            }
        }
        match messages[..] {
            [Message::Terminated] => return End::Deleted,
            [] => {}
            _ => next_heartbeat = Instant::now() + HEARTBEAT,
        }
        tokio::select! {
            changed = local.changed() => if changed.is_err() { return End::Gone },
            () = tokio::time::sleep_until(next_heartbeat) => {}
        }
    }
}

/// What has become of a peering since its stream was opened.
enum Standing {
    Stands,
    /// Here: the peer is to be told.
    Deleted,
    /// There, or nobody knows.
    Ended,
}

/// The view follows the files a moment later, so what it does not know to stand is looked up in them: a peering that
/// was established this instant must not be taken for one that was deleted.
fn standing(hub: &Hub, view: &Local, party: &Party) -> Standing {
    let usable = |record: &PeerRecord| record.state.parse().is_ok_and(State::is_usable);
    if view.record(&party.name, &party.id).is_some_and(usable) {
        return Standing::Stands;
    }
    match hub.store.read(&party.name) {
        Ok(Some(record)) if record.id != party.id => Standing::Deleted,
        Ok(Some(record)) if usable(&record) => Standing::Stands,
        Ok(Some(record)) if record.state == State::Deleting.as_str() => Standing::Deleted,
        Ok(None) => Standing::Deleted,
        Ok(Some(_)) | Err(_) => Standing::Ended,
    }
}

/// Takes in what the peer tells.
async fn listen<R: AsyncRead + Unpin>(hub: &Arc<Hub>, party: &Party, from: &mut Receiver<R>) -> End {
    let mut assembly = Assembly::default();
    // Only whole messages push the deadline: a peer that drips bytes is a silent one.
    let mut deadline = Instant::now() + DEAD_AFTER;
    loop {
        let message = match timeout_at(deadline, from.next()).await {
            Err(_) => return End::Silent,
            Ok(Err(error)) => return error.into(),
            Ok(Ok(None)) => return End::Closed,
            Ok(Ok(Some(message))) => message,
        };
        deadline = Instant::now() + DEAD_AFTER;
        hub.heard(&party.name, &party.id, message == Message::Heartbeat);
        match message {
            Message::Update { facts, services, more } => {
                match assembly.add(facts, services, more, &party.trust_domain) {
                    Ok(Some(update)) => take(hub, party, update),
                    Ok(None) => {}
                    Err(error) => return error.into(),
                }
            }
            Message::Heartbeat | Message::Unknown => {}
            Message::Terminated => {
                match hub.store.terminate(&party.name, &party.id) {
                    Ok(_) => tracing::info!(peer = %party.name, "the peer deleted the peering"),
                    Err(error) => tracing::error!(peer = %party.name, %error, "cannot end the peering"),
                }
                return End::Terminated;
            }
            Message::Refused { reason } => return End::Refused(shortened(&reason)),
            Message::Establish { .. } | Message::Established { .. } | Message::Open { .. } => {
                return MessageError::OutOfPlace.into();
            }
        }
    }
}

/// Writes down what the peer told.
pub(super) fn take(hub: &Hub, party: &Party, update: Update) {
    if update.refused > 0 {
        tracing::warn!(peer = %party.name, services = update.refused, "services were left out: nobody could dial them");
    }
    let written = hub.store.update(&party.name, &party.id, |record| {
        let known = std::mem::take(&mut record.peer_server_addresses);
        update.remote.write_into(record);
        if record.peer_server_addresses.is_empty() {
            // A cluster that loses its last gateway for a moment is still to be found when it is back.
            record.peer_server_addresses = known;
        }
        record.imported = update.services;
        record.state = State::Active.to_string();
    });
    match written {
        Ok(true) => tracing::info!(peer = %party.name, "took over an update of the peer"),
        Ok(false) => {}
        Err(error) => tracing::error!(peer = %party.name, %error, "cannot write down what the peer told"),
    }
}

/// A stranger's words, as one short line of the log.
pub(super) fn shortened(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

//! Peering with clusters of other trust domains: what operators do, and the streams that follow from it.
//!
//! The functions here are the commands: they work on a configuration directory, whether a gateway runs or not,
//! and a gateway that runs notices. `establish` is the one that talks to another cluster. Below them: [`message`]
//! is what gateways say to each other, [`exports`] what a peer gets to see, [`hub`] who has a stream to whom,
//! `session` one stream; [`view`] shows a peering in Consul's shape. Kept out: service traffic.

mod api;
mod dialer;
mod establish;
pub mod exports;
pub mod hub;
pub mod local;
pub mod message;
pub mod server;
mod session;
pub mod view;
mod wire;

use std::path::{Path, PathBuf};

use spillway_certs::peering::{Deleted, PeerError, PeerStore, Token, TokenError, check_addresses};
use spillway_certs::{Ca, CaError, pem};
use spillway_core::name::PeerName;
use spillway_core::problem::Problem;
use spillway_proxy::process::Inputs;

pub(crate) use api::PeeringApi;
pub use dialer::DialError;
pub use establish::EstablishError;
use local::Local;
use view::Peering;

/// Why a peering command failed.
#[derive(Debug, thiserror::Error)]
pub enum PeeringError {
    /// The configuration is wrong: every problem.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
    /// The cluster has no CA, or one that cannot be read.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The peering's part.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The token's part.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The other cluster's part, or the way there.
    #[error(transparent)]
    Establish(#[from] EstablishError),
    /// `peering.enabled = false`.
    #[error("peering is disabled here: set peering {{ enabled = true }} in the agent's configuration")]
    Disabled,
    /// A token has to say where to go.
    #[error(
        "no mesh gateway is registered in {}: register one, or name addresses that lead to one",
        .0.display()
    )]
    NoGateway(PathBuf),
}

/// Makes a token for a peering of this name, or a new one for one that there is. `server_external_addresses`
/// (`host:port`) take the place of the registered gateways' when there are any.
///
/// # Errors
/// When the configuration or the CA cannot be read, there is no gateway to go to, or the peering was begun from the
/// other side.
pub fn generate_token(
    config_dir: &Path,
    peer: &PeerName,
    server_external_addresses: &[String],
) -> Result<String, PeeringError> {
    let local = local_of(config_dir)?;
    offer(&PeerStore::new(config_dir), &local, peer, server_external_addresses, config_dir)
}

/// Uses a token of another cluster under our name for it. Needs the other cluster's gateway, but none here: it
/// returns when both sides have written the other down.
///
/// # Errors
/// When the token cannot be used, nobody who is who the token says can be reached, or the other side refuses it;
/// nothing is left behind then.
pub async fn establish(config_dir: &Path, peer: &PeerName, token: &str) -> Result<Peering, PeeringError> {
    let token = Token::decode(token)?;
    let local = local_of(config_dir)?;
    let record = establish::dial(&PeerStore::new(config_dir), &local, peer, &token).await?;
    Ok(Peering::new(&record, exported(&local, peer), None))
}

/// All peerings, by name.
///
/// # Errors
/// When the configuration or a peering's file cannot be read.
pub fn list(config_dir: &Path) -> Result<Vec<Peering>, PeeringError> {
    let local = local_of(config_dir)?;
    let records = PeerStore::new(config_dir).list()?;
    Ok(records.iter().map(|record| Peering::new(record, exported_to(&local, &record.name), None)).collect())
}

/// One peering.
///
/// # Errors
/// When there is none of this name, or something cannot be read.
pub fn read(config_dir: &Path, peer: &PeerName) -> Result<Peering, PeeringError> {
    let record = PeerStore::new(config_dir).read(peer)?.ok_or_else(|| PeerError::Unknown(peer.clone()))?;
    Ok(Peering::new(&record, exported(&local_of(config_dir)?, peer), None))
}

/// Deletes a peering: from now on nothing of it is trusted here. The other side learns of it from a running gateway,
/// which then removes what is left; deleting twice removes it without.
///
/// # Errors
/// When there is none of this name, or its files cannot be written.
pub fn delete(config_dir: &Path, peer: &PeerName) -> Result<Deleted, PeeringError> {
    Ok(PeerStore::new(config_dir).delete(peer)?)
}

/// The names of the services that are exported to a peer.
///
/// # Errors
/// When there is no peering of this name, or something cannot be read.
pub fn exported_services(config_dir: &Path, peer: &PeerName) -> Result<Vec<String>, PeeringError> {
    if PeerStore::new(config_dir).read(peer)?.is_none() {
        return Err(PeerError::Unknown(peer.clone()).into());
    }
    Ok(exported(&local_of(config_dir)?, peer))
}

/// The secret goes into the store first: a token that nobody has seen is void, one that nobody knows of would not be.
fn offer(
    store: &PeerStore,
    local: &Local,
    peer: &PeerName,
    external: &[String],
    config_dir: &Path,
) -> Result<String, PeeringError> {
    check_addresses(external)?;
    if local.gateways.is_empty() && external.is_empty() {
        return Err(PeeringError::NoGateway(config_dir.to_owned()));
    }
    let (peer_id, secret) = store.offer(peer)?;
    let token = Token {
        ca: local.roots.clone(),
        manual_server_addresses: external.to_vec(),
        server_addresses: local.gateways.clone(),
        trust_domain: local.own.trust_domain.clone(),
        datacenter: local.own.datacenter.clone(),
        peer_id,
        secret,
    };
    Ok(token.encode())
}

/// The view of a configuration directory by itself.
fn local_of(config_dir: &Path) -> Result<Local, PeeringError> {
    let ca = Ca::open(config_dir)?;
    let inputs = Inputs::read(&[config_dir.to_owned()], ca.trust_domain()).map_err(PeeringError::Config)?;
    if !inputs.config.agent.peering {
        return Err(PeeringError::Disabled);
    }
    let roots = ca.roots().iter().map(|root| pem::encode_certificates(std::slice::from_ref(root))).collect();
    Ok(Local::of(&inputs, roots))
}

fn exported(local: &Local, peer: &PeerName) -> Vec<String> {
    local.exports(peer).iter().map(|export| export.name.clone()).collect()
}

/// [`exported`] to the peer of a record: a name that is no peer's is exported nothing.
fn exported_to(local: &Local, peer: &str) -> Vec<String> {
    peer.parse().map_or_else(|_| Vec::new(), |peer| exported(local, &peer))
}

#[cfg(test)]
mod tests;

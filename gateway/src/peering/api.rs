//! The peering part of a running gateway's admin API: Consul's paths and shapes.
//!
//! The same as the commands, with what only the gateway knows: when its streams were last heard. Errors are one
//! line of text, as Consul's are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spillway_certs::peering::{PeerError, Token};
use spillway_core::name::PeerName;
use spillway_proxy::admin::{PlaneAnswer, PlaneApi, PlaneRequest};

use super::hub::Hub;
use super::local::Local;
use super::view::Peering;
use super::{EstablishError, PeeringError, establish, exported, offer};

/// Answers for the peerings of a gateway.
#[derive(Clone, Debug)]
pub(crate) struct PeeringApi {
    /// The gateway's streams.
    pub(crate) hub: Arc<Hub>,
    /// Named in errors.
    pub(crate) config_dir: PathBuf,
}

/// Body of `POST /v1/peering/token`. What else Consul knows there says nothing here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TokenRequest {
    peer_name: String,
    #[serde(default)]
    server_external_addresses: Option<Vec<String>>,
}

/// Body of `POST /v1/peering/establish`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EstablishRequest {
    peer_name: String,
    peering_token: String,
}

/// Why a request was not granted.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("the request's body cannot be read: {0}")]
    Body(#[from] serde_json::Error),
    #[error(transparent)]
    Peering(#[from] PeeringError),
    #[error("{method} is not for this path")]
    Method { method: Method },
}

impl From<PeerError> for ApiError {
    fn from(error: PeerError) -> Self {
        Self::Peering(error.into())
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Peering(error) => match error {
                PeeringError::Peer(PeerError::Unknown(_)) => StatusCode::NOT_FOUND,
                PeeringError::Token(_) | PeeringError::NoGateway(_) | PeeringError::Disabled => {
                    StatusCode::BAD_REQUEST
                }
                PeeringError::Peer(error) | PeeringError::Establish(EstablishError::Peer(error)) => of(error),
                PeeringError::Establish(_) => StatusCode::BAD_GATEWAY,
                PeeringError::Config(_) | PeeringError::Ca(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }
}

/// Whether the one who asked is at fault, or our files are.
fn of(error: &PeerError) -> StatusCode {
    match error {
        PeerError::Store(_) | PeerError::Read { .. } | PeerError::Corrupt { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        PeerError::Unknown(_) => StatusCode::NOT_FOUND,
        PeerError::Name(_)
        | PeerError::OwnCluster(_)
        | PeerError::AlreadyPeered { .. }
        | PeerError::OtherCluster { .. }
        | PeerError::Role { .. }
        | PeerError::Deleting(_)
        | PeerError::SecretRefused
        | PeerError::Address(_) => StatusCode::BAD_REQUEST,
    }
}

impl PlaneApi for PeeringApi {
    fn answer(&self, request: PlaneRequest) -> Pin<Box<dyn Future<Output = Option<PlaneAnswer>>>> {
        let api = self.clone();
        Box::pin(async move {
            let (status, body) = match api.respond(&request).await? {
                Ok(Value::Null) => (StatusCode::OK, String::new()),
                Ok(json) => (StatusCode::OK, format!("{json:#}\n")),
                Err(error) => (error.status(), format!("{error}\n")),
            };
            Some(PlaneAnswer { status, body })
        })
    }
}

impl PeeringApi {
    /// None when the path is not ours.
    async fn respond(&self, request: &PlaneRequest) -> Option<Result<Value, ApiError>> {
        let PlaneRequest { method, path, body, .. } = request;
        let local = self.hub.local.borrow().clone();
        Some(match (path.as_str(), method) {
            ("/v1/peering/token", &Method::POST) => self.token(&local, body),
            ("/v1/peering/establish", &Method::POST) => self.establish(&local, body).await,
            ("/v1/peerings", &Method::GET) => self.list(&local),
            ("/v1/exported-services", &Method::GET) => Ok(exported_services(&local)),
            ("/v1/imported-services", &Method::GET) => Ok(imported_services(&local)),
            (
                "/v1/peering/token"
                | "/v1/peering/establish"
                | "/v1/peerings"
                | "/v1/exported-services"
                | "/v1/imported-services",
                method,
            ) => Err(ApiError::Method { method: method.clone() }),
            (path, method) => {
                let name = path.strip_prefix("/v1/peering/")?;
                match (name.parse::<PeerName>(), method) {
                    (Err(error), _) => Err(PeerError::Name(error).into()),
                    (Ok(name), &Method::GET) => self.read(&local, &name),
                    (Ok(name), &Method::DELETE) => self.delete(&name),
                    (Ok(_), method) => Err(ApiError::Method { method: method.clone() }),
                }
            }
        })
    }

    fn token(&self, local: &Local, body: &[u8]) -> Result<Value, ApiError> {
        let TokenRequest { peer_name, server_external_addresses } = serde_json::from_slice(body)?;
        let peer: PeerName = peer_name.parse().map_err(PeerError::Name)?;
        let external = server_external_addresses.unwrap_or_default();
        let token = offer(&self.hub.store, local, &peer, &external, &self.config_dir)?;
        Ok(json!({ "PeeringToken": token }))
    }

    async fn establish(&self, local: &Local, body: &[u8]) -> Result<Value, ApiError> {
        let EstablishRequest { peer_name, peering_token } = serde_json::from_slice(body)?;
        let peer: PeerName = peer_name.parse().map_err(PeerError::Name)?;
        let token = Token::decode(&peering_token).map_err(PeeringError::from)?;
        establish::dial(&self.hub.store, local, &peer, &token).await.map_err(PeeringError::from)?;
        Ok(json!({}))
    }

    fn list(&self, local: &Local) -> Result<Value, ApiError> {
        let mut all = Vec::new();
        for name in self.hub.store.names()? {
            // One that is gone again is as good as never there.
            all.extend(self.peering(local, &name)?);
        }
        Ok(json!(all))
    }

    fn read(&self, local: &Local, name: &PeerName) -> Result<Value, ApiError> {
        Ok(json!(self.peering(local, name)?.ok_or_else(|| PeerError::Unknown(name.clone()))?))
    }

    /// Consul answers alike whether there was one.
    fn delete(&self, name: &PeerName) -> Result<Value, ApiError> {
        match self.hub.store.delete(name) {
            Ok(_) | Err(PeerError::Unknown(_)) => Ok(Value::Null),
            Err(error) => Err(error.into()),
        }
    }

    fn peering(&self, local: &Local, name: &PeerName) -> Result<Option<Peering>, ApiError> {
        let record = self.hub.store.read(name)?;
        let live = self.hub.status(name);
        Ok(record.map(|record| Peering::new(&record, exported(local, name), Some(live))))
    }
}

/// One of `GET /v1/exported-services`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExportedService<'a> {
    service: &'a str,
    consumers: Consumers<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Consumers<'a> {
    peers: Vec<&'a str>,
}

fn exported_services(local: &Local) -> Value {
    let mut services: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (peer, exports) in local.all_exports() {
        for export in exports {
            services.entry(&export.name).or_default().push(peer.as_str());
        }
    }
    let shown = services.into_iter().map(|(service, peers)| {
        let consumers = Consumers { peers };
        ExportedService { service, consumers }
    });
    json!(shown.collect::<Vec<_>>())
}

fn imported_services(local: &Local) -> Value {
    let services = local.records.iter().flat_map(|(peer, record)| {
        record.imported.iter().map(|service| json!({ "Service": service.name, "SourcePeer": peer.as_str() }))
    });
    Value::Array(services.collect())
}

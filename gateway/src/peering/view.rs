//! A peering in the shape of Consul's API and `consul peering … --format json`.

use std::time::SystemTime;

use serde::Serialize;
use spillway_core::catalog::PeerRecord;
use time::OffsetDateTime;

use super::hub::Live;

/// A peering, as Consul shows one. Secrets are not in it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Peering {
    /// UUID of this peering in our cluster.
    #[serde(rename = "ID")]
    pub id: String,
    /// Our name for the peer.
    pub name: String,
    /// `PENDING`, `ESTABLISHING`, `ACTIVE`, `FAILING`, `DELETING` or `TERMINATED`.
    pub state: String,
    /// UUID of this peering in the other cluster.
    #[serde(rename = "PeerID", skip_serializing_if = "String::is_empty")]
    pub peer_id: String,
    /// The peer's roots.
    #[serde(rename = "PeerCAPems", skip_serializing_if = "Vec::is_empty")]
    pub ca_pems: Vec<String>,
    /// SNI of the peer's peering server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer_server_name: String,
    /// `host:port` of the peer's gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_server_addresses: Vec<String>,
    /// What its streams have brought.
    pub stream_status: StreamStatus,
    /// Where the peer is.
    pub remote: RemoteInfo,
}

/// `StreamStatus`; times are RFC 3339, null where nothing happened or no gateway was asked.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamStatus {
    /// Names of the services that the peer exports to us.
    pub imported_services: Vec<String>,
    /// Names of the services that we export to it.
    pub exported_services: Vec<String>,
    /// When a heartbeat last came.
    pub last_heartbeat: Option<String>,
    /// When anything last came.
    pub last_receive: Option<String>,
    /// When anything was last sent.
    pub last_send: Option<String>,
}

/// `Remote`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoteInfo {
    /// Always `default`, once known.
    pub partition: String,
    /// The peer's own name of its datacenter.
    pub datacenter: String,
}

impl Peering {
    /// Shows a record, with what is exported to it and, by a gateway, what its streams have seen.
    pub fn new(record: &PeerRecord, exported: Vec<String>, live: Option<Live>) -> Self {
        let live = live.unwrap_or_default();
        let known = !record.datacenter.is_empty();
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            state: record.state.clone(),
            peer_id: record.peer_id.clone(),
            ca_pems: record.ca_pems.clone(),
            peer_server_name: record.peer_server_name.clone(),
            peer_server_addresses: record.peer_server_addresses.clone(),
            stream_status: StreamStatus {
                imported_services: record.imported.iter().map(|service| service.name.clone()).collect(),
                exported_services: exported,
                last_heartbeat: live.last_heartbeat.map(rfc3339),
                last_receive: live.last_receive.map(rfc3339),
                last_send: live.last_send.map(rfc3339),
            },
            remote: RemoteInfo {
                partition: if known { "default".to_owned() } else { String::new() },
                datacenter: record.datacenter.clone(),
            },
        }
    }
}

/// `2026-11-22T01:02:03.004Z`
fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn record() -> PeerRecord {
        PeerRecord {
            name: "b".to_owned(),
            id: "our-id".to_owned(),
            peer_id: String::new(),
            state: "PENDING".to_owned(),
            trust_domain: String::new(),
            datacenter: String::new(),
            ca_pems: Vec::new(),
            peer_server_name: String::new(),
            peer_server_addresses: Vec::new(),
            imported: Vec::new(),
        }
    }

    fn shown(record: &PeerRecord, live: Option<Live>) -> Value {
        serde_json::to_value(Peering::new(record, vec!["web".to_owned()], live)).unwrap()
    }

    #[test]
    fn a_pending_peering_shows_what_is_known_of_it() {
        let expected = json!({
            "ID": "our-id",
            "Name": "b",
            "State": "PENDING",
            "StreamStatus": {
                "ImportedServices": [],
                "ExportedServices": ["web"],
                "LastHeartbeat": null,
                "LastReceive": null,
                "LastSend": null,
            },
            "Remote": {"Partition": "", "Datacenter": ""},
        });
        assert_eq!(shown(&record(), None), expected);
    }

    #[test]
    fn an_active_peering_shows_when_it_was_last_heard() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_045);
        let live = Live { last_heartbeat: Some(at), last_receive: Some(at), ..Live::default() };
        let record = PeerRecord { datacenter: "dc2".to_owned(), ..record() };
        let shown = shown(&record, Some(live));
        assert_eq!(shown["StreamStatus"]["LastHeartbeat"], "2023-11-14T22:13:20.045Z");
        assert_eq!(shown["StreamStatus"]["LastSend"], Value::Null);
        assert_eq!(shown["Remote"], json!({"Partition": "default", "Datacenter": "dc2"}));
    }
}

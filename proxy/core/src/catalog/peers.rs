//! A peer's record into what tables need of it.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Catalog, Imported, ImportedService, Peer, PeerRecord};
use crate::entry::Protocol;
use crate::name::{PeerName, ServiceName, SpiffeId, TrustDomain};
use crate::problem::{Place, Problem};

/// Adds the peer of `record` to `catalog`. What of it cannot be used is left out and named in `problems`: warnings,
/// for another cluster's faults must not refuse our own configuration.
pub(super) fn read(record: &PeerRecord, catalog: &mut Catalog, problems: &mut Vec<Problem>) {
    let file = PathBuf::from(format!("peers/{}.json", record.name));
    let place = Place { file: Arc::new(file), line: 0, column: 0 };
    let mut warn = |field: String, message: String| problems.push(Problem::warning(&place, field, message));
    let name: PeerName = match record.name.parse() {
        Ok(name) => name,
        Err(error) => return warn("Name".to_owned(), format!("{error}; the peer is left out")),
    };
    if record.trust_domain.is_empty() {
        catalog.unknown_peers.insert(name, record.state.clone());
        return;
    }
    let trust_domain: TrustDomain = match record.trust_domain.parse() {
        Ok(trust_domain) => trust_domain,
        Err(error) => return warn("TrustDomain".to_owned(), format!("{error}; the peer is left out")),
    };
    let mut peer = Peer {
        usable: usable(record),
        trust_domain,
        gateways: record.peer_server_addresses.clone(),
        imported: [].into(),
        state: record.state.clone(),
    };
    for (index, service) in record.imported.iter().enumerate() {
        match imported(service, &peer.trust_domain) {
            Ok((name, imported)) => {
                peer.imported.insert(name, imported);
            }
            Err(message) => warn(format!("Imported[{index}]"), format!("{message}; the service is left out")),
        }
    }
    catalog.peers.insert(name, peer);
}

/// Whether traffic may flow. A peering that fails to reach the other side, or reaches for it again, keeps serving
/// from what it knows: the stream carries news, not traffic.
fn usable(record: &PeerRecord) -> bool {
    matches!(record.state.as_str(), "ACTIVE" | "FAILING" | "ESTABLISHING") && !record.ca_pems.is_empty()
}

fn imported(service: &ImportedService, peer: &TrustDomain) -> Result<(ServiceName, Imported), String> {
    let name = service.name.parse::<ServiceName>().map_err(|error| error.to_string())?;
    let sni = service.sni.parse().map_err(|error| format!("{error}"))?;
    let protocol = protocol(&service.protocol)
        .ok_or_else(|| format!("protocol {:?} is none of tcp, http, http2 and grpc", service.protocol))?;
    let mut identities = Vec::new();
    for id in &service.spiffe_ids {
        let id: SpiffeId = id.parse().map_err(|error| format!("{error}"))?;
        if id.trust_domain != *peer {
            return Err(format!("{id} is not of the peer's trust domain {peer}"));
        }
        identities.push(id);
    }
    if identities.is_empty() {
        return Err("there is no SPIFFE ID to expect".to_owned());
    }
    Ok((name, Imported { protocol, sni, identities, healthy: service.healthy }))
}

fn protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Http, Protocol::Http2, Protocol::Grpc].into_iter().find(|p| p.as_str() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: &str) -> PeerRecord {
        let service = |name: &str, protocol: &str, id: &str| ImportedService {
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            sni: format!("{name}.default.default.us.external.b.consul"),
            spiffe_ids: vec![id.to_owned()],
            healthy: 1,
        };
        PeerRecord {
            name: "them".to_owned(),
            id: String::new(),
            peer_id: String::new(),
            state: state.to_owned(),
            trust_domain: "b.consul".to_owned(),
            datacenter: "dc2".to_owned(),
            ca_pems: vec!["-----BEGIN CERTIFICATE-----".to_owned()],
            peer_server_name: String::new(),
            peer_server_addresses: vec!["10.0.0.9:8443".to_owned()],
            imported: vec![
                service("web", "http", "spiffe://b.consul/ns/default/dc/dc2/svc/web"),
                service("api", "soap", "spiffe://b.consul/ns/default/dc/dc2/svc/api"),
                service("db", "tcp", "spiffe://a.consul/ns/default/dc/dc1/svc/db"),
            ],
        }
    }

    fn read_one(record: &PeerRecord) -> (Catalog, Vec<Problem>) {
        let (mut catalog, mut problems) = (Catalog::default(), Vec::new());
        read(record, &mut catalog, &mut problems);
        (catalog, problems)
    }

    #[test]
    fn only_what_a_peer_may_vouch_for_is_imported() {
        let (catalog, problems) = read_one(&record("ACTIVE"));
        let peer = catalog.peers.values().next().expect("a peer");
        let names: Vec<&str> = peer.imported.keys().map(ServiceName::as_str).collect();
        assert_eq!(names, ["web"]);
        let shown: Vec<String> = problems.iter().map(|problem| problem.field.clone()).collect();
        assert_eq!(shown, ["Imported[1]", "Imported[2]"]);
        assert!(problems[1].message.contains("trust domain b.consul"), "{}", problems[1]);
    }

    #[test]
    fn traffic_flows_from_establishment_to_deletion() {
        for (state, expected) in [
            ("PENDING", false),
            ("ESTABLISHING", true),
            ("ACTIVE", true),
            ("FAILING", true),
            ("DELETING", false),
            ("TERMINATED", false),
        ] {
            let (catalog, _) = read_one(&record(state));
            assert!(catalog.peers.values().all(|peer| peer.usable == expected), "{state}");
            let rootless = PeerRecord { ca_pems: vec![], ..record(state) };
            assert!(read_one(&rootless).0.peers.values().all(|peer| !peer.usable));
        }
    }

    #[test]
    fn a_peer_without_a_trust_domain_is_not_known_yet() {
        let pending = PeerRecord { trust_domain: String::new(), ..record("PENDING") };
        let (catalog, problems) = read_one(&pending);
        assert!(catalog.peers.is_empty() && problems.is_empty());
        assert_eq!(catalog.unknown_peers.values().collect::<Vec<_>>(), ["PENDING"]);
    }
}

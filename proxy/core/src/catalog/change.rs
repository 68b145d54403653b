//! What differs between two catalogs, so that only the tables that it concerns are built anew.

use std::collections::{BTreeMap, BTreeSet};

use super::Catalog;
use crate::name::{Datacenter, Locus, PeerName, ServiceName, TargetId};

/// What differs between two catalogs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CatalogChange {
    /// Services with other instances.
    services: BTreeSet<ServiceName>,
    /// Peers that are known otherwise.
    peers: BTreeSet<PeerName>,
    /// Whether there are other gateways, in any datacenter.
    gateways: bool,
}

impl CatalogChange {
    /// What makes `new` of `old`.
    pub fn between(old: &Catalog, new: &Catalog) -> Self {
        let mut peers = differing(&old.peers, &new.peers);
        peers.extend(differing(&old.unknown_peers, &new.unknown_peers));
        Self {
            services: differing(&old.instances, &new.instances),
            peers,
            gateways: old.gateways != new.gateways,
        }
    }

    /// Whether a target may be reached otherwise now, seen from the datacenter `own`.
    pub fn concerns(&self, target: &TargetId, own: &Datacenter) -> bool {
        match &target.locus {
            Locus::Datacenter(datacenter) => {
                self.services.contains(&target.service) || self.gateways && datacenter != own
            }
            Locus::Peer(peer) => self.peers.contains(peer) || self.gateways,
        }
    }
}

/// The keys of what is new, gone or another.
fn differing<K: Clone + Ord, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> BTreeSet<K> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let others = new.iter().filter(|(key, value)| old.get(*key) != Some(*value)).map(|(key, _)| key);
    gone.chain(others).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Peer;
    use crate::load::{File, load};

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("tests write valid names")
    }

    /// A catalog of `web`, `api` and a gateway in dc2, `api` with this tag.
    fn catalog(tag: &str) -> Catalog {
        let text = format!(
            r#"services = [
                {{ name = "web" port = 1 connect {{ sidecar_service {{}} }} }},
                {{ name = "api" port = 2 tags = ["{tag}"] connect {{ sidecar_service {{}} }} }},
                {{ name = "gw" kind = "mesh-gateway" datacenter = "dc2" port = 8443 }},
            ]"#
        );
        let (config, problems) = load(&[File { path: "a.hcl".into(), bytes: text.into_bytes() }]);
        assert!(problems.is_empty(), "{problems:?}");
        Catalog::from_registrations(&config.registrations, &config.agent, &[]).0
    }

    fn peer(state: &str) -> Peer {
        Peer {
            trust_domain: name("b.consul"),
            gateways: vec![],
            imported: [].into(),
            usable: true,
            state: state.to_owned(),
        }
    }

    /// Which of some targets `change` concerns.
    fn check(old: &Catalog, new: &Catalog, expected: &[&str]) {
        let at =
            |service: &str, locus| TargetId { service: name(service), subset: None, locus, tenancy: None };
        let targets = [
            ("web", at("web", Locus::Datacenter(name("dc1")))),
            ("api", at("api", Locus::Datacenter(name("dc1")))),
            ("web@dc2", at("web", Locus::Datacenter(name("dc2")))),
            ("web@them", at("web", Locus::Peer(name("them")))),
        ];
        let change = CatalogChange::between(old, new);
        let concerned = targets.iter().filter(|(_, target)| change.concerns(target, &name("dc1")));
        let concerned: Vec<&str> = concerned.map(|(shown, _)| *shown).collect();
        assert_eq!(concerned, expected);
    }

    #[test]
    fn a_change_concerns_the_targets_that_are_reached_by_what_has_changed() {
        let old = catalog("a");
        check(&old, &catalog("a"), &[]);
        check(&old, &catalog("b"), &["api"]);
        let mut gone = old.clone();
        gone.instances.remove(&name("web"));
        check(&old, &gone, &["web", "web@dc2"]);
        check(&gone, &old, &["web", "web@dc2"]);
        let mut moved = old.clone();
        moved.gateways.insert(name("dc2"), vec!["10.0.0.9:8443".to_owned()]);
        check(&old, &moved, &["web@dc2", "web@them"]);
        let (mut pending, mut active, mut failing) = (old.clone(), old.clone(), old.clone());
        pending.unknown_peers.insert(name("them"), "PENDING".to_owned());
        active.peers.insert(name("them"), peer("ACTIVE"));
        failing.peers.insert(name("them"), peer("FAILING"));
        check(&old, &pending, &["web@them"]);
        check(&pending, &active, &["web@them"]);
        check(&active, &failing, &["web@them"]);
        check(&active, &active.clone(), &[]);
    }
}

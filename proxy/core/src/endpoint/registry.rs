//! Which endpoint is which, and which load: the assembler's book of those that are still in use.
//!
//! The book holds no endpoint alive. A generation does, and so does a request that still runs on an old one;
//! when the last of them lets go, the endpoint's slot is free for another.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{Address, Endpoint};
use crate::breaker::Load;

/// Hands out endpoints, the same one for the same key and address as long as anyone uses it. Owned by the
/// assembler, never shared.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// By key and address; the endpoints of a target share their key.
    known: HashMap<(Arc<str>, Address), Entry>,
    /// By cluster.
    loads: HashMap<Arc<str>, Weak<Load>>,
    free: Vec<u32>,
    slots: u32,
    next_uid: u64,
    /// The book is swept when it has grown to this size, which is twice what the last sweep left: entries of
    /// endpoints that are gone never outnumber the others for long, and sweeping costs O(1) an endpoint.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    endpoint: Weak<Endpoint>,
    slot: u32,
}

/// Below this size a sweep is not worth it.
const SMALLEST_SWEEP: usize = 64;

impl Endpoints {
    /// The endpoint at `address` under `key`, which names all that its connections depend on besides the
    /// address (cluster, server name, identities): two that share a key share connections and health.
    pub fn endpoint(&mut self, key: impl Into<Arc<str>>, address: &Address) -> Arc<Endpoint> {
        let at = (key.into(), address.clone());
        if let Some(known) = self.known.get(&at).and_then(|entry| entry.endpoint.upgrade()) {
            return known;
        }
        if self.known.len() >= self.sweep_at.max(SMALLEST_SWEEP) {
            self.sweep();
        }
        if let Some(gone) = self.known.remove(&at) {
            self.free.push(gone.slot);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        // From 1: a zero stands for no endpoint wherever uids are kept.
        self.next_uid += 1;
        let endpoint = Arc::new(Endpoint::new(address.clone(), slot, self.next_uid));
        self.known.insert(at, Entry { endpoint: Arc::downgrade(&endpoint), slot });
        endpoint
    }

    /// What the targets of this cluster have in flight, the same as long as anyone uses it.
    pub fn load(&mut self, cluster: &Arc<str>) -> Arc<Load> {
        if let Some(known) = self.loads.get(cluster).and_then(Weak::upgrade) {
            return known;
        }
        let load = Arc::default();
        self.loads.insert(Arc::clone(cluster), Arc::downgrade(&load));
        load
    }

    /// How many slots there are, used or free: the size that a worker's table of pools needs.
    pub fn slots(&self) -> usize {
        self.slots as usize
    }

    /// Forgets endpoints and loads that nobody uses any more and frees their slots.
    pub fn sweep(&mut self) {
        self.loads.retain(|_, load| load.strong_count() > 0);
        self.known.retain(|_, entry| {
            let used = entry.endpoint.strong_count() > 0;
            if !used {
                self.free.push(entry.slot);
            }
            used
        });
        self.sweep_at = self.known.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        Address::Ip(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn an_endpoint_in_use_is_handed_out_again() {
        let mut endpoints = Endpoints::default();
        let first = endpoints.endpoint("web", &address(1));
        assert!(Arc::ptr_eq(&first, &endpoints.endpoint("web", &address(1))));
        assert!(!Arc::ptr_eq(&first, &endpoints.endpoint("api", &address(1))));
        assert!(!Arc::ptr_eq(&first, &endpoints.endpoint("web", &address(2))));
    }

    #[test]
    fn a_cluster_keeps_its_load_as_long_as_anyone_uses_it() {
        let mut endpoints = Endpoints::default();
        let first = endpoints.load(&"web".into());
        endpoints.sweep();
        assert!(Arc::ptr_eq(&first, &endpoints.load(&"web".into())));
        assert!(!Arc::ptr_eq(&first, &endpoints.load(&"api".into())));
        drop(first);
        endpoints.sweep();
        assert!(endpoints.loads.is_empty());
    }

    #[test]
    fn a_slot_is_given_out_again_under_another_uid() {
        let mut endpoints = Endpoints::default();
        let first = endpoints.endpoint("web", &address(1));
        let (slot, uid) = (first.slot, first.uid);
        drop(first);
        let second = endpoints.endpoint("web", &address(1));
        assert_eq!(second.slot, slot);
        assert_ne!(second.uid, uid);
    }

    #[test]
    fn slots_stay_bounded_by_twice_the_endpoints_in_use() {
        let mut endpoints = Endpoints::default();
        for generation in 0..100 {
            let kept: Vec<_> =
                (0..100).map(|port| endpoints.endpoint(generation.to_string(), &address(port))).collect();
            let mut slots: Vec<_> = kept.iter().map(|endpoint| endpoint.slot).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), 100, "no two endpoints in use share a slot");
        }
        assert!(endpoints.slots() <= 300, "{}", endpoints.slots());
    }
}

//! What holds for every chain, on thousands of small configurations made up from a fixed seed.

use crate::chain::fixtures::{Entries, define, name, redirect, route, split, targets};
use crate::chain::{Chain, Node, NodeKey, WHOLE, check_all};

pub(super) const SERVICES: [&str; 4] = ["a", "b", "c", "d"];
const PLACES: [&str; 8] = ["a", "b", "c", "d", "v1.a", "v1.b", "c@dc2", "d@peer:east"];

/// Numerical Recipes' generator: the same numbers on every run.
pub(super) struct Numbers(pub(super) u32);

impl Numbers {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

pub(super) fn entries(numbers: &mut Numbers) -> Entries {
    let mut entries = Entries::http();
    for service in SERVICES {
        if numbers.below(4) == 0 {
            entries = entries
                .router(service, [route("/x", numbers.pick(&PLACES)), route("/y", numbers.pick(&PLACES))]);
        }
        if numbers.below(3) == 0 {
            let splits = [
                split(33.33, numbers.pick(&PLACES)),
                split(33.33, numbers.pick(&PLACES)),
                split(33.34, numbers.pick(&PLACES)),
            ];
            entries = entries.splitter(service, splits);
        }
        let (kind, to, also) = (numbers.below(6), numbers.pick(&PLACES), numbers.pick(&PLACES));
        entries = match kind {
            0 => entries.redirect(service, redirect(to)),
            1 => entries.subsets(service, ["v1"]),
            2 => entries.resolver(service, |it| {
                define(it, ["v1"]);
                it.default_subset = Some(name("v1"));
            }),
            3 => entries.resolver(service, |it| {
                define(it, ["v1"]);
                it.failover.insert("*".to_owned(), targets([to, also]));
            }),
            _ => entries,
        };
    }
    entries
}

fn check(chain: &Chain) {
    assert!(chain.nodes.contains_key(&chain.start));
    for (key, node) in &chain.nodes {
        assert!(node.next().all(|next| chain.nodes.contains_key(next)), "{key} leads nowhere");
        match node {
            Node::Router { routes } => assert!(!routes.is_empty()),
            Node::Splitter { legs, .. } => {
                assert!(legs.iter().all(|leg| matches!(leg.next, NodeKey::Resolver(_))), "{key} is not flat");
                assert_eq!(legs.iter().map(|leg| leg.runtime_points).sum::<u32>(), WHOLE, "{key}");
            }
            Node::Resolver { target, failover, .. } => {
                assert!(failover.iter().chain([target]).all(|id| chain.targets.contains_key(id)), "{key}");
            }
        }
    }
}

#[test]
fn every_key_leads_somewhere_every_splitter_is_flat_and_every_share_is_given_out() {
    let mut numbers = Numbers(1);
    let mut compiled = 0;
    for _ in 0..2_000 {
        let entries = entries(&mut numbers);
        for chain in SERVICES.into_iter().filter_map(|service| entries.compile(service).ok()) {
            compiled += 1;
            check(&chain);
        }
    }
    assert!(compiled > 1_000, "only {compiled} of the configurations fit together");
}

#[test]
fn all_chains_checked_at_once_are_whole_just_when_each_alone_is() {
    let mut numbers = Numbers(2);
    let mut broken = 0;
    for _ in 0..2_000 {
        let entries = entries(&mut numbers);
        let alone = SERVICES.into_iter().find_map(|service| entries.compile(service).err());
        let at_once = check_all(&entries.0, &name("dc1"), &name("td.consul"));
        assert_eq!(alone.is_some(), !at_once.is_empty(), "{alone:?} against {at_once:?} of {:?}", entries.0);
        broken += usize::from(alone.is_some());
    }
    assert!((500..1_900).contains(&broken), "{broken} of the configurations are broken");
}

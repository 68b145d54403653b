//! What a change of the entries costs: the chains that read what has changed, and no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::invariants::{Numbers, SERVICES, entries};
use crate::chain::fixtures::{Entries, context, define, name, redirect, route, split, targets};
use crate::chain::{Chain, ChainError, Chains, Overrides, check_all, compile};
use crate::entry::{EntrySet, MeshGatewayMode, Protocol};

/// The services of the tests below, `s0` to `s49`.
const MANY: usize = 50;

/// A mesh in which a change of `s1` may matter to a few: routes, splits, redirects and failovers lead there.
fn mesh() -> Entries {
    let mut entries = Entries::http()
        .router("s10", [route("/x", "s1")])
        .splitter("s11", [split(50.0, ""), split(50.0, "s1")])
        .redirect("s12", redirect("s1"))
        .resolver("s13", |it| drop(it.failover.insert("*".to_owned(), targets(["s1"]))))
        .redirect("s14", redirect("s12"));
    for service in 20..MANY {
        entries = entries.subsets(&format!("s{service}"), ["v1"]);
    }
    entries
}

/// Compiles every service's chain.
fn all(chains: &mut Chains) -> Vec<Result<Arc<Chain>, ChainError>> {
    (0..MANY).map(|service| chains.compile(&context(&format!("s{service}"), Overrides::default()))).collect()
}

/// The services of the chains that are compiled anew when `old` becomes `new`.
fn recompiled(old: Entries, new: Entries) -> Vec<String> {
    let mut chains = Chains::default();
    chains.adopt(&Arc::new(old.0));
    let (before, compilations) = (all(&mut chains), chains.compilations());
    chains.adopt(&Arc::new(new.0));
    let after = all(&mut chains);
    let kept = |(old, new): &(&Result<Arc<Chain>, _>, &Result<Arc<Chain>, _>)| match (old, new) {
        (Ok(old), Ok(new)) => Arc::ptr_eq(old, new),
        _ => false,
    };
    let pairs = before.iter().zip(&after).enumerate();
    let others: Vec<_> =
        pairs.filter(|(_, pair)| !kept(pair)).map(|(service, _)| format!("s{service}")).collect();
    assert_eq!(chains.compilations() - compilations, others.len() as u64, "compiled and kept do not add up");
    others
}

#[test]
fn a_changed_entry_recompiles_just_the_chains_that_read_it() {
    let with_v1 = |entries: Entries| entries.subsets("s1", ["v1"]);
    let dependents = ["s1", "s10", "s11", "s12", "s13", "s14"];
    assert_eq!(recompiled(mesh(), with_v1(mesh())), dependents, "a resolver that was looked for in vain");
    assert_eq!(recompiled(with_v1(mesh()), with_v1(mesh()).subsets("s1", ["v2"])), dependents, "edited");
    assert_eq!(recompiled(with_v1(mesh()), mesh()), dependents, "taken away");
    assert_eq!(recompiled(mesh(), mesh().speaks("s1", Protocol::Http2)), dependents);
    assert_eq!(recompiled(mesh(), mesh().splitter("s1", [split(100.0, "")])), dependents);
}

#[test]
fn another_services_router_has_no_say_in_a_chain() {
    assert_eq!(recompiled(mesh(), mesh().router("s1", [])), ["s1"]);
}

#[test]
fn what_says_the_same_elsewhere_in_a_file_recompiles_nothing() {
    let mut moved = mesh();
    for entry in moved.0.resolvers.values_mut() {
        entry.place.line += 7;
    }
    moved.0.proxy_defaults.as_mut().expect("the mesh has some").place.line += 1;
    assert_eq!(recompiled(mesh(), moved), [""; 0]);
}

#[test]
fn proxy_defaults_have_a_say_in_every_chain() {
    let remote = mesh().global(Some(Protocol::Http), MeshGatewayMode::Remote);
    assert_eq!(recompiled(mesh(), remote).len(), MANY);
}

#[test]
fn one_service_may_have_a_chain_for_every_override() {
    let mut chains = Chains::default();
    chains.adopt(&Arc::new(mesh().0));
    let grpc = Overrides { protocol: Some(Protocol::Grpc), ..Overrides::default() };
    let protocols = [Overrides::default(), grpc, Overrides::default()]
        .map(|overrides| chains.compile(&context("s1", overrides)).expect("it compiles").protocol);
    assert_eq!(protocols, [Protocol::Http, Protocol::Grpc, Protocol::Http]);
    assert_eq!(chains.compilations(), 2);
}

#[test]
fn a_chain_that_nobody_asked_for_since_the_last_change_is_forgotten() {
    let mut chains = Chains::default();
    let cx = context("s20", Overrides::default());
    let adopt = |chains: &mut Chains, subset: &str| {
        chains.adopt(&Arc::new(mesh().resolver("s1", |it| define(it, [subset])).0));
    };
    adopt(&mut chains, "v1");
    let first = chains.compile(&cx).expect("it compiles");
    adopt(&mut chains, "v2");
    adopt(&mut chains, "v3");
    assert!(!Arc::ptr_eq(&first, &chains.compile(&cx).expect("it compiles")));
}

/// Puts one service's entries of `from` in the place of those in `into`.
fn edit(into: &mut EntrySet, from: &EntrySet, service: &str) {
    fn put<T: Clone>(
        into: &mut std::collections::BTreeMap<crate::name::ServiceName, T>,
        from: Option<&T>,
        service: &str,
    ) {
        match from {
            Some(entry) => drop(into.insert(name(service), entry.clone())),
            None => drop(into.remove(&name(service))),
        }
    }
    let key = name(service);
    put(&mut into.routers, from.routers.get(&key), service);
    put(&mut into.splitters, from.splitters.get(&key), service);
    put(&mut into.resolvers, from.resolvers.get(&key), service);
}

#[test]
fn after_any_edits_chains_and_contradictions_are_those_of_a_fresh_start() {
    let (mut numbers, mut chains) = (Numbers(3), Chains::default());
    let mut set = entries(&mut numbers).0;
    let (mut outcomes, mut most) = (BTreeSet::new(), 0);
    for _ in 0..500 {
        let other = entries(&mut numbers).0;
        edit(&mut set, &other, SERVICES[numbers.below(SERVICES.len())]);
        chains.adopt(&Arc::new(set.clone()));
        for service in SERVICES {
            let cx = context(service, Overrides::default());
            let chain = chains.compile(&cx).map(|chain| Chain::clone(&chain));
            assert_eq!(chain, compile(&set, &cx), "{service} in {set:?}");
            outcomes.insert(chain.is_ok());
        }
        let (dc, td) = (name("dc1"), name("td.consul"));
        assert_eq!(chains.check_all(&dc, &td), check_all(&set, &dc, &td), "{set:?}");
        most += 2 * SERVICES.len() as u64;
    }
    assert_eq!(outcomes.len(), 2, "both whole and broken chains were met");
    assert!(chains.compilations() < most, "nothing was kept");
}

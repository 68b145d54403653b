//! Every chain of a configuration compiled, so that what contradicts is named before a request meets it.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::Arc;

use super::assemble::Assembly;
use super::{ChainError, Context, EntryRef, NodeKey, Overrides, finish, graph};
use crate::entry::EntrySet;
use crate::name::{Datacenter, Locus, ServiceName, TargetId, TrustDomain};

/// A contradiction between entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// A service whose chain it breaks.
    pub chain: ServiceName,
    /// The entry to change.
    pub entry: EntryRef,
    /// What is wrong.
    pub error: ChainError,
}

/// What [`super::Chains::check_all`] is compared with: nothing is kept.
#[cfg(test)]
pub(crate) fn check_all(
    entries: &EntrySet,
    datacenter: &Datacenter,
    trust_domain: &TrustDomain,
) -> Vec<Conflict> {
    let checked = |cx: &Context| Arc::new(Checked::of(entries, cx));
    check_each(entries, datacenter, trust_domain, checked)
}

/// Compiles the chain of every service that has an entry, as Consul does on a write, and lists what contradicts:
/// once, however many chains run into it, and in order of the chains' names. Whoever keeps checks hands them out.
///
/// A chain that is part of another, whole one is not compiled again, and those that nothing leads to come first:
/// else ten thousand redirects in a row would be followed fifty million times.
pub(super) fn check_each(
    entries: &EntrySet,
    datacenter: &Datacenter,
    trust_domain: &TrustDomain,
    mut checked: impl FnMut(&Context) -> Arc<Checked>,
) -> Vec<Conflict> {
    let mut settled = HashSet::new();
    let mut seen = BTreeSet::new();
    let mut conflicts = Vec::new();
    for service in outermost_first(entries) {
        let cx = Context {
            service: service.clone(),
            datacenter: datacenter.clone(),
            trust_domain: trust_domain.clone(),
            overrides: Overrides::default(),
        };
        if start(entries, &cx).is_some_and(|key| settled.contains(&key)) {
            continue;
        }
        let checked = checked(&cx);
        settled.extend(checked.settles.iter().cloned());
        if let Some(error) = &checked.error
            && seen.insert(cause(error))
        {
            conflicts.push(Conflict {
                chain: service.clone(),
                entry: error.at_fault(),
                error: error.clone(),
            });
        }
    }
    for (chain, error) in graph::exports(entries).chain(graph::permissions(entries, datacenter, trust_domain))
    {
        conflicts.push(Conflict { chain, entry: error.at_fault(), error });
    }
    conflicts.sort_by(|a, b| a.chain.cmp(&b.chain));
    conflicts
}

/// Every service with an entry of its own, those that no other entry names before the rest.
fn outermost_first(entries: &EntrySet) -> Vec<&ServiceName> {
    let EntrySet { routers, splitters, resolvers, defaults, .. } = entries;
    let destinations =
        routers.values().flat_map(|it| &it.routes).filter_map(|it| it.destination.as_ref()?.service.as_ref());
    let splits = splitters.values().flat_map(|it| &it.splits).filter_map(|it| it.service.as_ref());
    let redirects = resolvers.values().filter_map(|it| it.redirect.as_ref()?.service.as_ref());
    let named: BTreeSet<&ServiceName> = destinations.chain(splits).chain(redirects).collect();

    let all: BTreeSet<&ServiceName> =
        routers.keys().chain(splitters.keys()).chain(resolvers.keys()).chain(defaults.keys()).collect();
    let (rest, mut first): (Vec<_>, Vec<_>) = all.into_iter().partition(|service| named.contains(service));
    first.extend(rest);
    first
}

/// Where a chain would start that can be part of another one; a router's cannot.
fn start(entries: &EntrySet, cx: &Context) -> Option<NodeKey> {
    let service = cx.service.clone();
    if entries.routers.contains_key(&service) {
        None
    } else if entries.splitters.contains_key(&service) {
        Some(NodeKey::Splitter(service))
    } else {
        let locus = Locus::Datacenter(cx.datacenter.clone());
        Some(NodeKey::Resolver(TargetId { service, subset: None, locus, tenancy: None }))
    }
}

/// What compiling a chain showed.
#[derive(Debug)]
pub(super) struct Checked {
    error: Option<ChainError>,
    /// The starts of chains that would show nothing more: its parts, and whatever is on the way to a circle.
    settles: Vec<NodeKey>,
    /// The services whose entries had a say in it.
    pub(super) read: BTreeSet<ServiceName>,
}

impl Checked {
    pub(super) fn of(entries: &EntrySet, cx: &Context) -> Self {
        let mut assembly = Assembly::new(entries, cx);
        let start = assembly.start();
        let read = mem::take(&mut assembly.read);
        let splitters = assembly.nodes.keys().filter(|key| matches!(key, NodeKey::Splitter(_))).cloned();
        let parts: Vec<_> = splitters.chain(assembly.met.iter().cloned().map(NodeKey::Resolver)).collect();
        // Which target stands for a peer's id depends on where a chain starts, so its parts may yet differ.
        let comparable = assembly.at_peers.is_empty();
        let error = start.and_then(|start| finish(assembly, start)).err();
        let settles = match &error {
            None if comparable => parts,
            Some(ChainError::RedirectCycle { path, .. }) => {
                path.iter().cloned().map(NodeKey::Resolver).collect()
            }
            Some(ChainError::Cycle { path, .. }) => path.clone(),
            _ => Vec::new(),
        };
        Self { error, settles, read }
    }
}

/// The same text for the same contradiction, whichever chain ran into it.
fn cause(error: &ChainError) -> String {
    match error {
        ChainError::Protocols { service, found, expected, by, .. } => {
            format!("{by}: {service} is {}, not {}", found.as_str(), expected.as_str())
        }
        ChainError::NotHttp { by, .. } => format!("{by}: not http"),
        ChainError::TooManySplits { splitter, .. } => format!("{splitter}: too many splits"),
        ChainError::RedirectCycle { path, .. } => circle(path),
        ChainError::Cycle { path, .. } => circle(path),
        ChainError::NoSubset { by, .. } => format!("{by}: {error}"),
        ChainError::External { .. }
        | ChainError::ExternalSni { .. }
        | ChainError::Exported { .. }
        | ChainError::Permissions { .. } => error.to_string(),
    }
}

/// The members of the circle that `path` ends in, wherever it was entered.
fn circle<T: Ord + ToString>(path: &[T]) -> String {
    let first = path.iter().position(|it| Some(it) == path.last()).unwrap_or_default();
    let members: BTreeSet<String> = path[first..].iter().map(T::to_string).collect();
    format!("circle of {members:?}")
}

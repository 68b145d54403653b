//! Chains that were compiled before: a change of the entries costs what depends on it, not what there is.
//!
//! A compilation notes the services whose entries it asked for, also those that were not there. Its result stands as
//! long as all of these say the same, wherever in a file they say it. Kept out: when to compile, and what is built
//! from a chain (`table`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::check::{Checked, Conflict, check_each};
use super::{Chain, ChainError, Context, compile_noting};
use crate::entry::{
    EntrySet, ProxyDefaults, ServiceDefaults, ServiceResolver, ServiceRouter, ServiceSplitter,
};
use crate::name::{Datacenter, ServiceName, TrustDomain};
use crate::problem::Place;

/// The chains of one configuration after the other. Owned by who assembles, never shared.
#[derive(Debug, Default)]
pub struct Chains {
    /// What everything below was compiled from.
    entries: Arc<EntrySet>,
    compiled: HashMap<Context, Kept<Compiled>>,
    checked: HashMap<Context, Kept<Arc<Checked>>>,
    compilations: u64,
}

/// A result, and whether anybody wanted it since the entries last changed.
#[derive(Debug)]
struct Kept<T> {
    result: T,
    used: bool,
}

#[derive(Debug)]
struct Compiled {
    chain: Result<Arc<Chain>, ChainError>,
    read: BTreeSet<ServiceName>,
}

impl Chains {
    /// Of these entries, with nothing compiled yet.
    pub fn of(entries: &Arc<EntrySet>) -> Self {
        Self { entries: Arc::clone(entries), ..Self::default() }
    }

    /// Goes over to these entries. Forgets what depends on an entry that has changed, and what nobody asked for since
    /// the last change.
    pub fn adopt(&mut self, entries: &Arc<EntrySet>) {
        if Arc::ptr_eq(&self.entries, entries) {
            return;
        }
        let changed = Changed::between(&self.entries, entries);
        self.compiled.retain(|cx, kept| kept.outlives(&changed, cx, |it| &it.read));
        self.checked.retain(|cx, kept| kept.outlives(&changed, cx, |it| &it.read));
        self.entries = Arc::clone(entries);
    }

    /// The chain of `cx.service`, as [`super::compile`] gives it: the same one as long as nothing about it changes.
    ///
    /// # Errors
    /// Those of [`super::compile`].
    pub fn compile(&mut self, cx: &Context) -> Result<Arc<Chain>, ChainError> {
        if let Some(kept) = self.compiled.get_mut(cx) {
            kept.used = true;
            return kept.result.chain.clone();
        }
        self.compilations += 1;
        let (chain, read) = compile_noting(&self.entries, cx);
        let chain = chain.map(Arc::new);
        let result = Compiled { chain: chain.clone(), read };
        self.compiled.insert(cx.clone(), Kept { result, used: true });
        chain
    }

    /// Everything that contradicts among the entries, each once, in order of the services whose chains it breaks.
    pub fn check_all(&mut self, datacenter: &Datacenter, trust_domain: &TrustDomain) -> Vec<Conflict> {
        let Self { entries, checked, compilations, .. } = self;
        check_each(entries, datacenter, trust_domain, |cx| {
            let kept = checked.entry(cx.clone()).or_insert_with(|| {
                *compilations += 1;
                Kept { result: Arc::new(Checked::of(entries, cx)), used: true }
            });
            kept.used = true;
            Arc::clone(&kept.result)
        })
    }

    /// How often a chain was compiled so far, checks included.
    pub fn compilations(&self) -> u64 {
        self.compilations
    }
}

impl<T> Kept<T> {
    fn outlives(&mut self, changed: &Changed, cx: &Context, read: fn(&T) -> &BTreeSet<ServiceName>) -> bool {
        let used = std::mem::take(&mut self.used);
        used && !changed.concerns(&cx.service, read(&self.result))
    }
}

/// What differs between two sets of entries, as far as chains are compiled from it.
struct Changed {
    /// `proxy-defaults`, which every chain reads.
    all: bool,
    /// Those with another router.
    routers: HashSet<ServiceName>,
    /// Those with another splitter, resolver or defaults.
    others: HashSet<ServiceName>,
}

impl Changed {
    fn between(old: &EntrySet, new: &EntrySet) -> Self {
        let mut changed = Self { all: false, routers: HashSet::new(), others: HashSet::new() };
        changed.all = match (&old.proxy_defaults, &new.proxy_defaults) {
            (Some(old), Some(new)) => !same(old, new),
            (old, new) => old.is_some() != new.is_some(),
        };
        differing(&old.routers, &new.routers, &mut changed.routers);
        differing(&old.splitters, &new.splitters, &mut changed.others);
        differing(&old.resolvers, &new.resolvers, &mut changed.others);
        differing(&old.defaults, &new.defaults, &mut changed.others);
        changed
    }

    /// Whether the chain of `service`, compiled from what is said of those in `read`, may be another one now. Only
    /// its own router counts: those of other services have no say.
    fn concerns(&self, service: &ServiceName, read: &BTreeSet<ServiceName>) -> bool {
        self.all || self.routers.contains(service) || read.iter().any(|service| self.others.contains(service))
    }
}

/// Adds the names of what is new, gone or another.
fn differing<T: Entry>(
    old: &BTreeMap<ServiceName, T>,
    new: &BTreeMap<ServiceName, T>,
    names: &mut HashSet<ServiceName>,
) {
    names.extend(old.keys().filter(|name| !new.contains_key(*name)).cloned());
    let stays = |name: &ServiceName, new: &T| old.get(name).is_some_and(|old| same(old, new));
    names.extend(new.iter().filter(|(name, new)| !stays(name, new)).map(|(name, _)| name.clone()));
}

/// Whether two entries say the same, wherever they say it.
fn same<T: Entry>(old: &T, new: &T) -> bool {
    if old.place() == new.place() {
        return old == new;
    }
    let mut moved = old.clone();
    moved.place_mut().clone_from(new.place());
    moved == *new
}

/// An entry that knows its place.
trait Entry: Clone + PartialEq {
    fn place(&self) -> &Place;
    fn place_mut(&mut self) -> &mut Place;
}

macro_rules! entries {
    ($($kind:ident),*) => {
        $(impl Entry for $kind {
            fn place(&self) -> &Place {
                &self.place
            }

            fn place_mut(&mut self) -> &mut Place {
                &mut self.place
            }
        })*
    };
}

entries!(ServiceRouter, ServiceSplitter, ServiceResolver, ServiceDefaults, ProxyDefaults);

//! From entries to nodes: the requested service's router, the splitters behind it, and where they lead.
//!
//! Nothing is flattened, pruned or checked as a whole here (`finish`), and what a resolver makes of a target is
//! in `resolve`. How deep splitters nest is an operator's to choose, so they are followed on a stack of our own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ChainError, ChainRoute, ChainTarget, Context, EntryKind, EntryRef, Leg, Node, NodeKey, Overrides,
    SplitRules,
};
use crate::entry::{
    Destination, EntrySet, HttpMatch, LoadBalancer, Protocol, Redirect, Route, RouteMatch, ServiceRouter,
    Split,
};
use crate::name::{Datacenter, Locus, PeerName, ServiceName, SubsetName, TargetId, Tenancy};

/// What has been found of a chain so far.
pub(super) struct Assembly<'a> {
    pub(super) entries: &'a EntrySet,
    pub(super) cx: &'a Context,
    pub(super) nodes: BTreeMap<NodeKey, Node>,
    pub(super) targets: BTreeMap<TargetId, ChainTarget>,
    /// What every service noted so far speaks.
    pub(super) protocol: Option<Protocol>,
    /// The first router or splitter that the chain uses.
    pub(super) http_only: Option<EntryRef>,
    /// Those of the context's overrides that changed something so far.
    pub(super) in_force: Overrides,
    /// Every target met in the place of a request's, those that were redirected from included.
    pub(super) met: BTreeSet<TargetId>,
    /// Every service whose splitter, resolver or defaults had a say in this, also by not being there.
    pub(super) read: BTreeSet<ServiceName>,
    /// Peer targets by what their id shows. It does not show a subset, so the first one made stands for all.
    pub(super) at_peers: BTreeMap<(ServiceName, PeerName), TargetId>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(entries: &'a EntrySet, cx: &'a Context) -> Self {
        Self {
            entries,
            cx,
            nodes: BTreeMap::new(),
            targets: BTreeMap::new(),
            protocol: None,
            http_only: None,
            in_force: Overrides::default(),
            met: BTreeSet::new(),
            read: BTreeSet::new(),
            at_peers: BTreeMap::new(),
        }
    }

    /// Makes every node and answers where the chain starts.
    pub(super) fn start(&mut self) -> Result<NodeKey, ChainError> {
        let (cx, entries) = (self.cx, self.entries);
        self.read.insert(cx.service.clone());
        let by = EntryRef { kind: EntryKind::Resolver, name: cx.service.clone() };
        let router = entries.routers.get(&cx.service);
        if cx.overrides.protocol.is_some_and(|protocol| !protocol.is_http()) {
            if router.is_some() || entries.splitters.contains_key(&cx.service) {
                self.in_force.protocol = cx.overrides.protocol;
            }
            return self.resolver(Named::bare(&cx.service), &by);
        }
        match router {
            Some(router) => self.router(router),
            None => self.splitter_or_resolver(Named::bare(&cx.service), &by),
        }
    }

    /// Notes that the chain runs through `service`, whose protocol must be that of those before it.
    pub(super) fn note(&mut self, service: &ServiceName, by: &EntryRef) -> Result<(), ChainError> {
        let found = self.entries.protocol(service);
        let expected = *self.protocol.get_or_insert(found);
        if found == expected {
            return Ok(());
        }
        Err(ChainError::Protocols {
            chain: self.cx.service.clone(),
            service: service.clone(),
            found,
            expected,
            by: by.clone(),
        })
    }

    /// The target that stands for `target`'s id.
    pub(super) fn same_id(&mut self, target: TargetId) -> TargetId {
        match &target.locus {
            Locus::Datacenter(_) => target,
            Locus::Peer(peer) => {
                let shown = (target.service.clone(), peer.clone());
                self.at_peers.entry(shown).or_insert(target).clone()
            }
        }
    }

    /// The requested service's router; those of other services have no say.
    fn router(&mut self, router: &'a ServiceRouter) -> Result<NodeKey, ChainError> {
        let by = EntryRef { kind: EntryKind::Router, name: router.name.clone() };
        self.http_only.get_or_insert_with(|| by.clone());
        self.note(&router.name, &by)?;
        let mut routes = Vec::with_capacity(router.routes.len() + 1);
        for route in &router.routes {
            let named = Named::by_route(route.destination.as_ref(), &router.name);
            let next = self.splitter_or_resolver(named, &by)?;
            routes.push(ChainRoute { definition: with_upper_case_methods(route), next });
        }
        let next = self.splitter_or_resolver(Named::bare(&router.name), &by)?;
        routes.push(ChainRoute { definition: catch_all(&router.name), next });
        let key = NodeKey::Router(router.name.clone());
        self.nodes.insert(key.clone(), Node::Router { routes });
        Ok(key)
    }

    /// The splitter of what is named by its service alone, if it has one; else its resolver.
    fn splitter_or_resolver(&mut self, named: Named<'a>, by: &EntryRef) -> Result<NodeKey, ChainError> {
        if named.is_bare() && self.has_splitter(named.service) {
            return self.splitter(named.service);
        }
        self.resolver(named, by)
    }

    fn has_splitter(&mut self, service: &ServiceName) -> bool {
        self.read.insert(service.clone());
        self.entries.splitters.contains_key(service)
    }

    fn resolver(&mut self, named: Named<'a>, by: &EntryRef) -> Result<NodeKey, ChainError> {
        let target = named.target(&self.cx.datacenter);
        self.resolve(target, by).map(NodeKey::Resolver)
    }

    /// Makes the splitter of `service` and those behind it, depth first.
    fn splitter(&mut self, service: &'a ServiceName) -> Result<NodeKey, ChainError> {
        let mut open = Vec::new();
        let key = self.open_splitter(service, &mut open);
        while let Some(mut top) = open.pop() {
            let Some((split, rest)) = top.to_follow.split_first() else {
                let OpenSplitter { legs, load_balancer, rules, .. } = top;
                let node = Node::Splitter { legs, load_balancer, rules };
                self.nodes.insert(NodeKey::Splitter(top.service.clone()), node);
                continue;
            };
            top.to_follow = rest;
            let named = Named::by_split(split, top.service);
            if named.is_bare() && named.service != top.service && self.has_splitter(named.service) {
                top.legs.push(leg(split, NodeKey::Splitter(named.service.clone())));
                let service = named.service;
                open.push(top);
                self.open_splitter(service, &mut open);
            } else {
                let by = EntryRef { kind: EntryKind::Splitter, name: top.service.clone() };
                let next = self.resolver(named, &by)?;
                if top.load_balancer.is_none() {
                    top.load_balancer = self.hash_policy(&next);
                }
                top.legs.push(leg(split, next));
                open.push(top);
            }
        }
        Ok(key)
    }

    /// Remembers the splitter before its splits are followed, so that a circle of splitters ends here;
    /// `finish` reports it.
    fn open_splitter(&mut self, service: &'a ServiceName, open: &mut Vec<OpenSplitter<'a>>) -> NodeKey {
        let key = NodeKey::Splitter(service.clone());
        let entry = self.entries.splitters.get(service);
        if let Some(entry) = entry.filter(|_| !self.nodes.contains_key(&key)) {
            let by = || EntryRef { kind: EntryKind::Splitter, name: service.clone() };
            self.http_only.get_or_insert_with(by);
            let rules = SplitRules::of(entry);
            let opened = Node::Splitter { legs: Vec::new(), load_balancer: None, rules: rules.clone() };
            self.nodes.insert(key.clone(), opened);
            open.push(OpenSplitter {
                service,
                to_follow: &entry.splits,
                legs: Vec::with_capacity(entry.splits.len()),
                load_balancer: None,
                rules,
            });
        }
        key
    }

    /// The load balancer of a resolver node, if it picks by a hash of the request.
    fn hash_policy(&self, key: &NodeKey) -> Option<LoadBalancer> {
        match self.nodes.get(key) {
            Some(Node::Resolver { load_balancer: Some(it), .. }) => {
                matches!(it.policy.as_str(), "ring_hash" | "maglev").then(|| it.clone())
            }
            _ => None,
        }
    }
}

/// A splitter whose splits are being followed.
struct OpenSplitter<'a> {
    service: &'a ServiceName,
    to_follow: &'a [Split],
    legs: Vec<Leg>,
    load_balancer: Option<LoadBalancer>,
    rules: SplitRules,
}

/// The one namespace and the one partition that there are.
const DEFAULT: &str = "default";

/// Where an entry says that requests go, its own service filled in.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The service.
    pub(crate) service: &'a ServiceName,
    subset: Option<&'a SubsetName>,
    peer: Option<&'a PeerName>,
    datacenter: Option<&'a Datacenter>,
    /// Namespace and partition.
    tenancy: (Option<&'a str>, Option<&'a str>),
}

impl<'a> Named<'a> {
    /// A service alone.
    pub(crate) fn bare(service: &'a ServiceName) -> Self {
        Self { service, subset: None, peer: None, datacenter: None, tenancy: (None, None) }
    }

    /// Of a route to `destination` in the router of `own`.
    pub(crate) fn by_route(destination: Option<&'a Destination>, own: &'a ServiceName) -> Self {
        match destination {
            None => Self::bare(own),
            Some(it) => Self {
                service: it.service.as_ref().unwrap_or(own),
                subset: it.service_subset.as_ref(),
                peer: it.peer.as_ref(),
                datacenter: it.datacenter.as_ref(),
                tenancy: (it.namespace.as_deref(), it.partition.as_deref()),
            },
        }
    }

    /// Of a split in the splitter of `own`. Namespace and partition of a split do not even show: a quirk.
    pub(crate) fn by_split(split: &'a Split, own: &'a ServiceName) -> Self {
        Self {
            service: split.service.as_ref().unwrap_or(own),
            subset: split.service_subset.as_ref(),
            peer: split.peer.as_ref(),
            datacenter: split.datacenter.as_ref(),
            tenancy: (None, None),
        }
    }

    /// Of a redirect in the resolver of `own`.
    pub(crate) fn by_redirect(redirect: &'a Redirect, own: &'a ServiceName) -> Self {
        Self {
            service: redirect.service.as_ref().unwrap_or(own),
            subset: redirect.service_subset.as_ref(),
            peer: redirect.peer.as_ref(),
            datacenter: redirect.datacenter.as_ref(),
            tenancy: (None, None),
        }
    }

    /// Whether a service alone is named, so that its splitter has a say.
    pub(crate) fn is_bare(self) -> bool {
        self.subset.is_none() && self.peer.is_none() && self.datacenter.is_none()
    }

    /// The target, in the datacenter `here` unless another place is named.
    pub(crate) fn target(self, here: &Datacenter) -> TargetId {
        let locus = match self.peer {
            Some(peer) => Locus::Peer(peer.clone()),
            None => Locus::Datacenter(self.datacenter.unwrap_or(here).clone()),
        };
        let tenancy = Tenancy {
            namespace: self.tenancy.0.unwrap_or(DEFAULT).to_owned(),
            partition: self.tenancy.1.unwrap_or(DEFAULT).to_owned(),
        };
        let usual = self.peer.is_some() || (tenancy.namespace == DEFAULT && tenancy.partition == DEFAULT);
        let tenancy = (!usual).then(|| Box::new(tenancy));
        TargetId { service: self.service.clone(), subset: self.subset.cloned(), locus, tenancy }
    }
}

/// A leg before flattening, which settles `runtime_points`.
fn leg(split: &Split, next: NodeKey) -> Leg {
    Leg { definition: split.clone(), basis_points: split.basis_points(), runtime_points: 0, next }
}

fn with_upper_case_methods(route: &Route) -> Route {
    let mut route = route.clone();
    if let Some(http) = route.matches.as_mut().and_then(|it| it.http.as_mut()) {
        http.methods.iter_mut().for_each(|method| method.make_ascii_uppercase());
    }
    route
}

/// The route that every router ends with.
fn catch_all(service: &ServiceName) -> Route {
    let http = HttpMatch { path_prefix: Some("/".to_owned()), ..HttpMatch::default() };
    let destination = Destination {
        service: Some(service.clone()),
        namespace: Some("default".to_owned()),
        partition: Some("default".to_owned()),
        ..Destination::default()
    };
    Route { matches: Some(RouteMatch { http: Some(http) }), destination: Some(destination) }
}

//! What a resolver makes of a target: redirects and default subsets followed, then timeouts, gateway mode, SNI
//! and failover filled in.

use std::collections::BTreeSet;
use std::time::Duration;

use super::assemble::Assembly;
use super::{
    ChainError, ChainTarget, DEFAULT_CONNECT_TIMEOUT, EntryKind, EntryRef, Forbidden, Node, NodeKey,
};
use crate::entry::{Failover, FailoverTarget, MeshGatewayMode, Redirect, ServiceResolver, settings};
use crate::name::{Datacenter, Locus, PeerName, ServiceName, Sni, SubsetName, TargetId};

/// How an entry rewrites a target; what it leaves out mostly stays.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rule<'a> {
    service: Option<&'a ServiceName>,
    subset: Option<&'a SubsetName>,
    datacenter: Option<&'a Datacenter>,
    peer: Option<&'a PeerName>,
}

impl<'a> Rule<'a> {
    pub(crate) fn redirect(it: &'a Redirect) -> Self {
        Self {
            service: it.service.as_ref(),
            subset: it.service_subset.as_ref(),
            datacenter: it.datacenter.as_ref(),
            peer: it.peer.as_ref(),
        }
    }

    fn failover(it: &'a Failover, datacenter: Option<&'a Datacenter>) -> Self {
        Self { service: it.service.as_ref(), subset: it.service_subset.as_ref(), datacenter, peer: None }
    }

    fn failover_target(it: &'a FailoverTarget) -> Self {
        Self {
            service: it.service.as_ref(),
            subset: it.service_subset.as_ref(),
            datacenter: it.datacenter.as_ref(),
            peer: it.peer.as_ref(),
        }
    }

    /// Those of `Failover[]`, in order.
    pub(crate) fn all_of(failover: &'a Failover) -> Vec<Self> {
        if !failover.datacenters.is_empty() {
            failover.datacenters.iter().map(|dc| Rule::failover(failover, Some(dc))).collect()
        } else if !failover.targets.is_empty() {
            failover.targets.iter().map(Rule::failover_target).collect()
        } else {
            vec![Rule::failover(failover, None)]
        }
    }

    /// Another service drops the subset. A rule that names no peer leads away from one: home, if it names no
    /// datacenter either.
    pub(crate) fn apply(self, target: &TargetId, here: &Datacenter) -> TargetId {
        let moves = self.service.is_some_and(|service| *service != target.service);
        let kept = target.subset.as_ref().filter(|_| !moves);
        let datacenter = self.datacenter.or(target.datacenter()).unwrap_or(here);
        TargetId {
            service: self.service.unwrap_or(&target.service).clone(),
            subset: self.subset.or(kept).cloned(),
            locus: match self.peer {
                Some(peer) => Locus::Peer(peer.clone()),
                None => Locus::Datacenter(datacenter.clone()),
            },
            tenancy: target.tenancy.clone().filter(|_| self.peer.is_none()),
        }
    }
}

impl<'a> Assembly<'a> {
    /// The resolver step for a target that the entry `by` names: makes a node and its failover targets, and
    /// answers the target arrived at.
    pub(super) fn resolve(&mut self, target: TargetId, by: &EntryRef) -> Result<TargetId, ChainError> {
        let mut path = Vec::new();
        let (target, by) = self.follow(target, by.clone(), &mut path)?;
        self.met.extend(path);
        let key = NodeKey::Resolver(target.clone());
        if self.nodes.contains_key(&key) {
            return Ok(target);
        }
        let connect_timeout = self.arrive(&target, &by)?;
        let entry = self.entries.resolvers.get(&target.service);
        let node = |failover| Node::Resolver {
            default: entry.is_none_or(has_no_say),
            connect_timeout,
            request_timeout: settings::request_timeout(self.entries, &target.service).map(|it| it.value),
            target: target.clone(),
            failover,
            load_balancer: settings::load_balancer(self.entries, &target.service).map(|it| it.value.clone()),
        };
        // Two services may fail over to each other, so the node is known before its failover targets are.
        self.nodes.insert(key.clone(), node(Vec::new()));
        if let Some(entry) = entry {
            let failover = self.failover(&target, entry)?;
            self.nodes.insert(key, node(failover));
        }
        Ok(target)
    }

    /// Follows redirects and default subsets to where they end, or to a node that is there already, along
    /// `path`. Answers also the entry that named the last target.
    fn follow(
        &mut self,
        from: TargetId,
        by: EntryRef,
        path: &mut Vec<TargetId>,
    ) -> Result<(TargetId, EntryRef), ChainError> {
        let (mut at, mut by) = (self.same_id(from), by);
        let mut seen = BTreeSet::new();
        loop {
            if self.nodes.contains_key(&NodeKey::Resolver(at.clone())) {
                return Ok((at, by));
            }
            self.read.insert(at.service.clone());
            if at.peer().is_none() {
                self.note(&at.service, &by)?;
            }
            let new = seen.insert(at.clone());
            path.push(at.clone());
            if !new {
                return Err(ChainError::RedirectCycle { path: std::mem::take(path), by: by.name });
            }
            let entry = self.entries.resolvers.get(&at.service);
            let Some(onward) = entry.and_then(|entry| self.onward(&at, entry)) else {
                return Ok((at, by));
            };
            by = EntryRef { kind: EntryKind::Resolver, name: at.service };
            at = onward;
        }
    }

    /// Where the resolver of `at`'s own service sends it on to; None when it stays.
    fn onward(&mut self, at: &TargetId, entry: &ServiceResolver) -> Option<TargetId> {
        if let Some(redirect) = &entry.redirect {
            let to = self.rewrite(at, Rule::redirect(redirect));
            if to != *at {
                return Some(to);
            }
        }
        let default = entry.default_subset.as_ref().filter(|_| at.subset.is_none())?;
        Some(self.rewrite(at, Rule { subset: Some(default), ..Rule::default() }))
    }

    fn rewrite(&mut self, target: &TargetId, rule: Rule<'_>) -> TargetId {
        let to = rule.apply(target, &self.cx.datacenter);
        self.same_id(to)
    }

    /// Fills in what is to be known of a target that stays, and answers its connect timeout.
    fn arrive(&mut self, id: &TargetId, by: &EntryRef) -> Result<Duration, ChainError> {
        if let Some(known) = self.targets.get(id) {
            return Ok(known.connect_timeout);
        }
        let entry = self.entries.resolvers.get(&id.service);
        let subset = match &id.subset {
            None => None,
            Some(name) => {
                let defined = entry.and_then(|it| it.subsets.get(name));
                let undefined = || ChainError::NoSubset {
                    service: id.service.clone(),
                    subset: name.clone(),
                    by: by.clone(),
                };
                Some(defined.ok_or_else(undefined)?)
            }
        };
        let connect_timeout = self.connect_timeout(&id.service);
        let external = self.external_sni(&id.service, entry)?;
        let (mesh_gateway, dialed_directly) = match external {
            Some(_) => (MeshGatewayMode::Default, false),
            None => (self.mesh_gateway(&id.service), self.dialed_directly(&id.service)),
        };
        let name = id
            .datacenter()
            .map(|dc| Sni::internal(id.subset.as_ref(), &id.service, dc, &self.cx.trust_domain));
        let target = ChainTarget {
            id: id.clone(),
            subset: subset.cloned().unwrap_or_default(),
            mesh_gateway,
            dialed_directly,
            connect_timeout,
            external: external.is_some(),
            sni: external.or_else(|| name.clone()),
            name,
        };
        self.targets.insert(id.clone(), target);
        Ok(connect_timeout)
    }

    fn connect_timeout(&mut self, service: &ServiceName) -> Duration {
        let own = settings::connect_timeout(self.entries, service).map(|it| it.value);
        let own = own.unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        let wanted = self.cx.overrides.connect_timeout.filter(|it| !it.is_zero()).unwrap_or(own);
        if wanted != own {
            self.in_force.connect_timeout = Some(wanted);
        }
        wanted
    }

    fn mesh_gateway(&mut self, service: &ServiceName) -> MeshGatewayMode {
        let own = settings::mesh_gateways(self.entries, service).next();
        let own = own.map(|it| it.value).unwrap_or_default();
        let wanted = self.cx.overrides.mesh_gateway.or(own);
        if wanted != own {
            self.in_force.mesh_gateway = wanted;
        }
        wanted
    }

    fn dialed_directly(&self, service: &ServiceName) -> bool {
        self.entries.defaults.get(service).is_some_and(|it| it.dialed_directly)
            || self.entries.proxy_defaults.as_ref().is_some_and(|it| it.dialed_directly)
    }

    /// `ExternalSNI` of a service; its resolver must then leave the target alone.
    fn external_sni(
        &self,
        service: &ServiceName,
        entry: Option<&ServiceResolver>,
    ) -> Result<Option<Sni>, ChainError> {
        let written = self.entries.defaults.get(service).and_then(|it| it.external_sni.as_deref());
        let Some(written) = written.filter(|sni| !sni.is_empty()) else { return Ok(None) };
        let forbidden = match entry {
            Some(it) if it.redirect.is_some() => Some(Forbidden::Redirects),
            Some(it) if !it.subsets.is_empty() => Some(Forbidden::Subsets),
            Some(it) if !it.failover.is_empty() => Some(Forbidden::Failover),
            _ => None,
        };
        if let Some(forbidden) = forbidden {
            return Err(ChainError::External { service: service.clone(), forbidden });
        }
        let invalid = |_| ChainError::ExternalSni { service: service.clone(), sni: written.to_owned() };
        written.parse().map(Some).map_err(invalid)
    }

    /// The targets that take over from `target`, each resolved without failover of its own.
    fn failover(
        &mut self,
        target: &TargetId,
        entry: &'a ServiceResolver,
    ) -> Result<Vec<TargetId>, ChainError> {
        let own = target.subset.as_ref().and_then(|subset| entry.failover.get(subset.as_str()));
        let Some(failover) = own.or_else(|| entry.failover.get("*")) else { return Ok(Vec::new()) };
        let rules = Rule::all_of(failover);
        let mut candidates = Vec::with_capacity(rules.len());
        for rule in rules {
            let to = self.rewrite(target, rule);
            if to != *target {
                candidates.push(to);
            }
        }
        let by = EntryRef { kind: EntryKind::Resolver, name: entry.name.clone() };
        let mut arrived = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let (target, by) = self.follow(candidate, by.clone(), &mut Vec::new())?;
            self.arrive(&target, &by)?;
            arrived.push(target);
        }
        Ok(arrived)
    }
}

/// Whether an entry is as good as none. Its `Meta` does not count.
fn has_no_say(entry: &ServiceResolver) -> bool {
    let unset = |timeout: Option<Duration>| timeout.is_none_or(|it| it.is_zero());
    entry.default_subset.is_none()
        && entry.subsets.is_empty()
        && entry.redirect.is_none()
        && entry.failover.is_empty()
        && unset(entry.connect_timeout)
        && unset(entry.request_timeout)
        && entry.load_balancer.is_none()
        && entry.prioritize_by_locality.is_none()
}

//! The targets of an explanation: how each is reached, what it offers, and who is left out and why.

use super::Question;
use super::report::{EndpointOffered, Explanation, InstanceLeftOut, TargetTried};
use crate::catalog::Instance;
use crate::chain::Chain;
use crate::endpoint::Endpoint;
use crate::name::{Locus, SpiffeId};
use crate::outlier::Availability;
use crate::pick::{Resolver, Target, Via};
use crate::table::filter::Filter;
use crate::table::left_out;

impl Question<'_> {
    pub(super) fn targets(
        &self,
        resolver: &Resolver,
        serves: Option<usize>,
        warnings: &mut Vec<String>,
    ) -> Vec<TargetTried> {
        let targets = resolver.targets.iter().enumerate();
        targets.map(|(rank, target)| self.target(target, serves == Some(rank), warnings)).collect()
    }

    fn target(&self, target: &Target, serves: bool, warnings: &mut Vec<String>) -> TargetTried {
        let mesh_gateway = self.mesh_gateway(&target.id);
        if mesh_gateway.value == "none" && matches!(target.id.locus, Locus::Peer(_)) {
            warnings.push(format!(
                "mesh gateway mode none has no effect on {}: a peer is reached through its gateway",
                target.id
            ));
        }
        let tls = target.tls.as_ref();
        let endpoints = target.endpoints.iter().enumerate();
        TargetTried {
            id: target.id.to_string(),
            datacenter: target.id.datacenter().map(ToString::to_string),
            peer: target.id.peer().map(ToString::to_string),
            cluster: target.cluster.to_string(),
            serves,
            via: match target.via {
                Via::Direct => "direct",
                Via::LocalGateway => "local_gateway",
                Via::RemoteGateway => "remote_gateway",
            },
            mesh_gateway,
            protocol: target.protocol.as_str().to_owned(),
            sni: tls.map(|it| it.sni.to_string()),
            spiffe_ids: tls
                .map(|it| it.identities.iter().map(SpiffeId::to_string).collect())
                .unwrap_or_default(),
            connect_timeout: self.connect_timeout(target),
            endpoints: endpoints.map(|(index, it)| self.endpoint(target, index, it)).collect(),
            left_out: self.left_out(target),
            absent: target.absent.clone(),
        }
    }

    fn endpoint(&self, target: &Target, index: usize, endpoint: &Endpoint) -> EndpointOffered {
        let address = endpoint.address.to_string();
        let here = |it: &&Instance| it.address.strip_prefix("unix://").unwrap_or(&it.address) == address;
        let instance = self.instances(target).find(here).filter(|_| target.via == Via::Direct);
        EndpointOffered {
            instance: instance.map(|it| it.id.clone()),
            status: instance.map(|it| it.status.as_str()),
            weight: target.weights.of(index),
            health: match endpoint.available(self.now) {
                Availability::Yes => "available",
                Availability::Held => "held down",
                Availability::MayProbe => "may be probed",
                Availability::No => "ejected",
            },
            address,
        }
    }

    /// The registered instances of a target's service in its datacenter, whether they are offered or not.
    fn instances(&self, target: &Target) -> impl Iterator<Item = &Instance> {
        let all = self.catalog.instances.get(&target.id.service).into_iter().flatten();
        let datacenter = target.id.datacenter().cloned();
        all.filter(move |it| Some(&it.datacenter) == datacenter.as_ref())
    }

    fn left_out(&self, target: &Target) -> Vec<InstanceLeftOut> {
        let described = self.chain.and_then(|chain| chain.targets.get(&target.id));
        let subset = described.map(|it| &it.subset);
        let filter = Filter::parse(subset.map_or("", |it| &it.filter));
        let reason = |it: &Instance| match &filter {
            Ok(filter) => left_out(it, subset, filter),
            Err(error) => Some(error.to_string()),
        };
        let out = |it: &Instance| {
            Some(InstanceLeftOut { instance: it.id.clone(), address: it.address.clone(), why: reason(it)? })
        };
        self.instances(target).filter_map(out).collect()
    }

    /// What is there in vain, and what is not there.
    pub(super) fn warn(&self, said: &Explanation, chain: Option<&Chain>, warnings: &mut Vec<String>) {
        let service = &self.table.service;
        let known = self.catalog.instances.contains_key(service)
            || self.entries.resolvers.contains_key(service)
            || self.entries.routers.contains_key(service)
            || self.entries.splitters.contains_key(service)
            || self.entries.defaults.contains_key(service);
        if chain.is_some() && !known {
            warnings.push(format!("nothing is registered as {service}, and no entry has its name"));
        }
        for outcome in &said.outcomes {
            if outcome.targets.iter().all(|it| !it.serves) {
                let targets: Vec<&str> = outcome.targets.iter().map(|it| it.id.as_str()).collect();
                let legs = said.split.as_ref().map_or(&[][..], |it| &it.legs);
                let instead = outcome.instead.iter().filter_map(|leg| Some(legs.get(*leg)?.target.as_str()));
                let instead: Vec<&str> = instead.collect();
                let answer = if !instead.is_empty() {
                    format!("requests of this leg go to {} instead", instead.join(", "))
                } else if said.request.is_some() {
                    "the answer is 503 (UH)".to_owned()
                } else {
                    "the answer is a closed connection".to_owned()
                };
                warnings.push(format!("no endpoint is available in {}: {answer}", targets.join(", ")));
            }
        }
        let check = self.upstream.and_then(|it| it.passive_health_checks().next());
        if check.is_some_and(|it| it.value.interval.is_some()) {
            warnings.push(
                "PassiveHealthCheck.Interval has no effect: an ejection ends when its time is over, without a sweep".to_owned(),
            );
        }
    }
}

//! What one peer gets to see: the exported services, as `exported-services` and the registrations have them.
//!
//! Pure: entries and catalog in, list out. Kept out: health that this process measured; whoever knows better than
//! the catalog overwrites `healthy`.

use std::collections::BTreeSet;

use spillway_core::catalog::{Catalog, ImportedService, Instance};
use spillway_core::chain::{self, Chain, Context, Node, Overrides};
use spillway_core::entry::EntrySet;
use spillway_core::name::{Datacenter, PeerName, ServiceName, Sni, SpiffeId, TargetId, TrustDomain};

/// Who we are, as far as names on the wire need it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Own {
    /// Our trust domain.
    pub trust_domain: TrustDomain,
    /// Our datacenter.
    pub datacenter: Datacenter,
}

/// The services exported to `peer`, in order of their names: those with an instance that has a sidecar here, and
/// virtual ones, which a config entry alone brings into being. A name that is neither is no service.
///
/// Over the gateway a peer reaches a sidecar itself when the service speaks tcp, so whatever its chain leads to
/// may answer; for protocols that the gateway terminates, the gateway answers.
pub fn exports_for(
    peer: &PeerName,
    entries: &EntrySet,
    catalog: &Catalog,
    own: &Own,
) -> Vec<ImportedService> {
    let exported = candidates(entries, catalog, &own.datacenter);
    let exported = exported.into_iter().filter(|service| entries.exports(service, peer));
    exported.filter_map(|service| export(service, peer, entries, catalog, own)).collect()
}

/// Every service of this datacenter that could be exported.
fn candidates<'a>(
    entries: &'a EntrySet,
    catalog: &'a Catalog,
    datacenter: &Datacenter,
) -> BTreeSet<&'a ServiceName> {
    let real = catalog.instances.iter().filter_map(|(service, instances)| {
        instances.iter().any(|instance| instance.datacenter == *datacenter).then_some(service)
    });
    let routed = entries.routers.keys().chain(entries.splitters.keys()).chain(entries.resolvers.keys());
    real.chain(routed).collect()
}

/// The chain of a service as it is run for peers: at home, as its own entries say, and without targets at peers. As
/// with Consul, a gateway is no way from one peer to another, or two that fail over to each other would pass a
/// request to and fro.
pub fn exported_chain(service: &ServiceName, entries: &EntrySet, own: &Own) -> Option<Chain> {
    let context = Context {
        service: service.clone(),
        datacenter: own.datacenter.clone(),
        trust_domain: own.trust_domain.clone(),
        overrides: Overrides::default(),
    };
    // What does not compile is refused when the configuration is read; here it is merely not exported.
    let mut chain = chain::compile(entries, &context).ok()?;
    chain.targets.retain(|target, _| target.peer().is_none());
    for node in chain.nodes.values_mut() {
        if let Node::Resolver { failover, .. } = node {
            failover.retain(|target| target.peer().is_none());
        }
    }
    Some(chain)
}

/// None when nobody of our trust domain could answer.
fn export(
    service: &ServiceName,
    peer: &PeerName,
    entries: &EntrySet,
    catalog: &Catalog,
    own: &Own,
) -> Option<ImportedService> {
    let chain = exported_chain(service, entries, own)?;
    let identities = if chain.protocol.is_http() {
        vec![
            SpiffeId::service(&own.trust_domain, &own.datacenter, service),
            SpiffeId::mesh_gateway(&own.trust_domain, &own.datacenter),
        ]
    } else {
        let targets = chain.targets.keys().filter_map(|target| {
            Some(SpiffeId::service(&own.trust_domain, target.datacenter()?, &target.service))
        });
        targets.collect::<BTreeSet<_>>().into_iter().collect()
    };
    (!identities.is_empty()).then(|| ImportedService {
        name: service.to_string(),
        protocol: chain.protocol.as_str().to_owned(),
        sni: Sni::exported(service, peer, &own.trust_domain).to_string(),
        spiffe_ids: identities.iter().map(SpiffeId::to_string).collect(),
        healthy: registered(&chain, catalog),
    })
}

/// How many registered instances that get traffic the chain leads to; each counts once, however many subsets it is in.
fn registered(chain: &Chain, catalog: &Catalog) -> u32 {
    let places: BTreeSet<_> = chain.targets.keys().map(|target| (&target.service, &target.locus)).collect();
    let of = |target: &TargetId| {
        let instances = catalog.instances.get(&target.service).map_or(&[][..], Vec::as_slice);
        let there = |instance: &&Instance| Some(&instance.datacenter) == target.datacenter();
        instances.iter().filter(there).filter(|instance| instance.weight() > 0).count()
    };
    let count = places.into_iter().map(|(service, locus)| {
        of(&TargetId { service: service.clone(), subset: None, locus: locus.clone(), tenancy: None })
    });
    u32::try_from(count.sum::<usize>()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use spillway_core::entry::{
        Consumer, ExportedService, ExportedServices, HealthStatus, Protocol, Redirect, ServiceDefaults,
        ServiceResolver,
    };
    use spillway_core::problem::Place;

    use super::*;

    fn own() -> Own {
        Own { trust_domain: "a.consul".parse().unwrap(), datacenter: "dc1".parse().unwrap() }
    }

    fn catalog(instances: &[(&str, &str)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (service, datacenter) in instances {
            let service: ServiceName = service.parse().unwrap();
            catalog.instances.entry(service.clone()).or_default().push(Instance {
                id: format!("{service}-1"),
                sidecar_id: format!("{service}-1-sidecar-proxy"),
                sidecar_service: format!("{service}-sidecar-proxy").parse().unwrap(),
                service,
                datacenter: datacenter.parse().unwrap(),
                node: String::new(),
                host: "127.0.0.1".to_owned(),
                port: 80,
                address: "127.0.0.1:21000".to_owned(),
                tags: [].into(),
                meta: Default::default(),
                weight_passing: 1,
                weight_warning: 1,
                status: HealthStatus::Passing,
                health: Default::default(),
            });
        }
        catalog
    }

    fn exporting(names: &[&str]) -> EntrySet {
        let services = names.iter().map(|name| ExportedService {
            name: (*name != "*").then(|| name.parse().unwrap()),
            consumers: vec![Consumer { peer: "b".parse().unwrap() }],
        });
        let services = services.collect();
        EntrySet {
            exported: Some(ExportedServices { services, ..ExportedServices::default() }),
            ..EntrySet::default()
        }
    }

    fn with_protocol(mut entries: EntrySet, service: &str, protocol: Protocol) -> EntrySet {
        let name: ServiceName = service.parse().unwrap();
        let defaults =
            ServiceDefaults { name: Some(name.clone()), protocol: Some(protocol), ..Default::default() };
        entries.defaults.insert(name, defaults);
        entries
    }

    fn names(peer: &str, entries: &EntrySet, catalog: &Catalog) -> Vec<String> {
        let exports = exports_for(&peer.parse().unwrap(), entries, catalog, &own());
        exports.into_iter().map(|export| export.name).collect()
    }

    fn redirect(entries: &mut EntrySet, from: &str, to: &str) {
        let name: ServiceName = from.parse().unwrap();
        let redirect = Redirect { service: Some(to.parse().unwrap()), ..Redirect::default() };
        let resolver = ServiceResolver {
            place: Place::default(),
            name: name.clone(),
            default_subset: None,
            subsets: BTreeMap::new(),
            redirect: Some(redirect),
            failover: BTreeMap::new(),
            connect_timeout: None,
            request_timeout: None,
            load_balancer: None,
            prioritize_by_locality: None,
            meta: BTreeMap::new(),
        };
        entries.resolvers.insert(name, resolver);
    }

    #[test]
    fn only_what_is_exported_to_the_peer_and_exists_is_shown() {
        let catalog = catalog(&[("web", "dc1"), ("api", "dc1"), ("far", "dc2"), ("consul", "dc1")]);
        for (exported, shown) in [
            (&["web"][..], &["web"][..]),
            (&["web", "gone", "far", "consul"], &["web"]),
            (&["*"], &["api", "web"]),
            (&["*", "web"], &["api", "web"]),
            (&[], &[]),
        ] {
            assert_eq!(names("b", &exporting(exported), &catalog), shown, "{exported:?}");
            assert!(names("c", &exporting(exported), &catalog).is_empty());
        }
    }

    #[test]
    fn a_virtual_service_is_shown_with_the_identity_of_whom_it_leads_to() {
        let mut entries = exporting(&["*"]);
        redirect(&mut entries, "front", "web");
        let exports = exports_for(&"b".parse().unwrap(), &entries, &catalog(&[("web", "dc1")]), &own());
        let front = exports.first().unwrap();
        assert_eq!((front.name.as_str(), front.healthy), ("front", 1));
        assert_eq!(front.sni, "front.default.default.b.external.a.consul");
        assert_eq!(front.spiffe_ids, ["spiffe://a.consul/ns/default/dc/dc1/svc/web"]);
    }

    #[test]
    fn a_gateway_is_no_way_from_one_peer_to_another() {
        let mut entries = with_protocol(exporting(&["*"]), "web", Protocol::Http);
        redirect(&mut entries, "web", "web");
        let elsewhere = Redirect { peer: Some("c".parse().unwrap()), ..Redirect::default() };
        for resolver in entries.resolvers.values_mut() {
            let service = resolver.redirect.take().and_then(|redirect| redirect.service);
            resolver.redirect = Some(Redirect { service, ..elsewhere.clone() });
        }
        let chain = exported_chain(&"web".parse().unwrap(), &entries, &own()).unwrap();
        assert!(chain.targets.is_empty());
        let exports = exports_for(&"b".parse().unwrap(), &entries, &catalog(&[("web", "dc1")]), &own());
        assert_eq!((exports.len(), exports[0].healthy), (1, 0), "shown, with nobody to pick");
    }

    #[test]
    fn the_gateway_answers_for_protocols_that_it_terminates() {
        let catalog = catalog(&[("web", "dc1"), ("web", "dc1"), ("web", "dc2")]);
        let service = "spiffe://a.consul/ns/default/dc/dc1/svc/web".to_owned();
        let gateway = "spiffe://a.consul/gateway/mesh/dc/dc1".to_owned();
        for (protocol, ids) in [
            (Protocol::Tcp, vec![service.clone()]),
            (Protocol::Http, vec![service.clone(), gateway.clone()]),
            (Protocol::Http2, vec![service.clone(), gateway.clone()]),
            (Protocol::Grpc, vec![service, gateway]),
        ] {
            let entries = with_protocol(exporting(&["web"]), "web", protocol);
            let exports = exports_for(&"b".parse().unwrap(), &entries, &catalog, &own());
            assert_eq!(exports[0].protocol, protocol.as_str());
            assert_eq!(exports[0].spiffe_ids, ids);
            assert_eq!(exports[0].healthy, 2, "those of this datacenter");
        }
    }
}

//! Services: where their chains lead, what each target is, and which instances they have.
//!
//! A splitter, a resolver and a target are told of once, under the service that they belong to, whichever chains pass
//! them. Routes have an order and are compared in `routes`.

use std::collections::{BTreeSet, HashSet};

use super::facts::{Facts, Subject};
use super::{Side, words};
use crate::catalog::Instance;
use crate::chain::{
    Chain, ChainTarget, Context, Leg, Node, NodeKey, Overrides, SplitRules, compile, describe,
};
use crate::entry::{EmptyLeg, EntrySet, HealthStatus, Kind, LoadBalancer, MeshGatewayMode};
use crate::load::Config;
use crate::name::{Datacenter, ServiceName, TargetId, TrustDomain};
use crate::table::filter::Filter;

pub(super) fn tell(side: &Side<'_>, trust_domain: &TrustDomain, facts: &mut Facts) {
    let mut teller = Teller { side, home: &side.config.agent.datacenter, facts };
    let (mut nodes, mut targets) = (HashSet::new(), HashSet::new());
    for service in services(side.config) {
        let Some(chain) = chain_of(side.config, trust_domain, service) else { continue };
        teller.start(&chain);
        for (key, node) in &chain.nodes {
            if nodes.insert(key.clone()) {
                teller.node(key, node);
            }
        }
        for (id, target) in &chain.targets {
            if targets.insert(id.clone()) {
                teller.target(target);
            }
        }
    }
    for (service, instances) in &side.catalog.instances {
        for instance in instances {
            let mut what = format!("instance {}", instance.id);
            if instance.datacenter != side.config.agent.datacenter {
                what.push_str(&format!(" in {}", instance.datacenter));
            }
            facts.tell(Subject::Service, service.as_str(), what, described(instance));
        }
    }
    defaults(&side.config.entries, facts);
}

/// Every service that the configuration speaks of as one to be asked for.
pub(super) fn services(config: &Config) -> BTreeSet<&ServiceName> {
    let EntrySet { routers, splitters, resolvers, defaults, .. } = &*config.entries;
    let written = routers.keys().chain(splitters.keys()).chain(resolvers.keys()).chain(defaults.keys());
    let registered = config.registrations.iter().filter(|it| it.kind == Kind::Typical).map(|it| &it.name);
    let upstreams = config.registrations.iter().flat_map(|it| &it.proxy.upstreams);
    let called = upstreams.filter(|it| it.destination_peer.is_none()).map(|it| &it.destination_name);
    written.chain(registered).chain(called).collect()
}

/// The chain as nobody's overrides make it. None when it does not compile, which is said elsewhere.
pub(super) fn chain_of(config: &Config, trust_domain: &TrustDomain, service: &ServiceName) -> Option<Chain> {
    let cx = Context {
        service: service.clone(),
        datacenter: config.agent.datacenter.clone(),
        trust_domain: trust_domain.clone(),
        overrides: Overrides::default(),
    };
    compile(&config.entries, &cx).ok()
}

fn described(instance: &Instance) -> String {
    let mut text = instance.address.clone();
    if instance.weight_passing != 1 {
        text.push_str(&format!(", weight {}", instance.weight_passing));
    }
    if instance.weight_warning != 1 {
        text.push_str(&format!(", weight {} while warning", instance.weight_warning));
    }
    match instance.status {
        HealthStatus::Passing => {}
        HealthStatus::Warning => text.push_str(", warning"),
        HealthStatus::Critical => text.push_str(", critical"),
    }
    text
}

struct Teller<'a, 'f> {
    side: &'a Side<'a>,
    home: &'a Datacenter,
    facts: &'f mut Facts,
}

impl Teller<'_, '_> {
    fn tell(&mut self, service: &ServiceName, what: impl Into<String>, how: impl Into<String>) {
        self.facts.tell(Subject::Service, service.as_str(), what, how);
    }

    fn start(&mut self, chain: &Chain) {
        self.tell(&chain.service, "protocol", chain.protocol.as_str());
        if let Some(Node::Resolver { target, request_timeout, .. }) = chain.nodes.get(&chain.start) {
            self.tell(&chain.service, "goes to", words::target(target, self.home));
            if let Some(timeout) = request_timeout {
                self.tell(&chain.service, "request timeout", words::time(*timeout));
            }
        }
    }

    fn node(&mut self, key: &NodeKey, node: &Node) {
        match (key, node) {
            (NodeKey::Splitter(service), Node::Splitter { legs, load_balancer, rules, .. }) => {
                self.rules(service, rules, legs);
                for leg in legs.iter().filter(|leg| leg.runtime_points > 0) {
                    let what = self.leg(leg, legs);
                    self.tell(service, what, describe::per_cent(leg.runtime_points));
                }
                if let Some(it) = load_balancer {
                    self.tell(service, "load balancer of the splitter", balancer(it));
                }
            }
            (_, Node::Resolver { target, failover, load_balancer, .. }) => {
                let name = words::target(target, self.home);
                if !failover.is_empty() {
                    let order: Vec<String> = failover.iter().map(|it| words::target(it, self.home)).collect();
                    self.tell(&target.service, format!("failover of {name}"), order.join(", then "));
                }
                if let Some(it) = load_balancer {
                    self.tell(&target.service, format!("load balancer of {name}"), balancer(it));
                }
            }
            _ => {}
        }
    }

    /// What a splitter and those flattened into it say beyond Consul.
    fn rules(&mut self, service: &ServiceName, rules: &SplitRules, legs: &[Leg]) {
        for choice in rules.choices.iter().filter(|choice| !choice.by.is_empty()) {
            let what = if choice.splitter == *service {
                "sticky by".to_owned()
            } else {
                format!("sticky by, within splitter {}", choice.splitter)
            };
            self.tell(service, what, describe::sticky(&choice.by));
        }
        for scope in &rules.scopes {
            let what = if scope.legs.len() == legs.len() {
                // To fail is what happens without a rule too.
                if scope.rule == EmptyLeg::Fail {
                    continue;
                }
                "a leg without endpoints".to_owned()
            } else {
                let inside = legs.get(scope.legs.clone()).unwrap_or_default();
                let inside: Vec<_> = inside.iter().map(|leg| words::stage(&leg.next, self.home)).collect();
                format!("a leg without endpoints, of {}", inside.join(", "))
            };
            self.tell(service, what, words::empty_leg(scope.rule));
        }
    }

    /// Where a leg leads; legs to one place differ in what they do to headers.
    fn leg(&self, leg: &Leg, legs: &[Leg]) -> String {
        let mut what = format!("leg {}", words::stage(&leg.next, self.home));
        let headers = |leg: &Leg| {
            let request = words::headers("request", leg.definition.request_headers.as_ref());
            let response = words::headers("response", leg.definition.response_headers.as_ref());
            [request, response].into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        let own = headers(leg);
        if !own.is_empty() {
            what.push_str(&format!(" with {own}"));
        }
        let same = |it: &&Leg| it.runtime_points > 0 && it.next == leg.next && headers(it) == own;
        let before = legs.iter().take_while(|it| !std::ptr::eq(*it, leg)).filter(same).count();
        if before > 0 { format!("{what} #{}", before + 1) } else { what }
    }

    fn target(&mut self, target: &ChainTarget) {
        let (id, name) = (&target.id, words::target(&target.id, self.home));
        self.tell(&id.service, format!("connect timeout of {name}"), words::time(target.connect_timeout));
        if let Some(sni) = target.sni.as_ref().filter(|_| target.external) {
            self.tell(&id.service, format!("external SNI of {name}"), sni.as_str());
        }
        if id.datacenter() != Some(self.home) {
            let mode = match target.mesh_gateway {
                MeshGatewayMode::Local => "local",
                MeshGatewayMode::Remote => "remote",
                _ if id.peer().is_some() => "remote",
                _ => "none",
            };
            self.tell(&id.service, format!("gateway to {name}"), mode);
        }
        if id.peer().is_none() && id.subset.is_some() {
            self.subset(id, &name, target);
        }
    }

    fn subset(&mut self, id: &TargetId, name: &str, target: &ChainTarget) {
        if !target.subset.filter.is_empty() {
            self.tell(&id.service, format!("filter of {name}"), target.subset.filter.trim());
        }
        if target.subset.only_passing {
            self.tell(&id.service, format!("only passing of {name}"), "");
        }
        let Ok(filter) = Filter::parse(&target.subset.filter) else { return };
        let all = self.side.catalog.instances.get(&id.service).map_or(&[][..], Vec::as_slice);
        let here = all.iter().filter(|it| Some(&it.datacenter) == id.datacenter());
        let mut selected: Vec<&str> = here.filter(|it| filter.takes(it)).map(|it| it.id.as_str()).collect();
        selected.sort_unstable();
        let selected = if selected.is_empty() { "none".to_owned() } else { selected.join(", ") };
        self.tell(&id.service, format!("instances of {name}"), selected);
    }
}

/// As Consul writes it, on one line.
fn balancer(it: &LoadBalancer) -> String {
    serde_json::to_string(it).unwrap_or_default()
}

/// What `service-defaults` say of a service's own side.
fn defaults(entries: &EntrySet, facts: &mut Facts) {
    for (service, own) in &entries.defaults {
        let Some(limits) = &own.rate_limits else { continue };
        let text = |value: Option<u32>| value.map(|it| it.to_string());
        let of = |rate, burst| words::set([("requests_per_second", text(rate)), ("burst", text(burst))]);
        let all = of(limits.requests_per_second, limits.requests_max_burst);
        facts.maybe(Subject::Service, service.as_str(), "rate limit", all);
        for route in &limits.routes {
            let path = route.path_exact.as_ref().or(route.path_prefix.as_ref()).or(route.path_regex.as_ref());
            let kind = match (&route.path_exact, &route.path_prefix) {
                (Some(_), _) => "path",
                (_, Some(_)) => "prefix",
                _ => "path ~",
            };
            let what = format!("rate limit of {kind} {}", path.map_or("", String::as_str));
            let how = of(route.requests_per_second, route.requests_max_burst);
            facts.maybe(Subject::Service, service.as_str(), &what, how);
        }
    }
}

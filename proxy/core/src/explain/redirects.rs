//! The redirects between what a route, a leg or the asker names and the resolver that decides.
//!
//! A compiled chain no longer has them: they are walked again in the entries, and told only where they lead to the
//! target that the table decided on.

use super::Question;
use super::effective::origin;
use super::report::Redirected;
use crate::chain::{Node, NodeKey};
use crate::entry::Redirect;
use crate::entry::settings::{Setting, Source};
use crate::name::ServiceName;
use crate::table::Decision;

impl Question<'_> {
    pub(super) fn redirects(&self, decision: &Decision<'_>) -> Vec<Redirected> {
        let Some(mut service) = self.named(decision) else { return Vec::new() };
        let mut all = Vec::new();
        // No chain has a circle, so no more redirects than resolvers.
        for _ in 0..self.entries.resolvers.len() {
            let Some(entry) = self.entries.resolvers.get(&service) else { break };
            let Some(redirect) = &entry.redirect else { break };
            let set_by = origin(&Setting::written((), Source::Resolver(entry), "Redirect"), self.locate);
            let next = redirect.service.clone().unwrap_or_else(|| service.clone());
            all.push(Redirected { from: service.to_string(), to: place(redirect, &next), set_by });
            if next == service || redirect.peer.is_some() {
                service = next;
                break;
            }
            service = next;
        }
        let leads = decision.resolver.targets.first().is_some_and(|target| target.id.service == service);
        if leads { all } else { Vec::new() }
    }

    /// The service that the stage before the resolver names.
    fn named(&self, decision: &Decision<'_>) -> Option<ServiceName> {
        let chain = self.chain?;
        if let Some(splitter) = self.splitter(decision) {
            let Node::Splitter { legs, .. } = chain.nodes.get(&NodeKey::Splitter(splitter.clone()))? else {
                return None;
            };
            return Some(legs.get(decision.leg_index?)?.definition.service.clone().unwrap_or(splitter));
        }
        let Some(Node::Router { routes }) = chain.nodes.get(&chain.start) else {
            return Some(chain.service.clone());
        };
        let destination = routes.get(decision.route_index?)?.definition.destination.as_ref();
        let service = destination.and_then(|it| it.service.clone());
        Some(service.unwrap_or_else(|| chain.service.clone()))
    }
}

fn place(redirect: &Redirect, service: &ServiceName) -> String {
    let subset = redirect.service_subset.as_ref().map(|it| format!("{it}.")).unwrap_or_default();
    match (&redirect.peer, &redirect.datacenter) {
        (Some(peer), _) => format!("{subset}{service}@peer:{peer}"),
        (None, Some(datacenter)) => format!("{subset}{service}@dc:{datacenter}"),
        (None, None) => format!("{subset}{service}"),
    }
}

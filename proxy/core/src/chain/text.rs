//! A chain drawn as a tree, for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Chain, Node, NodeKey, describe};
use crate::name::TargetId;

/// The drawing, ending in a newline:
///
/// ```text
/// frontend in dc1, http
/// └─ splitter frontend
///    ├─ 50% → frontend.default.default.dc1 (connect 15s)
///    │  └─ failover → frontend.default.default.external.cluster-02 (connect 15s)
///    └─ 50% → frontend.default.default.external.cluster-02 (connect 15s)
/// ```
pub fn draw(chain: &Chain) -> String {
    let mut title = format!("{} in {}, {}", chain.service, chain.datacenter, chain.protocol.as_str());
    if chain.default {
        title.push_str(", default");
    }
    if let Some(hash) = &chain.customization_hash {
        let _ = write!(title, ", customized {hash}");
    }
    title.push('\n');
    let mut drawing = Drawing { chain, drawn: BTreeSet::new(), out: title };
    drawing.node("", "", &chain.start, true);
    drawing.out
}

struct Drawing<'a> {
    chain: &'a Chain,
    /// Splitters drawn with their legs already.
    drawn: BTreeSet<&'a NodeKey>,
    out: String,
}

impl<'a> Drawing<'a> {
    /// One line; answers what the lines under it start with.
    fn line(&mut self, margin: &str, label: &str, last: bool) -> String {
        let branch = if last { "└─ " } else { "├─ " };
        let _ = writeln!(self.out, "{margin}{branch}{label}");
        format!("{margin}{}", if last { "   " } else { "│  " })
    }

    /// A node and what it leads to. No deeper than router, splitter, resolver, failover: splitters are flat.
    fn node(&mut self, margin: &str, lead: &str, key: &'a NodeKey, last: bool) {
        match self.chain.nodes.get(key) {
            None => {}
            Some(Node::Router { routes }) => {
                let margin = self.line(margin, &label(key), last);
                for (i, route) in routes.iter().enumerate() {
                    let criteria = describe::criteria(&route.definition);
                    let lead = match describe::treatment(&route.definition).as_str() {
                        "" => format!("{criteria} → "),
                        treatment => format!("{criteria} ({treatment}) → "),
                    };
                    self.node(&margin, &lead, &route.next, i + 1 == routes.len());
                }
            }
            Some(Node::Splitter { legs, .. }) => {
                if !self.drawn.insert(key) {
                    self.line(margin, &format!("{lead}{}, as above", label(key)), last);
                    return;
                }
                let margin = self.line(margin, &format!("{lead}{}", label(key)), last);
                for (i, leg) in legs.iter().enumerate() {
                    let lead = format!("{} → ", describe::per_cent(leg.basis_points));
                    self.node(&margin, &lead, &leg.next, i + 1 == legs.len());
                }
            }
            Some(Node::Resolver { target, failover, request_timeout, load_balancer, .. }) => {
                let mut label = format!("{lead}{}", self.target(target));
                if let Some(limit) = request_timeout.filter(|_| *key == self.chain.start) {
                    let _ = write!(label, ", requests within {}", describe::time(limit));
                }
                if let Some(policy) = load_balancer.as_ref().map(|it| &it.policy).filter(|it| !it.is_empty())
                {
                    let _ = write!(label, ", {}", describe::escaped(policy));
                }
                let margin = self.line(margin, &label, last);
                for (i, target) in failover.iter().enumerate() {
                    let label = format!("failover → {}", self.target(target));
                    self.line(&margin, &label, i + 1 == failover.len());
                }
            }
        }
    }

    fn target(&self, id: &TargetId) -> String {
        match self.chain.targets.get(id) {
            Some(target) => format!("{id} ({})", describe::particulars(target)),
            None => id.to_string(),
        }
    }
}

fn label(key: &NodeKey) -> String {
    match key {
        NodeKey::Resolver(target) => target.to_string(),
        NodeKey::Router(service) | NodeKey::Splitter(service) => format!("{} {service}", key.kind()),
    }
}

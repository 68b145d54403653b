//! A chain drawn as a tree, for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Chain, Leg, Node, NodeKey, describe};
use crate::entry::LoadBalancer;

/// The drawing, ending in a newline: where requests go, then what is to be known of each target.
///
/// ```text
/// frontend in dc1, http
/// └─ splitter frontend
///    ├─ 50% → frontend.default.default.dc1
///    │  └─ failover → frontend.default.default.external.cluster-02
///    └─ 50% → frontend.default.default.external.cluster-02
///
/// targets
///   frontend.default.default.dc1                  connect 15s
///   frontend.default.default.external.cluster-02  connect 15s, gateway remote
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
    drawing.targets();
    drawing.out
}

struct Drawing<'a> {
    chain: &'a Chain,
    /// Nodes drawn with what is under them already.
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
        let Some(node) = self.chain.nodes.get(key) else { return };
        let mut label = format!("{lead}{}", label(key));
        label.extend(notes(node).iter().map(|it| format!(", {it}")));
        if let Node::Resolver { request_timeout: Some(limit), .. } = node
            && *key == self.chain.start
        {
            let _ = write!(label, ", requests within {}", describe::time(*limit));
        }
        if !leads_on(node) {
            self.line(margin, &label, last);
        } else if self.drawn.insert(key) {
            let margin = self.line(margin, &label, last);
            self.under(&margin, node);
        } else {
            self.line(margin, &format!("{label}, as above"), last);
        }
    }

    fn under(&mut self, margin: &str, node: &'a Node) {
        match node {
            Node::Router { routes } => {
                for (i, route) in routes.iter().enumerate() {
                    let criteria = describe::criteria(&route.definition);
                    let treatment = describe::treatment(&route.definition);
                    let treatment = if treatment.is_empty() { treatment } else { format!(" ({treatment})") };
                    let lead = format!("{}. {criteria}{treatment} → ", i + 1);
                    self.node(margin, &lead, &route.next, i + 1 == routes.len());
                }
            }
            Node::Splitter { legs, .. } => {
                let share = |leg: &Leg| describe::per_cent(leg.basis_points);
                let width = legs.iter().map(|leg| share(leg).len()).max().unwrap_or_default();
                for (i, leg) in legs.iter().enumerate() {
                    let changes = describe::header_changes(
                        leg.definition.request_headers.as_ref(),
                        leg.definition.response_headers.as_ref(),
                    );
                    let changes = changes.map(|it| format!(" ({it})")).unwrap_or_default();
                    let lead = format!("{:>width$}{changes} → ", share(leg));
                    self.node(margin, &lead, &leg.next, i + 1 == legs.len());
                }
            }
            Node::Resolver { failover, .. } => {
                for (i, target) in failover.iter().enumerate() {
                    self.line(margin, &format!("failover → {target}"), i + 1 == failover.len());
                }
            }
        }
    }

    fn targets(&mut self) {
        self.out.push_str("\ntargets\n");
        let ids: Vec<String> = self.chain.targets.keys().map(ToString::to_string).collect();
        let width = ids.iter().map(String::len).max().unwrap_or_default();
        for (id, target) in ids.iter().zip(self.chain.targets.values()) {
            let _ = writeln!(self.out, "  {id:width$}  {}", describe::particulars(target).join(", "));
        }
    }
}

/// Whether there is anything to draw under a node.
fn leads_on(node: &Node) -> bool {
    match node {
        Node::Router { .. } | Node::Splitter { .. } => true,
        Node::Resolver { failover, .. } => !failover.is_empty(),
    }
}

/// How an endpoint is chosen, where that is not left to the default, and what a splitter says of its legs.
pub(super) fn notes(node: &Node) -> Vec<String> {
    let policy = |balancer: &Option<LoadBalancer>| {
        let policy = balancer.as_ref().map(|it| &it.policy).filter(|policy| !policy.is_empty());
        policy.map(|policy| describe::escaped(policy))
    };
    match node {
        Node::Router { .. } => Vec::new(),
        Node::Splitter { load_balancer, rules, .. } => {
            policy(load_balancer).into_iter().chain(describe::rules(rules)).collect()
        }
        Node::Resolver { load_balancer, .. } => policy(load_balancer).into_iter().collect(),
    }
}

fn label(key: &NodeKey) -> String {
    match key {
        NodeKey::Resolver(target) => target.to_string(),
        NodeKey::Router(service) | NodeKey::Splitter(service) => format!("{} {service}", key.kind()),
    }
}

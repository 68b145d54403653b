//! A chain as a Graphviz graph: `spillway chain web --format dot | dot -Tsvg`.

use std::fmt::Write;

use super::{Chain, Node, NodeKey, describe, text};

/// The graph, ending in a newline. Nodes have the names of the chain's; targets are ellipses.
pub fn draw(chain: &Chain) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quoted(chain.service.as_str()));
    let _ = writeln!(out, "  rankdir=LR;");
    let _ = writeln!(out, "  node [shape=box, fontname=\"sans-serif\"];");
    let _ = writeln!(out, "  edge [fontname=\"sans-serif\"];");
    for (key, node) in &chain.nodes {
        let style = if *key == chain.start { ", penwidth=2" } else { "" };
        let notes: String = text::notes(node).iter().map(|it| format!("\n{it}")).collect();
        let label = format!("{}\n{}{notes}", key.kind(), key.name());
        let _ = writeln!(out, "  {} [label={}{style}];", node_name(key), quoted(&label));
        edges(&mut out, key, node);
    }
    for (id, target) in &chain.targets {
        let label = format!("{id}\n{}", describe::particulars(target).join("\n"));
        let _ =
            writeln!(out, "  {} [shape=ellipse, label={}];", quoted(&format!("target:{id}")), quoted(&label));
    }
    out.push_str("}\n");
    out
}

fn edges(out: &mut String, key: &NodeKey, node: &Node) {
    let from = node_name(key);
    match node {
        Node::Router { routes } => {
            for (i, route) in routes.iter().enumerate() {
                let mut label = format!("{}. {}", i + 1, describe::criteria(&route.definition));
                let treatment = describe::treatment(&route.definition);
                if !treatment.is_empty() {
                    label = format!("{label}\n{treatment}");
                }
                let _ = writeln!(out, "  {from} -> {} [label={}];", node_name(&route.next), quoted(&label));
            }
        }
        Node::Splitter { legs, .. } => {
            for leg in legs {
                let label = describe::per_cent(leg.basis_points);
                let _ = writeln!(out, "  {from} -> {} [label={}];", node_name(&leg.next), quoted(&label));
            }
        }
        Node::Resolver { target, failover, .. } => {
            let _ = writeln!(out, "  {from} -> {};", quoted(&format!("target:{target}")));
            for (i, target) in failover.iter().enumerate() {
                let label = format!("failover {}", i + 1);
                let target = quoted(&format!("target:{target}"));
                let _ = writeln!(out, "  {from} -> {target} [style=dashed, label={}];", quoted(&label));
            }
        }
    }
}

fn node_name(key: &NodeKey) -> String {
    quoted(&key.to_string())
}

/// A DOT string. A line break stays one; `\` and `"` stand for themselves.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

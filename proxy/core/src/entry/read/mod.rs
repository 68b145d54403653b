//! From nodes to entries: which field of Consul's is read into which of ours, and the checks that need no other
//! entry (texts as Consul has them).
//!
//! One file a kind. Each takes the fields it knows from [`Fields`], so that what is left over is unknown. Kept
//! out: which document is an entry and which an agent's file (`load`), and whatever needs two entries (`chain`).

pub(crate) mod agent;
mod common;
mod defaults;
mod exported;
mod fields;
mod intention;
mod item;
mod jwt;
mod mesh;
pub(crate) mod registration;
mod resolver;
mod router;
mod sameness;
mod splitter;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub(crate) use fields::{Fields, same};
pub(crate) use item::{Item, Sink};

use super::EntrySet;
use crate::name::ServiceName;
use crate::problem::{Place, Problem};

/// The kinds that are read into an [`EntrySet`].
pub(crate) const KINDS: [&str; 10] = [
    "service-router",
    "service-splitter",
    "service-resolver",
    "service-defaults",
    "proxy-defaults",
    "mesh",
    "exported-services",
    "service-intentions",
    "jwt-provider",
    "sameness-group",
];

/// Kinds that Consul has and that have no effect here.
pub(crate) const UNUSED_KINDS: [&str; 10] = [
    "ingress-gateway",
    "terminating-gateway",
    "api-gateway",
    "bound-api-gateway",
    "http-route",
    "tcp-route",
    "inline-certificate",
    "file-system-certificate",
    "control-plane-request-limit",
    "rate-limit",
];

/// What every entry has.
pub(crate) struct Head<'a> {
    /// As in [`KINDS`].
    pub(crate) kind: &'static str,
    /// Where the entry says its kind.
    pub(crate) place: Place,
    /// Where its name is given.
    pub(crate) name: Option<Item<'a>>,
}

impl Head<'_> {
    /// The name, which is required.
    fn text(&self, fields: &Fields<'_>) -> Option<String> {
        match self.name.as_ref().filter(|item| !item.is_empty()) {
            Some(item) => item.string(),
            None => {
                fields.item.sink.push(Problem::error(&self.place, "Name", "Name is required"));
                None
            }
        }
    }

    /// The name of a service.
    fn service(&self, fields: &Fields<'_>) -> Option<ServiceName> {
        self.text(fields)?;
        self.name.as_ref()?.name()
    }
}

/// Reads one entry into `set`. An entry with an error is read as far as it goes.
pub(crate) fn entry(head: &Head<'_>, mut fields: Fields<'_>, set: &mut EntrySet) {
    let sink = fields.item.sink;
    fields.ignore(&["CreateIndex", "ModifyIndex", "Hash", "Status"]);
    common::only_default(&mut fields);
    match head.kind {
        "service-router" => {
            let read = router::read(head, fields).map(|it| (it.name.clone(), it));
            keep(&mut set.routers, read, |it| &it.place, head, sink);
        }
        "service-splitter" => {
            let read = splitter::read(head, fields).map(|it| (it.name.clone(), it));
            keep(&mut set.splitters, read, |it| &it.place, head, sink);
        }
        "service-resolver" => {
            let read = resolver::read(head, fields).map(|it| (it.name.clone(), it));
            keep(&mut set.resolvers, read, |it| &it.place, head, sink);
        }
        "service-defaults" => {
            keep(&mut set.defaults, defaults::service(head, fields), |it| &it.place, head, sink);
        }
        "service-intentions" => {
            let read = intention::read(head, fields).map(|it| (it.name.clone(), it));
            keep(&mut set.intentions, read, |it| &it.place, head, sink);
        }
        "jwt-provider" => {
            let read = jwt::read(head, fields).map(|it| (it.name.clone(), it));
            keep(&mut set.jwt_providers, read, |it| &it.place, head, sink);
        }
        "proxy-defaults" => {
            let read = defaults::proxy(head, fields);
            keep_only(&mut set.proxy_defaults, read, |it| &it.place, head, sink);
        }
        "mesh" => keep_only(&mut set.mesh, mesh::read(head, fields), |it| &it.place, head, sink),
        "exported-services" => {
            let read = exported::read(head, fields);
            keep_only(&mut set.exported, read, |it| &it.place, head, sink);
        }
        _ => {
            let read = sameness::read(head, fields).map(|it| (it.name.clone(), it));
            keep(&mut set.sameness_groups, read, |it| &it.place, head, sink);
        }
    }
}

/// Two of one kind and name are an error that names both places; the first counts.
fn keep<K: AsRef<str> + Ord, V>(
    entries: &mut BTreeMap<K, V>,
    read: Option<(K, V)>,
    place: fn(&V) -> &Place,
    head: &Head<'_>,
    sink: &Sink,
) {
    let Some((name, entry)) = read else { return };
    match entries.entry(name) {
        Entry::Vacant(vacant) => drop(vacant.insert(entry)),
        Entry::Occupied(first) => {
            let (name, first) = (first.key().as_ref(), place(first.get()));
            let message = format!("{} {name:?} is defined twice, first at {first}", head.kind);
            sink.push(Problem::error(&head.place, "Name", message));
        }
    }
}

/// The same for a kind that has one entry in a cluster.
fn keep_only<V>(kept: &mut Option<V>, read: V, place: fn(&V) -> &Place, head: &Head<'_>, sink: &Sink) {
    match kept {
        Some(first) => {
            let message = format!("{} is defined twice, first at {}", head.kind, place(first));
            sink.push(Problem::error(&head.place, "Name", message));
        }
        None => *kept = Some(read),
    }
}

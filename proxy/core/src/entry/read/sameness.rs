//! `sameness-group`, which only Consul Enterprise acts on.

use super::Head;
use super::common::meta;
use super::fields::Fields;
use crate::entry::{SamenessGroup, SamenessMember};
use crate::problem::Problem;

pub(super) fn read(head: &Head<'_>, mut fields: Fields<'_>) -> Option<SamenessGroup> {
    let name = head.text(&fields);
    let unused = "sameness-groups are an enterprise-only feature of Consul and have no effect here";
    fields.item.sink.push(Problem::warning(&head.place, "Kind", unused));
    let read = SamenessGroup {
        place: head.place.clone(),
        name: name?,
        default_for_failover: fields.flag("DefaultForFailover"),
        include_local: fields.flag("IncludeLocal"),
        members: fields.maps("Members").into_iter().map(member).collect(),
        meta: meta(&mut fields),
    };
    fields.finish();
    Some(read)
}

fn member(mut map: Fields<'_>) -> SamenessMember {
    let member = SamenessMember { partition: map.string("Partition"), peer: map.name("Peer") };
    if member.partition.is_some() && member.peer.is_some() {
        map.item.error("Partition cannot be set with Peer");
    }
    map.finish();
    member
}

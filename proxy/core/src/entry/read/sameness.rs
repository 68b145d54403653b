//! `sameness-group`, which only Consul Enterprise has: its fields are checked, and it has no effect.

use super::Head;
use super::common::meta;
use super::fields::Fields;
use crate::problem::Problem;

pub(super) fn check(head: &Head<'_>, mut fields: Fields<'_>) {
    head.text(&fields);
    let unused = "sameness-group requires Consul Enterprise and has no effect here";
    fields.item.sink.push(Problem::warning(&head.place, "Kind", unused));
    fields.flag("DefaultForFailover");
    fields.flag("IncludeLocal");
    for mut member in fields.maps("Members") {
        member.string("Partition");
        member.string("Peer");
        member.finish();
    }
    meta(&mut fields);
    fields.finish();
}

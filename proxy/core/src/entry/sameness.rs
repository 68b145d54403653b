//! `sameness-group`: partitions and peers that run the same services.

use std::collections::BTreeMap;

use crate::name::PeerName;
use crate::problem::Place;

/// `sameness-group`. Only Consul Enterprise acts on one; here it is read and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SamenessGroup {
    /// Where it was read.
    pub place: Place,
    /// As a redirect or failover would name it.
    pub name: String,
    /// Whether every service without a failover of its own fails over to the group.
    pub default_for_failover: bool,
    /// Whether the own partition comes first, named or not.
    pub include_local: bool,
    /// In order.
    pub members: Vec<SamenessMember>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `Members[]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SamenessMember {
    /// A partition of this cluster.
    pub partition: Option<String>,
    /// Another cluster.
    pub peer: Option<PeerName>,
}

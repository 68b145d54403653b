//! What changes in behaviour from one configuration to another: `spillway validate --diff`.
//!
//! Each side is told as facts, by subject: what a service's chain does once it is compiled, what a sidecar listens on
//! and calls, who may call whom. Facts that both sides tell alike are no change, however differently the files are
//! written. Kept out: the files and their words; what differs without an effect must not be told.

mod facts;
mod intentions;
mod proxies;
mod routes;
mod services;
mod settings;
mod show;
mod words;

#[cfg(test)]
mod tests;

use crate::catalog::Catalog;
use crate::load::Config;
use crate::name::TrustDomain;
use facts::Facts;
pub use facts::{Change, Group, Subject};

/// One of the two configurations. It has no errors: what is refused has no behaviour.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Entries, registrations and settings.
    pub config: &'a Config,
    /// Its instances and gateways.
    pub catalog: &'a Catalog,
}

/// What changes, subject by subject. Shown as text for people, and by [`Self::to_json`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diff {
    /// Those of which something changes.
    pub groups: Vec<Group>,
}

/// Compares two configurations of one cluster. Names within `trust_domain` are taken to be the same on both sides.
pub fn diff(old: &Side<'_>, new: &Side<'_>, trust_domain: &TrustDomain) -> Diff {
    let (before, after) = (told(old, trust_domain), told(new, trust_domain));
    let mut groups = before.compare(&after);
    groups.extend(routes::compare(old.config, new.config, trust_domain));
    groups.extend(intentions::compare(old, new));
    Diff { groups: facts::merge(groups) }
}

/// Everything that can be told of one side alone.
fn told(side: &Side<'_>, trust_domain: &TrustDomain) -> Facts {
    let mut facts = Facts::default();
    services::tell(side, trust_domain, &mut facts);
    proxies::tell(side, trust_domain, &mut facts);
    settings::tell(side.config, &mut facts);
    facts
}

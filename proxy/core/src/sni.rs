//! The ClientHello name table of a gateway: exact names, and whole datacenters of our own trust domain.
//!
//! No name falls back to another: what is not here is nobody's. The one pattern there is stands for the services
//! of another datacenter, whose own gateway then looks for the exact name. What a name leads to is the shell's.

use std::collections::HashMap;

use crate::name::{Datacenter, Sni, TrustDomain};

/// Where each name leads.
#[derive(Clone, Debug)]
pub struct SniTable<R> {
    exact: HashMap<Sni, R>,
    datacenters: HashMap<Datacenter, R>,
    /// `.internal.TRUSTDOMAIN`
    internal: String,
}

impl<R> SniTable<R> {
    /// A table in which every name is nobody's.
    pub fn nowhere() -> Self {
        Self { exact: HashMap::new(), datacenters: HashMap::new(), internal: String::new() }
    }

    /// A table for a gateway of this trust domain, to be filled.
    pub fn new(trust_domain: &TrustDomain) -> Self {
        Self { internal: format!(".internal.{trust_domain}"), ..Self::nowhere() }
    }

    /// Adds a name. The first to come keeps it: names differ in more than case or they are not distinguishable.
    pub fn insert(&mut self, name: Sni, route: R) {
        self.exact.entry(name).or_insert(route);
    }

    /// Adds another datacenter of our trust domain: all of its services, and it as a whole.
    pub fn insert_datacenter(&mut self, datacenter: Datacenter, route: R) {
        self.datacenters.insert(datacenter, route);
    }

    /// Where a name leads; None when nobody has it.
    pub fn get(&self, name: &Sni) -> Option<&R> {
        self.exact.get(name).or_else(|| self.datacenters.get(&self.datacenter(name)?))
    }

    /// How many names and datacenters there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.datacenters.len()
    }

    /// Whether every name is nobody's.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The datacenter of `[[SUBSET.]SERVICE.default.]DC.internal.TRUSTDOMAIN`.
    fn datacenter(&self, name: &Sni) -> Option<Datacenter> {
        let name = name.as_str().strip_suffix(&self.internal)?;
        let datacenter = match name.rsplit_once('.') {
            None => name,
            Some((service, datacenter)) => {
                // A service has a name before its namespace.
                service.strip_suffix(".default")?;
                datacenter
            }
        };
        datacenter.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &str, expected: Option<&str>) {
        let own = "td.consul".parse().expect("a valid name");
        let mut table = SniTable::new(&own);
        for name in ["web.default.dc1.internal.td.consul", "web.default.default.b.external.td.consul"] {
            table.insert(name.parse().expect("a valid name"), "exact");
        }
        table.insert_datacenter("dc2".parse().expect("a valid name"), "dc2");
        let found = table.get(&asked.parse().expect("a valid name"));
        assert_eq!(found.copied(), expected, "{asked}");
    }

    #[test]
    fn an_exact_name_leads_where_it_says() {
        check("web.default.dc1.internal.td.consul", Some("exact"));
        check("WEB.default.dc1.internal.td.consul", Some("exact"));
        check("web.default.default.b.external.td.consul", Some("exact"));
    }

    #[test]
    fn all_of_another_datacenter_leads_to_it() {
        check("web.default.dc2.internal.td.consul", Some("dc2"));
        check("v1.web.default.dc2.internal.td.consul", Some("dc2"));
        check("a.b.c.default.dc2.internal.td.consul", Some("dc2"));
        check("dc2.internal.td.consul", Some("dc2"));
    }

    #[test]
    fn a_name_that_is_not_there_falls_back_to_nothing() {
        for name in [
            "api.default.dc1.internal.td.consul",
            "v1.web.default.dc1.internal.td.consul",
            "dc1.internal.td.consul",
            "dc3.internal.td.consul",
            "web.default.dc3.internal.td.consul",
            "web.other.dc2.internal.td.consul",
            "default.dc2.internal.td.consul",
            "web.default.xdc2.internal.td.consul",
            "web.default.dc2.internal.other.consul",
            "web.default.dc2.internal.td.consul.evil",
            "evil.web.default.default.b.external.td.consul",
            "web.default.default.c.external.td.consul",
            "internal.td.consul",
            "td.consul",
        ] {
            check(name, None);
        }
    }
}

//! `exported-services`: what other clusters may use.

use std::collections::BTreeMap;

use crate::name::{PeerName, ServiceName};
use crate::problem::Place;

/// `exported-services`, named `default` after its partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportedServices {
    /// Where it was read.
    pub place: Place,
    /// What to whom.
    pub services: Vec<ExportedService>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `Services[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedService {
    /// None is `*`: all.
    pub name: Option<ServiceName>,
    /// Who may use it.
    pub consumers: Vec<Consumer>,
}

/// One of `Consumers[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    /// Our name for the importer.
    pub peer: PeerName,
}

impl ExportedServices {
    /// Whether `service` is exported to `peer`, by name or by `*`. Consul's own service never is.
    pub fn exports(&self, service: &ServiceName, peer: &PeerName) -> bool {
        let named = |name: &Option<ServiceName>| name.as_ref().is_none_or(|name| name == service);
        service.as_str() != "consul"
            && self
                .services
                .iter()
                .any(|it| named(&it.name) && it.consumers.iter().any(|consumer| consumer.peer == *peer))
    }
}

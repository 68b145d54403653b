//! Who sets a value: every place that may, the most specific first.
//!
//! The first [`Setting`] of an iterator here is the one in force; those after it are what it overrode. Tables are built
//! from the first and `explain` shows all, so what is said to be in force is. Nothing is allocated before somebody
//! asks for words.
//! Kept out: the defaults where no place says anything, which are those of whoever asks.

use std::fmt;
use std::time::Duration;

use super::{
    EntrySet, LoadBalancer, MeshGatewayMode, Protocol, ProxyDefaults, Registration, ServiceDefaults,
    ServiceResolver, ServiceRouter, Upstream,
};
use crate::name::ServiceName;
use crate::problem::Place;

/// A value, and the place that sets it.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a, T> {
    /// The value.
    pub value: T,
    /// Who sets it.
    pub source: Source<'a>,
    /// In which field, as entries name it and without what [`Source::field`] puts before it.
    pub field: &'static str,
    /// Whether it is not written, but what the entry means without it: `service-defaults` that name no `Protocol` say
    /// tcp.
    pub implied: bool,
}

impl<'a, T> Setting<'a, T> {
    /// A value that is written.
    pub(crate) fn written(value: T, source: Source<'a>, field: &'static str) -> Self {
        Self { value, source, field, implied: false }
    }

    /// The same setting of another value, such as one field of a group that is set as a whole.
    pub fn map<U>(self, field: &'static str, value: impl FnOnce(T) -> U) -> Setting<'a, U> {
        Setting { value: value(self.value), source: self.source, field, implied: self.implied }
    }
}

/// An entry or registration, or the part of one, that sets a value.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// One of `proxy.upstreams[]` of a sidecar.
    Upstream {
        /// The sidecar.
        sidecar: &'a Registration,
        /// Which of its upstreams.
        upstream: &'a Upstream,
    },
    /// `proxy` of a sidecar.
    Sidecar(&'a Registration),
    /// One of `UpstreamConfig.Overrides[]` of a caller's `service-defaults`.
    CallerOverride {
        /// The caller's entry.
        entry: &'a ServiceDefaults,
        /// Which of its overrides.
        index: usize,
    },
    /// `UpstreamConfig.Defaults` of a caller's `service-defaults`.
    CallerDefaults(&'a ServiceDefaults),
    /// A `service-defaults` entry itself.
    Defaults(&'a ServiceDefaults),
    /// `proxy-defaults`
    Global(&'a ProxyDefaults),
    /// A `service-resolver`.
    Resolver(&'a ServiceResolver),
    /// One of a `service-router`'s routes.
    Route {
        /// The router.
        router: &'a ServiceRouter,
        /// Which of its routes.
        index: usize,
    },
}

impl Source<'_> {
    /// Where the entry or registration stands.
    pub fn place(&self) -> &Place {
        match self {
            Self::Upstream { upstream, .. } => &upstream.place,
            Self::Sidecar(sidecar) => &sidecar.place,
            Self::CallerOverride { entry, .. } | Self::CallerDefaults(entry) | Self::Defaults(entry) => {
                &entry.place
            }
            Self::Global(entry) => &entry.place,
            Self::Resolver(entry) => &entry.place,
            Self::Route { router, .. } => &router.place,
        }
    }

    /// The path of `field`, a name such as `MeshGateway.Mode`, from the place on: as entries spell it, or
    /// registrations.
    pub fn field(&self, field: &str) -> String {
        match self {
            // What Consul keeps out of the opaque `config` has its own field.
            Self::Upstream { .. } if field.starts_with("MeshGateway") => snake_case(field),
            Self::Upstream { .. } => format!("config.{}", snake_case(field)),
            Self::Sidecar(_) if field.starts_with("MeshGateway") => format!("proxy.{}", snake_case(field)),
            Self::Sidecar(_) => format!("proxy.config.{}", snake_case(field)),
            Self::CallerOverride { index, .. } => format!("UpstreamConfig.Overrides[{index}].{field}"),
            Self::CallerDefaults(_) => format!("UpstreamConfig.Defaults.{field}"),
            Self::Global(_) if !field.starts_with("MeshGateway") => format!("Config.{}", snake_case(field)),
            Self::Defaults(_) | Self::Global(_) | Self::Resolver(_) => field.to_owned(),
            Self::Route { index, .. } if field.is_empty() => format!("Routes[{index}]"),
            Self::Route { index, .. } => format!("Routes[{index}].{field}"),
        }
    }

    /// Whether both are the same place.
    pub fn is(&self, other: &Source<'_>) -> bool {
        match (self, other) {
            (Self::Global(_), Source::Global(_)) => true,
            (Self::Defaults(a), Source::Defaults(b)) => a.name == b.name,
            _ => false,
        }
    }
}

impl fmt::Display for Source<'_> {
    /// `upstream web of api-sidecar-proxy`, `service-defaults api`, `proxy-defaults global`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream { sidecar, upstream } => {
                write!(f, "upstream {}", upstream.destination_name)?;
                if let Some(peer) = &upstream.destination_peer {
                    write!(f, " at peer {peer}")?;
                }
                write!(f, " of {}", sidecar.id)
            }
            Self::Sidecar(sidecar) => write!(f, "sidecar {}", sidecar.id),
            Self::CallerOverride { entry, .. } | Self::CallerDefaults(entry) | Self::Defaults(entry) => {
                write!(f, "service-defaults {}", entry.name.as_ref().map_or("", ServiceName::as_str))
            }
            Self::Global(_) => f.write_str("proxy-defaults global"),
            Self::Resolver(entry) => write!(f, "service-resolver {}", entry.name),
            Self::Route { router, .. } => write!(f, "service-router {}", router.name),
        }
    }
}

/// As registrations spell a field: `Limits.MaxConnections` is `limits.max_connections`.
pub(crate) fn snake_case(field: &str) -> String {
    let mut spelt = String::with_capacity(field.len() + 8);
    let mut before = '.';
    for c in field.chars() {
        let begins = c.is_ascii_uppercase() || c.is_ascii_digit() && !before.is_ascii_digit();
        if begins && before != '.' {
            spelt.push('_');
        }
        spelt.push(c.to_ascii_lowercase());
        before = c;
    }
    spelt
}

/// What a service speaks: its `service-defaults` if it has them, whatever they leave out; then `proxy-defaults`.
pub fn protocols<'a>(
    entries: &'a EntrySet,
    service: &ServiceName,
) -> impl Iterator<Item = Setting<'a, Protocol>> {
    let own = entries.defaults.get(service).map(|entry| Setting {
        implied: entry.protocol.is_none(),
        ..Setting::written(entry.protocol.unwrap_or_default(), Source::Defaults(entry), "Protocol")
    });
    let global = entries.proxy_defaults.as_ref();
    let global =
        global.and_then(|entry| Some(Setting::written(entry.protocol?, Source::Global(entry), "Protocol")));
    own.into_iter().chain(global)
}

/// How a service that nobody overrides it for is reached in other clusters: its `service-defaults`, then
/// `proxy-defaults`.
pub fn mesh_gateways<'a>(
    entries: &'a EntrySet,
    service: &ServiceName,
) -> impl Iterator<Item = Setting<'a, MeshGatewayMode>> {
    let own = entries.defaults.get(service).map(|entry| (entry.mesh_gateway, Source::Defaults(entry)));
    own.into_iter().chain(global_mesh_gateway(entries)).filter_map(mesh_gateway)
}

/// The mode of `proxy-defaults`, which may be [`MeshGatewayMode::Default`].
pub(crate) fn global_mesh_gateway(entries: &EntrySet) -> Option<(MeshGatewayMode, Source<'_>)> {
    entries.proxy_defaults.as_ref().map(|entry| (entry.mesh_gateway, Source::Global(entry)))
}

/// A mode, unless it says nothing.
pub(crate) fn mesh_gateway<'a>(
    (mode, source): (MeshGatewayMode, Source<'a>),
) -> Option<Setting<'a, MeshGatewayMode>> {
    (mode != MeshGatewayMode::Default).then(|| Setting::written(mode, source, "MeshGateway.Mode"))
}

/// How long connecting to a service may take when nobody overrides it: `ConnectTimeout` of its resolver. Zero says
/// nothing.
pub fn connect_timeout<'a>(entries: &'a EntrySet, service: &ServiceName) -> Option<Setting<'a, Duration>> {
    let entry = entries.resolvers.get(service)?;
    let timeout = entry.connect_timeout.filter(|it| !it.is_zero())?;
    Some(Setting::written(timeout, Source::Resolver(entry), "ConnectTimeout"))
}

/// `RequestTimeout` of a service's resolver. Zero says nothing.
pub fn request_timeout<'a>(entries: &'a EntrySet, service: &ServiceName) -> Option<Setting<'a, Duration>> {
    let entry = entries.resolvers.get(service)?;
    let timeout = entry.request_timeout.filter(|it| !it.is_zero())?;
    Some(Setting::written(timeout, Source::Resolver(entry), "RequestTimeout"))
}

/// How a service's endpoints are chosen: `LoadBalancer` of its resolver.
pub fn load_balancer<'a>(
    entries: &'a EntrySet,
    service: &ServiceName,
) -> Option<Setting<'a, &'a LoadBalancer>> {
    let entry = entries.resolvers.get(service)?;
    let written = entry.load_balancer.as_ref()?;
    Some(Setting::written(written, Source::Resolver(entry), "LoadBalancer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_spell_fields_in_snake_case() {
        for (entry, registration) in [
            ("ConnectTimeoutMs", "connect_timeout_ms"),
            ("Limits.MaxConnections", "limits.max_connections"),
            ("PassiveHealthCheck.EnforcingConsecutive5xx", "passive_health_check.enforcing_consecutive_5xx"),
        ] {
            assert_eq!(snake_case(entry), registration);
        }
    }

    #[test]
    fn an_entry_without_a_protocol_implies_tcp_over_proxy_defaults() {
        let global = ProxyDefaults { protocol: Some(Protocol::Http), ..ProxyDefaults::default() };
        let web: ServiceName = "web".parse().expect("a valid name");
        let mut entries = EntrySet { proxy_defaults: Some(global), ..EntrySet::default() };
        let said = |entries: &EntrySet| -> Vec<(Protocol, bool)> {
            protocols(entries, &web).map(|it| (it.value, it.implied)).collect()
        };
        assert_eq!(said(&entries), [(Protocol::Http, false)]);
        entries.defaults.insert(web.clone(), ServiceDefaults::default());
        assert_eq!(said(&entries), [(Protocol::Tcp, true), (Protocol::Http, false)]);
    }
}

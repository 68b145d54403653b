//! What a sidecar wants of an upstream otherwise than the chain's entries say, and who says so.
//!
//! Six places have a say. [`UpstreamSettings`] knows their order, once for every value; the data plane takes the first
//! setting of each, `explain` shows them all.

use std::time::Duration;

use super::Overrides;
use crate::breaker::Thresholds;
use crate::entry::settings::{self, Setting, Source};
use crate::entry::{
    EntrySet, Limits, MeshGatewayMode, PassiveHealthCheck, Protocol, Registration, ServiceDefaults, Upstream,
    UpstreamConfig,
};
use crate::name::ServiceName;
use crate::outlier::OutlierPolicy;

/// One upstream of one sidecar, with the entries that have a say in it.
///
/// For each value, the first that says something: the upstream's registration; in the caller's own `service-defaults`,
/// `UpstreamConfig.Overrides` for that upstream; for the mode, the sidecar's registration; `UpstreamConfig.Defaults`;
/// for the mode, the entry itself and `proxy-defaults`, which thus beat the upstream's `service-defaults`; for the
/// protocol, the upstream's `service-defaults` if it has one, else `proxy-defaults`.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamSettings<'a> {
    entries: &'a EntrySet,
    /// `service-defaults` of the caller.
    caller: Option<&'a ServiceDefaults>,
    sidecar: &'a Registration,
    upstream: &'a Upstream,
}

impl<'a> UpstreamSettings<'a> {
    /// Of `upstream` of the `sidecar` that stands beside an instance of `caller`.
    pub fn new(
        entries: &'a EntrySet,
        caller: &ServiceName,
        sidecar: &'a Registration,
        upstream: &'a Upstream,
    ) -> Self {
        Self { entries, caller: entries.defaults.get(caller), sidecar, upstream }
    }

    /// Whose upstream it is.
    pub fn sidecar(&self) -> &'a Registration {
        self.sidecar
    }

    /// As it is registered.
    pub fn upstream(&self) -> &'a Upstream {
        self.upstream
    }

    /// What to compile its chain with.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            protocol: self.protocols().next().filter(|it| !it.implied).map(|it| it.value),
            connect_timeout: self.connect_timeouts().next().map(|it| it.value),
            mesh_gateway: self.mesh_gateways().next().map(|it| it.value).unwrap_or_default(),
        }
    }

    /// When its endpoints are ejected.
    pub fn outlier(&self) -> OutlierPolicy {
        self.passive_health_checks().next().map(|it| it.value.into()).unwrap_or_default()
    }

    /// How much each of its targets may have at once.
    pub fn thresholds(&self) -> Thresholds {
        self.limits().next().map(|it| it.value.into()).unwrap_or_default()
    }

    /// What it speaks. What a peer's service speaks the peer says, so no local entry of its name counts.
    pub fn protocols(&self) -> impl Iterator<Item = Setting<'a, Protocol>> + use<'a> {
        let declared = settings::protocols(self.entries, &self.upstream.destination_name);
        let here = self.upstream.destination_peer.is_none();
        self.written("Protocol", |config| config.protocol).chain(declared.filter(move |_| here))
    }

    /// How long connecting may take.
    pub fn connect_timeouts(&self) -> impl Iterator<Item = Setting<'a, Duration>> + use<'a> {
        self.written("ConnectTimeoutMs", |config| config.connect_timeout.filter(|it| !it.is_zero()))
    }

    /// How it is reached in other clusters.
    pub fn mesh_gateways(&self) -> impl Iterator<Item = Setting<'a, MeshGatewayMode>> + use<'a> {
        let own = |(source, config): (Source<'a>, &UpstreamConfig)| (config.mesh_gateway, source);
        let sidecar = (self.sidecar.proxy.mesh_gateway, Source::Sidecar(self.sidecar));
        let caller = self.caller.map(|entry| (entry.mesh_gateway, Source::Defaults(entry)));
        let [registered, for_this, for_all] = self.configs().map(|config| config.map(own));
        [registered, for_this, Some(sidecar), for_all, caller, settings::global_mesh_gateway(self.entries)]
            .into_iter()
            .flatten()
            .filter_map(settings::mesh_gateway)
    }

    /// How much at once: each place sets all of them or none.
    pub fn limits(&self) -> impl Iterator<Item = Setting<'a, Limits>> + use<'a> {
        self.written("Limits", |config| Some(config.limits).filter(|it| *it != Limits::default()))
    }

    /// When an endpoint is ejected: each place sets all of it or nothing.
    pub fn passive_health_checks(&self) -> impl Iterator<Item = Setting<'a, PassiveHealthCheck>> + use<'a> {
        self.written("PassiveHealthCheck", |config| config.passive_health_check)
    }

    /// The settings of one field of [`UpstreamConfig`], wherever it is written.
    fn written<T, F: Fn(&UpstreamConfig) -> Option<T>>(
        &self,
        field: &'static str,
        value: F,
    ) -> impl Iterator<Item = Setting<'a, T>> + use<'a, T, F> {
        let setting = |config: Option<(Source<'a>, &UpstreamConfig)>| {
            let (source, config) = config?;
            Some(Setting::written(value(config)?, source, field))
        };
        self.configs().map(setting).into_iter().flatten()
    }

    /// Where an [`UpstreamConfig`] for it may stand: its registration, the caller's `Overrides`, the caller's
    /// `Defaults`.
    fn configs(&self) -> [Option<(Source<'a>, &'a UpstreamConfig)>; 3] {
        let Self { sidecar, upstream, .. } = *self;
        let for_this = self.caller.and_then(|entry| {
            let overrides = &entry.upstream_config.overrides;
            let index = overrides.iter().position(|config| names(config, upstream))?;
            Some((Source::CallerOverride { entry, index }, &overrides[index]))
        });
        let for_all =
            self.caller.map(|entry| (Source::CallerDefaults(entry), &entry.upstream_config.defaults));
        [Some((Source::Upstream { sidecar, upstream }, &upstream.config)), for_this, for_all]
    }
}

fn names(config: &UpstreamConfig, upstream: &Upstream) -> bool {
    config.name.as_ref() == Some(&upstream.destination_name) && config.peer == upstream.destination_peer
}

//! `service-resolver`: which instances answer to a service's name, and who takes over when none can.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::name::{Datacenter, PeerName, ServiceName, SubsetName};
use crate::problem::Place;

/// `service-resolver`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceResolver {
    /// Where it was read.
    pub place: Place,
    /// The service, real or virtual.
    pub name: ServiceName,
    /// For requests that name none; one of `subsets`.
    pub default_subset: Option<SubsetName>,
    /// By name.
    pub subsets: BTreeMap<SubsetName, Subset>,
    /// Excludes `failover`.
    pub redirect: Option<Redirect>,
    /// By subset, or `*`.
    pub failover: BTreeMap<String, Failover>,
    /// TCP and TLS together; 0 is the default of 5 s.
    pub connect_timeout: Option<Duration>,
    /// In force only where a chain starts at this resolver.
    pub request_timeout: Option<Duration>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Enterprise: `PrioritizeByLocality.Mode`.
    pub prioritize_by_locality: Option<String>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `Subsets`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subset {
    /// go-bexpr over the health entry; empty takes all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Leaves out instances with a warning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_passing: bool,
}

/// `Redirect`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redirect {
    /// Another service; it drops the caller's subset.
    pub service: Option<ServiceName>,
    /// A subset of it.
    pub service_subset: Option<SubsetName>,
    /// The same service elsewhere.
    pub datacenter: Option<Datacenter>,
    /// The service at a peer.
    pub peer: Option<PeerName>,
}

/// One of `Failover`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failover {
    /// Default: the entry's own.
    pub service: Option<ServiceName>,
    /// Default: the caller's.
    pub service_subset: Option<SubsetName>,
    /// In order.
    pub datacenters: Vec<Datacenter>,
    /// In order; excludes the rest.
    pub targets: Vec<FailoverTarget>,
    /// Shown in the chain; Enterprise would order the targets by it.
    pub policy: Option<FailoverPolicy>,
}

/// `Policy` of a failover, and `FailoverPolicy` of `proxy-defaults` for those that have none.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FailoverPolicy {
    /// `sequential` (default) or `order-by-locality`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// In order of preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// One of `Failover[].Targets[]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailoverTarget {
    /// Default: the entry's own.
    pub service: Option<ServiceName>,
    /// Default: the caller's.
    pub service_subset: Option<SubsetName>,
    /// In another datacenter.
    pub datacenter: Option<Datacenter>,
    /// At a peer; excludes subset and datacenter.
    pub peer: Option<PeerName>,
}

/// `LoadBalancer`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadBalancer {
    /// `""`, `random`, `round_robin`, `least_request`, `ring_hash` or `maglev`, or beyond Consul `peak_ewma`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// Only with `ring_hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_hash_config: Option<RingHashConfig>,
    /// Only with `least_request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_request_config: Option<LeastRequestConfig>,
    /// Only with `ring_hash` and `maglev`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hash_policies: Vec<HashPolicy>,
}

/// `RingHashConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RingHashConfig {
    /// Entries at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_ring_size: Option<u64>,
    /// Entries at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_ring_size: Option<u64>,
}

/// `LeastRequestConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeastRequestConfig {
    /// How many to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice_count: Option<u32>,
}

/// One of `HashPolicies[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HashPolicy {
    /// `header`, `cookie` or `query_parameter`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_value: String,
    /// How to make the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
    /// Instead of a field.
    #[serde(rename = "SourceIP", skip_serializing_if = "std::ops::Not::not")]
    pub source_ip: bool,
    /// Stop here when this policy gave a hash.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
}

/// `CookieConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CookieConfig {
    /// Without an expiry.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub session: bool,
    /// Its life; a number of nanoseconds in JSON, as Consul prints this one.
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none", serialize_with = "nanoseconds")]
    pub ttl: Option<Duration>,
    /// Its path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn nanoseconds<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.serialize_u64(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX)),
        None => to.serialize_none(),
    }
}

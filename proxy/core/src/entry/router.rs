//! `service-router`: which service or subset a request goes to, by path, header, query parameter and method.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::duration;
use crate::name::{Datacenter, PeerName, ServiceName, SubsetName};
use crate::problem::Place;

/// `service-router`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRouter {
    /// Where it was read.
    pub place: Place,
    /// The service whose requests it routes.
    pub name: ServiceName,
    /// In order; the first that matches decides.
    pub routes: Vec<Route>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `Routes[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Route {
    /// What a request must have; none matches all.
    #[serde(rename = "Match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<RouteMatch>,
    /// Where it goes; none is the router's own service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
}

/// `Match`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RouteMatch {
    /// `HTTP`
    #[serde(rename = "HTTP", skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpMatch>,
}

/// `Match.HTTP`: all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HttpMatch {
    /// The whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_exact: Option<String>,
    /// A plain string prefix: `/admin` matches `/administrator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// A regular expression for the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Exact and prefix paths in any case.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub case_insensitive: bool,
    /// All must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<HeaderMatch>,
    /// All must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_param: Vec<QueryParamMatch>,
    /// Upper-case; any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
}

/// One of `Header[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HeaderMatch {
    /// In any case.
    pub name: String,
    /// The header is there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub present: bool,
    /// The whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// How the value begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// What it contains (intentions only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// A regular expression for the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Compare values in any case (intentions only).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Turns the result round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
}

/// One of `QueryParam[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueryParamMatch {
    /// Case counts.
    pub name: String,
    /// The parameter is there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub present: bool,
    /// The whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// A regular expression for the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// `Destination`: where a matched request goes, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Destination {
    /// Default: the router's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Skips the splitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_subset: Option<SubsetName>,
    /// Shown in the target's id, selects nothing (Enterprise).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Selects nothing (Enterprise).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Straight to the service at a peer, without a helper resolver (beyond Consul); excludes a subset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerName>,
    /// Straight to the service in another datacenter, without a helper resolver (beyond Consul).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<Datacenter>,
    /// What takes the place of the matched path or prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_rewrite: Option<String>,
    /// The whole exchange with all retries; negative is none.
    #[serde(skip_serializing_if = "unset_or_zero", serialize_with = "duration::serialize_option")]
    pub request_timeout: Option<duration::Signed>,
    /// A stream's silence; negative is none.
    #[serde(skip_serializing_if = "unset_or_zero", serialize_with = "duration::serialize_option")]
    pub idle_timeout: Option<duration::Signed>,
    /// How often to try again.
    #[serde(skip_serializing_if = "none_or_zero")]
    pub num_retries: Option<u32>,
    /// Adds `connect-failure`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_on_connect_failure: bool,
    /// Envoy's retry conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<String>,
    /// Adds `retriable-status-codes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_on_status_codes: Vec<u16>,
    /// Changes to the request's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<HeaderModifiers>,
    /// Changes to the response's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<HeaderModifiers>,
}

/// `RequestHeaders`, `ResponseHeaders`: `Remove`, then `Set`, then `Add`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HeaderModifiers {
    /// Appended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Overwritten or added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// Consul prints neither a timeout that is not there nor one of 0.
#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn unset_or_zero(timeout: &Option<duration::Signed>) -> bool {
    timeout.is_none_or(|it| it.nanos == 0)
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn none_or_zero(number: &Option<u32>) -> bool {
    number.is_none_or(|it| it == 0)
}

/// What Envoy's default of 15 s for a whole exchange is (Consul: `RequestTimeout` unset or 0).
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

//! `service-splitter`: which share of a service's requests goes where.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{CookieConfig, HeaderModifiers};
use crate::name::{Datacenter, PeerName, ServiceName, SubsetName};
use crate::problem::Place;

/// `service-splitter`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSplitter {
    /// Where it was read.
    pub place: Place,
    /// The service whose requests it splits.
    pub name: ServiceName,
    /// The weights sum to 100.
    pub splits: Vec<Split>,
    /// What keeps a request on its leg, in order of preference (beyond Consul); the first that it has counts.
    pub sticky: Vec<Sticky>,
    /// What becomes of a request whose leg has no endpoint (beyond Consul).
    pub empty_leg: Option<EmptyLeg>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `Splits[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Split {
    /// Per cent, as written; in force to 0.01.
    #[serde(serialize_with = "as_go_prints_it")]
    pub weight: f64,
    /// Default: the splitter's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// A subset of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_subset: Option<SubsetName>,
    /// Selects nothing (Enterprise).
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
    /// Changes to the request's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<HeaderModifiers>,
    /// Changes to the response's headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<HeaderModifiers>,
}

/// One of `Sticky`: what of a request decides its leg, so that requests which have the same in it share a leg.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sticky {
    /// Where to look.
    pub field: StickyField,
    /// The name of the header, cookie or query parameter.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_value: String,
    /// How to make the cookie when a request has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
}

/// `Field` of a [`Sticky`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StickyField {
    /// A header's value.
    Header,
    /// A cookie's value.
    Cookie,
    /// A query parameter's value.
    QueryParameter,
    /// The address that the connection comes from.
    SourceIp,
    /// The SPIFFE id of the caller: the verified one, or the sidecar's own where the application calls.
    CallerIdentity,
}

impl StickyField {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Header, Self::Cookie, Self::QueryParameter, Self::SourceIp, Self::CallerIdentity];

    /// The word in an entry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::QueryParameter => "query_parameter",
            Self::SourceIp => "source_ip",
            Self::CallerIdentity => "caller_identity",
        }
    }

    /// Whether `FieldValue` says which one.
    pub fn is_named(self) -> bool {
        match self {
            Self::Header | Self::Cookie | Self::QueryParameter => true,
            Self::SourceIp | Self::CallerIdentity => false,
        }
    }
}

/// `EmptyLeg`: what becomes of a request whose leg has no endpoint, failover targets included.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyLeg {
    /// It fails, as in Consul.
    #[default]
    Fail,
    /// It takes the next leg, in the order listed and around, that has one.
    Next,
    /// The others share what the leg would get, in proportion to their weights.
    Renormalise,
}

impl EmptyLeg {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fail, Self::Next, Self::Renormalise];

    /// The word in an entry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Next => "next",
            Self::Renormalise => "renormalise",
        }
    }
}

/// As Consul keeps it and Go prints it: rounded to 0.01, a whole number without a fraction.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn as_go_prints_it<S: Serializer>(weight: &f64, to: S) -> Result<S::Ok, S::Error> {
    let points = basis_points(*weight);
    match points % 100 {
        0 => to.serialize_u32(points / 100),
        _ => to.serialize_f64(f64::from(points) / 100.0),
    }
}

/// Hundredths of a per cent, rounded with halves up. Consul reads and multiplies single floats, so 33.335 counts
/// as the nearest of those.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a single float is meant, and a cast to an integer saturates"
)]
fn basis_points(weight: f64) -> u32 {
    (weight as f32 * 100.0).round() as u32
}

impl Split {
    /// The weight in hundredths of a per cent, rounded: 10,000 is everything.
    pub fn basis_points(&self) -> u32 {
        basis_points(self.weight)
    }
}

//! `service-splitter`: which share of a service's requests goes where.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::HeaderModifiers;
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

/// A whole number without a fraction: `50`, not `50.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
#[expect(clippy::cast_possible_truncation, reason = "only taken for whole numbers of a few digits")]
fn as_go_prints_it<S: Serializer>(weight: &f64, to: S) -> Result<S::Ok, S::Error> {
    if weight.fract() == 0.0 && weight.abs() < 1e15 {
        to.serialize_i64(*weight as i64)
    } else {
        to.serialize_f64(*weight)
    }
}

impl Split {
    /// The weight in hundredths of a per cent, rounded: 10,000 is everything.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
    pub fn basis_points(&self) -> u32 {
        (self.weight * 100.0).round() as u32
    }
}

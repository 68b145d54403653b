//! `service-intentions`: who may call a service.

use std::collections::BTreeMap;

use super::router::HttpMatch;
use crate::name::PeerName;
use crate::problem::Place;

/// `service-intentions` of one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceIntentions {
    /// Where it was read.
    pub place: Place,
    /// The destination; `*` is any.
    pub name: String,
    /// In the order written; precedence is by exactness, not by this order.
    pub sources: Vec<Source>,
    /// What every request must prove, besides who its caller is.
    pub jwt: Option<JwtRequirement>,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// One of `Sources[]`: `Action` or `Permissions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The calling service; `*` is any.
    pub name: String,
    /// At a peer, by our name for it.
    pub peer: Option<PeerName>,
    /// For every request and connection.
    pub action: Option<Action>,
    /// By request, the first that matches.
    pub permissions: Vec<Permission>,
}

/// `allow` or `deny`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// May call.
    Allow,
    /// May not.
    Deny,
}

/// One of `Permissions[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    /// What a matching request gets.
    pub action: Action,
    /// What matches.
    pub http: Option<HttpMatch>,
    /// What a matching request must prove besides.
    pub jwt: Option<JwtRequirement>,
}

/// `JWT`: a token of any of these providers. What cannot check tokens must refuse.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JwtRequirement {
    /// At least one.
    pub providers: Vec<JwtProviderRequirement>,
}

/// One of `JWT.Providers[]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JwtProviderRequirement {
    /// A `jwt-provider`.
    pub name: String,
    /// Claims and their values; all must hold.
    pub verify_claims: Vec<(Vec<String>, String)>,
}

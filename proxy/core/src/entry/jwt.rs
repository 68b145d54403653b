//! `jwt-provider`: who issues the tokens that intentions ask for, and how they are known.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::problem::Place;

/// `jwt-provider`.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtProvider {
    /// Where it was read.
    pub place: Place,
    /// As intentions name it.
    pub name: String,
    /// Its keys.
    pub keys: JwtKeys,
    /// `Issuer`; none is any.
    pub issuer: Option<String>,
    /// `Audiences`: one of them is enough; empty is any.
    pub audiences: Vec<String>,
    /// `Locations`, in order; empty is the `Authorization` header and the `access_token` parameter.
    pub locations: Vec<JwtLocation>,
    /// `Forwarding`
    pub forwarding: Option<JwtForwarding>,
    /// `ClockSkewSeconds`, default 30 s.
    pub clock_skew: Duration,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// `JSONWebKeySet`: exactly one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JwtKeys {
    /// `Local.JWKS`: the key set, in base64.
    Inline(String),
    /// `Local.Filename`
    File(PathBuf),
    /// `Remote.URI`
    Remote(String),
}

/// One of `Locations[]`: exactly one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JwtLocation {
    /// `Header`
    Header {
        /// Its name.
        name: String,
        /// What stands before the token, such as `Bearer `.
        value_prefix: String,
        /// Whether the application gets it too.
        forward: bool,
    },
    /// `QueryParam.Name`
    QueryParam(String),
    /// `Cookie.Name`
    Cookie(String),
}

/// `Forwarding`: the token's payload as a header for the application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwtForwarding {
    /// `HeaderName`
    pub header: String,
    /// `PadForwardPayloadHeader`: base64 with padding.
    pub padded: bool,
}

//! `mesh`: what holds for the whole cluster.

use std::collections::BTreeMap;

use crate::problem::Place;

/// `mesh`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// Where it was read.
    pub place: Place,
    /// `Peering.PeerThroughMeshGateways`
    pub peer_through_mesh_gateways: bool,
    /// `TLS.Incoming`
    pub tls_incoming: TlsDirection,
    /// `TLS.Outgoing`
    pub tls_outgoing: TlsDirection,
    /// `HTTP.SanitizeXForwardedClientCert`
    pub sanitize_x_forwarded_client_cert: bool,
    /// `HTTP.Incoming.RequestNormalization`
    pub normalization: RequestNormalization,
    /// Free-form.
    pub meta: BTreeMap<String, String>,
}

/// `HTTP.Incoming.RequestNormalization`; texts as written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestNormalization {
    /// Leaves paths as they come (RFC 3986 normalization is on otherwise).
    pub insecure_disable_path_normalization: bool,
    /// `//` becomes `/`.
    pub merge_slashes: bool,
    /// `IMPLEMENTATION_SPECIFIC_DEFAULT` (default), `KEEP_UNCHANGED`, `REJECT_REQUEST`,
    /// `UNESCAPE_AND_REDIRECT` or `UNESCAPE_AND_FORWARD`.
    pub path_with_escaped_slashes_action: Option<String>,
    /// `ALLOW` (default), `REJECT_REQUEST` or `DROP_HEADER`.
    pub headers_with_underscores_action: Option<String>,
}

/// `TLS.Incoming`, `TLS.Outgoing`; texts as written (`TLS_AUTO`, `TLSv1_2`, …).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsDirection {
    /// Default 1.2.
    pub min_version: Option<String>,
    /// Default 1.3.
    pub max_version: Option<String>,
    /// For TLS 1.2.
    pub cipher_suites: Vec<String>,
}

//! What operators without a further word stand for.

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that a request or a connection can tell.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Fact {
            $($(#[$doc])* $name,)*
        }

        impl Fact {
            /// The operators' names, for hints.
            pub(super) const NAMES: &[&str] = &[$($text,)*];

            /// What the operator of this name stands for.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

facts! {
    /// What the downstream spoke: `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`.
    Protocol = "PROTOCOL",
    /// The status; 0 when there was no answer.
    ResponseCode = "RESPONSE_CODE",
    /// Who gave the answer, and why.
    ResponseCodeDetails = "RESPONSE_CODE_DETAILS",
    /// Why a connection ended.
    ConnectionTerminationDetails = "CONNECTION_TERMINATION_DETAILS",
    /// The flag of what went wrong.
    ResponseFlags = "RESPONSE_FLAGS",
    /// The same.
    ResponseFlagsLong = "RESPONSE_FLAGS_LONG",
    /// Bytes of the request's body, or of a connection.
    BytesReceived = "BYTES_RECEIVED",
    /// Bytes of the answer's body, or of a connection.
    BytesSent = "BYTES_SENT",
    /// Milliseconds from the first byte to the last.
    Duration = "DURATION",
    /// Milliseconds until the answer's head.
    ResponseDuration = "RESPONSE_DURATION",
    /// Milliseconds that the upstream took for the answer's head.
    UpstreamServiceTime = "UPSTREAM_SERVICE_TIME",
    /// The route that took the request.
    RouteName = "ROUTE_NAME",
    /// The endpoint's address.
    UpstreamHost = "UPSTREAM_HOST",
    /// The same.
    UpstreamRemoteAddress = "UPSTREAM_REMOTE_ADDRESS",
    /// The same without the port.
    UpstreamRemoteAddressWithoutPort = "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    /// Its port.
    UpstreamRemotePort = "UPSTREAM_REMOTE_PORT",
    /// The target's cluster.
    UpstreamCluster = "UPSTREAM_CLUSTER",
    /// The same.
    UpstreamClusterRaw = "UPSTREAM_CLUSTER_RAW",
    /// Our end of the connection to the endpoint.
    UpstreamLocalAddress = "UPSTREAM_LOCAL_ADDRESS",
    /// The same without the port.
    UpstreamLocalAddressWithoutPort = "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    /// Its port.
    UpstreamLocalPort = "UPSTREAM_LOCAL_PORT",
    /// Why the last attempt to connect failed.
    UpstreamTransportFailureReason = "UPSTREAM_TRANSPORT_FAILURE_REASON",
    /// How many endpoints were tried.
    UpstreamRequestAttemptCount = "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    /// Our end of the downstream's connection.
    DownstreamLocalAddress = "DOWNSTREAM_LOCAL_ADDRESS",
    /// The same without the port.
    DownstreamLocalAddressWithoutPort = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    /// Its port.
    DownstreamLocalPort = "DOWNSTREAM_LOCAL_PORT",
    /// The downstream's end.
    DownstreamRemoteAddress = "DOWNSTREAM_REMOTE_ADDRESS",
    /// The same without the port.
    DownstreamRemoteAddressWithoutPort = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    /// Its port.
    DownstreamRemotePort = "DOWNSTREAM_REMOTE_PORT",
    /// The same as the remote address: nothing is believed about others before it.
    DownstreamDirectRemoteAddress = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    /// The same without the port.
    DownstreamDirectRemoteAddressWithoutPort = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    /// Its port.
    DownstreamDirectRemotePort = "DOWNSTREAM_DIRECT_REMOTE_PORT",
    /// The SPIFFE id that the downstream proved.
    DownstreamPeerUriSan = "DOWNSTREAM_PEER_URI_SAN",
    /// Why the downstream's TLS failed.
    DownstreamTransportFailureReason = "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    /// The name that the downstream asked for.
    RequestedServerName = "REQUESTED_SERVER_NAME",
    /// `grpc-status` as a number.
    GrpcStatusNumber = "GRPC_STATUS_NUMBER",
    /// `grpc-status` in words, `NotFound`.
    GrpcStatus = "GRPC_STATUS",
    /// `grpc-status` in words, `NOT_FOUND`.
    GrpcStatusSnake = "GRPC_STATUS_SNAKE_STRING",
    /// The service that was asked for, ours.
    Service = "SPILLWAY_SERVICE",
    /// The splitter's leg, ours: its target.
    Leg = "SPILLWAY_LEG",
    /// The target that was tried last, ours.
    Target = "SPILLWAY_TARGET",
    /// What went wrong in a sentence, ours.
    Reason = "SPILLWAY_REASON",
}

/// Operators that Envoy knows and that are always empty here.
pub(super) const WITHOUT_MEANING: &[&str] = &[
    "CEL",
    "CLUSTER_METADATA",
    "CONNECTION_ID",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "START_TIME_LOCAL",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_METADATA",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
    "VIRTUAL_HOST_NAME",
];

/// What `%PATH(X:Y)%` shows of a request's target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathForm {
    /// With the query.
    pub query: bool,
    /// As it was received, although a route rewrote it.
    pub as_received: bool,
    /// Only if a route rewrote it.
    pub only_rewritten: bool,
}

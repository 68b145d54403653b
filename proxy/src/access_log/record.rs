//! What a line can say of a request or connection: facts that exist already, gathered when it ends.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use spillway_core::access_log::{Fact, PathForm, Tells, Told};
use spillway_core::endpoint::Address;
use spillway_core::table::{Headers, Rewrite};

use super::Ends;
use crate::buffer::Buffers;
use crate::downstream::Facts;
use crate::generation::Role;
use crate::http1::HeadView;

/// A request or connection that has ended.
pub struct Record<'a> {
    /// The downstream's connection.
    pub ends: &'a Ends,
    /// Who the downstream proved to be.
    pub identity: Option<&'a str>,
    /// What it spoke.
    pub protocol: Option<&'static str>,
    /// The request, unless it could not be read.
    pub request: Option<HeadView<'a>>,
    /// The id that was made for the request, which had none.
    pub request_id: Option<&'a [u8]>,
    /// Bytes of body, or of a connection, that came from the downstream.
    pub received: u64,
    /// The same that went to it.
    pub sent: u64,
    /// The service that was asked for.
    pub service: Option<&'a str>,
    /// The route that took it.
    pub route: Option<RouteName>,
    /// What the route makes of the path.
    pub rewrite: Option<&'a Rewrite>,
    /// The splitter's leg.
    pub leg: Option<&'a dyn Display>,
    /// The target that was tried last.
    pub target: Option<&'a dyn Display>,
    /// The target's cluster.
    pub cluster: Option<&'a str>,
    /// The endpoint that was tried last.
    pub endpoint: Option<&'a Address>,
    /// Our end of the connection to it.
    pub upstream_local: Option<SocketAddr>,
    /// Why the last connection could not be made.
    pub upstream_failure: Option<&'a str>,
    /// How many endpoints were tried.
    pub attempts: Option<u64>,
    /// The status; 0 when there was no answer.
    pub status: u16,
    /// Who gave the answer, and why.
    pub details: Option<&'static str>,
    /// The flag of what went wrong.
    pub flag: Option<&'static str>,
    /// What went wrong, in a sentence.
    pub reason: Option<&'a dyn Display>,
    /// `grpc-status`.
    pub grpc_status: Option<u8>,
    /// How long the answer's head took, and of that the upstream.
    pub answered: Option<(Duration, Duration)>,
    /// The answer's headers that the format asks for.
    pub headers: Notes,
    /// The answer's trailers that the format asks for.
    pub trailers: Notes,
    /// When it ended.
    pub ended: SystemTime,
    /// How long it took.
    pub lasted: Duration,
}

/// A route, by its place in the router.
#[derive(Clone, Copy, Debug)]
pub struct RouteName(pub usize);

impl Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Routes[{}]", self.0)
    }
}

impl<'a> Record<'a> {
    /// Names the downstream.
    pub(crate) fn downstream(&mut self, facts: &'a Facts, ends: &'a Ends) {
        self.ends = ends;
        self.identity = facts.identity.as_deref().filter(|_| facts.role != Role::Outbound);
    }

    /// The endpoint's address, unless it is a Unix socket.
    fn remote(&self) -> Option<&SocketAddr> {
        if let Some(Address::Ip(address)) = self.endpoint { Some(address) } else { None }
    }

    /// A connection of which nothing is known but its ends.
    pub fn new(ends: &'a Ends, ended: SystemTime) -> Self {
        Self {
            ends,
            identity: None,
            protocol: None,
            request: None,
            request_id: None,
            received: 0,
            sent: 0,
            service: None,
            route: None,
            rewrite: None,
            leg: None,
            target: None,
            cluster: None,
            endpoint: None,
            upstream_local: None,
            upstream_failure: None,
            attempts: None,
            status: 0,
            details: None,
            flag: None,
            reason: None,
            grpc_status: None,
            answered: None,
            headers: Notes::default(),
            trailers: Notes::default(),
            ended,
            lasted: Duration::ZERO,
        }
    }
}

/// Values that are noted while they are at hand, in the order of a format's names.
#[derive(Debug, Default)]
pub struct Notes {
    /// Each a length, one more than it is, and the value; without a value 0.
    bytes: Vec<u8>,
}

impl Notes {
    /// Notes in a recycled vector.
    pub(super) fn within(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Gives the vector back.
    pub(super) fn give_back(self, buffers: &Buffers) {
        if self.bytes.capacity() > 0 {
            buffers.release_output(self.bytes);
        }
    }

    pub(super) fn add(&mut self, value: Option<&[u8]>) {
        // A head's limit is far below.
        let value = value.map(|value| &value[..value.len().min(usize::from(u16::MAX - 1))]);
        let length = value.map_or(0, |value| u16::try_from(value.len() + 1).unwrap_or(u16::MAX));
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let mut rest = &self.bytes[..];
        for _ in 0..index {
            rest = Self::first(rest)?.1;
        }
        Self::first(rest)?.0
    }

    fn first(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
        let (length, rest) = bytes.split_first_chunk()?;
        match u16::from_le_bytes(*length).checked_sub(1) {
            None => Some((None, rest)),
            Some(length) => rest.split_at_checked(length.into()).map(|(value, rest)| (Some(value), rest)),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn shown<'a>(value: Option<&'a dyn Display>) -> Told<'a> {
    value.map_or(Told::Nothing, Told::Shown)
}

fn without_port(address: Option<&SocketAddr>) -> Told<'_> {
    address.map_or(Told::Nothing, |it| Told::Text(Cow::Owned(it.ip().to_string().into_bytes())))
}

impl Tells for Record<'_> {
    fn fact(&self, fact: Fact) -> Told<'_> {
        let (local, remote) = (self.ends.local.as_ref(), self.ends.remote.as_ref());
        match fact {
            Fact::Protocol => Told::text(self.protocol),
            Fact::ResponseCode => Told::Number(self.status.into()),
            Fact::ResponseCodeDetails => Told::text(self.details),
            // Of a request it is the answer that says why.
            Fact::ConnectionTerminationDetails if self.protocol.is_none() => shown(self.reason),
            Fact::ConnectionTerminationDetails => Told::Nothing,
            Fact::ResponseFlags | Fact::ResponseFlagsLong => Told::text(self.flag),
            Fact::BytesReceived => Told::Number(self.received),
            Fact::BytesSent => Told::Number(self.sent),
            Fact::Duration => Told::Number(millis(self.lasted)),
            Fact::ResponseDuration => Told::number(self.answered.map(|(whole, _)| millis(whole))),
            Fact::UpstreamServiceTime => Told::number(self.answered.map(|(_, upstream)| millis(upstream))),
            Fact::RouteName => Told::shown(self.route.as_ref()),
            Fact::UpstreamHost | Fact::UpstreamRemoteAddress => Told::shown(self.endpoint),
            Fact::UpstreamRemoteAddressWithoutPort => without_port(self.remote()),
            Fact::UpstreamRemotePort => Told::number(self.remote().map(SocketAddr::port)),
            Fact::UpstreamCluster | Fact::UpstreamClusterRaw => Told::text(self.cluster),
            Fact::UpstreamLocalAddress => Told::shown(self.upstream_local.as_ref()),
            Fact::UpstreamLocalAddressWithoutPort => without_port(self.upstream_local.as_ref()),
            Fact::UpstreamLocalPort => Told::number(self.upstream_local.as_ref().map(SocketAddr::port)),
            Fact::UpstreamTransportFailureReason => Told::text(self.upstream_failure),
            Fact::UpstreamRequestAttemptCount => Told::number(self.attempts),
            Fact::DownstreamLocalAddress => Told::shown(local),
            Fact::DownstreamLocalAddressWithoutPort => without_port(local),
            Fact::DownstreamLocalPort => Told::number(local.map(SocketAddr::port)),
            Fact::DownstreamRemoteAddress | Fact::DownstreamDirectRemoteAddress => Told::shown(remote),
            Fact::DownstreamRemoteAddressWithoutPort | Fact::DownstreamDirectRemoteAddressWithoutPort => {
                without_port(remote)
            }
            Fact::DownstreamRemotePort | Fact::DownstreamDirectRemotePort => {
                Told::number(remote.map(SocketAddr::port))
            }
            Fact::DownstreamPeerUriSan => Told::text(self.identity),
            Fact::DownstreamTransportFailureReason => {
                if self.service.is_none() && self.protocol.is_none() {
                    shown(self.reason)
                } else {
                    Told::Nothing
                }
            }
            Fact::RequestedServerName => Told::text(self.ends.name.as_deref()),
            Fact::GrpcStatusNumber => Told::number(self.grpc_status),
            Fact::GrpcStatus => Told::text(self.grpc_status.map(|status| grpc_words(status).0)),
            Fact::GrpcStatusSnake => Told::text(self.grpc_status.map(|status| grpc_words(status).1)),
            Fact::Service => Told::text(self.service),
            Fact::Leg => shown(self.leg),
            Fact::Target => shown(self.target),
            Fact::Reason => shown(self.reason),
        }
    }

    /// As it was received, but for the path and the id: those as they left.
    fn request_header(&self, name: &str) -> Told<'_> {
        let Some(view) = &self.request else { return Told::Nothing };
        match name {
            ":path" => self.path(PathForm { query: true, as_received: false, only_rewritten: false }),
            "x-envoy-original-path" => {
                self.path(PathForm { query: true, as_received: true, only_rewritten: true })
            }
            "x-request-id" if self.request_id.is_some() => Told::text(self.request_id),
            _ => view.value(name).map_or(Told::Nothing, Told::Text),
        }
    }

    fn response_header(&self, index: usize) -> Told<'_> {
        Told::text(self.headers.get(index))
    }

    fn trailer(&self, index: usize) -> Told<'_> {
        Told::text(self.trailers.get(index))
    }

    fn query_parameter(&self, name: &str) -> Told<'_> {
        let Some(view) = &self.request else { return Told::Nothing };
        let pairs = view.head.query(view.buf).unwrap_or_default().split('&');
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Told::text(pairs.find(|(found, _)| *found == name).map(|(_, value)| value))
    }

    fn path(&self, form: PathForm) -> Told<'_> {
        let Some(HeadView { head, buf }) = self.request else { return Told::Nothing };
        if form.only_rewritten && self.rewrite.is_none() {
            return Told::Nothing;
        }
        let path = head.path(buf);
        let pieces = match self.rewrite.filter(|_| !form.as_received) {
            None if form.query => return Told::Text(head.path_and_query(buf)),
            None => (path, ""),
            Some(rewrite) => rewrite.pieces(path),
        };
        match head.query(buf).filter(|_| form.query) {
            None if pieces.1.is_empty() => Told::text(Some(pieces.0)),
            None => Told::Text([pieces.0, pieces.1].concat().into_bytes().into()),
            Some(query) => Told::Text([pieces.0, pieces.1, "?", query].concat().into_bytes().into()),
        }
    }

    fn started(&self) -> SystemTime {
        self.ended.checked_sub(self.lasted).unwrap_or(self.ended)
    }

    fn ended(&self) -> SystemTime {
        self.ended
    }
}

/// The words for a `grpc-status`, in either case.
fn grpc_words(status: u8) -> (&'static str, &'static str) {
    match status {
        0 => ("OK", "OK"),
        1 => ("Canceled", "CANCELLED"),
        2 => ("Unknown", "UNKNOWN"),
        3 => ("InvalidArgument", "INVALID_ARGUMENT"),
        4 => ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
        5 => ("NotFound", "NOT_FOUND"),
        6 => ("AlreadyExists", "ALREADY_EXISTS"),
        7 => ("PermissionDenied", "PERMISSION_DENIED"),
        8 => ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
        9 => ("FailedPrecondition", "FAILED_PRECONDITION"),
        10 => ("Aborted", "ABORTED"),
        11 => ("OutOfRange", "OUT_OF_RANGE"),
        12 => ("Unimplemented", "UNIMPLEMENTED"),
        13 => ("Internal", "INTERNAL"),
        14 => ("Unavailable", "UNAVAILABLE"),
        15 => ("DataLoss", "DATA_LOSS"),
        16 => ("Unauthenticated", "UNAUTHENTICATED"),
        _ => ("InvalidCode", "INVALID_CODE"),
    }
}

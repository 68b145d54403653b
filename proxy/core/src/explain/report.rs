//! What `explain` answers: the stable shape of its JSON, which the text shows as well.
//!
//! Names are in snake case. A field is left out when it does not apply (no `request` for opaque bytes, no `split`
//! where none is passed), lists are there although they may be empty. New fields may come; none changes its meaning.

use serde::Serialize;
use serde_json::Value;

/// Where a request (or, for tcp, a connection) goes, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The service that was asked for.
    pub service: String,
    /// At this peer, when the upstream is one with `destination_peer`, which has no chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Where the chain was compiled.
    pub datacenter: String,
    /// The id of the sidecar whose upstream it is; without one, what the entries say to everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// What is spoken.
    pub protocol: Effective,
    /// The request as it comes; none for a connection of opaque bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The route that takes it, where there is a router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteTaken>,
    /// The splitter that it then passes, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitPassed>,
    /// One for each leg that gets requests, in the splitter's order; without a splitter there is one.
    pub outcomes: Vec<Outcome>,
    /// Limits and ejection of the upstream, by the names of their fields in entries (`Limits.MaxConnections`).
    pub settings: Vec<Named>,
    /// What is read and has no effect on this request, and what is not there.
    pub warnings: Vec<String>,
}

impl Explanation {
    /// Its JSON.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("every key is a string, and no field's Serialize can fail")
    }
}

/// A request, as it comes or as it leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In the order in which they are sent.
    pub headers: Vec<Header>,
}

/// A header line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Header {
    /// As sent.
    pub name: String,
    /// Bytes that are no UTF-8 are replaced.
    pub value: String,
}

/// A value in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effective {
    /// Durations as Go writes them, counts as numbers, `"none"` for no limit.
    pub value: Value,
    /// Who set it; null for the default.
    pub set_by: Option<Origin>,
    /// What less specific places say, the most specific first: in vain.
    pub overrode: Vec<Overridden>,
}

/// One of [`Explanation::settings`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Such as `PassiveHealthCheck.MaxFailures`.
    pub name: &'static str,
    /// The value.
    #[serde(flatten)]
    pub effective: Effective,
}

/// The place that sets a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// Such as `service-defaults web`, `upstream web of api-sidecar-proxy`.
    pub entry: String,
    /// Such as `UpstreamConfig.Overrides[0].MeshGateway.Mode`.
    pub field: String,
    /// `file:line:column`; empty for what no file of ours says.
    pub place: String,
    /// The field is not written: the entry means this without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub implied: bool,
}

/// A value that is not in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overridden {
    /// As [`Effective::value`].
    pub value: Value,
    /// Who sets it.
    pub set_by: Origin,
}

/// The router's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteTaken {
    /// Counted from 0, as in the entry.
    pub index: usize,
    /// How many there are, the implicit last one included.
    pub of: usize,
    /// What it asks for, in words.
    pub asks: String,
    /// Whether it is the one that the compiler adds for what the others leave.
    pub implicit: bool,
    /// Where it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Origin>,
    /// The routes before it, in order, and why none of them took the request.
    pub earlier: Vec<RouteMissed>,
}

/// A route that did not take the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteMissed {
    /// Counted from 0.
    pub index: usize,
    /// What it asks for, in words.
    pub asks: String,
    /// What of that the request lacks: at least one thing.
    pub lacks: Vec<Lack>,
}

/// A criterion that does not hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lack {
    /// `path`, `method`, `header` or `query`.
    pub criterion: &'static str,
    /// In words, such as `header x-debug = 1`.
    pub expected: String,
    /// What the request has; null when it has none.
    pub actual: Option<String>,
}

/// The splitter's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitPassed {
    /// The service whose splitter it is.
    pub service: String,
    /// `by turns`: which leg comes next is counted, so that shares are exact. `sticky`: the request itself says, and
    /// the first outcome is that of its leg, those after it are of legs that take its place.
    pub chosen: &'static str,
    /// What keeps requests on a leg, such as `header x-user`, and the same of splitters flattened into this one. The
    /// first that a request has counts.
    pub sticky_by: Vec<String>,
    /// What becomes of requests whose leg has no endpoint: `fail`, `next` or `renormalise`.
    pub empty_leg: &'static str,
    /// As the splitter lists them, splitters that it leads to flattened into it.
    pub legs: Vec<LegShare>,
}

/// A leg.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LegShare {
    /// Counted from 0.
    pub index: usize,
    /// Such as `33.33%`.
    pub share: String,
    /// The same in hundredths of a per cent, as served.
    pub points: u32,
    /// The id of the target that it leads to.
    pub target: String,
}

/// What becomes of the request, once route and leg are known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Index into the splitter's legs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<usize>,
    /// The legs that get its requests, because this one has no endpoint and the splitter has a rule for that.
    pub instead: Vec<usize>,
    /// The redirects that led here, in order.
    pub redirects: Vec<Redirected>,
    /// The first of them.
    pub resolver: String,
    /// In failover order.
    pub targets: Vec<TargetTried>,
    /// How one of a target's endpoints is chosen.
    pub load_balancer: Effective,
    /// What of the request decides its endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// Of the whole exchange, retries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Effective>,
    /// Of a stream that is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Effective>,
    /// After an attempt that may have reached the upstream. Failing to connect always goes on to the next endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// The request as it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaves: Option<Departure>,
    /// What is done to the headers of its answer, in order: `-NAME`, `NAME=VALUE` for set, `+NAME=VALUE` for added.
    pub response_headers: Vec<String>,
}

/// A redirect of a resolver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Redirected {
    /// The service whose resolver it is.
    pub from: String,
    /// Where it leads: a service, `[SUBSET.]SERVICE[@peer:PEER|@dc:DATACENTER]`.
    pub to: String,
    /// Where it is written.
    pub set_by: Origin,
}

/// A target of the failover order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetTried {
    /// Consul's id.
    pub id: String,
    /// Where it is, in our own trust domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
    /// At whose it is, in another trust domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Its cluster in the admin API and metrics.
    pub cluster: String,
    /// Whether requests go here now: those before it have no endpoint to offer.
    pub serves: bool,
    /// How its endpoints are reached: `direct`, by `local_gateway` or by `remote_gateway`.
    pub via: &'static str,
    /// The mode that was asked for; counts for other datacenters and peers only.
    pub mesh_gateway: Effective,
    /// What it speaks.
    pub protocol: String,
    /// The server name that is asked for; null when nobody is known who could be asked.
    pub sni: Option<String>,
    /// Who must answer: one of these.
    pub spiffe_ids: Vec<String>,
    /// TCP and TLS together.
    pub connect_timeout: Effective,
    /// What is dialed.
    pub endpoints: Vec<EndpointOffered>,
    /// Registered instances that are not dialed.
    pub left_out: Vec<InstanceLeftOut>,
    /// Why there is nothing to dial, when that is an error of configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// An address that a target offers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointOffered {
    /// What is dialed.
    pub address: String,
    /// The id of the instance behind it, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// As registered: `passing` or `warning`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Its share among the target's endpoints.
    pub weight: u64,
    /// As this process knows it: `available`, `ejected` or `may be probed`.
    pub health: &'static str,
}

/// An instance that a target does not offer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceLeftOut {
    /// Its id.
    pub instance: String,
    /// Its sidecar's address.
    pub address: String,
    /// Why not.
    pub why: String,
}

/// What ties a request to an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hash {
    /// Sixteen hexadecimal digits; null when the request has nothing that is asked for: then it goes anywhere.
    pub value: Option<String>,
    /// The address it goes to while that is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// A route's retries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retries {
    /// How often at most; 0 is never.
    pub number: u32,
    /// In Envoy's words, those included by others left out.
    pub on: Vec<String>,
    /// Where the number stands, or else the first condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Origin>,
}

/// A request as it leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Departure {
    /// Its head; over HTTP/2 `host` leaves as `:authority`.
    #[serde(flatten)]
    pub request: Request,
    /// Names of headers that came and do not leave: what concerns this hop alone, what only we may vouch for, what a
    /// leg or a route removes.
    pub dropped: Vec<String>,
}

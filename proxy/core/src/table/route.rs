//! What a route says beyond where to go: timeouts, retries, rewrites and header changes, defaults filled in.

use std::fmt;
use std::time::Duration;

use super::matcher::Matcher;
use crate::access_log::Format;
use crate::duration::Signed;
use crate::entry::{DEFAULT_REQUEST_TIMEOUT, Destination, HeaderModifiers};

/// How long a stream may be silent when its route does not say (Envoy's default).
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// What a route says beyond where to go.
#[derive(Debug, Default)]
pub struct RouteAction {
    /// None is no limit.
    pub request_timeout: Option<Duration>,
    /// None is no limit.
    pub idle_timeout: Option<Duration>,
    /// How to try again.
    pub retry: RetryPolicy,
    /// What takes the place of the matched prefix or path.
    pub rewrite: Option<Rewrite>,
    /// Header changes.
    pub headers: LegHeaders,
}

impl RouteAction {
    /// Of a request that no route speaks of.
    pub fn unrouted(request_timeout: Option<Duration>) -> Self {
        Self { request_timeout, idle_timeout: Some(DEFAULT_IDLE_TIMEOUT), ..Self::default() }
    }

    /// Of a route's destination. `matcher` tells how much of a path `PrefixRewrite` replaces.
    pub fn compile(destination: Option<&Destination>, matcher: &Matcher) -> Self {
        let Some(destination) = destination else { return Self::unrouted(Some(DEFAULT_REQUEST_TIMEOUT)) };
        let rewrite = destination.prefix_rewrite.as_deref().filter(|with| !with.is_empty());
        Self {
            request_timeout: timeout(destination.request_timeout, DEFAULT_REQUEST_TIMEOUT),
            idle_timeout: timeout(destination.idle_timeout, DEFAULT_IDLE_TIMEOUT),
            retry: RetryPolicy::compile(destination),
            rewrite: rewrite
                .zip(matcher.path_len())
                .map(|(with, matched)| Rewrite { matched, with: with.into() }),
            headers: LegHeaders::compile(
                destination.request_headers.as_ref(),
                destination.response_headers.as_ref(),
            ),
        }
    }
}

/// Unset and 0 are the default, negative is none.
fn timeout(written: Option<Signed>, default: Duration) -> Option<Duration> {
    match written {
        None | Some(Signed { nanos: 0 }) => Some(default),
        Some(written) => written.to_duration(),
    }
}

/// Changes to headers, in the order in which they are made: remove, set, add. Names are lower-case.
#[derive(Debug, Default)]
pub struct LegHeaders {
    /// Of the request.
    pub request: HeaderEdits,
    /// Of the response.
    pub response: HeaderEdits,
}

impl LegHeaders {
    /// `RequestHeaders` and `ResponseHeaders` of a route's destination or of a split.
    pub fn compile(request: Option<&HeaderModifiers>, response: Option<&HeaderModifiers>) -> Self {
        Self { request: HeaderEdits::compile(request), response: HeaderEdits::compile(response) }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }

    /// Whether a value has command operators in it.
    pub fn ask(&self) -> bool {
        let directions = [&self.request, &self.response].into_iter();
        let mut edits = directions.flat_map(|edits| edits.set.iter().chain(&edits.add));
        edits.any(|(_, value)| matches!(value, EditValue::Format(_)))
    }
}

/// One direction of [`LegHeaders`].
#[derive(Debug, Default)]
pub struct HeaderEdits {
    /// Lower-case names.
    pub remove: Box<[Box<str>]>,
    /// Lower-case names and values.
    pub set: Box<[(Box<str>, EditValue)]>,
    /// Lower-case names and values.
    pub add: Box<[(Box<str>, EditValue)]>,
}

/// The value of a header that is set or added.
#[derive(Debug, PartialEq)]
pub enum EditValue {
    /// The same for every request.
    Text(Box<str>),
    /// With Envoy's command operators in it.
    Format(Format),
}

impl From<&str> for EditValue {
    /// What is no format was refused when the entry was read.
    fn from(written: &str) -> Self {
        let format = written.contains('%').then(|| Format::value(written).ok()).flatten();
        format.map_or_else(|| Self::Text(written.into()), Self::Format)
    }
}

impl fmt::Display for EditValue {
    /// As the operator wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(text) => text,
            Self::Format(format) => format.source().unwrap_or_default(),
        })
    }
}

impl HeaderEdits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    fn compile(written: Option<&HeaderModifiers>) -> Self {
        let Some(written) = written else { return Self::default() };
        let fold = |name: &String| name.to_ascii_lowercase().into();
        let pair = |(name, value): (&String, &String)| (fold(name), EditValue::from(value.as_str()));
        Self {
            remove: written.remove.iter().map(fold).collect(),
            set: written.set.iter().map(pair).collect(),
            add: written.add.iter().map(pair).collect(),
        }
    }
}

/// `PrefixRewrite`, compiled with what it replaces.
#[derive(Debug)]
pub struct Rewrite {
    /// How many bytes of the path were matched.
    pub matched: usize,
    /// What takes their place.
    pub with: Box<str>,
}

impl Rewrite {
    /// The path that leaves, as two pieces to write one after the other; the query is not touched.
    ///
    /// A rewrite to `/` drops the slash behind the prefix as well, as Consul does: `/foo` to `/` makes `/foo/x` to
    /// `/x`, not `//x`.
    pub fn pieces<'a>(&'a self, path: &'a str) -> (&'a str, &'a str) {
        let rest = path.get(self.matched..).unwrap_or_default();
        let rest = if &*self.with == "/" { rest.strip_prefix('/').unwrap_or(rest) } else { rest };
        (&self.with, rest)
    }
}

/// When to try again after an attempt that may have reached the upstream.
#[derive(Clone, Debug, Default)]
pub struct RetryPolicy {
    /// How often; 0 is never.
    pub retries: u32,
    /// Any 5xx answer, or none.
    pub on_5xx: bool,
    /// 502, 503, 504.
    pub on_gateway_error: bool,
    /// No answer.
    pub on_reset: bool,
    /// No connection.
    pub on_connect_failure: bool,
    /// A stream refused before processing.
    pub on_refused_stream: bool,
    /// 409.
    pub on_retriable_4xx: bool,
    /// These answers.
    pub on_status_codes: Box<[u16]>,
    /// gRPC statuses (1 cancelled, 4 deadline exceeded, 8 resource exhausted, 13 internal, 14 unavailable).
    pub on_grpc: Box<[u8]>,
}

impl RetryPolicy {
    /// One retry when there is a condition but no number. A number without a condition is a policy that never
    /// retries, as with Envoy.
    fn compile(destination: &Destination) -> Self {
        let mut policy = Self {
            on_connect_failure: destination.retry_on_connect_failure,
            on_status_codes: destination.retry_on_status_codes.as_slice().into(),
            ..Self::default()
        };
        let mut grpc = Vec::new();
        for condition in &destination.retry_on {
            policy.add(condition, &mut grpc);
        }
        policy.on_grpc = grpc.into();
        if policy.has_condition() {
            policy.retries = destination.num_retries.filter(|retries| *retries > 0).unwrap_or(1);
        }
        policy
    }

    /// Adds a condition of `RetryOn`, with those that Envoy lets it include.
    fn add(&mut self, condition: &str, grpc: &mut Vec<u8>) {
        match condition {
            // No answer would be a 503 of our own making, so both include it.
            "5xx" => {
                (self.on_5xx, self.on_reset) = (true, true);
                (self.on_connect_failure, self.on_refused_stream) = (true, true);
            }
            "gateway-error" => {
                (self.on_gateway_error, self.on_reset) = (true, true);
                (self.on_connect_failure, self.on_refused_stream) = (true, true);
            }
            "reset" => (self.on_reset, self.on_connect_failure, self.on_refused_stream) = (true, true, true),
            "connect-failure" => self.on_connect_failure = true,
            "refused-stream" => self.on_refused_stream = true,
            "retriable-4xx" => self.on_retriable_4xx = true,
            "cancelled" => grpc.push(1),
            "deadline-exceeded" => grpc.push(4),
            "resource-exhausted" => grpc.push(8),
            "internal" => grpc.push(13),
            "unavailable" => grpc.push(14),
            // `envoy-ratelimited` speaks of a header that only Envoy's rate limiter sets. What is unknown was
            // refused when the entry was read.
            _ => {}
        }
    }

    fn has_condition(&self) -> bool {
        self.on_5xx
            || self.on_gateway_error
            || self.on_reset
            || self.on_connect_failure
            || self.on_refused_stream
            || self.on_retriable_4xx
            || !self.on_status_codes.is_empty()
            || !self.on_grpc.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::HttpMatch;

    fn seconds(n: i64) -> Option<Signed> {
        Some(Signed { nanos: n * 1_000_000_000 })
    }

    #[test]
    fn an_unset_timeout_is_the_default_and_a_negative_one_is_none() {
        for (written, expected) in
            [(None, Some(15)), (seconds(0), Some(15)), (seconds(3), Some(3)), (seconds(-1), None)]
        {
            let destination = Destination { request_timeout: written, ..Destination::default() };
            let action = RouteAction::compile(Some(&destination), &Matcher::any());
            assert_eq!(action.request_timeout, expected.map(Duration::from_secs), "{written:?}");
            assert_eq!(action.idle_timeout, Some(Duration::from_secs(300)));
        }
    }

    #[test]
    fn a_route_without_a_destination_has_the_defaults() {
        let action = RouteAction::compile(None, &Matcher::any());
        assert_eq!(action.request_timeout, Some(Duration::from_secs(15)));
        assert_eq!(action.retry.retries, 0);
    }

    /// The path that leaves when `criteria` matched `path` and the rewrite is `with`.
    fn rewritten(criteria: &HttpMatch, with: &str, path: &str) -> Option<String> {
        let destination = Destination { prefix_rewrite: Some(with.to_owned()), ..Destination::default() };
        let matcher = Matcher::compile(criteria).expect("criteria without expressions");
        let rewrite = RouteAction::compile(Some(&destination), &matcher).rewrite?;
        let (head, tail) = rewrite.pieces(path);
        Some([head, tail].concat())
    }

    #[test]
    fn a_rewrite_replaces_the_prefix_that_matched() {
        let prefix = |path: &str| HttpMatch { path_prefix: Some(path.to_owned()), ..HttpMatch::default() };
        for (matched, with, path, expected) in [
            ("/foo", "/bar", "/foo/x", "/bar/x"),
            ("/foo", "/bar", "/foo", "/bar"),
            ("/foo", "/bar", "/foox", "/barx"),
            ("/foo/", "/", "/foo/x", "/x"),
            ("/foo", "/", "/foo/x", "/x"),
            ("/foo", "/", "/foo", "/"),
            ("/foo", "/", "/foox", "/x"),
            ("/", "/v1/", "/x", "/v1/x"),
        ] {
            assert_eq!(
                rewritten(&prefix(matched), with, path).as_deref(),
                Some(expected),
                "{matched} {path}"
            );
        }
        assert_eq!(rewritten(&prefix("/foo"), "", "/foo/x"), None);
        assert_eq!(rewritten(&HttpMatch::default(), "/bar", "/foo/x"), None);
    }

    #[test]
    fn a_rewrite_replaces_the_whole_of_an_exact_path() {
        let exact = HttpMatch { path_exact: Some("/foo".to_owned()), ..HttpMatch::default() };
        assert_eq!(rewritten(&exact, "/bar", "/foo").as_deref(), Some("/bar"));
        assert_eq!(rewritten(&exact, "/", "/foo").as_deref(), Some("/"));
    }

    #[test]
    fn retries_need_a_condition_and_default_to_one() {
        let on = |conditions: &[&str], retries| {
            let retry_on = conditions.iter().map(|c| (*c).to_owned()).collect();
            RetryPolicy::compile(&Destination { num_retries: retries, retry_on, ..Destination::default() })
        };
        assert_eq!(on(&[], Some(5)).retries, 0);
        assert_eq!(on(&["5xx"], None).retries, 1);
        assert_eq!(on(&["5xx"], Some(0)).retries, 1);
        assert_eq!(on(&["reset"], Some(3)).retries, 3);
        assert_eq!(*on(&["unavailable", "internal"], None).on_grpc, [14, 13]);
        assert!(on(&["5xx"], None).on_connect_failure && on(&["gateway-error"], None).on_reset);
        let codes = Destination { retry_on_status_codes: vec![429], ..Destination::default() };
        assert_eq!(RetryPolicy::compile(&codes).retries, 1);
        let connect = Destination { retry_on_connect_failure: true, ..Destination::default() };
        assert_eq!(RetryPolicy::compile(&connect).retries, 1);
    }

    #[test]
    fn header_names_are_folded_and_values_kept() {
        let written = HeaderModifiers {
            set: [("X-A".to_owned(), "V".to_owned())].into(),
            remove: vec!["X-B".to_owned()],
            ..HeaderModifiers::default()
        };
        let edits = LegHeaders::compile(Some(&written), None);
        assert_eq!(*edits.request.set, [("x-a".into(), "V".into())]);
        assert_eq!(*edits.request.remove, ["x-b".into()]);
        assert!(edits.response.is_empty() && !edits.is_empty());
    }
}

//! Routers of every kind of criteria, and requests that match their first, middle or last rule, or none.
//!
//! A request is a head as it comes from a connection, so that looking for a header costs what it costs there.

use std::fmt;

use spillway_core::Draw;
use spillway_core::endpoint::Endpoint;
use spillway_core::pick::Resolver;
use spillway_core::table::Decision;
use spillway_proxy::http1;

use super::{ROUTES, Service, pick};

/// What tells the rules of a router apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `/team-3/service-17/items`
    Exact,
    /// `/team-3/service-17/`
    Prefix,
    /// The same in any case.
    Folded,
    /// `/team-3/service-17/[0-9]+`
    Regex,
    /// `/v[0-9]+/service-17/.*`: what tells them apart stands in the middle.
    RegexWithin,
    /// `x-tenant: tenant-17`, on one path.
    Header,
    /// `x-flag-17`, whatever its value, on one path.
    HeaderName,
    /// Method and two query parameters, on one path.
    MethodQuery,
    /// A rule of each.
    Mixed,
}

/// Which rule a request matches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hit {
    First,
    Middle,
    Last,
    None,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Exact,
        Self::Prefix,
        Self::Folded,
        Self::Regex,
        Self::RegexWithin,
        Self::Header,
        Self::HeaderName,
        Self::MethodQuery,
        Self::Mixed,
    ];

    /// So many rules, each as its `Match.HTTP`.
    pub(crate) fn rules(self, count: usize) -> Vec<String> {
        (0..count).map(|rule| self.criteria(rule)).collect()
    }

    /// The kind of one rule.
    fn of(self, rule: usize) -> Self {
        match self {
            Self::Mixed => Self::ALL[rule % (Self::ALL.len() - 1)],
            kind => kind,
        }
    }

    fn criteria(self, rule: usize) -> String {
        let team = rule % 7;
        match self.of(rule) {
            Self::Exact => format!(r#"{{"PathExact": "/team-{team}/service-{rule}/items"}}"#),
            Self::Prefix => format!(r#"{{"PathPrefix": "/team-{team}/service-{rule}/"}}"#),
            Self::Folded => {
                format!(r#"{{"PathPrefix": "/Team-{team}/Service-{rule}/", "CaseInsensitive": true}}"#)
            }
            Self::Regex => format!(r#"{{"PathRegex": "/team-{team}/service-{rule}/[0-9]+"}}"#),
            Self::RegexWithin => format!(r#"{{"PathRegex": "/v[0-9]+/service-{rule}/.*"}}"#),
            Self::Header => format!(
                r#"{{"PathPrefix": "/api/", "Header": [{{"Name": "x-tenant", "Exact": "tenant-{rule}"}}]}}"#
            ),
            Self::HeaderName => {
                format!(
                    r#"{{"PathPrefix": "/api/", "Header": [{{"Name": "x-flag-{rule}", "Present": true}}]}}"#
                )
            }
            Self::MethodQuery | Self::Mixed => {
                let (method, shop, page) = (method(rule), rule / 2 % 100, rule / 200);
                format!(
                    r#"{{"PathExact": "/search", "Methods": ["{method}"], "QueryParam":
                        [{{"Name": "shop", "Exact": "{shop}"}}, {{"Name": "page", "Exact": "{page}"}}]}}"#
                )
            }
        }
    }

    /// The head of a request that one rule matches, and of rules of one kind no other.
    fn request(self, rule: usize) -> String {
        let team = rule % 7;
        let mut method_of = "GET";
        let mut header = String::new();
        let target = match self.of(rule) {
            Self::Exact => format!("/team-{team}/service-{rule}/items"),
            Self::Prefix | Self::Folded => format!("/team-{team}/service-{rule}/items/42"),
            Self::Regex => format!("/team-{team}/service-{rule}/42"),
            Self::RegexWithin => format!("/v2/service-{rule}/items/42"),
            Self::Header => {
                header = format!("x-tenant: tenant-{rule}\r\n");
                "/api/items/42".to_owned()
            }
            Self::HeaderName => {
                header = format!("x-flag-{rule}: on\r\n");
                "/api/items/42".to_owned()
            }
            Self::MethodQuery | Self::Mixed => {
                method_of = method(rule);
                format!("/search?q=boat&shop={}&page={}", rule / 2 % 100, rule / 200)
            }
        };
        let length = if method_of == "GET" { "" } else { "content-length: 0\r\n" };
        format!("{method_of} {target} HTTP/1.1\r\n{HEADERS}{header}{length}\r\n")
    }
}

fn method(rule: usize) -> &'static str {
    ["GET", "POST"][rule % 2]
}

/// What comes with every request.
const HEADERS: &str = "host: backend.example:8080\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-GB,en;q=0.7,de;q=0.3\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    cookie: session=7b0d9a36f2c14d5e8a90c1b2d3e4f506; theme=dark\r\n";

impl Hit {
    pub(crate) const ALL: [Self; 4] = [Self::First, Self::Middle, Self::Last, Self::None];

    /// The rule that is matched, which for `None` no router has.
    fn rule(self, rules: usize) -> usize {
        match self {
            Self::First => 0,
            Self::Middle => rules / 2,
            Self::Last => rules - 1,
            Self::None => rules,
        }
    }
}

/// A question to a router.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) kind: Kind,
    pub(crate) hit: Hit,
    pub(crate) rules: usize,
}

impl Question {
    /// Of every kind, to routers of every size.
    pub(crate) fn all() -> Vec<Self> {
        let of = |kind, hit| ROUTES.map(|rules| Self { kind, hit, rules });
        let kinds = Kind::ALL.into_iter();
        kinds.flat_map(|kind| Hit::ALL.into_iter().flat_map(move |hit| of(kind, hit))).collect()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{}", self.kind, self.hit, self.rules)
    }
}

/// A router with so many rules, and a request.
pub(crate) struct Routed {
    service: Service,
    head: http1::RequestHead,
    buf: Vec<u8>,
}

impl Routed {
    pub(crate) fn new(question: Question) -> Self {
        let Question { kind, hit, rules } = question;
        let buf = kind.request(hit.rule(rules)).into_bytes();
        let mut head = http1::RequestHead::default();
        let parsed = http1::parse_request(&buf, &http1::Limits::default(), &mut head);
        assert_eq!(parsed, Ok(http1::Parse::Complete));
        let routed = Self { service: Service::with_rules(&kind.rules(rules), 10, ""), head, buf };
        let matched = routed.decision(0).route_index;
        assert_eq!(matched, Some(hit.rule(rules)), "{question}");
        routed
    }

    fn decision(&self, draw: u64) -> Decision<'_> {
        let view = http1::HeadView { head: &self.head, buf: &self.buf };
        self.service.table.decide(&view.table_head(), Draw(draw))
    }

    /// Route and leg.
    pub(crate) fn decide(&self, draw: u64) -> &Resolver {
        self.decision(draw).resolver
    }

    /// Route, leg and endpoint.
    pub(crate) fn decide_whole(&self, draw: u64) -> &Endpoint {
        pick(self.decide(draw), draw)
    }
}

//! What the micro-benchmarks measure: decisions on compiled tables, and the HTTP/1.1 codec. Shared by all of them.
//!
//! Tables are made as a process makes them, from entries to chain to table, so that what is measured is what runs.

pub(crate) mod routes;

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use spillway_core::catalog::Catalog;
use spillway_core::chain::{self, Context, Overrides};
use spillway_core::endpoint::{Endpoint, Endpoints};
use spillway_core::load::{Config, File, load};
use spillway_core::name::{Datacenter, TrustDomain};
use spillway_core::pick::{Resolver, Tried};
use spillway_core::problem::Severity;
use spillway_core::table::{self, BuildSettings, Headers, RequestHead, ServiceTable, Split};
use spillway_core::{Draw, Tick};
use spillway_proxy::http1;

/// How many rules a router has.
pub(crate) const ROUTES: [usize; 4] = [10, 100, 1_000, 10_000];
/// How many instances a target has.
pub(crate) const INSTANCES: [usize; 4] = [1, 2, 10, 100];
/// Policies of load balancing.
pub(crate) const POLICIES: [&str; 6] =
    ["least_request", "peak_ewma", "random", "round_robin", "ring_hash", "maglev"];

/// A service behind a router, all of whose rules lead to a 90/10 splitter.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) table: ServiceTable,
}

impl Service {
    /// A service without rules, with so many instances, and a policy of load balancing unless it is empty.
    pub(crate) fn new(instances: usize, policy: &str) -> Self {
        Self::with_rules(&[], instances, policy)
    }

    /// The same with rules, each written as its `Match.HTTP`.
    pub(crate) fn with_rules(criteria: &[String], instances: usize, policy: &str) -> Self {
        Self { table: compile(&config(criteria, instances, policy)) }
    }

    /// Where a request goes that no rule matches.
    pub(crate) fn resolver(&self) -> &Arc<Resolver> {
        let head = RequestHead { method: "GET", path: "/", query: None, headers: &NoHeaders };
        self.table.decide(&head, Draw(0)).resolver
    }

    /// The splitter that every rule leads to.
    pub(crate) fn split(&self) -> &Split {
        self.table.split(Some(0)).expect("every rule leads to the splitter")
    }
}

/// The entries and registrations of a [`Service`], read.
pub(crate) fn config(criteria: &[String], instances: usize, policy: &str) -> Config {
    let file = |name: &str, text: String| File { path: name.into(), bytes: text.into_bytes() };
    let (config, problems) = load(&[
        file("defaults.json", DEFAULTS.to_owned()),
        file("resolver.json", RESOLVER.replace("POLICY", policy)),
        file("router.json", router(criteria)),
        file("services.json", registrations(instances)),
        file("splitter.json", SPLITTER.to_owned()),
    ]);
    let errors: Vec<_> = problems.iter().filter(|it| it.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    config
}

/// The endpoint of a first attempt, of a request that has something to hash.
pub(crate) fn pick(resolver: &Resolver, draw: u64) -> &Arc<Endpoint> {
    let picked = resolver.pick_for(Some(draw), &Tried::default(), Draw(draw), Tick(1));
    picked.expect("every endpoint is available").endpoint
}

/// From entries to chain to table.
pub(crate) fn compile(config: &Config) -> ServiceTable {
    let datacenter: Datacenter = "dc1".parse().expect("a valid name");
    let trust_domain: TrustDomain = "bench.consul".parse().expect("a valid name");
    let cx = Context {
        service: "backend".parse().expect("a valid name"),
        datacenter: datacenter.clone(),
        trust_domain: trust_domain.clone(),
        overrides: Overrides::default(),
    };
    let chain = chain::compile(&config.entries, &cx).expect("the entries fit together");
    let (catalog, _) = Catalog::from_registrations(&config.registrations, &config.agent, &[]);
    let settings = BuildSettings::new(&datacenter, &trust_domain, &|_| Vec::new());
    table::build(&chain, &catalog, &settings, &mut Endpoints::default())
}

const DEFAULTS: &str = r#"{"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}"#;

const RESOLVER: &str = r#"{
  "Kind": "service-resolver", "Name": "backend", "DefaultSubset": "stable",
  "Subsets": {"stable": {}, "canary": {}},
  "LoadBalancer": {"Policy": "POLICY"}
}"#;

const SPLITTER: &str = r#"{
  "Kind": "service-splitter", "Name": "backend",
  "Splits": [{"Weight": 90, "ServiceSubset": "stable"}, {"Weight": 10, "ServiceSubset": "canary"}]
}"#;

fn router(criteria: &[String]) -> String {
    let rule = |http: &String| format!(r#"{{"Match": {{"HTTP": {http}}}}}"#);
    let rules: Vec<String> = criteria.iter().map(rule).collect();
    format!(r#"{{"Kind": "service-router", "Name": "backend", "Routes": [{}]}}"#, rules.join(","))
}

fn registrations(instances: usize) -> String {
    let mut services = String::new();
    for index in 0..instances {
        let comma = if index == 0 { "" } else { "," };
        let address = format!("10.0.{}.{}", index / 250, index % 250 + 1);
        write!(
            services,
            r#"{comma}{{"id": "backend-{index}", "name": "backend", "address": "{address}", "port": 80,
                "connect": {{"sidecar_service": {{"port": 20000}}}}}}"#
        )
        .expect("a string takes all that is written");
    }
    format!(r#"{{"services": [{services}]}}"#)
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn value(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// What a browser sends, in 12 lines.
const REQUEST: &[u8] = b"GET /api/v2/items/42?page=3 HTTP/1.1\r\n\
    host: backend.example:8080\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    accept-language: en-GB,en;q=0.7,de;q=0.3\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    referer: http://backend.example:8080/api/v2/items\r\n\
    cookie: session=7b0d9a36f2c14d5e8a90c1b2d3e4f506; theme=dark\r\n\
    sec-fetch-dest: document\r\n\
    sec-fetch-mode: navigate\r\n\
    sec-fetch-site: same-origin\r\n\
    connection: keep-alive\r\n\r\n";

/// What a service answers, in 7 lines.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Sun, 22 Nov 2026 03:00:00 GMT\r\n\
    content-type: application/json; charset=utf-8\r\n\
    content-length: 1024\r\n\
    cache-control: no-store\r\n\
    etag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
    vary: accept-encoding\r\n\r\n";

/// A warm connection's heads and buffer.
#[derive(Debug, Default)]
pub(crate) struct Codec {
    request: http1::RequestHead,
    response: http1::ResponseHead,
    out: Vec<u8>,
}

impl Codec {
    /// Reads a request's head and writes it anew, as a client sidecar does.
    pub(crate) fn pass_request(&mut self) -> &[u8] {
        let parsed = http1::parse_request(REQUEST, &http1::Limits::default(), &mut self.request);
        assert_eq!(parsed, Ok(http1::Parse::Complete));
        let spec = http1::RequestOut {
            request_id: Some(b"3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
            strip_own: true,
            ..http1::RequestOut::default()
        };
        self.out.clear();
        http1::write_request(&self.request, REQUEST, &spec, &mut self.out);
        &self.out
    }

    /// Reads a response's head and writes it anew.
    pub(crate) fn pass_response(&mut self) -> &[u8] {
        let facts = http1::RequestFacts::default();
        let limits = http1::Limits::default();
        let parsed = http1::parse_response(RESPONSE, &limits, facts, &mut self.response);
        assert_eq!(parsed, Ok(http1::Parse::Complete));
        let framing = self.response.framing_for(http1::Version::Http11);
        let spec = http1::ResponseOut { keep_alive: true, framing, ..http1::ResponseOut::default() };
        self.out.clear();
        http1::write_response(&self.response, RESPONSE, &spec, &mut self.out);
        &self.out
    }
}

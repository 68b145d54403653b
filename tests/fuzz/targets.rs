//! The fuzz targets: what is done with bytes that anybody could send or write.
//!
//! One function a parser of outside bytes. It may not panic, hang or recurse without end, and it holds what the parser
//! promises beyond that: that pieces read like the whole, and that what was written reads back. `replay` runs all of
//! them over a small fixed corpus in every `cargo test`; `fuzz_targets/` gives each to libFuzzer.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use spillway_certs::peering::Token;
use spillway_certs::x509::{CertInfo, trust_domain};
use spillway_certs::{TrustBundles, fingerprint, spiffe_id, xfcc};
use spillway_core::catalog::{HealthEntry, Instance};
use spillway_core::duration;
use spillway_core::entry::{HeaderMatch, HealthStatus, HttpMatch, QueryParamMatch};
use spillway_core::load::{File, load};
use spillway_core::name::{Sni, SpiffeId, TrustDomain};
use spillway_core::syntax::{self, Format};
use spillway_core::table::filter::Filter;
use spillway_core::table::{self, Headers, Matcher};
use spillway_gateway::peering::message::{Assembly, Message};
use spillway_gateway::preread::{ClientHello, Parse as HelloParse, Preread};
use spillway_proxy::http1::{
    ChunkDecoder, HeadView, Limits, Parse, RequestFacts, RequestHead, RequestOut, ResponseHead, Step,
    parse_request, parse_response, write_request,
};

/// A target: its name, which is that of its file in `fuzz_targets/`, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 15] = [
    ("hcl", hcl),
    ("json", json),
    ("yaml", yaml),
    ("directory", directory),
    ("filter", filter),
    ("durations", durations),
    ("names", names),
    ("routes", routes),
    ("http1_request", http1_request),
    ("http1_response", http1_response),
    ("chunks", chunks),
    ("client_hello", client_hello),
    ("token", token),
    ("message", message),
    ("certificate", certificate),
];

fn parse(format: Format, data: &[u8]) -> bool {
    let (documents, problems) = syntax::parse(&Arc::new(PathBuf::from("f")), format, data);
    // Whatever is wrong has a place within the text; YAML breaks lines at a carriage return as well.
    let lines = data.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 2;
    for problem in &problems {
        assert!(problem.place.line as usize <= lines, "{problem}");
    }
    problems.is_empty() && !documents.is_empty()
}

/// HCL 1.
pub fn hcl(data: &[u8]) {
    parse(Format::Hcl, data);
}

/// JSON: what this reader takes, another takes as well, and the other way round.
pub fn json(data: &[u8]) {
    let taken = parse(Format::Json, data);
    let plain = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    if taken {
        assert!(serde_json::from_slice::<serde::de::IgnoredAny>(plain).is_ok(), "only we take it");
    } else if plain.len() < 100 && serde_json::from_slice::<serde_json::Value>(plain).is_ok() {
        panic!("only the other takes it");
    }
}

/// YAML.
pub fn yaml(data: &[u8]) {
    parse(Format::Yaml, data);
}

/// A configuration directory of one file, whose first byte says what it is, or of several, split by NUL.
pub fn directory(data: &[u8]) {
    let name = |i: usize, first: u8| match first % 4 {
        0 => format!("{i}.json"),
        1 => format!("{i}.yaml"),
        _ => format!("{i}.hcl"),
    };
    let file = |(i, part): (usize, &[u8])| {
        let (first, rest) = part.split_first()?;
        Some(File { path: name(i, *first).into(), bytes: rest.to_vec() })
    };
    let files: Vec<File> = data.split(|b| *b == 0).enumerate().filter_map(file).collect();
    let (_, problems) = load(&files);
    assert!(problems.len() <= 1_001);
}

/// A subset's filter, over an instance.
pub fn filter(data: &[u8]) {
    let Ok(filter) = Filter::parse(&String::from_utf8_lossy(data)) else { return };
    filter.takes(&Instance {
        id: "web-1".to_owned(),
        service: "web".parse().expect("a valid name"),
        sidecar_id: "web-1-sidecar-proxy".to_owned(),
        sidecar_service: "web-sidecar-proxy".parse().expect("a valid name"),
        datacenter: "dc1".parse().expect("a valid name"),
        node: "n1".to_owned(),
        host: "10.0.0.1".to_owned(),
        port: 80,
        address: "10.0.0.1:20000".to_owned(),
        tags: ["a".to_owned(), "b".to_owned()].into(),
        meta: Arc::new([("version".to_owned(), "v1".to_owned())].into()),
        weight_passing: 1,
        weight_warning: 1,
        status: HealthStatus::Passing,
        health: HealthEntry::default(),
    });
}

/// A duration, which prints as what reads back.
pub fn durations(data: &[u8]) {
    let Ok(read) = duration::parse(&String::from_utf8_lossy(data)) else { return };
    assert_eq!(duration::parse(&duration::format(read.nanos)), Ok(read));
}

/// Names on the wire, which print as what reads back.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(id) = text.parse::<SpiffeId>() {
        assert_eq!(id.to_string().parse::<SpiffeId>().ok(), Some(id));
    }
    if let Ok(sni) = text.parse::<Sni>() {
        assert_eq!(sni.to_string().parse::<Sni>().ok(), Some(sni));
    }
    if let Ok(domain) = text.parse::<TrustDomain>() {
        assert_eq!(domain.to_string().parse::<TrustDomain>().ok(), Some(domain));
    }
}

/// A route's criteria, a line each, against a request made of the same lines.
pub fn routes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().filter(|line| !line.is_empty());
    let path = next().unwrap_or("/");
    let (exact, prefix, regex) = (next(), next(), next());
    let (header, query) = (next(), next());
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let criteria = HttpMatch {
        path_exact: owned(exact),
        path_prefix: owned(prefix),
        path_regex: owned(regex),
        case_insensitive: data.len().is_multiple_of(2),
        header: header
            .map(|value| HeaderMatch {
                name: "x".to_owned(),
                regex: Some(value.to_owned()),
                ..HeaderMatch::default()
            })
            .into_iter()
            .collect(),
        query_param: query
            .map(|value| QueryParamMatch {
                name: "q".to_owned(),
                regex: Some(value.to_owned()),
                ..QueryParamMatch::default()
            })
            .into_iter()
            .collect(),
        methods: Vec::new(),
    };
    let Ok(matcher) = Matcher::compile(&criteria) else { return };
    let lines = OneHeader(header.unwrap_or_default());
    let head = table::RequestHead { method: "GET", path, query, headers: &lines };
    assert_eq!(matcher.matches(&head), matcher.rejects(&head).is_none());
}

struct OneHeader<'a>(&'a str);

impl Headers for OneHeader<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == "x").then_some(Cow::Borrowed(self.0.as_bytes()))
    }
}

/// A request's head, which is written as one that reads back.
pub fn http1_request(data: &[u8]) {
    let (limits, mut head) = (Limits::default(), RequestHead::default());
    if parse_request(data, &limits, &mut head) != Ok(Parse::Complete) {
        return;
    }
    let view = HeadView { head: &head, buf: data };
    view.table_head().query_value("q");
    view.end_to_end().count();
    let mut out = Vec::new();
    write_request(&head, data, &RequestOut { default_host: "a", ..RequestOut::default() }, &mut out);
    let mut again = RequestHead::default();
    assert_eq!(parse_request(&out, &limits, &mut again), Ok(Parse::Complete), "{}", out.escape_ascii());
    assert_eq!((again.len(), again.framing()), (out.len(), head.framing()), "{}", out.escape_ascii());
}

/// A response's head.
pub fn http1_response(data: &[u8]) {
    let (limits, mut head) = (Limits::default(), ResponseHead::default());
    let request = RequestFacts { method_is_head: data.len().is_multiple_of(2), ..RequestFacts::default() };
    if parse_response(data, &limits, request, &mut head) == Ok(Parse::Complete) {
        assert!((100..1_000).contains(&head.status()) && head.len() <= data.len());
        head.end_to_end(data).count();
    }
}

/// A chunked body: byte by byte it is the same as at once.
pub fn chunks(data: &[u8]) {
    let read = |piece: usize| {
        let (mut decoder, mut body, mut at) = (ChunkDecoder::default(), Vec::new(), 0);
        while at < data.len() {
            let input = &data[at..data.len().min(at + piece)];
            match decoder.decode(input) {
                Ok(Step::Data(range)) => {
                    at += range.end;
                    body.extend_from_slice(&input[range]);
                }
                Ok(Step::NeedMore) => at += input.len(),
                Ok(Step::End(used)) => return Ok((body, Some(at + used))),
                Err(error) => return Err(error.status()),
            }
        }
        Ok((body, None))
    };
    assert_eq!(read(1), read(data.len().max(1)));
}

/// A ClientHello: byte by byte it is the same as at once.
pub fn client_hello(data: &[u8]) {
    let whole = ClientHello::parse(data);
    if let HelloParse::Complete(hello) = &whole {
        hello.alpn().count();
    }
    let mut preread = Preread::default();
    let dripped =
        (1..=data.len()).map(|end| preread.advance(&data[..end])).find(|parse| *parse != HelloParse::Partial);
    assert_eq!(dripped.unwrap_or(HelloParse::Partial), whole);
}

/// A peering token as pasted.
pub fn token(data: &[u8]) {
    if let Ok(token) = Token::decode(&String::from_utf8_lossy(data)) {
        assert!(Token::decode(&token.encode()).is_ok());
    }
}

/// A line of a peering stream.
pub fn message(data: &[u8]) {
    let Ok(message) = Message::decode(data) else { return };
    let line = message.encode();
    assert!(Message::decode(line.trim_ascii_end()).is_ok(), "{}", line.escape_ascii());
    if let Message::Update { facts, services, more } = message {
        let peer = "a.consul".parse().expect("a valid name");
        let _ = Assembly::default().add(facts, services, more, &peer);
    }
}

/// A certificate: as a workload's, as a root, and as what is vouched for.
pub fn certificate(data: &[u8]) {
    let der = data.into();
    let id = spiffe_id(&der);
    let _ = (trust_domain(&der), CertInfo::of(&der), fingerprint(&der));
    if let Ok(id) = id {
        assert!(xfcc(&id, &der, &id).contains(&id.to_string()));
    }
    let own: TrustDomain = "a.consul".parse().expect("a valid name");
    let _ = TrustBundles::new(own, vec![der.into_owned()]);
}

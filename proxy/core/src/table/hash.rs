//! What of a request decides where it goes by hash: its endpoint (`HashPolicies`) or its leg (`Sticky`).
//!
//! Kept out: the endpoints, which [`crate::pick::Resolver::pick_for`] ranks by the hash made here, and the legs
//! (`sticky`).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use super::{Request, RequestHead};
use crate::entry::{CookieConfig, HashPolicy, LoadBalancer, Sticky, StickyField};
use crate::pick::{hash, mix};

/// The hash policies of a splitter or resolver, in order.
#[derive(Debug)]
pub struct HashPolicies(Box<[Policy]>);

#[derive(Debug)]
struct Policy {
    source: Source,
    terminal: bool,
}

/// Where to look.
#[derive(Debug)]
pub(super) enum Source {
    Header(Box<str>),
    Query(Box<str>),
    Cookie { name: Box<str>, make: Option<Cookie> },
    Address,
    Identity,
}

/// How to make a cookie that is missing.
#[derive(Debug)]
pub(super) struct Cookie {
    /// None lasts as long as the browser runs.
    life: Option<Duration>,
    path: Box<str>,
}

impl HashPolicies {
    /// None when the load balancer does not go by hash, or is told nothing to hash.
    pub fn compile(written: Option<&LoadBalancer>) -> Option<Self> {
        let written = written.filter(|it| matches!(it.policy.as_str(), "ring_hash" | "maglev"))?;
        let policies: Box<[Policy]> = written.hash_policies.iter().filter_map(Policy::compile).collect();
        (!policies.is_empty()).then_some(Self(policies))
    }

    /// The hash of a request, None when it has nothing that is asked for. `set-cookie` values that the response needs,
    /// so that the next request comes back, are added to `cookies`.
    pub fn hash(&self, request: &Request<'_>, cookies: &mut Vec<String>) -> Option<u64> {
        let mut all: Option<u64> = None;
        for Policy { source, terminal } in &self.0 {
            let Some(made) = source.hash(request, cookies) else { continue };
            all = Some(all.map_or(made, |before| before.rotate_left(1) ^ made));
            if *terminal {
                break;
            }
        }
        all
    }
}

impl Policy {
    fn compile(written: &HashPolicy) -> Option<Self> {
        let name = written.field_value.as_str();
        let source = match written.field.as_str() {
            _ if written.source_ip => Source::Address,
            "header" => Source::header(name),
            "query_parameter" => Source::Query(name.into()),
            "cookie" => Source::cookie(name, written.cookie_config.as_ref()),
            _ => return None,
        };
        Some(Self { source, terminal: written.terminal })
    }
}

impl Source {
    /// Of a splitter's `Sticky`.
    pub(super) fn sticky(written: &Sticky) -> Self {
        let name = written.field_value.as_str();
        match written.field {
            StickyField::Header => Self::header(name),
            StickyField::Cookie => Self::cookie(name, written.cookie_config.as_ref()),
            StickyField::QueryParameter => Self::Query(name.into()),
            StickyField::SourceIp => Self::Address,
            StickyField::CallerIdentity => Self::Identity,
        }
    }

    fn header(name: &str) -> Self {
        Self::Header(name.to_ascii_lowercase().into())
    }

    fn cookie(name: &str, config: Option<&CookieConfig>) -> Self {
        let config = config.filter(|config| config.session || config.ttl.is_some());
        let make = config.map(|config| Cookie {
            life: config.ttl.filter(|_| !config.session),
            path: config.path.as_str().into(),
        });
        Self::Cookie { name: name.into(), make }
    }

    /// The hash of what the request has here; an empty value is none. A cookie that is missing is made where the entry
    /// says how.
    pub(super) fn hash(&self, request: &Request<'_>, cookies: &mut Vec<String>) -> Option<u64> {
        let Request { head, caller, draw } = request;
        match self {
            Self::Header(name) => head.headers.value(name).and_then(|value| hash_value(&value)),
            Self::Query(name) => head.query_value(name).and_then(|value| hash_value(value.as_bytes())),
            Self::Address => caller.address.map(hash_address),
            Self::Identity => caller.identity.map(|identity| hash(identity.as_bytes())),
            Self::Cookie { name, make } => found(head, name).or_else(|| {
                let (make, draw) = (make.as_ref()?, draw.as_ref()?);
                // One value a request, so that a name that two ask for is one cookie.
                let value = format!("{:016x}", mix(draw.0));
                if !cookies.iter().any(|line| is_named(line, name)) {
                    cookies.push(make.line(name, &value));
                }
                Some(hash(value.as_bytes()))
            }),
        }
    }
}

fn hash_value(value: &[u8]) -> Option<u64> {
    (!value.is_empty()).then(|| hash(value))
}

fn hash_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => hash(&address.octets()),
        IpAddr::V6(address) => hash(&address.octets()),
    }
}

impl Cookie {
    fn line(&self, name: &str, value: &str) -> String {
        let mut line = format!("{name}=\"{value}\"");
        if let Some(life) = self.life {
            line.push_str(&format!("; Max-Age={}", life.as_secs()));
        }
        if !self.path.is_empty() {
            line.push_str(&format!("; Path={}", self.path));
        }
        line + "; HttpOnly"
    }
}

/// Whether a `set-cookie` value is of the cookie `name`.
fn is_named(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

/// The hash of a cookie's value, quotes aside.
fn found(head: &RequestHead<'_>, name: &str) -> Option<u64> {
    let header: Cow<'_, [u8]> = head.headers.value("cookie")?;
    // Cookies stand in one header, or in HTTP/2 in several, which are then joined by commas or semicolons.
    let mut pairs = header.split(|byte| matches!(byte, b';' | b',')).map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    hash_value(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::Draw;
    use crate::table::{Caller, Headers};

    struct One(&'static str, &'static str);

    impl Headers for One {
        fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            (name == self.0).then_some(Cow::Borrowed(self.1.as_bytes()))
        }
    }

    fn policy(field: &str, value: &str) -> HashPolicy {
        HashPolicy { field: field.to_owned(), field_value: value.to_owned(), ..HashPolicy::default() }
    }

    #[derive(Debug, Default, Eq, PartialEq)]
    struct Affinity {
        hash: Option<u64>,
        cookies: Vec<String>,
    }

    fn affinity(
        policies: &[HashPolicy],
        query: Option<&str>,
        headers: One,
        source: Option<&str>,
    ) -> Affinity {
        let written = LoadBalancer {
            policy: "maglev".to_owned(),
            hash_policies: policies.to_vec(),
            ..LoadBalancer::default()
        };
        let head = RequestHead { method: "GET", path: "/", query, headers: &headers };
        let compiled = HashPolicies::compile(Some(&written)).expect("something to hash");
        let caller = Caller { address: source.and_then(|source| source.parse().ok()), identity: None };
        let mut cookies = Vec::new();
        let hash = compiled.hash(&Request { head, caller, draw: Some(Draw(1)) }, &mut cookies);
        Affinity { hash, cookies }
    }

    #[test]
    fn what_is_asked_for_decides_and_nothing_else() {
        let none = || One("", "");
        let header = |value| affinity(&[policy("header", "X-User")], None, One("x-user", value), None).hash;
        assert_eq!(header("a"), header("a"));
        assert_ne!(header("a"), header("b"));
        assert_eq!(affinity(&[policy("header", "x-user")], None, none(), None).hash, None);
        assert_eq!(header(""), None, "whoever has nothing to say is not one user");
        let query = |query| affinity(&[policy("query_parameter", "u")], Some(query), none(), None).hash;
        assert_eq!(query("u=1&x=2"), query("x=3&u=1"));
        assert_eq!((query("v=1"), query("u="), query("u")), (None, None, None));
        let cookie = |value| affinity(&[policy("cookie", "u")], None, One("cookie", value), None).hash;
        assert_eq!(cookie("a=1; u=7"), cookie("u=\"7\""));
        assert_eq!((cookie("uu=7"), cookie("u=\"\"")), (None, None));
        let by_address = HashPolicy { source_ip: true, ..HashPolicy::default() };
        let source = |address| affinity(from_ref(&by_address), None, none(), Some(address)).hash;
        assert!(source("10.0.0.1").is_some() && source("10.0.0.1") == source("::ffff:10.0.0.1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
        assert_eq!(affinity(&[by_address], None, none(), None).hash, None);
    }

    #[test]
    fn hashes_combine_until_a_terminal_one_is_found() {
        let (user, session) = (policy("header", "x-user"), policy("query_parameter", "s"));
        let hash = |policies: &[HashPolicy]| affinity(policies, Some("s=1"), One("x-user", "a"), None).hash;
        assert_ne!(hash(&[user.clone(), session.clone()]), hash(from_ref(&user)));
        let terminal = HashPolicy { terminal: true, ..user.clone() };
        assert_eq!(hash(&[terminal, session.clone()]), hash(&[user]));
        let missing = HashPolicy { terminal: true, ..policy("header", "x-none") };
        assert_eq!(hash(&[missing, session.clone()]), hash(&[session]));
    }

    #[test]
    fn a_missing_cookie_is_made_where_the_entry_says_how() {
        let with = |config: CookieConfig| HashPolicy { cookie_config: Some(config), ..policy("cookie", "u") };
        let lasting =
            CookieConfig { ttl: Some(Duration::from_secs(60)), path: "/a".to_owned(), session: false };
        let made = affinity(&[with(lasting)], None, One("", ""), None);
        let [line] = &made.cookies[..] else { panic!("{:?}", made.cookies) };
        let value = line.split('"').nth(1).expect("a quoted value").to_owned();
        assert_eq!(*line, format!("u=\"{value}\"; Max-Age=60; Path=/a; HttpOnly"));
        assert_eq!(made.hash, Some(hash(value.as_bytes())), "the next request finds the same endpoint");
        let session = CookieConfig { session: true, ..CookieConfig::default() };
        let made = affinity(&[with(session.clone()), with(session)], None, One("", ""), None);
        assert!(made.cookies.len() == 1 && !made.cookies[0].contains("Max-Age"), "{:?}", made.cookies);
        let nothing = affinity(&[with(CookieConfig::default())], None, One("", ""), None);
        assert_eq!(nothing, Affinity::default());
    }

    #[test]
    fn only_balancers_by_hash_have_policies() {
        let written = |policy: &str| LoadBalancer {
            policy: policy.to_owned(),
            hash_policies: vec![HashPolicy { source_ip: true, ..HashPolicy::default() }],
            ..LoadBalancer::default()
        };
        assert!(HashPolicies::compile(Some(&written("ring_hash"))).is_some());
        assert!(HashPolicies::compile(Some(&written("random"))).is_none());
        assert!(HashPolicies::compile(None).is_none());
    }
}

//! What of a request decides its endpoint, where a load balancer goes by hash (`HashPolicies`).
//!
//! Kept out: the endpoints; [`crate::pick::Resolver::pick_for`] ranks them by the hash made here.

use std::net::IpAddr;
use std::time::Duration;

use super::RequestHead;
use crate::Draw;
use crate::entry::{HashPolicy, LoadBalancer};
use crate::pick::{hash, mix};

/// The hash policies of a splitter or resolver, in order.
#[derive(Debug)]
pub struct HashPolicies(Box<[Policy]>);

#[derive(Debug)]
struct Policy {
    source: Source,
    terminal: bool,
}

#[derive(Debug)]
enum Source {
    Header(Box<str>),
    Query(Box<str>),
    Cookie { name: Box<str>, make: Option<Cookie> },
    Address,
}

/// How to make a cookie that is missing.
#[derive(Debug)]
struct Cookie {
    /// None lasts as long as the browser runs.
    life: Option<Duration>,
    path: Box<str>,
}

/// What ties a request to an endpoint.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Affinity {
    /// None when the request has nothing that is asked for.
    pub hash: Option<u64>,
    /// A `set-cookie` value for the response, so that the next request comes back.
    pub set_cookie: Option<String>,
}

impl HashPolicies {
    /// None when the load balancer does not go by hash, or is told nothing to hash.
    pub fn compile(written: Option<&LoadBalancer>) -> Option<Self> {
        let written = written.filter(|it| matches!(it.policy.as_str(), "ring_hash" | "maglev"))?;
        let policies: Box<[Policy]> = written.hash_policies.iter().filter_map(Policy::compile).collect();
        (!policies.is_empty()).then_some(Self(policies))
    }

    /// The hash of a request that came from `source`. `draw` makes the value of a cookie that has to be made.
    pub fn affinity(&self, head: &RequestHead<'_>, source: Option<IpAddr>, draw: Draw) -> Affinity {
        let mut affinity = Affinity::default();
        for Policy { source: from, terminal } in &self.0 {
            let made = match from {
                Source::Header(name) => head.headers.value(name).map(|value| hash(&value)),
                Source::Query(name) => head.query_value(name).map(|value| hash(value.as_bytes())),
                Source::Address => source.map(|source| hash(source.to_string().as_bytes())),
                Source::Cookie { name, make } => {
                    let found = cookie(head, name).or_else(|| {
                        let value = format!("{:016x}", mix(draw.0));
                        affinity.set_cookie = Some(make.as_ref()?.line(name, &value));
                        Some(value)
                    });
                    found.map(|value| hash(value.as_bytes()))
                }
            };
            let Some(made) = made else { continue };
            affinity.hash = Some(affinity.hash.map_or(made, |before| before.rotate_left(1) ^ made));
            if *terminal {
                break;
            }
        }
        affinity
    }
}

impl Policy {
    fn compile(written: &HashPolicy) -> Option<Self> {
        let name = || written.field_value.as_str();
        let source = match written.field.as_str() {
            _ if written.source_ip => Source::Address,
            "header" => Source::Header(name().to_ascii_lowercase().into()),
            "query_parameter" => Source::Query(name().into()),
            "cookie" => {
                let config = written.cookie_config.as_ref();
                let config = config.filter(|config| config.session || config.ttl.is_some());
                let make = config.map(|config| Cookie {
                    life: config.ttl.filter(|_| !config.session),
                    path: config.path.as_str().into(),
                });
                Source::Cookie { name: name().into(), make }
            }
            _ => return None,
        };
        Some(Self { source, terminal: written.terminal })
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

/// A cookie's value, quotes aside.
fn cookie(head: &RequestHead<'_>, name: &str) -> Option<String> {
    let header = head.headers.value("cookie")?;
    // Cookies stand in one header, or in HTTP/2 in several, which are then joined by commas or semicolons.
    let mut pairs = header.split(|byte| matches!(byte, b';' | b',')).map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::slice::from_ref;

    use super::*;
    use crate::entry::CookieConfig;
    use crate::table::Headers;

    struct One(&'static str, &'static str);

    impl Headers for One {
        fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            (name == self.0).then_some(Cow::Borrowed(self.1.as_bytes()))
        }
    }

    fn policy(field: &str, value: &str) -> HashPolicy {
        HashPolicy { field: field.to_owned(), field_value: value.to_owned(), ..HashPolicy::default() }
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
        compiled.affinity(&head, source.and_then(|source| source.parse().ok()), Draw(1))
    }

    #[test]
    fn what_is_asked_for_decides_and_nothing_else() {
        let none = || One("", "");
        let header = |value| affinity(&[policy("header", "X-User")], None, One("x-user", value), None).hash;
        assert_eq!(header("a"), header("a"));
        assert_ne!(header("a"), header("b"));
        assert_eq!(affinity(&[policy("header", "x-user")], None, none(), None).hash, None);
        let query = |query| affinity(&[policy("query_parameter", "u")], Some(query), none(), None).hash;
        assert_eq!(query("u=1&x=2"), query("x=3&u=1"));
        assert_eq!(query("v=1"), None);
        let cookie = |value| affinity(&[policy("cookie", "u")], None, One("cookie", value), None).hash;
        assert_eq!(cookie("a=1; u=7"), cookie("u=\"7\""));
        assert_eq!(cookie("uu=7"), None);
        let by_address = HashPolicy { source_ip: true, ..HashPolicy::default() };
        assert!(affinity(from_ref(&by_address), None, none(), Some("10.0.0.1")).hash.is_some());
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
        let line = made.set_cookie.expect("a cookie");
        let value = line.split('"').nth(1).expect("a quoted value").to_owned();
        assert_eq!(line, format!("u=\"{value}\"; Max-Age=60; Path=/a; HttpOnly"));
        assert_eq!(made.hash, Some(hash(value.as_bytes())), "the next request finds the same endpoint");
        let session = CookieConfig { session: true, ..CookieConfig::default() };
        let made = affinity(&[with(session)], None, One("", ""), None);
        assert!(made.set_cookie.is_some_and(|line| !line.contains("Max-Age")));
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

//! The shapes of work that are compared: what is asked of which job, and in which unit its cost is told.

use std::fmt;

use crate::backend;
use crate::error::BenchError;
use crate::load::How;
use crate::load::tls::{Mesh, Reuse};
use crate::peers::{Job, Protocol, Setup, Site, Topology};

/// What is asked for below the last of the prefixes.
const ASKED: &str = "items/42";

/// A body that makes everything else count for nothing.
const BULK: usize = 64 << 20;

/// A shape of work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Two sidecars, with this between them.
    Pair(Protocol),
    /// One hop without TLS.
    Hop,
    /// New connections to the server side.
    Handshake,
    /// Large bodies through the pair.
    Bulk,
    /// gRPC through the pair.
    H2,
    /// TLS that passes by its server name.
    Sni,
    /// More and more prefix rules in a hop.
    Routes,
}

/// What a cost is divided by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Request,
    Connection,
    Mebibyte,
}

/// What is asked, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Plain,
    Grpc,
    Mesh(Reuse),
}

/// One line of a shape's table for each proxy.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What is special about it.
    pub(crate) label: String,
    /// What the proxies are set up for.
    pub(crate) job: Job,
    /// How many connections ask at once.
    pub(crate) connections: usize,
    /// Bytes of an answer's body.
    pub(crate) body: usize,
    pub(crate) unit: Unit,
    asked: Asked,
}

impl Shape {
    /// Names its results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pair(Protocol::Http) => "pair",
            Self::Pair(Protocol::Http2) => "pair-h2",
            Self::Pair(Protocol::Grpc) | Self::H2 => "h2",
            Self::Hop => "hop",
            Self::Handshake => "handshake",
            Self::Bulk => "bulk",
            Self::Sni => "sni",
            Self::Routes => "routes",
        }
    }

    /// Its cases, at these numbers of connections if there are any.
    pub(crate) fn cases(self, connections: &[usize]) -> Vec<Case> {
        let usual: &[usize] = match self {
            Self::Pair(_) => &[1, 64, 512],
            Self::Hop | Self::H2 | Self::Routes => &[64],
            Self::Handshake | Self::Sni => &[8],
            Self::Bulk => &[4],
        };
        let connections = if connections.is_empty() { usual } else { connections };
        connections.iter().flat_map(|connections| self.at(*connections)).collect()
    }

    fn at(self, connections: usize) -> Vec<Case> {
        let base = Case {
            label: format!("{connections} connections"),
            job: Job::PAIR,
            connections,
            body: backend::BODY,
            unit: Unit::Request,
            asked: Asked::Plain,
        };
        let hop = |rules| Job { topology: Topology::Hop, rules, ..Job::PAIR };
        let grpc = Job { protocol: Protocol::Grpc, ..Job::PAIR };
        let gateway = Job { topology: Topology::Gateway, ..Job::PAIR };
        let named =
            |label: &str, case: &Case| Case { label: format!("{label}, {}", case.label), ..case.clone() };
        match self {
            Self::Pair(Protocol::Grpc) | Self::H2 => vec![Case { job: grpc, asked: Asked::Grpc, ..base }],
            Self::Pair(protocol) => vec![Case { job: Job { protocol, ..Job::PAIR }, ..base }],
            Self::Hop => vec![Case { job: hop(4), ..base }],
            Self::Routes => [10, 1_000, 10_000]
                .map(|rules| Case { job: hop(rules), ..named(&format!("{rules} rules"), &base) })
                .into(),
            Self::Bulk => vec![Case { body: BULK, unit: Unit::Mebibyte, ..named("64 MiB bodies", &base) }],
            Self::Handshake => [("full", Reuse::Nothing), ("resumed", Reuse::Session)]
                .map(|(label, reuse)| {
                    let case = Case { unit: Unit::Connection, asked: Asked::Mesh(reuse), ..base.clone() };
                    named(label, &case)
                })
                .into(),
            Self::Sni => {
                let fresh = Case { job: gateway, asked: Asked::Mesh(Reuse::Nothing), ..base.clone() };
                let kept = Case { job: gateway, asked: Asked::Mesh(Reuse::Connection), ..base };
                vec![
                    Case { unit: Unit::Connection, ..named("handshakes", &fresh) },
                    Case { unit: Unit::Mebibyte, body: BULK, ..named("64 MiB bodies", &kept) },
                ]
            }
        }
    }
}

impl Case {
    /// What is asked for: what the last rule matches.
    pub(crate) fn path(&self) -> String {
        let prefixes = self.job.prefixes();
        format!("{}{ASKED}", prefixes.last().map_or("/", String::as_str))
    }

    /// How a site's proxies are asked.
    pub(crate) fn how(&self, site: &Site) -> Result<How, BenchError> {
        Ok(match self.asked {
            Asked::Plain => How::Plain,
            Asked::Grpc => How::Grpc,
            Asked::Mesh(reuse) => How::Mesh(Mesh::new(site, reuse)?),
        })
    }

    /// Where: the mesh calls the server side itself, and through a gateway.
    pub(crate) fn address(&self, setup: &Setup) -> std::net::SocketAddr {
        match (self.asked, self.job.topology) {
            (Asked::Mesh(_), Topology::Pair) => setup.public,
            _ => setup.entry,
        }
    }
}

impl Unit {
    /// What was answered, counted so.
    pub(crate) fn of(self, requests: u64, bytes: u64) -> f64 {
        match self {
            Self::Request | Self::Connection => requests as f64,
            Self::Mebibyte => bytes as f64 / f64::from(1 << 20),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Connection => "connection",
            Self::Mebibyte => "MiB",
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pair(Protocol::Http) => "The pair: plaintext HTTP/1.1 -> client side -> mTLS -> server side -> backend",
            Self::Pair(Protocol::Http2) => {
                "The pair with HTTP/2 between its sides (nginx: HTTP/1.1, it has no other for what is not gRPC)"
            }
            Self::Pair(Protocol::Grpc) | Self::H2 => {
                "gRPC end to end: plaintext HTTP/2 -> client side -> mTLS, HTTP/2 -> server side -> HTTP/2 backend"
            }
            Self::Hop => "One plaintext hop: HTTP/1.1 -> proxy -> backend (Spillway: its engine without TLS)",
            Self::Handshake => "Handshakes: a new mTLS connection to the server side for each GET",
            Self::Bulk => "Bulk: 64 MiB bodies through the pair",
            Self::Sni => "SNI passthrough: mTLS that a gateway does not look into",
            Self::Routes => "Routes: the last of many prefix rules, in one plaintext hop",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 8] = [
        Shape::Pair(Protocol::Http),
        Shape::Pair(Protocol::Http2),
        Shape::Hop,
        Shape::Handshake,
        Shape::Bulk,
        Shape::H2,
        Shape::Sni,
        Shape::Routes,
    ];

    #[test]
    fn the_lines_of_a_table_can_be_told_apart_at_any_connections() {
        for shape in ALL {
            let mut labels: Vec<String> = shape.cases(&[1, 2]).into_iter().map(|case| case.label).collect();
            assert!(!labels.is_empty(), "{shape}");
            labels.sort();
            assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{shape}: {labels:?}");
            assert!(shape.cases(&[3]).iter().all(|case| case.connections == 3), "{shape}");
        }
    }

    #[test]
    fn what_is_asked_for_is_what_the_last_rule_matches() {
        let paths: Vec<String> = Shape::Routes.cases(&[]).iter().map(Case::path).collect();
        assert_eq!(paths, ["/service-00009/items/42", "/service-00999/items/42", "/service-09999/items/42"]);
        assert_eq!(Shape::Hop.cases(&[])[0].path(), "/api/v2/items/42");
    }
}

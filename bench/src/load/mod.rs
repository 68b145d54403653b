//! Load: who asks, what for, and what came of it.
//!
//! Every generator runs a closed loop over its connections and gives the same few figures. [`wrk`] and [`oha`] read what
//! those programs print; [`builtin`] is our own, for where neither is, and for what neither can do: gRPC ([`http2`])
//! and the mesh's TLS ([`tls`]).

pub(crate) mod builtin;
mod histogram;
pub(crate) mod http2;
mod oha;
pub(crate) mod tls;
mod wrk;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use crate::error::BenchError;
use crate::group;

/// Threads that a generator may use.
const THREADS: usize = 2;

/// What a program's report means; None: nothing.
type Reader = fn(&str) -> Option<Answered>;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Host, and port.
    authority: String,
    /// Path and query.
    path: String,
}

impl Target {
    /// `path` at an address.
    pub(crate) fn new(address: SocketAddr, path: &str) -> Self {
        Self { address, authority: address.to_string(), path: path.to_owned() }
    }

    pub(crate) fn request(&self) -> String {
        format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", self.path, self.authority)
    }

    /// The same for a connection that nothing else is asked on.
    fn last_request(&self) -> String {
        format!("GET {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.path, self.authority)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: http::Uri = text.parse().map_err(|error| format!("is no URL: {error}"))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is no http:// URL".to_owned());
        };
        let host = authority.host().trim_matches(['[', ']']);
        let mut found = (host, authority.port_u16().unwrap_or(80))
            .to_socket_addrs()
            .map_err(|error| format!("{host} cannot be resolved: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{host} has no address"))?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        Ok(Self { address, authority: authority.to_string(), path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// How it is asked.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// HTTP/1.1 without TLS, over kept connections.
    Plain,
    /// gRPC without TLS, over kept connections.
    Grpc,
    /// HTTP/1.1 with mTLS.
    Mesh(tls::Mesh),
}

/// How much is asked.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// What for.
    pub(crate) target: Target,
    /// How.
    pub(crate) how: How,
    /// How many connections ask at once.
    pub(crate) connections: usize,
    /// For how long.
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answered {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Requests that were not, or with a status other than 2xx.
    pub(crate) failed: u64,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// What half of the answers did not exceed.
    pub(crate) p50: Duration,
    /// What 99 of 100 answers did not exceed.
    pub(crate) p99: Duration,
}

impl Answered {
    /// Answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, failed, elapsed, p50, p99 } = self;
        write!(
            f,
            "{requests} answered in {elapsed:.2?}, {:.0} a second; p50 {p50:.2?}, p99 {p99:.2?}; {failed} failed",
            self.per_second()
        )
    }
}

/// A load generator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Tool {
    /// wrk
    Wrk,
    /// oha
    Oha,
    /// Our own
    Builtin,
}

impl Tool {
    /// The best that is there.
    pub(crate) fn find() -> Self {
        let there = |tool: &Self| group::on_path(tool.name()).is_some();
        [Self::Wrk, Self::Oha].into_iter().find(there).unwrap_or(Self::Builtin)
    }

    /// The one that can ask so: itself, or our own.
    pub(crate) fn able(self, how: &How) -> Self {
        if matches!(how, How::Plain) { self } else { Self::Builtin }
    }

    /// Its name, and its program's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::Oha => "oha",
            Self::Builtin => "builtin",
        }
    }

    /// Asks until the time is over.
    pub(crate) async fn run(self, load: &Load) -> Result<Answered, BenchError> {
        let (args, read): (_, Reader) = match self.able(&load.how) {
            Self::Wrk => (wrk::args(load), wrk::read),
            Self::Oha => (oha::args(load), oha::read),
            Self::Builtin => {
                let load = load.clone();
                let asked = tokio::task::spawn_blocking(move || builtin::run(&load)).await;
                return asked
                    .unwrap_or_else(|broken| Err(std::io::Error::other(broken)))
                    .map_err(|source| BenchError::io("ask", source));
            }
        };
        let mut command = tokio::process::Command::from(group::tied(self.name(), &args)?);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command
            .output()
            .await
            .map_err(|source| BenchError::io(format!("run {}", self.name()), source))?;
        let said = String::from_utf8_lossy(&output.stdout);
        read(&said).ok_or_else(|| {
            let said = format!("{}\n{}", said.trim(), String::from_utf8_lossy(&output.stderr).trim());
            BenchError::Load { tool: self.name(), said }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_what_to_ask() {
        let target: Target = "http://127.0.0.1:8080/a?b".parse().expect("a URL");
        assert_eq!(target.address, "127.0.0.1:8080".parse().expect("an address"));
        assert_eq!(target.request(), "GET /a?b HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\r\n");
        assert_eq!(target.to_string(), "http://127.0.0.1:8080/a?b");
        let target: Target = "http://[::1]".parse().expect("a URL");
        assert_eq!((target.address.to_string().as_str(), target.path.as_str()), ("[::1]:80", "/"));
        for wrong in ["", "127.0.0.1:1", "https://127.0.0.1/", "/a"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}

//! HAProxy: one process with two threads for each side.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Job, Peer, Protocol, Setup, Site, Topology, WORKERS};
use crate::error::BenchError;
use crate::group::{Group, free_addresses};

/// Starts all sides.
pub(super) fn start(program: &Path, site: &Site) -> Result<Setup, BenchError> {
    let [entry, public] = free_addresses()?;
    let side = |name: &str, mode: &str, proxies: &str| {
        let file = site.dir.join(format!("haproxy-{name}.cfg"));
        site.write(&file, &whole(site, mode, proxies))?;
        let args: [OsString; 3] = ["-db".into(), "-f".into(), file.into()];
        Group::start(&format!("haproxy {name}"), program, &args, &site.dir)
    };
    let sides = match site.job.topology {
        Topology::Pair => {
            let server = side("server", "http", &server(site, public))?;
            vec![side("client", "http", &client(site, entry, public))?, server]
        }
        Topology::Hop => vec![side("proxy", "http", &client(site, entry, site.backend[0]))?],
        Topology::Gateway => vec![side("gateway", "tcp", &gateway(site, entry))?],
    };
    Ok(Setup { peer: Peer::Haproxy, entry, public, sides })
}

fn whole(site: &Site, mode: &str, proxies: &str) -> String {
    let connections = site.connections * 2 + 64;
    // By default idle connections are closed once a quarter of all files are open, which would mean a handshake for
    // most requests of a few hundred connections.
    format!(
        r#"global
  nbthread {WORKERS}
  maxconn {connections}
  tune.pool-low-fd-ratio 100
  tune.pool-high-fd-ratio 100
defaults
  mode {mode}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
  default-server pool-purge-delay 1h
{proxies}"#
    )
}

fn client(site: &Site, entry: SocketAddr, next: SocketAddr) -> String {
    let Job { topology, protocol, .. } = site.job;
    let rules: String = site
        .job
        .prefixes()
        .iter()
        .map(|prefix| format!("  use_backend split if {{ path_beg {prefix} }}\n"))
        .collect();
    let tls = match topology {
        Topology::Pair => format!(
            " ssl ssl-min-ver TLSv1.3 crt {both} ca-file {root} verify required verifyhost backend sni str(backend)",
            both = site.both("web").display(),
            root = site.root().display(),
        ),
        Topology::Hop | Topology::Gateway => String::new(),
    };
    let alpn = if topology == Topology::Pair && protocol != Protocol::Http { " alpn h2" } else { "" };
    let server = |name: &str, weight: u32| format!("  server {name} {next} weight {weight}{tls}{alpn}\n");
    let stable = server("stable", 90);
    let canary = if site.job.splits() { server("canary", 10) } else { String::new() };
    let own = plaintext(protocol == Protocol::Grpc);
    format!(
        "frontend entry\n  bind {entry}{own}\n{rules}backend split\n  balance roundrobin\n{stable}{canary}"
    )
}

/// HTTP/2 without TLS has to be asked for.
fn plaintext(is_http2: bool) -> &'static str {
    if is_http2 { " proto h2" } else { "" }
}

fn server(site: &Site, public: SocketAddr) -> String {
    let alpn = if site.job.protocol == Protocol::Http { "" } else { " alpn h2,http/1.1" };
    format!(
        r#"frontend public
  bind {public} ssl ssl-min-ver TLSv1.3 crt {both} ca-file {root} verify required{alpn}
  default_backend application
backend application
  server application {backend}{protocol}
"#,
        both = site.both("backend").display(),
        root = site.root().display(),
        backend = site.backend[0],
        protocol = plaintext(site.job.protocol == Protocol::Grpc),
    )
}

fn gateway(site: &Site, entry: SocketAddr) -> String {
    format!(
        r#"frontend entry
  bind {entry}
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend application if {{ req.ssl_sni -i {sni} }}
backend application
  server application {backend}
"#,
        sni = site.sni(),
        backend = site.backend[1],
    )
}

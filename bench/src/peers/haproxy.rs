//! HAProxy: one process with two threads for each side.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{PREFIXES, Pair, Peer, Site, WORKERS};
use crate::error::BenchError;
use crate::group::{Group, free_addresses};

/// Starts both sides.
pub(super) fn start(program: &Path, site: &Site) -> Result<Pair, BenchError> {
    let [entry, public] = free_addresses()?;
    let side = |name: &str, proxies: &str| {
        let file = site.dir.join(format!("haproxy-{name}.cfg"));
        site.write(&file, &whole(site, proxies))?;
        let args: [OsString; 3] = ["-db".into(), "-f".into(), file.into()];
        Group::start(&format!("haproxy {name}"), program, &args, &site.dir)
    };
    let server = side("server", &server(site, public))?;
    let client = side("client", &client(site, entry, public))?;
    Ok(Pair { peer: Peer::Haproxy, entry, client, server })
}

fn whole(site: &Site, proxies: &str) -> String {
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
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
  default-server pool-purge-delay 1h
{proxies}"#
    )
}

fn client(site: &Site, entry: SocketAddr, public: SocketAddr) -> String {
    let rules: String =
        PREFIXES.iter().map(|prefix| format!("  use_backend split if {{ path_beg {prefix} }}\n")).collect();
    let server = |name: &str, weight: u32| {
        format!(
            "  server {name} {public} weight {weight} ssl ssl-min-ver TLSv1.3 crt {both} ca-file {root} \
             verify required verifyhost backend sni str(backend)\n",
            both = site.both("web").display(),
            root = site.root().display(),
        )
    };
    let (stable, canary) = (server("stable", 90), server("canary", 10));
    format!("frontend entry\n  bind {entry}\n{rules}backend split\n  balance roundrobin\n{stable}{canary}")
}

fn server(site: &Site, public: SocketAddr) -> String {
    format!(
        r#"frontend public
  bind {public} ssl ssl-min-ver TLSv1.3 crt {both} ca-file {root} verify required
  default_backend application
backend application
  server application {backend}
"#,
        both = site.both("backend").display(),
        root = site.root().display(),
        backend = site.backend,
    )
}

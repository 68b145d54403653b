//! nginx: a master and two workers for each side.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{PREFIXES, Pair, Peer, Site, WORKERS, make_dir};
use crate::error::BenchError;
use crate::group::{Group, free_addresses};

/// Starts both sides.
pub(super) fn start(program: &Path, site: &Site) -> Result<Pair, BenchError> {
    let [entry, public] = free_addresses()?;
    let side = |name: &str, http: &str| {
        let dir = site.dir.join(format!("nginx-{name}"));
        make_dir(&dir)?;
        site.write(&dir.join("nginx.conf"), &whole(site, &dir, http))?;
        let args: [OsString; 6] =
            ["-p".into(), dir.into(), "-c".into(), "nginx.conf".into(), "-e".into(), "stderr".into()];
        Group::start(&format!("nginx {name}"), program, &args, &site.dir)
    };
    let server = side("server", &server(site, public))?;
    let client = side("client", &client(site, entry, public))?;
    Ok(Pair { peer: Peer::Nginx, entry, client, server })
}

fn whole(site: &Site, dir: &Path, http: &str) -> String {
    // Each downstream connection has one upstream; there are two workers to share them unevenly.
    let connections = site.connections * 4 + 64;
    let dir = dir.display();
    format!(
        r#"daemon off;
worker_processes {WORKERS};
pid "{dir}/nginx.pid";
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path "{dir}/body";
  proxy_temp_path "{dir}/proxy";
  fastcgi_temp_path "{dir}/fastcgi";
  uwsgi_temp_path "{dir}/uwsgi";
  scgi_temp_path "{dir}/scgi";
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
{http}}}
"#
    )
}

fn client(site: &Site, entry: SocketAddr, public: SocketAddr) -> String {
    let locations: String = PREFIXES
        .iter()
        .map(|prefix| format!("    location {prefix} {{ proxy_pass https://$leg; }}\n"))
        .collect();
    format!(
        r#"  split_clients "$connection:$connection_requests" $leg {{
    90% stable;
    *   canary;
  }}
{stable}{canary}  server {{
    listen {entry};
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_certificate "{certificate}";
    proxy_ssl_certificate_key "{key}";
    proxy_ssl_trusted_certificate "{root}";
    proxy_ssl_verify on;
    proxy_ssl_server_name on;
    proxy_ssl_name backend;
{locations}    location / {{ return 404; }}
  }}
"#,
        stable = upstream("stable", public, site),
        canary = upstream("canary", public, site),
        certificate = site.certificate("web").display(),
        key = site.key("web").display(),
        root = site.root().display(),
    )
}

fn server(site: &Site, public: SocketAddr) -> String {
    format!(
        r#"{application}  server {{
    listen {public} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate "{certificate}";
    ssl_certificate_key "{key}";
    ssl_client_certificate "{root}";
    ssl_verify_client on;
    location / {{ proxy_pass http://application; }}
  }}
"#,
        application = upstream("application", site.backend, site),
        certificate = site.certificate("backend").display(),
        key = site.key("backend").display(),
        root = site.root().display(),
    )
}

fn upstream(name: &str, address: SocketAddr, site: &Site) -> String {
    let keep = site.connections;
    format!(
        r#"  upstream {name} {{
    server {address};
    keepalive {keep};
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
"#
    )
}

//! nginx: a master and two workers for each side.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Job, Peer, Protocol, Setup, Site, Topology, WORKERS, make_dir};
use crate::error::BenchError;
use crate::group::{Group, free_addresses};

/// Where Debian keeps the module that gateways need; elsewhere it is built in.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Starts all sides.
pub(super) fn start(program: &Path, site: &Site) -> Result<Setup, BenchError> {
    let [entry, public] = free_addresses()?;
    let side = |name: &str, blocks: &dyn Fn(&Path) -> String| {
        let dir = site.dir.join(format!("nginx-{name}"));
        make_dir(&dir)?;
        site.write(&dir.join("nginx.conf"), &format!("{}{}", whole(site, &dir), blocks(&dir)))?;
        let args: [OsString; 6] =
            ["-p".into(), dir.into(), "-c".into(), "nginx.conf".into(), "-e".into(), "stderr".into()];
        Group::start(&format!("nginx {name}"), program, &args, &site.dir)
    };
    let sides = match site.job.topology {
        Topology::Pair => {
            let server = side("server", &|dir| http(dir, &server(site, public)))?;
            vec![side("client", &|dir| http(dir, &client(site, entry, public)))?, server]
        }
        Topology::Hop => vec![side("proxy", &|dir| http(dir, &client(site, entry, site.backend[0])))?],
        Topology::Gateway => vec![side("gateway", &|_| gateway(site, entry))?],
    };
    Ok(Setup { peer: Peer::Nginx, entry, public, sides })
}

fn whole(site: &Site, dir: &Path) -> String {
    // Each downstream connection has one upstream; there are two workers to share them unevenly.
    let connections = site.connections * 4 + 64;
    let is_gateway = site.job.topology == Topology::Gateway;
    let module = (is_gateway && Path::new(STREAM).is_file()).then(|| format!("load_module {STREAM};\n"));
    format!(
        r#"{module}daemon off;
worker_processes {WORKERS};
worker_rlimit_nofile {connections};
pid "{dir}/nginx.pid";
error_log stderr crit;
events {{ worker_connections {connections}; }}
"#,
        module = module.unwrap_or_default(),
        dir = dir.display(),
    )
}

/// Answers that are read more slowly than they come would be written to a disk by default.
fn http(dir: &Path, servers: &str) -> String {
    let dir = dir.display();
    format!(
        r#"http {{
  access_log off;
  client_body_temp_path "{dir}/body";
  proxy_temp_path "{dir}/proxy";
  fastcgi_temp_path "{dir}/fastcgi";
  uwsgi_temp_path "{dir}/uwsgi";
  scgi_temp_path "{dir}/scgi";
  proxy_max_temp_file_size 0;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
{servers}}}
"#
    )
}

/// The directive that passes requests on, and what it calls TLS and HTTP/2: nginx speaks HTTP/2 to upstreams for gRPC
/// alone.
fn module(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Grpc { "grpc" } else { "proxy" }
}

fn scheme(protocol: Protocol, tls: bool) -> &'static str {
    match (protocol, tls) {
        (Protocol::Grpc, true) => "grpcs",
        (Protocol::Grpc, false) => "grpc",
        (_, true) => "https",
        (_, false) => "http",
    }
}

fn client(site: &Site, entry: SocketAddr, next: SocketAddr) -> String {
    let Job { topology, protocol, .. } = site.job;
    let module = module(protocol);
    let is_pair = topology == Topology::Pair;
    let leg = if site.job.splits() { "$leg" } else { "stable" };
    let locations: String = site
        .job
        .prefixes()
        .iter()
        .map(|prefix| {
            let scheme = scheme(protocol, is_pair);
            format!("    location {prefix} {{ {module}_pass {scheme}://{leg}; }}\n")
        })
        .collect();
    let split = r#"  split_clients "$connection:$connection_requests" $leg {
    90% stable;
    *   canary;
  }
"#;
    let tls = format!(
        r#"    {module}_ssl_protocols TLSv1.3;
    {module}_ssl_certificate "{certificate}";
    {module}_ssl_certificate_key "{key}";
    {module}_ssl_trusted_certificate "{root}";
    {module}_ssl_verify on;
    {module}_ssl_server_name on;
    {module}_ssl_name backend;
"#,
        certificate = site.certificate("web").display(),
        key = site.key("web").display(),
        root = site.root().display(),
    );
    format!(
        r#"{split}{stable}{canary}  server {{
    listen {entry}{http2};
{tls}{locations}    location / {{ return 404; }}
  }}
"#,
        split = if site.job.splits() { split } else { "" },
        stable = upstream("stable", next, site),
        canary = upstream("canary", next, site),
        http2 = http2(protocol),
        tls = if is_pair { &tls } else { "" },
    )
}

fn http2(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Grpc { " http2" } else { "" }
}

fn server(site: &Site, public: SocketAddr) -> String {
    let protocol = site.job.protocol;
    format!(
        r#"{application}  server {{
    listen {public} ssl{http2};
    ssl_protocols TLSv1.3;
    ssl_certificate "{certificate}";
    ssl_certificate_key "{key}";
    ssl_client_certificate "{root}";
    ssl_verify_client on;
    location / {{ {module}_pass {scheme}://application; }}
  }}
"#,
        application = upstream("application", site.backend[0], site),
        http2 = http2(protocol),
        certificate = site.certificate("backend").display(),
        key = site.key("backend").display(),
        root = site.root().display(),
        module = module(protocol),
        scheme = scheme(protocol, false),
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

fn gateway(site: &Site, entry: SocketAddr) -> String {
    format!(
        r#"stream {{
  map_hash_bucket_size 256;
  map $ssl_preread_server_name $application {{
    {sni} application;
  }}
  upstream application {{ server {backend}; }}
  server {{
    listen {entry};
    ssl_preread on;
    proxy_pass $application;
  }}
}}
"#,
        sni = site.sni(),
        backend = site.backend[1],
    )
}

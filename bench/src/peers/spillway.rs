//! Spillway: two sidecars of one configuration directory, or a gateway, with everything that they do switched on.
//!
//! Sidecars always speak TLS to each other: for a hop without it, the engine runs below [`crate::plain`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::{Job, Peer, Protocol, Setup, Site, Topology, WORKERS};
use crate::error::BenchError;
use crate::group::{Group, free_addresses};

/// Starts all sides: the sidecars of `web`, which asks, and of `backend`, or what takes their place.
pub(super) fn start(program: &Path, site: &Site) -> Result<Setup, BenchError> {
    let [entry, public, web, sidecar, client_admin, server_admin] = free_addresses()?;
    // Where callers of `backend` are sent, and what its own sidecar, if it has one, forwards to.
    let (listen, application) = match site.job.topology {
        Topology::Pair => (public, site.backend[0]),
        Topology::Hop => (site.backend[0], public),
        Topology::Gateway => (site.backend[1], public),
    };
    write_mesh(site, &services([entry, listen, web, sidecar], application), entry)?;
    let side = |what: &[&str], admin: SocketAddr| {
        let mut args: Vec<OsString> = what.iter().map(OsString::from).collect();
        args.extend(["--config-dir".into(), site.mesh().into()]);
        args.extend(["--workers", &WORKERS.to_string()].map(OsString::from));
        args.extend(["--admin-bind".into(), admin.to_string().into()]);
        args.extend(["--drain-time", "0s", "--log-level", "warn"].map(OsString::from));
        Group::start(&format!("spillway {}", what.join(" ")), program, &args, &site.dir)
    };
    let sides = match site.job.topology {
        Topology::Pair => {
            let server = side(&["sidecar", "--sidecar-for", "backend"], server_admin)?;
            vec![side(&["sidecar", "--sidecar-for", "web"], client_admin)?, server]
        }
        Topology::Hop => vec![crate::plain::start(site, entry)?],
        Topology::Gateway => vec![side(&["gateway"], client_admin)?],
    };
    Ok(Setup { peer: Peer::Spillway, entry, public, sides })
}

fn write_mesh(site: &Site, services: &str, entry: SocketAddr) -> Result<(), BenchError> {
    let is_gateway = site.job.topology == Topology::Gateway;
    let gateway = if is_gateway { gateway(entry) } else { String::new() };
    let mut files = vec![
        ("services.hcl", services.to_owned()),
        ("gateway.hcl", gateway),
        ("proxy-defaults.hcl", defaults(site.job)),
        ("service-intentions.hcl", INTENTIONS.to_owned()),
    ];
    if !is_gateway {
        files.push(("service-router.hcl", router(site.job)));
    }
    if site.job.splits() {
        files.extend([
            ("service-resolver.hcl", RESOLVER.to_owned()),
            ("service-splitter.hcl", SPLITTER.to_owned()),
        ]);
    }
    files.iter().try_for_each(|(file, contents)| site.write(&site.mesh().join(file), contents))
}

fn services([entry, listen, web, sidecar]: [SocketAddr; 4], application: SocketAddr) -> String {
    format!(
        r#"
services = [
  {{
    name    = "web"
    address = "127.0.0.1"
    port    = {web}
    connect {{
      sidecar_service {{
        port = {sidecar}
        proxy {{
          upstreams = [{{ destination_name = "backend", local_bind_port = {entry} }}]
        }}
      }}
    }}
  }},
  {{
    name    = "backend"
    address = "127.0.0.1"
    port    = {application}
    connect {{
      sidecar_service {{ port = {listen} }}
    }}
  }},
]
"#,
        web = web.port(),
        sidecar = sidecar.port(),
        entry = entry.port(),
        application = application.port(),
        listen = listen.port(),
    )
}

fn gateway(entry: SocketAddr) -> String {
    format!(
        r#"
service {{
  kind    = "mesh-gateway"
  name    = "mesh-gateway"
  address = "{}"
  port    = {}
}}
"#,
        entry.ip(),
        entry.port()
    )
}

fn defaults(job: Job) -> String {
    let protocol = match (job.topology, job.protocol) {
        (Topology::Gateway, _) => "tcp",
        (_, Protocol::Http) => "http",
        (_, Protocol::Http2) => "http2",
        (_, Protocol::Grpc) => "grpc",
    };
    format!("Kind = \"proxy-defaults\"\nName = \"global\"\nConfig {{ protocol = \"{protocol}\" }}\n")
}

/// Two names of the same instances.
const RESOLVER: &str = r#"
Kind = "service-resolver"
Name = "backend"
DefaultSubset = "stable"
Subsets = {
  stable = {}
  canary = {}
}
"#;

const SPLITTER: &str = r#"
Kind = "service-splitter"
Name = "backend"
Splits = [
  { Weight = 90, ServiceSubset = "stable" },
  { Weight = 10, ServiceSubset = "canary" },
]
"#;

const INTENTIONS: &str = r#"
Kind = "service-intentions"
Name = "backend"
Sources = [{ Name = "web", Action = "allow" }]
"#;

fn router(job: Job) -> String {
    let routes: String = job
        .prefixes()
        .iter()
        .map(|prefix| {
            format!("  {{ Match {{ HTTP {{ PathPrefix = \"{prefix}\" }} }}, Destination {{ Service = \"backend\" }} }},\n")
        })
        .collect();
    format!("Kind = \"service-router\"\nName = \"backend\"\nRoutes = [\n{routes}]\n")
}

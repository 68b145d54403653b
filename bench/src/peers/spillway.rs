//! Spillway: two sidecars of one configuration directory, with everything that a sidecar does switched on.

use std::ffi::OsString;
use std::path::Path;

use super::{PREFIXES, Pair, Peer, Site, WORKERS};
use crate::error::BenchError;
use crate::group::{Group, free_addresses};

/// Starts the sidecar of `web`, which asks, and that of `backend`.
pub(super) fn start(program: &Path, site: &Site) -> Result<Pair, BenchError> {
    let [entry, public, web, sidecar, client_admin, server_admin] = free_addresses()?;
    let services = format!(
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
    port    = {backend}
    connect {{
      sidecar_service {{ port = {public} }}
    }}
  }},
]
"#,
        web = web.port(),
        sidecar = sidecar.port(),
        entry = entry.port(),
        backend = site.backend.port(),
        public = public.port(),
    );
    let mesh = site.mesh();
    for (file, contents) in [
        ("services.hcl", services),
        ("proxy-defaults.hcl", DEFAULTS.to_owned()),
        ("service-resolver.hcl", RESOLVER.to_owned()),
        ("service-splitter.hcl", SPLITTER.to_owned()),
        ("service-router.hcl", router()),
        ("service-intentions.hcl", INTENTIONS.to_owned()),
    ] {
        site.write(&mesh.join(file), &contents)?;
    }
    let side = |service: &str, admin: u16| {
        let mut args: Vec<OsString> = vec!["sidecar".into(), "--config-dir".into(), mesh.clone().into()];
        args.extend(["--sidecar-for", service, "--workers", &WORKERS.to_string()].map(OsString::from));
        args.extend(["--admin-bind".into(), format!("127.0.0.1:{admin}").into()]);
        args.extend(["--drain-time", "0s", "--log-level", "warn"].map(OsString::from));
        Group::start(&format!("spillway sidecar {service}"), program, &args, &site.dir)
    };
    let server = side("backend", server_admin.port())?;
    let client = side("web", client_admin.port())?;
    Ok(Pair { peer: Peer::Spillway, entry, client, server })
}

const DEFAULTS: &str = r#"
Kind = "proxy-defaults"
Name = "global"
Config { protocol = "http" }
"#;

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

fn router() -> String {
    let routes: String = PREFIXES
        .iter()
        .map(|prefix| {
            format!("  {{ Match {{ HTTP {{ PathPrefix = \"{prefix}\" }} }}, Destination {{ Service = \"backend\" }} }},\n")
        })
        .collect();
    format!("Kind = \"service-router\"\nName = \"backend\"\nRoutes = [\n{routes}]\n")
}

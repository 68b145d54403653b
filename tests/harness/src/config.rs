//! A cluster on disk: the files that an operator would write, with the ports that were free.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use spillway_certs::Ca;
use spillway_core::entry::CaConfig;

use crate::builder::InstanceBuilder;
use crate::entry::Entry;

/// The configuration directory of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct ConfigDir {
    pub(crate) path: PathBuf,
}

impl ConfigDir {
    /// A cluster with a CA and nothing else.
    pub(crate) fn new(root: &Path, cluster: &str) -> Self {
        let dir = Self { path: root.join(cluster) };
        dir.write("agent.hcl", &format!("datacenter = \"{cluster}\"\n"));
        let trust_domain = format!("{cluster}.test").parse().unwrap_or_else(|error| panic!("{error}"));
        let made = Ca::init(&dir.path, Some(trust_domain), &CaConfig::default());
        made.unwrap_or_else(|error| panic!("{error}"));
        dir
    }

    /// Puts a file in place at once, as editors and operators do that mean well.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        let directory = path.parent().unwrap_or(&self.path);
        let temporary = directory.join(".new");
        let written = fs::create_dir_all(directory)
            .and_then(|()| fs::write(&temporary, text))
            .and_then(|()| fs::rename(&temporary, &path));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub(crate) fn write_entry(&self, entry: &Entry) {
        self.write(&entry.file_name(), &entry.text);
    }
}

/// Where an instance listens: what its registration says besides its builder.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) builder: InstanceBuilder,
    pub(crate) app: SocketAddr,
    pub(crate) sidecar: SocketAddr,
    /// By name of the upstream.
    pub(crate) upstreams: BTreeMap<String, SocketAddr>,
}

impl Registration {
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.builder.service, self.builder.index)
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}.hcl", self.id())
    }

    pub(crate) fn text(&self) -> String {
        let Self { builder, app, sidecar, upstreams } = self;
        let mut upstreams_text = String::new();
        for (name, address) in upstreams {
            let (name, peer) = name.split_once('.').unwrap_or((name, ""));
            let bind = match builder.upstream_sockets.get(name) {
                Some(path) => format!("local_bind_socket_path = \"{}\"", path.display()),
                None => format!(
                    "local_bind_address = \"{}\"\n          local_bind_port    = {}",
                    address.ip(),
                    address.port()
                ),
            };
            // Writing to a String cannot fail.
            let _ = write!(
                upstreams_text,
                r#"
        {{
          destination_name   = "{name}"
          destination_peer   = "{peer}"
          {bind}
          config {{
{}
          }}
        }},"#,
                builder.upstream_config
            );
        }
        let meta: String =
            builder.meta.iter().map(|(key, value)| format!("\n    {key} = \"{value}\"")).collect();
        let datacenter = builder.datacenter.as_ref().map(|it| format!("\n  datacenter = \"{it}\""));
        let app_socket = builder.app_socket.as_ref();
        let app_socket =
            app_socket.map(|path| format!("\n        local_service_socket_path = \"{}\"", path.display()));
        format!(
            r#"service {{
  name    = "{service}"
  id      = "{id}"{datacenter}
  address = "{host}"
  port    = {app_port}
  meta {{{meta}
  }}
  checks = [
{checks}  ]
  connect {{
    sidecar_service {{
      port = {sidecar_port}
      proxy {{
        local_service_address = "{host}"{app_socket}
        config {{
{proxy_config}
        }}
        upstreams = [{upstreams_text}
        ]
      }}
    }}
  }}
}}
"#,
            service = builder.service,
            id = self.id(),
            datacenter = datacenter.unwrap_or_default(),
            host = app.ip(),
            app_port = app.port(),
            checks = builder.checks.replace("APP", &app.to_string()),
            sidecar_port = sidecar.port(),
            proxy_config = builder.proxy_config,
            app_socket = app_socket.unwrap_or_default(),
        )
    }
}

/// The registration of a mesh gateway.
pub(crate) fn gateway_text(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        r#"service {{
  kind    = "mesh-gateway"
  name    = "mesh-gateway"
  address = "{host}"
  port    = {port}
  tagged_addresses {{
    lan = {{ address = "{host}", port = {port} }}
    wan = {{ address = "{host}", port = {port} }}
  }}
}}
"#
    )
}

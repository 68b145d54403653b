//! The mesh of a soak: its files, and the sidecars as processes that can be killed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{io, process};

use spillway_certs::Ca;
use spillway_core::entry::CaConfig;

use super::ledger::RETRIES;
use crate::error::BenchError;
use crate::group::free_ports;

/// Where one instance listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// What it is registered with.
    pub(crate) link: SocketAddr,
    /// What its sidecar is bound to.
    pub(crate) public: SocketAddr,
    /// Its application.
    pub(crate) app: SocketAddr,
}

/// A mesh on disk and its sidecars.
#[derive(Debug)]
pub(crate) struct Mesh {
    dir: PathBuf,
    spillway: PathBuf,
    /// Where the client sidecar listens.
    pub(crate) entry: SocketAddr,
    pub(crate) places: Vec<Place>,
    /// Those of the instances, and then the client's.
    sidecars: Vec<Option<Child>>,
}

impl Mesh {
    /// Writes everything and starts every sidecar. They listen a little later.
    pub(crate) fn start(dir: &Path, spillway: &Path, instances: usize) -> Result<Self, BenchError> {
        let failed = |source| BenchError::io("lay out the mesh", source);
        let free = free_ports(own_host(), 3 * instances + 1).map_err(failed)?;
        let place = |at: usize| Place { link: free[3 * at], public: free[3 * at + 1], app: free[3 * at + 2] };
        let mut mesh = Self {
            dir: dir.to_owned(),
            spillway: spillway.to_owned(),
            entry: free[3 * instances],
            places: (0..instances).map(place).collect(),
            sidecars: (0..=instances).map(|_| None).collect(),
        };
        Ca::init(dir, None, &CaConfig::default())?;
        mesh.write_files().map_err(failed)?;
        (0..=instances).try_for_each(|at| mesh.start_sidecar(at).map_err(failed))?;
        Ok(mesh)
    }

    fn write_files(&self) -> io::Result<()> {
        for (at, place) in self.places.iter().enumerate() {
            fs::write(self.dir.join(format!("api-{at}.hcl")), instance(at, *place))?;
        }
        fs::write(self.dir.join("web.hcl"), client(self.entry))?;
        fs::write(self.dir.join("entries.json"), entries())
    }

    /// Starts the sidecar of an instance, or with the number after the last the client's.
    pub(crate) fn start_sidecar(&mut self, at: usize) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.log_file(at))?;
        let mut command = Command::new(&self.spillway);
        command.args(["sidecar", "--sidecar-for", &self.id(at), "--workers", "1", "--drain-time", "0s"]);
        command.args(["--log-level", "info", "--admin-bind", "127.0.0.1:0"]);
        // An admin port at the instances' address could be one that an instance has just given up.
        command.arg("--config-dir").arg(&self.dir);
        // It ends with this process, however that does.
        command.env("SPILLWAY_DEMO_PARENT", process::id().to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.sidecars[at] = Some(command.spawn()?);
        Ok(())
    }

    /// Kills one as `kill -9` does.
    pub(crate) fn kill_sidecar(&mut self, at: usize) -> io::Result<()> {
        let Some(mut sidecar) = self.sidecars[at].take() else { return Ok(()) };
        sidecar.kill()?;
        sidecar.wait().map(drop)
    }

    /// What is wrong with the sidecars now that all should run: those that ended, and what panicked.
    pub(crate) fn faults(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        for at in 0..self.sidecars.len() {
            match self.sidecars[at].as_mut().map(Child::try_wait) {
                Some(Ok(None)) => {}
                ended => {
                    let said = self.log_of(at);
                    let last = said.lines().last().unwrap_or_default();
                    faults.push(format!("sidecar {at} does not run: {ended:?}, {last}"));
                }
            }
        }
        for at in 0..self.sidecars.len() {
            let said = self.log_of(at);
            let panics = said.lines().filter(|line| line.contains("panicked"));
            faults.extend(panics.map(|line| format!("sidecar {at}: {line}")));
        }
        faults
    }

    /// Everything that a sidecar has said in all its lives.
    pub(crate) fn log_of(&self, at: usize) -> String {
        fs::read_to_string(self.log_file(at)).unwrap_or_default()
    }

    fn log_file(&self, at: usize) -> PathBuf {
        self.dir.join(format!("{}.log", self.id(at)))
    }

    fn id(&self, at: usize) -> String {
        if at < self.places.len() { format!("api-{at}") } else { "web".to_owned() }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // A killed process ends; there is nobody to tell if it could not be waited for.
        (0..self.sidecars.len()).for_each(|at| drop(self.kill_sidecar(at)));
    }
}

/// A loopback address that no other process is likely to have.
fn own_host() -> Ipv4Addr {
    Ipv4Addr::from_bits(0x7f80_0000 | process::id() & 0x003f_ffff)
}

fn instance(at: usize, place: Place) -> String {
    format!(
        r#"service {{
  name    = "api"
  id      = "api-{at}"
  address = "{host}"
  port    = {app}
  connect {{
    sidecar_service {{
      port = {link}
      proxy {{
        local_service_address = "{host}"
        config {{ bind_port = {public} }}
      }}
    }}
  }}
}}
"#,
        host = place.link.ip(),
        app = place.app.port(),
        link = place.link.port(),
        public = place.public.port(),
    )
}

/// Ejections are short, so that every instance fails often enough. The time to connect is longer than any fault: only a
/// machine that is too busy to shake hands could use it up, and then the steady instance would be ejected.
fn client(entry: SocketAddr) -> String {
    format!(
        r#"service {{
  name    = "web"
  address = "{host}"
  port    = 1
  connect {{
    sidecar_service {{
      port = 2
      proxy {{
        upstreams = [{{
          destination_name   = "api"
          local_bind_address = "{host}"
          local_bind_port    = {port}
          config {{
            connect_timeout_ms = 5000
            passive_health_check {{ base_ejection_time = "50ms" }}
          }}
        }}]
      }}
    }}
  }}
}}
"#,
        host = entry.ip(),
        port = entry.port(),
    )
}

fn entries() -> String {
    format!(
        r#"[
  {{ "Kind": "proxy-defaults", "Name": "global", "Config": {{ "protocol": "http" }} }},
  {{ "Kind": "service-router", "Name": "api", "Routes": [{{
    "Match": {{ "HTTP": {{ "PathPrefix": "/" }} }},
    "Destination": {{ "RequestTimeout": "1s", "NumRetries": {RETRIES}, "RetryOn": ["5xx", "reset"] }}
  }}] }}
]
"#
    )
}

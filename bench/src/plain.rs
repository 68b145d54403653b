//! The engine without TLS: one plaintext hop, to be compared with proxies that can do that.
//!
//! A sidecar never forwards in plaintext. This plane serves the chain of `backend` as a sidecar's upstream listener
//! does, with everything switched on, and takes only the TLS away from its targets.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spillway_certs::IdentitySource;
use spillway_core::breaker::Thresholds;
use spillway_core::chain::{Context, Overrides};
use spillway_core::endpoint::Address;
use spillway_core::entry::CaConfig;
use spillway_core::name::{ServiceName, SpiffeId};
use spillway_core::outlier::OutlierPolicy;
use spillway_core::pick::Resolver;
use spillway_core::problem::Problem;
use spillway_core::table::ServiceTable;
use spillway_proxy::assembly::{Recipe, Source};
use spillway_proxy::generation::Role;
use spillway_proxy::outbound::Outbound;
use spillway_proxy::process::{Assembly, Inputs, ListenerPlan, Plane, Process, ProcessOptions};
use spillway_proxy::sidecar::resolve;
use tokio::task::LocalSet;

use crate::error::BenchError;
use crate::group::Group;
use crate::peers::{Site, WORKERS};

/// Starts one in a process of its own.
pub(crate) fn start(site: &Site, entry: SocketAddr) -> Result<Group, BenchError> {
    let own = env::current_exe().map_err(|source| BenchError::io("find this program's own file", source))?;
    let args: [OsString; 4] =
        ["plain".into(), "--listen".into(), entry.to_string().into(), site.mesh().into()];
    Group::start("spillway engine", own, &args, &site.dir)
}

/// Serves until the process ends.
pub(crate) fn run(listen: SocketAddr, config_dir: PathBuf) -> Result<(), BenchError> {
    let failed = |source| BenchError::io("run the engine", source);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    LocalSet::new()
        .block_on(&runtime, async {
            let options = ProcessOptions {
                config_dirs: vec![config_dir.clone()],
                load: Default::default(),
                admin_bind: None,
                workers: WORKERS,
                drain_time: Duration::ZERO,
                identity: IdentitySource::Ca { config_dir, config: CaConfig::default() },
                inherited: HashMap::new(),
            };
            let process = Process::start(options, Box::new(Plain { listen }))?;
            process.run(std::future::pending()).await
        })
        .map_err(|error| failed(io::Error::other(error)))
}

/// One listener without TLS on either side.
struct Plain {
    listen: SocketAddr,
}

impl Plane for Plain {
    fn identity(&self, inputs: &Inputs) -> Result<SpiffeId, Vec<Problem>> {
        Ok(SpiffeId::service(&inputs.trust_domain, &inputs.config.agent.datacenter, &service("web")))
    }

    fn assemble(
        &mut self,
        inputs: &Inputs,
        assembly: &mut Assembly,
    ) -> Result<Vec<ListenerPlan>, Vec<Problem>> {
        let datacenter = inputs.config.agent.datacenter.clone();
        let context = Context {
            service: service("backend"),
            datacenter: datacenter.clone(),
            trust_domain: inputs.trust_domain.clone(),
            overrides: Overrides::default(),
        };
        let chain = assembly.chains.compile(&context);
        let chain =
            chain.map_err(|error| vec![Problem::error(&Default::default(), "", error.to_string())])?;
        let recipe = Recipe {
            source: Source::Chain(chain),
            datacenter,
            trust_domain: inputs.trust_domain.clone(),
            outlier: OutlierPolicy::default(),
            thresholds: Thresholds::UNLIMITED,
            exported: false,
        };
        let mut table = recipe.table(&inputs.catalog, &resolve, &mut assembly.endpoints);
        without_tls(&mut table);
        let slot = assembly.insert("plain", "upstream.backend", Role::Outbound, table);
        let identity = self.identity(inputs)?.to_string().into();
        Ok(vec![ListenerPlan {
            name: "plain".to_owned(),
            address: Address::Ip(self.listen),
            mode: None,
            serve: Arc::new(Outbound { slot, identity }),
        }])
    }
}

/// A table that was just built is nobody else's yet; behind a splitter, its legs would hold on to their resolvers.
fn without_tls(table: &mut ServiceTable) {
    let resolvers = table.resolvers.iter_mut().filter_map(Arc::get_mut);
    let targets = resolvers.flat_map(|Resolver { targets, .. }| targets.iter_mut());
    targets.filter_map(Arc::get_mut).for_each(|target| target.tls = None);
}

fn service(name: &str) -> ServiceName {
    name.parse().expect("a valid name")
}

//! `spillway chain`: a service's compiled discovery chain.

use std::path::PathBuf;
use std::time::Duration;

use spillway_certs::{Ca, CaError};
use spillway_core::chain::{Context, Overrides, compile, dot, json, text};
use spillway_core::entry::{MeshGatewayMode, Protocol};
use spillway_core::name::{Datacenter, ServiceName, TrustDomain};
use spillway_core::problem::Problem;

use super::Failure;
use super::config::ConfigDirs;
use super::long_running::parse_duration;

/// Show the compiled discovery chain of a service
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  spillway chain frontend --config-dir /etc/spillway --format json
  spillway chain frontend --config-dir /etc/spillway --format dot | dot -Tsvg > frontend.svg")]
pub(super) struct Args {
    /// The service, real or virtual
    service: ServiceName,
    #[command(flatten)]
    config: ConfigDirs,
    /// Compile it as in this datacenter [default: the configuration's]
    #[arg(long, value_name = "DC")]
    datacenter: Option<Datacenter>,
    /// Ends every server name [default: the CA's]
    #[arg(long, value_name = "TD")]
    trust_domain: Option<TrustDomain>,
    /// How it is printed; json has the shape of Consul's /v1/discovery-chain
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Compile it for a caller that speaks this: tcp, http, http2 or grpc
    #[arg(long, value_name = "PROTOCOL", value_parser = parse_protocol)]
    override_protocol: Option<Protocol>,
    /// Compile it for a caller that reaches other clusters so: none, local or remote
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    override_mesh_gateway: Option<MeshGatewayMode>,
    /// Compile it for a caller that waits so long to connect
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    override_connect_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Dot,
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    Protocol::named(text).ok_or_else(|| "is none of tcp, http, http2, grpc".to_owned())
}

fn parse_mode(text: &str) -> Result<MeshGatewayMode, String> {
    MeshGatewayMode::named(text).ok_or_else(|| "is none of none, local, remote".to_owned())
}

/// Compiles it and prints it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.config.read()?;
    let cx = Context {
        service: args.service.clone(),
        datacenter: args.datacenter.clone().unwrap_or(config.agent.datacenter),
        trust_domain: match &args.trust_domain {
            Some(given) => given.clone(),
            None => trust_domain(&args.config.dirs)?,
        },
        overrides: Overrides {
            protocol: args.override_protocol,
            connect_timeout: args.override_connect_timeout,
            mesh_gateway: args.override_mesh_gateway.unwrap_or_default(),
        },
    };
    let chain = compile(&config.entries, &cx).map_err(|error| {
        let entry = error.at_fault();
        let place = entry.place(&config.entries).cloned().unwrap_or_default();
        Failure::Problems(vec![Problem::error(&place, entry.to_string(), error.to_string())])
    })?;
    super::print(match args.format {
        Format::Text => text::draw(&chain).trim_end().to_owned(),
        Format::Json => format!("{:#}", json::to_value(&chain)),
        Format::Dot => dot::draw(&chain).trim_end().to_owned(),
    })
}

/// The trust domain of the CA in the first of `dirs` that has one; a cluster without a CA has one that no
/// certificate can have.
pub(super) fn trust_domain(dirs: &[PathBuf]) -> Result<TrustDomain, Failure> {
    for dir in dirs {
        match Ca::open(dir) {
            Ok(ca) => return Ok(ca.trust_domain().clone()),
            Err(CaError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(NO_CA.parse().expect("a UUID and .consul is a trust domain"))
}

/// Stands for the trust domain of a cluster that has no CA yet.
const NO_CA: &str = "00000000-0000-0000-0000-000000000000.consul";

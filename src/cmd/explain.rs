//! `spillway explain`: where a request would go, and why.

use std::net::IpAddr;

use spillway_core::explain::draw;
use spillway_core::name::{Datacenter, PeerName, ServiceName, SpiffeId, TrustDomain};
use spillway_proxy::http1::Malformed;
use spillway_proxy::process::Inputs;
use spillway_proxy::sidecar::explain::{Asked, Asking};

use super::Failure;
use super::chain::trust_domain;
use super::config::ConfigDirs;

/// Show where a request to a service would go, and why
///
/// Route, leg, target, failover order and endpoints as the data plane itself decides them; why each earlier route did
/// not match; the request as it would leave; and for every value in force the entry and field that set it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spillway explain frontend /admin/users -X POST -H 'x-canary: 1' --config-dir /etc/spillway"
)]
pub(super) struct Args {
    /// The service, real or virtual; SERVICE.PEER.peer is the service of a peer
    service: ServiceName,
    /// Path and query of the request
    #[arg(default_value = "/", value_parser = parse_path)]
    path: String,
    #[command(flatten)]
    config: ConfigDirs,
    /// The request's method
    #[arg(short = 'X', long = "request", value_name = "METHOD", default_value = "GET", value_parser = parse_method)]
    method: String,
    /// One of the request's headers; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// As the upstream of this instance's sidecar, overrides included [default: of the only sidecar that has it]
    #[arg(long, value_name = "ID")]
    sidecar_for: Option<String>,
    /// The service of this peer, as an upstream with destination_peer reaches it
    #[arg(long, value_name = "NAME", conflicts_with = "datacenter")]
    peer: Option<PeerName>,
    /// Compile the chain as in this datacenter [default: the configuration's]
    #[arg(long, value_name = "DC")]
    datacenter: Option<Datacenter>,
    /// Ends every server name [default: the CA's]
    #[arg(long, value_name = "TD")]
    trust_domain: Option<TrustDomain>,
    /// Where the connection comes from, for what goes by source address
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Who asks, for what goes by caller [default: the service that the sidecar stands beside]
    #[arg(long, value_name = "SPIFFE-ID")]
    identity: Option<SpiffeId>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn parse_path(text: &str) -> Result<String, Malformed> {
    Asked::new("GET", text, &[], "host").map(|_| text.to_owned())
}

fn parse_method(text: &str) -> Result<String, Malformed> {
    Asked::new(text, "/", &[], "host").map(|_| text.to_owned())
}

/// `Name: value`, as curl takes it.
fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("is no header such as 'x-user: 7'")?;
    let header = [(name.trim().to_owned(), value.trim().to_owned())];
    Asked::new("GET", "/", &header, "host").map_err(|error| error.to_string())?;
    let [header] = header;
    Ok(header)
}

/// `SERVICE.PEER.peer`, as annotations write it. A service may have dots in its name, so this form wins over one that
/// is called so.
fn at_peer(written: &ServiceName) -> Option<(ServiceName, PeerName)> {
    let (service, peer) = written.as_str().strip_suffix(".peer")?.rsplit_once('.')?;
    Some((service.parse().ok()?, peer.parse().ok()?))
}

/// Explains the request and prints it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let (service, peer) = match at_peer(&args.service) {
        Some((service, peer)) if args.peer.is_none() => (service, Some(peer)),
        _ => (args.service, args.peer),
    };
    let request =
        Asked::new(&args.method, &args.path, &args.headers, service.as_str()).map_err(Failure::Request)?;
    let trust_domain = match args.trust_domain {
        Some(given) => given,
        None => trust_domain(&args.config.dirs)?,
    };
    let inputs = Inputs::read_with(&args.config.dirs, &trust_domain, args.config.options())
        .map_err(Failure::Problems)?;
    let asking = Asking {
        service,
        peer,
        sidecar_for: args.sidecar_for,
        datacenter: args.datacenter,
        source: args.source,
        identity: args.identity,
        request,
        config_dir: args.config.first().to_owned(),
    };
    let said = asking.explain(&inputs).map_err(|problem| Failure::Problems(vec![problem]))?;
    super::print(match args.format {
        Format::Text => draw(&said).trim_end().to_owned(),
        Format::Json => format!("{:#}", said.to_value()),
    })
}

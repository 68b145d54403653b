//! `spillway ca`: the built-in CA of a cluster.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Subcommand;
use serde_json::json;
use spillway_certs::ca::{Ca, Root};
use spillway_certs::{KeyType, pem, store};
use spillway_core::entry::{AgentSettings, CaConfig};
use spillway_core::name::{Datacenter, ServiceName, SpiffeId, TrustDomain};
use time::OffsetDateTime;

use super::Failure;
use super::config::{self, ConfigDir};
use super::long_running::parse_duration;

/// Make and run the certificate authority of a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spillway ca init --config-dir /etc/spillway")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and a root in DIR/ca
    #[command(
        after_help = "Example:\n  spillway ca init --config-dir /etc/spillway --trust-domain prod.example"
    )]
    Init {
        #[command(flatten)]
        config: ConfigDir,
        /// The trust domain that it vouches for [default: UUID.consul]
        #[arg(long, value_name = "TD")]
        trust_domain: Option<TrustDomain>,
    },
    /// Issue a certificate for a workload on a host that has no CA key
    #[command(
        after_help = "Example:\n  spillway ca issue --config-dir /etc/spillway --service web --out ./certs"
    )]
    Issue(Issue),
    /// Make a new root; the old one stays trusted while certificates of it can live
    #[command(after_help = "Example:\n  spillway ca rotate --config-dir /etc/spillway")]
    Rotate {
        #[command(flatten)]
        config: ConfigDir,
        /// Distrust all older roots at once, without making a new one: after a key was stolen and replaced
        #[arg(long)]
        forget_older: bool,
    },
    /// Show the trust domain and the roots that are trusted
    #[command(after_help = "Example:\n  spillway ca show --config-dir /etc/spillway --format json")]
    Show {
        #[command(flatten)]
        config: ConfigDir,
        /// How it is printed
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
}

#[derive(Debug, clap::Args)]
struct Issue {
    #[command(flatten)]
    config: ConfigDir,
    /// For the instances of this service
    #[arg(long, value_name = "NAME", required_unless_present = "mesh_gateway")]
    service: Option<ServiceName>,
    /// For the cluster's mesh gateways
    #[arg(long, conflicts_with = "service")]
    mesh_gateway: bool,
    /// Where it runs [default: the configuration's]
    #[arg(long, value_name = "DC")]
    datacenter: Option<Datacenter>,
    /// How long it is valid [default: the configuration's leaf_cert_ttl, else 72h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// Where NAME.pem, NAME-key.pem and trust-bundle.pem are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Does it and prints what came of it.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let said = match args.command {
        Command::Init { config, trust_domain } => {
            text(&Ca::init(&config.dir, trust_domain, &ca_config(&config.dir)?)?)
        }
        Command::Issue(args) => issue(&args)?,
        Command::Rotate { config, forget_older: true } => text(&Ca::forget_older(&config.dir)?),
        Command::Rotate { config, forget_older: false } => {
            text(&Ca::rotate(&config.dir, &ca_config(&config.dir)?)?)
        }
        Command::Show { config, format: Format::Text } => text(&Ca::open(&config.dir)?),
        Command::Show { config, format: Format::Json } => format!("{:#}", json(&Ca::open(&config.dir)?)),
    };
    super::print(said)
}

/// The agent's settings; a directory that is not there yet has the defaults.
fn settings(dir: &Path) -> Result<Option<AgentSettings>, Failure> {
    if dir.exists() { Ok(Some(config::read(&[dir.to_owned()])?.agent)) } else { Ok(None) }
}

fn ca_config(dir: &Path) -> Result<CaConfig, Failure> {
    Ok(settings(dir)?.map(|agent| agent.ca).unwrap_or_default())
}

fn issue(args: &Issue) -> Result<String, Failure> {
    let agent = config::read(std::slice::from_ref(&args.config.dir))?.agent;
    let ca = Ca::open(&args.config.dir)?;
    let datacenter = args.datacenter.as_ref().unwrap_or(&agent.datacenter);
    let (name, id) = match &args.service {
        Some(service) => (service.as_str(), SpiffeId::service(ca.trust_domain(), datacenter, service)),
        None => ("mesh-gateway", SpiffeId::mesh_gateway(ca.trust_domain(), datacenter)),
    };
    let ttl = args.ttl.or(agent.ca.leaf_ttl).unwrap_or(spillway_certs::ca::LEAF_TTL);
    let leaf = ca.issue(&id, ttl, KeyType::from_config(&agent.ca).map_err(spillway_certs::CaError::from)?)?;
    std::fs::create_dir_all(&args.out)
        .map_err(|source| Failure::Io { what: format!("create {}", args.out.display()), source })?;
    let certificate = args.out.join(format!("{name}.pem"));
    let key = args.out.join(format!("{name}-key.pem"));
    let bundle = args.out.join("trust-bundle.pem");
    leaf.save(&certificate, &key)?;
    store::write_atomic(&bundle, pem::encode_certificates(&ca.roots()).as_bytes(), store::PUBLIC)?;
    Ok(format!(
        "{id}, valid until {}\n  --leaf-cert {}\n  --leaf-key {}\n  --trust-bundle {}",
        utc(leaf.info().not_after),
        certificate.display(),
        key.display(),
        bundle.display()
    ))
}

fn text(ca: &Ca) -> String {
    let roots = ca.show().iter().enumerate().map(|(at, Root { path, info, .. })| {
        let role = match (at, ca.can_issue()) {
            (0, true) => "signs",
            (0, false) => "signs elsewhere: its key is not on this host",
            _ => "still trusted",
        };
        let (from, until) = (utc(info.not_before), utc(info.not_after));
        let path = path.display();
        format!("\nRoot: {path} ({role})\n  valid {from} to {until}\n  SHA-256 {}", info.fingerprint)
    });
    format!("Trust domain: {}{}", ca.trust_domain(), roots.collect::<String>())
}

fn json(ca: &Ca) -> serde_json::Value {
    let roots: Vec<_> = ca.show().iter().map(root_json).collect();
    json!({ "TrustDomain": ca.trust_domain().as_str(), "Roots": roots })
}

fn root_json(root: &Root) -> serde_json::Value {
    json!({
        "Path": root.path,
        "Subject": root.info.subject,
        "SerialNumber": root.info.serial,
        "NotBefore": utc(root.info.not_before),
        "NotAfter": utc(root.info.not_after),
        "Fingerprint": root.info.fingerprint,
        "RootCert": pem::encode_certificates(std::slice::from_ref(&root.certificate)),
    })
}

/// A moment as RFC 3339 has it, in UTC.
fn utc(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let (hour, minute, second) = at.to_hms();
    let (year, month, day) = at.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_printed_in_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400 + 3_661);
        assert_eq!(utc(at), "2000-02-29T01:01:01Z");
    }
}

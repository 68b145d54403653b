//! What the long-running commands share: their flags, their log, how they start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spillway_certs::IdentitySource;
use spillway_core::duration;
use spillway_proxy::process::{self, Plane, ProcessOptions};
use tracing_subscriber::EnvFilter;

use super::Failure;
use super::config::ConfigDirs;

/// Flags that sidecar and gateway share.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub(super) config: ConfigDirs,
    /// Where the admin API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:19000")]
    admin_bind: SocketAddr,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// How long requests in flight may take to finish when told to stop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    drain_time: Duration,
    /// What is logged: trace, debug, info, warn, error, off, or by module as in info,spillway_proxy=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = parse_level)]
    log_level: String,
    /// How it is logged, on stderr
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// This workload's certificate with its chain, PEM, when others issue it
    #[arg(long, value_name = "FILE", requires_all = ["leaf_key", "trust_bundle"])]
    leaf_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires_all = ["leaf_cert", "trust_bundle"])]
    leaf_key: Option<PathBuf>,
    /// The roots of its trust domain, PEM
    #[arg(long, value_name = "FILE", requires_all = ["leaf_cert", "leaf_key"])]
    trust_bundle: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A Go duration that is not negative.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed = duration::parse(text).map_err(|error| error.to_string())?;
    signed.to_duration().ok_or_else(|| "is negative".to_owned())
}

fn parse_level(text: &str) -> Result<String, String> {
    // A bare word is a level; the filter alone would take any word for the name of a module.
    let bare = text.chars().all(char::is_alphanumeric);
    if bare && text.parse::<tracing_subscriber::filter::LevelFilter>().is_err() {
        return Err("is none of trace, debug, info, warn, error, off".to_owned());
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Starts `plane` as a process of its own and serves until it is told to stop.
pub(super) fn serve(flags: Flags, plane: impl Plane) -> Result<(), Failure> {
    flags.start_log();
    raise_descriptors();
    let options = flags.into_options()?;
    Ok(process::run(options, Box::new(plane))?)
}

/// Takes as many descriptors as are allowed: the lower limit is for programs that cannot count beyond 1024.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, limit = limit.current, "cannot raise the number of descriptors");
    }
}

impl Flags {
    fn start_log(&self) {
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(&self.log_level))
            .with_writer(io::stderr)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
    }

    fn into_options(self) -> Result<ProcessOptions, Failure> {
        let identity = match (self.leaf_cert, self.leaf_key, self.trust_bundle) {
            (Some(certificate), Some(key), Some(bundle)) => {
                IdentitySource::Files { certificate, key, bundle }
            }
            _ => {
                let config = self.config.read()?.agent.ca;
                IdentitySource::Ca { config_dir: self.config.first().to_owned(), config }
            }
        };
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(ProcessOptions {
            load: self.config.options(),
            config_dirs: self.config.dirs,
            admin_bind: Some(self.admin_bind),
            workers: self.workers.map_or_else(cores, NonZeroUsize::get),
            drain_time: self.drain_time,
            identity,
            inherited: Default::default(),
        })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drain_times_are_gos_durations_and_not_negative() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        for text in ["-1s", "30", ""] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn log_levels_are_words_or_filters() {
        for (text, valid) in [
            ("info", true),
            ("off", true),
            ("info,spillway_proxy=debug", true),
            ("loud", false),
            ("a=loud", false),
        ] {
            assert_eq!(parse_level(text).is_ok(), valid, "{text}");
        }
    }
}

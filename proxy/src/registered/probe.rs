//! One run of one registered check: what it finds, in Consul's terms.

use std::io;

use spillway_core::entry::{Check, HealthStatus};

use super::connect::connect;
use super::{grpc, http};

/// What a run finds.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) status: HealthStatus,
    /// In words, for the log.
    pub(super) why: String,
}

impl Finding {
    pub(super) fn new(status: HealthStatus, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// Runs a check once. The caller limits its time.
pub(super) async fn run(check: &Check) -> Finding {
    let found = match (&check.http, &check.tcp, &check.grpc) {
        (Some(url), ..) => http::run(url, check).await,
        (None, Some(address), _) => tcp(address, check).await,
        (None, None, Some(target)) => grpc::run(target, check).await,
        (None, None, None) => Ok(Finding::new(HealthStatus::Passing, "nothing to run")),
    };
    found.unwrap_or_else(|error| Finding::new(HealthStatus::Critical, error.to_string()))
}

/// Whoever accepts a connection (and shakes hands, where TLS is asked for) is well.
async fn tcp(address: &str, check: &Check) -> io::Result<Finding> {
    connect(address, check.use_tls.then_some(&[]), check).await?;
    Ok(Finding::new(HealthStatus::Passing, format!("{address} accepts connections")))
}

//! What is noted of a connection of opaque bytes, and the line at its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use spillway_core::endpoint::Address;
use spillway_core::name::ServiceName;
use spillway_core::pick::Pick;

use super::{Record, connection};
use crate::dial::DialError;
use crate::downstream::Facts;
use crate::pool::Upstream;
use crate::refusal::Refusal;
use crate::relay::Copied;
use crate::stream::Stream;
use crate::worker::Worker;

/// What is noted of a connection on its way. It outlives the tables that it was placed by, and holds nothing of them.
pub(crate) struct Relayed {
    begun: Instant,
    service: ServiceName,
    /// The target, its cluster and the endpoint that were tried last.
    tried: Option<(String, Arc<str>, Address)>,
    attempts: u64,
    upstream_failure: Option<String>,
    upstream_local: Option<SocketAddr>,
}

impl Relayed {
    /// A connection to `service` begins.
    pub(crate) fn begin(service: &ServiceName) -> Self {
        Self {
            begun: Instant::now(),
            service: service.clone(),
            tried: None,
            attempts: 0,
            upstream_failure: None,
            upstream_local: None,
        }
    }

    /// An attempt begins.
    pub(crate) fn tries(&mut self, pick: &Pick<'_>) {
        let target = pick.target;
        self.tried =
            Some((target.id.to_string(), Arc::clone(&target.cluster), pick.endpoint.address.clone()));
        self.attempts += 1;
    }

    /// It failed.
    pub(crate) fn failed(&mut self, error: &DialError) {
        self.upstream_failure = Some(error.to_string());
    }

    /// It succeeded.
    pub(crate) fn connected(&mut self, upstream: &Upstream) {
        self.upstream_local = upstream.local();
    }

    /// The connection has ended, or came to nothing: writes its line.
    pub(crate) fn end(
        &self,
        worker: &Worker,
        facts: &Facts,
        stream: &Stream,
        ended: &Result<(Copied, io::Result<()>), Refusal>,
    ) {
        connection(worker, || {
            let ends = facts.ends(stream);
            let mut record = Record {
                lasted: self.begun.elapsed(),
                service: Some(self.service.as_str()),
                attempts: Some(self.attempts),
                upstream_failure: self.upstream_failure.as_deref(),
                upstream_local: self.upstream_local,
                ..Record::new(ends, SystemTime::now())
            };
            record.downstream(facts, ends);
            if let Some((target, cluster, endpoint)) = &self.tried {
                record.target = Some(target);
                record.cluster = Some(cluster);
                record.endpoint = Some(endpoint);
            }
            match ended {
                Ok((copied, result)) => {
                    (record.received, record.sent) = (copied.up, copied.down);
                    record.reason = result.as_ref().err().map(|error| error as _);
                }
                Err(refusal) => {
                    record.flag = Some(refusal.flag());
                    record.reason = Some(refusal);
                }
            }
            record
        });
    }
}

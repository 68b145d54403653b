//! What is noted of a request on its way, and the line at its end.

use std::fmt::{self, Display, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use spillway_core::endpoint::Endpoint;
use spillway_core::pick::{Pick, Target};
use spillway_core::table::Decision;

use super::record::{Notes, RouteName};
use super::{AccessLog, Ends, Record};
use crate::forward::{Answer, Exchange, Failure};
use crate::generation::Service;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// What is noted of a request on its way; nothing when logs are off.
pub(crate) struct Story<'s> {
    log: Option<&'s AccessLog>,
    begun: Instant,
    /// What was tried last, and when that began.
    tried: Option<(&'s Target, &'s Endpoint, Instant)>,
    attempts: u64,
    upstream_failure: Option<String>,
    /// How long the answer's head took, and of that the upstream.
    answered: Option<(Duration, Duration)>,
    upstream_local: Option<SocketAddr>,
    headers: Notes,
}

/// How a request ended.
pub(crate) enum Ended<'a> {
    /// An upstream answered, and so it was passed on.
    Answered(Answer, &'a Result<Option<u8>, Failure>),
    /// We answered.
    Refused(&'a Refusal),
    /// The downstream left before an answer.
    Left,
}

impl<'s> Story<'s> {
    /// The story of a request that began at `begun`.
    pub(crate) fn begin(log: Option<&'s Arc<AccessLog>>, begun: Instant) -> Self {
        Self {
            log: log.map(|log| &**log),
            begun,
            tried: None,
            attempts: 0,
            upstream_failure: None,
            answered: None,
            upstream_local: None,
            headers: Notes::default(),
        }
    }

    /// An attempt begins.
    pub(crate) fn tries(&mut self, pick: &Pick<'s>) {
        if self.log.is_some() {
            self.tried = Some((pick.target, pick.endpoint, Instant::now()));
            self.attempts += 1;
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        if let (Some(_), Failure::Dial(error)) = (self.log, failure) {
            self.upstream_failure = Some(error.to_string());
        }
    }

    /// The head of the answer that will be passed on is at hand.
    pub(crate) fn answered(&mut self, worker: &Worker, exchange: &mut impl Exchange) {
        let Some(log) = self.log else { return };
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then);
        self.answered = self.tried.map(|(_, _, began)| (since(self.begun), since(began)));
        self.upstream_local = exchange.upstream_local();
        let format = &log.settings.format;
        if !format.response_headers().is_empty() {
            self.headers = Notes::within(worker.buffers.output());
            format.response_headers().iter().for_each(|name| self.headers.add(exchange.answer_header(name)));
        }
        if !format.trailers().is_empty() {
            exchange.keep_trailers();
        }
    }

    /// The request has ended: writes its line.
    pub(crate) fn end(
        mut self,
        worker: &Worker,
        exchange: &impl Exchange,
        decided: Option<(&Service, &Decision<'_>)>,
        ended: &Ended<'_>,
    ) {
        let Some(log) = self.log else { return };
        let nowhere = Ends::default();
        let mut record = Record {
            lasted: self.begun.elapsed(),
            attempts: Some(self.attempts),
            upstream_local: self.upstream_local,
            upstream_failure: self.upstream_failure.as_deref(),
            answered: self.answered,
            headers: std::mem::take(&mut self.headers),
            ..Record::new(&nowhere, SystemTime::now())
        };
        if let Some((service, decision)) = decided {
            record.service = Some(service.table.service.as_str());
            record.route = decision.route_index.map(RouteName);
            record.rewrite = decision.route.rewrite.as_ref();
            let leg = decision.resolver.targets.first().filter(|_| decision.leg_index.is_some());
            record.leg = leg.map(|target| &target.id as &dyn Display);
        }
        if let Some((target, endpoint, _)) = self.tried {
            record.target = Some(&target.id);
            record.cluster = Some(&target.cluster);
            record.endpoint = Some(&endpoint.address);
        }
        exchange.tell(&mut record);
        let format = &log.settings.format;
        if !format.trailers().is_empty() {
            record.trailers = Notes::within(worker.buffers.output());
            format.trailers().iter().for_each(|name| record.trailers.add(exchange.trailer(name)));
        }
        ended.tell(&mut record);
        log.write(worker, &record);
        for notes in [record.headers, record.trailers] {
            notes.give_back(&worker.buffers);
        }
    }
}

impl<'a> Ended<'a> {
    fn tell(&'a self, record: &mut Record<'a>) {
        match self {
            Self::Answered(answer, passed_on) => {
                record.status = answer.status;
                record.grpc_status = answer.grpc_status;
                match passed_on {
                    Ok(trailing) => {
                        record.grpc_status = record.grpc_status.or(*trailing);
                        record.details = Some("via_upstream");
                    }
                    Err(failure) => {
                        let (flag, details) = cut_short(failure);
                        (record.flag, record.details) = (Some(flag), Some(details));
                        record.reason = Some(failure);
                    }
                }
            }
            Self::Refused(refusal) => {
                refused(record, refusal);
                let head = record.request.is_some_and(|it| it.head.is_head(it.buf));
                if !head && record.grpc_status.is_none() {
                    record.sent = own_answer(refusal);
                }
            }
            Self::Left => {
                (record.flag, record.details) = (Some("DC"), Some("downstream_remote_disconnect"));
                record.reason = Some(&Failure::Abandoned);
            }
        }
    }
}

/// Notes an answer of our own.
pub(super) fn refused<'a>(record: &mut Record<'a>, refusal: &'a Refusal) {
    record.status = refusal.status();
    record.flag = Some(refusal.flag());
    record.details = Some(details(refusal));
    record.reason = Some(refusal);
}

/// Envoy's words for why it gave an answer of its own.
fn details(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed { .. } => "malformed_request",
        Refusal::NoRoute => "route_not_found",
        Refusal::NoEndpoint { .. } => "no_healthy_upstream",
        Refusal::ConnectFailed { .. } => "upstream_reset_before_response_started{connection_failure}",
        Refusal::UpstreamClosed { .. } => "upstream_reset_before_response_started{connection_termination}",
        Refusal::UpstreamMalformed { .. } => "upstream_reset_before_response_started{protocol_error}",
        Refusal::Timeout { .. } => "response_timeout",
        Refusal::Overflow { .. } => "upstream_reset_before_response_started{overflow}",
        Refusal::RateLimited { .. } => "local_rate_limited",
        Refusal::Draining { .. } => "draining",
    }
}

/// Envoy's flag and words for an answer that had begun and did not arrive whole.
fn cut_short(failure: &Failure) -> (&'static str, &'static str) {
    match failure {
        Failure::Abandoned => ("DC", "downstream_remote_disconnect"),
        Failure::Draining { .. } => ("DC", "draining"),
        Failure::TimedOut { .. } | Failure::Unread => ("SI", "stream_idle_timeout"),
        Failure::Answer { .. } => ("UPE", "upstream_reset_after_response_started{protocol_error}"),
        Failure::Request { .. } => ("DPE", "malformed_request"),
        Failure::Closed { .. }
        | Failure::Dial(_)
        | Failure::Unprocessed { .. }
        | Failure::RefusedStream { .. }
        | Failure::Overflow { .. }
        | Failure::NoRoom { .. } => ("UC", "upstream_reset_after_response_started{connection_termination}"),
    }
}

/// How many bytes the body of an answer of our own has: its sentence, and the line's end.
pub(super) fn own_answer(refusal: &Refusal) -> u64 {
    struct Count(u64);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len() as u64;
            Ok(())
        }
    }
    let mut count = Count(1);
    // Counting cannot fail.
    let _ = write!(count, "{refusal}");
    count.0
}

//! The answers that Spillway makes itself: one enum, whose status and flag are the contract's table.

use std::fmt;

use spillway_core::breaker::Overflow;

use crate::http1::Reason;

/// Why a request gets an answer of our own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The request breaks HTTP.
    Malformed {
        /// What is wrong with it.
        reason: Reason,
    },
    /// No route, or the listener's upstream is gone from the configuration.
    NoRoute,
    /// No endpoint is available in any target.
    NoEndpoint {
        /// The primary target, and why it has none when that is known.
        target: String,
    },
    /// Every connection attempt failed; the last one's cause.
    ConnectFailed {
        /// What happened to whom.
        cause: String,
    },
    /// The upstream closed or reset the connection before its answer.
    UpstreamClosed {
        /// Whose.
        target: String,
    },
    /// The upstream's answer breaks HTTP.
    UpstreamMalformed {
        /// Whose.
        target: String,
        /// What is wrong with it.
        reason: Reason,
    },
    /// No complete answer in time.
    Timeout {
        /// Whose.
        target: String,
    },
    /// A limit on connections or requests is reached.
    Overflow {
        /// Whose.
        target: String,
        /// Which.
        limit: Overflow,
    },
    /// More requests a second than the instance takes.
    RateLimited {
        /// Which instance's service.
        service: String,
        /// How many it takes.
        per_second: u32,
    },
    /// The process is draining, and its time is over.
    Draining {
        /// Who had the request and has not answered; None when nobody had it.
        target: Option<String>,
    },
}

/// How many flags there are: the size of a table of counters.
pub const FLAGS: usize = Refusal::FLAG_NAMES.len();

impl Refusal {
    /// All flags, in the order of [`Self::flag_index`].
    pub const FLAG_NAMES: [&'static str; 10] = ["DPE", "NR", "UH", "UF", "UC", "UPE", "UT", "UO", "DC", "RL"];

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { reason } => reason.status(),
            Self::NoRoute => 404,
            Self::UpstreamMalformed { .. } => 502,
            Self::NoEndpoint { .. }
            | Self::ConnectFailed { .. }
            | Self::UpstreamClosed { .. }
            | Self::Overflow { .. }
            | Self::Draining { .. } => 503,
            Self::Timeout { .. } => 504,
            Self::RateLimited { .. } => 429,
        }
    }

    /// Where the flag stands in [`Self::FLAG_NAMES`].
    pub fn flag_index(&self) -> usize {
        match self {
            Self::Malformed { .. } => 0,
            Self::NoRoute => 1,
            Self::NoEndpoint { .. } => 2,
            Self::ConnectFailed { .. } => 3,
            Self::UpstreamClosed { .. } => 4,
            Self::UpstreamMalformed { .. } => 5,
            Self::Timeout { .. } => 6,
            Self::Overflow { .. } => 7,
            Self::Draining { .. } => 8,
            Self::RateLimited { .. } => 9,
        }
    }

    /// Envoy's response flag.
    pub fn flag(&self) -> &'static str {
        Self::FLAG_NAMES[self.flag_index()]
    }

    /// Whether the request certainly reached no application: whoever sent it may send it elsewhere.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::NoRoute
            | Self::NoEndpoint { .. }
            | Self::ConnectFailed { .. }
            | Self::Overflow { .. }
            | Self::Draining { target: None } => true,
            Self::Malformed { .. }
            | Self::UpstreamClosed { .. }
            | Self::UpstreamMalformed { .. }
            | Self::Timeout { .. }
            // Sent elsewhere, it would only spread what is too much.
            | Self::RateLimited { .. }
            | Self::Draining { target: Some(_) } => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { reason, .. } => write!(f, "malformed request: {}", reason.as_str()),
            Self::NoRoute => f.write_str("no route: this upstream is not configured"),
            Self::NoEndpoint { target } => write!(f, "no available endpoint: {target}"),
            Self::ConnectFailed { cause } => write!(f, "every connection attempt failed: {cause}"),
            Self::UpstreamClosed { target } => {
                write!(f, "the upstream closed the connection before its answer: {target}")
            }
            Self::UpstreamMalformed { target, reason } => {
                write!(f, "malformed answer from {target}: {}", reason.as_str())
            }
            Self::Timeout { target } => write!(f, "request timeout: {target}"),
            Self::Overflow { target, limit } => write!(f, "limit reached: {limit} of {target}"),
            Self::RateLimited { service, per_second } => {
                write!(f, "rate limit of {per_second} requests a second reached: {service}")
            }
            Self::Draining { target: None } => f.write_str("draining: this process is about to stop"),
            Self::Draining { target: Some(target) } => {
                write!(f, "draining: this process is about to stop, without an answer from {target}")
            }
        }
    }
}

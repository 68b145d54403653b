//! What can go wrong with a run.

use std::io;
use std::path::PathBuf;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Its reason.
        source: io::Error,
    },
    /// Certificates for the pairs.
    #[error(transparent)]
    Ca(#[from] spillway_certs::CaError),
    /// The same, when they are written.
    #[error(transparent)]
    Store(#[from] spillway_certs::store::StoreError),
    /// A process that ended although nobody asked it to.
    #[error("{name} ended; its last words: {words}")]
    Ended {
        /// Which.
        name: String,
        /// The end of its log.
        words: String,
    },
    /// A process or pair that never came to answer.
    #[error("{name} does not answer as it should: {found}")]
    NotReady {
        /// Which.
        name: String,
        /// What came instead.
        found: String,
    },
    /// A load generator without a result.
    #[error("{tool} gave no result: {said}")]
    Load {
        /// Which.
        tool: &'static str,
        /// What it said.
        said: String,
    },
    /// No binary to measure.
    #[error("cargo did not build {}", .0.display())]
    NotBuilt(PathBuf),
    /// Answers that were none.
    #[error("{failed} requests through {peer} failed; a ratio of those would say nothing")]
    Failures {
        /// Whose.
        peer: String,
        /// How many.
        failed: u64,
    },
    /// A soak that found something.
    #[error("{0} violations")]
    Violations(u64),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl BenchError {
    /// The system refused to do `what`.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}

//! What can stop a measurement.

use std::io;
use std::time::Duration;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// Ctrl-C or a signal to end.
    #[error("interrupted")]
    Interrupted,
    /// The machine lacks something.
    #[error("{0}")]
    Missing(String),
    /// A system call failed.
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
    /// A command failed.
    #[error("`{command}` failed ({status}): {said}")]
    Failed { command: String, status: String, said: String },
    /// A command did not end in time.
    #[error("`{command}` took longer than {} s", time_max.as_secs_f32())]
    TookTooLong { command: String, time_max: Duration },
    /// A command said something that does not make sense here.
    #[error("`{command}` printed what cannot be understood: {said:?}")]
    Unintelligible { command: String, said: String },
    /// Nothing came through the device under test.
    #[error("no answer from {0} within {1:?}")]
    Silent(String, Duration),
}

impl BenchError {
    /// For `map_err`: what was tried when the system call failed.
    pub(crate) fn system<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::System { what: what.into(), source: source.into() }
    }
}

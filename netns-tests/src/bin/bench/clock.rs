//! The clock of the benchmark: its programs measure time, which no other part of the project may do.

use std::time::Instant;

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time; this is its one clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

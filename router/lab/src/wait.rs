//! Waiting for a condition that the kernel does not announce.

use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks until `look` finds something or `limit` is over, then `None`.
#[expect(
    clippy::disallowed_methods,
    reason = "the lab's one place that polls: what it waits for has no event to wait on"
)]
pub fn eventually<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}

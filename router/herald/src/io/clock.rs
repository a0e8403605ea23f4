//! The one clock. Everything else is told the time.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use herald_core::time::Instant;

/// Now, on `CLOCK_MONOTONIC`: nanoseconds since the machine's start, so that the nodes of one machine share it.
#[must_use]
pub fn now() -> Instant {
    Instant::from_nanos(nanos(ClockId::CLOCK_MONOTONIC))
}

/// Wall-clock time since 1970 (UTC), for people and logs; never for decisions.
#[must_use]
pub fn wall() -> Duration {
    Duration::from_nanos(nanos(ClockId::CLOCK_REALTIME))
}

fn nanos(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux, so the call cannot fail; zero would only stop deadlines.
    let time = clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back() {
        let first = now();
        assert!(first.as_nanos() > 0 && now() >= first);
        assert!(wall() > Duration::from_secs(1_600_000_000));
    }
}

//! How much of the machine is in use.

use std::fs;
use std::time::Duration;

use nix::poll::{PollTimeout, poll};

use crate::error::BenchError;
use crate::interrupt;

/// How long the machine is watched.
const WATCH_TIME: Duration = Duration::from_millis(500);

/// Share of the CPUs' time, in percent, that was not idle during the next half second.
///
/// # Errors
///
/// When the kernel does not tell, or an end was asked for.
pub(crate) fn percent() -> Result<f64, BenchError> {
    let before = times()?;
    // Not a wait for something to happen: the interval is what is measured.
    let _ = poll(&mut [], PollTimeout::try_from(WATCH_TIME).unwrap_or(PollTimeout::ZERO));
    interrupt::check()?;
    let after = times()?;
    let all = after.all.saturating_sub(before.all);
    let idle = after.idle.saturating_sub(before.idle).min(all);
    Ok(if all == 0 { 0.0 } else { (all - idle) as f64 * 100.0 / all as f64 })
}

/// Ticks of all CPUs since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    all: u64,
    idle: u64,
}

fn times() -> Result<Times, BenchError> {
    let stat = fs::read_to_string("/proc/stat").map_err(BenchError::system("cannot read /proc/stat"))?;
    parse(&stat).ok_or_else(|| BenchError::Missing("/proc/stat has no line `cpu`".into()))
}

/// The line `cpu` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal; the rest is contained in these.
fn parse(stat: &str) -> Option<Times> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(Times { all: ticks.iter().sum(), idle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_idle_and_waiting_for_disks() {
        let stat = "cpu  10 1 20 60 5 1 2 1 7 0\ncpu0 1 2 3\n";
        assert_eq!(parse(stat), Some(Times { all: 100, idle: 65 }));
        assert_eq!(parse("intr 1\n"), None);
    }
}

//! Waits for a quiet machine: other work spoils the figures, and so would nodes that are not idle when nothing comes.

use std::fs;
use std::time::Duration;

use nix::poll::{PollTimeout, poll};

use crate::error::BenchError;
use crate::interrupt;

/// How long the machine is watched at a time.
const WATCH_TIME: Duration = Duration::from_millis(200);

/// Above this share of the machine's CPUs in use by others, figures are not worth much.
const BUSY_PERCENT_MAX: f64 = 10.0;

/// What is left of the time that may be spent on waiting, and how often it did not help.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    left: Duration,
    /// How often the machine was busy although it was waited.
    pub(crate) in_vain: usize,
}

impl Patience {
    pub(crate) fn new(time: Duration) -> Self {
        Self { left: time, in_vain: 0 }
    }

    /// Waits until the machine is quiet, or there is no patience left.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell, or an end was asked for.
    pub(crate) fn wait(&mut self) -> Result<(), BenchError> {
        while busy_percent()? > BUSY_PERCENT_MAX {
            if self.left.is_zero() {
                self.in_vain += 1;
                break;
            }
            self.left = self.left.saturating_sub(WATCH_TIME);
        }
        Ok(())
    }
}

/// Share of the CPUs' time, in percent, that is not idle from now on for [`WATCH_TIME`].
fn busy_percent() -> Result<f64, BenchError> {
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

//! The device under test, seen as processes: their CPUs and their CPU time.

use std::fs;
use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::cpus::{self, Cpus};
use crate::error::BenchError;

/// The processes that carry the traffic; none where the kernel does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    processes: Vec<Pid>,
}

impl Device {
    pub(crate) fn new(processes: Vec<Pid>) -> Self {
        Self { processes }
    }

    /// Puts the device on one CPU until the returned guard ends. Where the kernel is the device nothing happens: its
    /// work is done on the CPU of the sender.
    pub(crate) fn pin(&self, cpu: usize, cpus: Cpus) -> Result<Pinned<'_>, BenchError> {
        let pinned = Pinned { device: self, cpus };
        self.processes.iter().try_for_each(|&p| cpus::pin(p, cpu))?;
        Ok(pinned)
    }

    /// CPU time that the device has used so far, in user space and in the kernel; `None` where the kernel is the device.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let times = self.processes.iter().map(|&p| cpu_time(p));
        if self.processes.is_empty() { None } else { times.sum() }
    }
}

/// While it lives the device is on one CPU.
#[derive(Debug)]
pub(crate) struct Pinned<'a> {
    device: &'a Device,
    cpus: Cpus,
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        for &process in &self.device.processes {
            if let Err(error) = cpus::allow(process, &self.cpus.all) {
                eprintln!("bench: {error}");
            }
        }
    }
}

/// Time in user space and kernel of all threads of a process, from `/proc/PID/stat` (proc_pid_stat(5), fields 14, 15).
fn cpu_time(process: Pid) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Field 2 is the program's name in brackets, which may contain anything; field 3 is the first after it.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    let ticks_per_s = u32::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    Some(Duration::from_secs(1) * user.saturating_add(kernel) / ticks_per_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_this_process_is_known() {
        assert!(Device::new(vec![Pid::this()]).cpu_time().is_some());
        assert!(Device::default().cpu_time().is_none());
    }
}

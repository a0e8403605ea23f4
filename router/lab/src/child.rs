//! The processes that the keeper starts.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};

use nix::sys::signal::{SigSet, Signal};

use crate::LabError;

/// What the keeper needs to start a process.
#[derive(Debug)]
pub(crate) struct Parent {
    /// This program.
    pub(crate) program: PathBuf,
    /// The keeper's process id in the numbering of `/proc`, which is the machine's: the lab has not mounted one of its own.
    pub(crate) pid: u32,
}

impl Parent {
    pub(crate) fn find() -> Result<Self, LabError> {
        let failed = |e| LabError::system("cannot find out about this process")(e);
        let own = fs::read_link("/proc/self").map_err(failed)?;
        let pid = own.to_str().and_then(|pid| pid.parse().ok()).ok_or_else(|| std::io::ErrorKind::InvalidData.into());
        Ok(Self { program: std::env::current_exe().map_err(failed)?, pid: pid.map_err(failed)? })
    }

    /// Starts a process with an ordinary signal mask, although the keeper has SIGCHLD blocked. What ended meanwhile is not
    /// told: the caller reaps afterwards.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Child, LabError> {
        // The child inherits the mask.
        let mask = child_signal();
        mask.thread_unblock().map_err(LabError::system("cannot unblock SIGCHLD"))?;
        let spawned = command.spawn();
        mask.thread_block().map_err(LabError::system("cannot block SIGCHLD"))?;
        spawned.map_err(LabError::file("run", &self.program))
    }

    /// The child `pid` of this PID namespace in the numbering of `/proc`.
    pub(crate) fn outer_pid(&self, pid: u32) -> Option<u32> {
        let line = |status: &str, key: &str| -> Option<u32> {
            let line = status.lines().find_map(|l| l.strip_prefix(key))?;
            line.split_whitespace().next_back()?.parse().ok()
        };
        fs::read_dir("/proc").ok()?.find_map(|entry| {
            let outer: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{outer}/status")).ok()?;
            (line(&status, "PPid:") == Some(self.pid) && line(&status, "NSpid:") == Some(pid)).then_some(outer)
        })
    }
}

/// SIGCHLD, which the keeper reads from a descriptor.
pub(crate) fn child_signal() -> SigSet {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask
}

//! Which CPUs there are, and putting processes on them.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::BenchError;

/// The CPUs that this process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpus {
    /// The load's CPU where the load is pinned.
    pub(crate) first: usize,
    /// The CPU of the device under test where that is pinned.
    pub(crate) second: usize,
    /// All of them.
    pub(crate) all: CpuSet,
}

impl Cpus {
    /// Looks at the machine.
    ///
    /// # Errors
    ///
    /// When there are fewer than two.
    pub(crate) fn found() -> Result<Self, BenchError> {
        let own = Pid::from_raw(0);
        let all = sched_getaffinity(own).map_err(BenchError::system("cannot see the CPUs"))?;
        let mut usable = (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap_or_default());
        match (usable.next(), usable.next()) {
            (Some(first), Some(second)) => Ok(Self { first, second, all }),
            (None | Some(_), _) => Err(BenchError::Missing("the benchmark needs two CPUs".into())),
        }
    }
}

/// One CPU as a set.
fn only(cpu: usize) -> nix::Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(set)
}

/// Puts the calling thread on one CPU.
///
/// # Errors
///
/// When there is no such CPU.
pub(crate) fn pin_this_thread(cpu: usize) -> Result<(), BenchError> {
    let pinned = only(cpu).and_then(|set| sched_setaffinity(Pid::from_raw(0), &set));
    pinned.map_err(BenchError::system(format!("cannot run on CPU {cpu}")))
}

/// Puts every thread of a process on one CPU.
///
/// # Errors
///
/// When there is no such process or CPU.
pub(crate) fn pin(process: Pid, cpu: usize) -> Result<(), BenchError> {
    let set = only(cpu).map_err(BenchError::system(format!("there is no CPU {cpu}")))?;
    allow(process, &set)
}

/// Lets every thread of a process run on these CPUs.
///
/// # Errors
///
/// When there is no such process.
pub(crate) fn allow(process: Pid, cpus: &CpuSet) -> Result<(), BenchError> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.map_err(BenchError::system(format!("cannot see the threads of process {process}")))?;
    let threads = tasks.flatten().filter_map(|t| t.file_name().to_str()?.parse().ok());
    for thread in threads.map(Pid::from_raw) {
        match sched_setaffinity(thread, cpus) {
            // A thread that has ended meanwhile needs no CPU.
            Ok(()) | Err(nix::Error::ESRCH) => {}
            Err(e) => return Err(BenchError::system(format!("cannot choose the CPU of thread {thread}"))(e)),
        }
    }
    Ok(())
}

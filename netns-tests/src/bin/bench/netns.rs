//! Looks into another network namespace.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::error::BenchError;

/// Opens the interface counters of a network namespace. The file stays bound to it, whoever reads it.
///
/// # Errors
///
/// When there is no such namespace or it may not be entered.
pub(crate) fn counters_of(netns: &Path) -> Result<File, BenchError> {
    let open = || -> io::Result<File> {
        setns(File::open(netns)?, CloneFlags::CLONE_NEWNET)?;
        File::open("/proc/thread-self/net/dev")
    };
    // A thread of its own enters, and ends there.
    let opened = thread::scope(|scope| scope.spawn(open).join());
    let opened = opened.unwrap_or_else(|_| Err(io::Error::other("the thread that entered it failed")));
    opened.map_err(BenchError::system(format!("cannot read the counters in {}", netns.display())))
}

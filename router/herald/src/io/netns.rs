//! Visits to another network namespace: a device or socket opened there stays there.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

/// Runs `work` in the network namespace at `path` and returns to this thread's own; without a path, runs it right here.
/// Only for a time when the process has one thread, as each thread has its own namespace.
///
/// # Errors
/// When the namespace cannot be opened or entered, when the way back is barred, or what `work` says.
pub fn visit<T>(path: Option<&Path>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(path) = path else { return work() };
    let home = File::open("/proc/thread-self/ns/net")?;
    let away = File::open(path).map_err(|error| said(&error, &format!("network namespace {}", path.display())))?;
    setns(&away, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| said(&errno.into(), &format!("cannot enter network namespace {}", path.display())))?;
    let result = work();
    setns(&home, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| said(&errno.into(), "cannot return to the own network namespace"))?;
    result
}

fn said(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

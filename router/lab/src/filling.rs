//! What a node's process has no more of: bytes on its disk, descriptors. The kernel's limits of the process do it
//! (getrlimit(2)), so nothing has to be mounted, and nothing is left behind.
//!
//! A file may not grow beyond `RLIMIT_FSIZE`: with 0, each write to a file fails, with "file too large" where a full disk
//! says "no space left". The signal that goes with it, SIGXFSZ, is blocked in all processes of a lab; what is written to
//! sockets, pipes and devices is not concerned.

use std::fs;
use std::io;

use nix::unistd;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// What may be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The disk: no file can grow. That stays so when the node is started anew.
    Disk,
    /// The table of open files: none can be opened. It ends with the process.
    Descriptors,
}

impl Store {
    fn resource(self) -> Resource {
        match self {
            Self::Disk => Resource::Fsize,
            Self::Descriptors => Resource::Nofile,
        }
    }

    /// As the status shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk full",
            Self::Descriptors => "no descriptors",
        }
    }
}

/// Lets a process have no more of it. `outer` is its process id in the numbering of `/proc`.
pub(crate) fn fill(pid: unistd::Pid, outer: u32, store: Store) -> io::Result<()> {
    let most = match store {
        Store::Disk => 0,
        Store::Descriptors => lowest_free_descriptor(outer)?,
    };
    limit(pid, store, Some(most))
}

/// Lets a process have as much of it as this process may.
pub(crate) fn empty(pid: unistd::Pid, store: Store) -> io::Result<()> {
    limit(pid, store, getrlimit(store.resource()).current)
}

/// Runs something that starts a process whose disk is full from the first moment on.
pub(crate) fn with_full_disk<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), ..before })?;
    let started = start();
    setrlimit(Resource::Fsize, before)?;
    Ok(started)
}

fn limit(pid: unistd::Pid, store: Store, current: Option<u64>) -> io::Result<()> {
    let pid = Pid::from_raw(pid.as_raw());
    let maximum = getrlimit(store.resource()).maximum;
    prlimit(pid, store.resource(), Rlimit { current, maximum })?;
    Ok(())
}

/// A new descriptor has the lowest free number (open(2)); the limit is one more than the greatest.
fn lowest_free_descriptor(outer: u32) -> io::Result<u64> {
    let open = fs::read_dir(format!("/proc/{outer}/fd"))?;
    let open: Vec<u64> = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    Ok((0..).find(|number| !open.contains(number)).unwrap_or_default())
}

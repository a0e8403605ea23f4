//! Removes a lab, in whatever state it is.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::LabError;
use crate::folder::Folder;
use crate::name::LabName;
use crate::request::keeper_pid;
use crate::wait::eventually;

/// Time for the kernel to end everything in the lab.
const END_TIME_MAX: Duration = Duration::from_secs(20);

/// What `lab down` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// A lab, and removed it.
    Removed,
    /// Nothing.
    NothingThere,
}

/// Ends everything in a lab and removes its files.
///
/// # Errors
///
/// When something does not end, or a file cannot be removed.
pub fn down(name: &LabName) -> Result<Down, LabError> {
    let folder = Folder::of(name);
    if !folder.exists() {
        return Ok(Down::NothingThere);
    }
    end(&folder)?;
    Ok(Down::Removed)
}

/// Ends the keeper and removes the folder. Where an `up` is still at work it sees its keeper die and does its own part;
/// that is waited for too.
fn end(folder: &Folder) -> Result<(), LabError> {
    end_keeper(folder)?;
    let ended = eventually(END_TIME_MAX, || {
        if !folder.exists() {
            return Some(Ok(()));
        }
        match folder.lock() {
            Ok(Some(lock)) => Some(folder.remove(&lock)),
            // An `up` that had no keeper yet may have one now.
            Ok(None) => end_keeper(folder).err().map(Err),
            Err(e) => Some(Err(e)),
        }
    });
    ended.unwrap_or_else(|| {
        Err(LabError::Keeper(format!("the lab {} is not gone: another command works on it", folder.name())))
    })
}

/// Kills the keeper, if there is one, and waits until the kernel has ended every process of the lab with it.
pub(crate) fn end_keeper(folder: &Folder) -> Result<(), LabError> {
    let Some(pid) = keeper_pid(folder) else { return Ok(()) };
    let ended = eventually(END_TIME_MAX, || {
        let _gone_already = kill(pid, Signal::SIGKILL);
        (!is_alive(pid)).then_some(())
    });
    ended.ok_or_else(|| {
        LabError::Keeper(format!(
            "the lab {} is not gone: its keeper, process {pid}, does not end; was this run inside the lab?",
            folder.name()
        ))
    })
}

/// Whether a process is there and not merely unreaped. A first process of a PID namespace becomes a zombie only after all
/// others in it are gone.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

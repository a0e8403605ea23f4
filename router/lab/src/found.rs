//! The first step of a lab: new user and PID namespaces, and the keeper in them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid, setsid};

use crate::LabError;

const MEND: &str = "an ordinary user needs user namespaces: `herald doctor` tells what this machine forbids; as root the \
                    lab needs none";

/// Enters new namespaces, starts the keeper as the first process of the new PID namespace and ends. The keeper
/// inherits the three standard files: the locked state folder, the socket to `up` and its log.
///
/// # Errors
///
/// When the kernel does not allow the namespaces or the program cannot be started.
pub fn found(folder: &Path) -> Result<(), LabError> {
    // No terminal: Ctrl-C is for commands, not for the lab.
    let _already_leader = setsid();
    enter_namespaces()?;
    let program = std::env::current_exe().map_err(LabError::system("cannot find this program's file"))?;
    Command::new(&program)
        .args(["lab", "keeper"])
        .arg(folder)
        .stdin(Stdio::inherit())
        .spawn()
        .map_err(LabError::file("run", &program))?;
    Ok(())
}

/// New namespaces for PIDs (of the children) and network, within a new user namespace if this user may not make them
/// otherwise.
pub(crate) fn enter_namespaces() -> Result<(), LabError> {
    let wanted = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    match unshare(wanted) {
        Err(Errno::EPERM) => {}
        other => return other.map_err(LabError::system("cannot make PID and network namespaces")),
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(wanted | CloneFlags::CLONE_NEWUSER)
        .map_err(LabError::system_mended("cannot make a user namespace", MEND))?;
    // The order and "deny" are the kernel's conditions for users without rights: user_namespaces(7).
    let maps = [("uid_map", format!("0 {uid} 1")), ("setgroups", "deny".to_owned()), ("gid_map", format!("0 {gid} 1"))];
    for (file, text) in maps {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(LabError::system_mended(format!("cannot write {file} of the user namespace"), MEND))?;
    }
    Ok(())
}

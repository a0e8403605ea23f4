//! Runs a command in a host of the lab.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc::SI_KERNEL;
use nix::sched::{CloneFlags, setns};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::fstat;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::LabError;
use crate::folder::Folder;
use crate::name::LabName;
use crate::request::{Report, report};

/// Signals for the command that arrive here instead: those that end or prod a program.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// Runs a command in a host of a lab and waits for it; environment, working directory and standard files are this
/// process's. The command belongs to the lab: it ends with it. Returns the command's exit code; 128 and the signal's
/// number if a signal ended it.
///
/// The process must have only this one thread: it enters the lab's namespaces.
///
/// # Errors
///
/// When there is no such lab or host, or the kernel does not let us in.
pub fn exec(name: &LabName, host: &str, command: &[OsString]) -> Result<u8, LabError> {
    let folder = Folder::of(name);
    let report = report(&folder)?;
    let known = || report.hosts.iter().map(|h| h.host.as_str()).collect::<Vec<_>>().join(", ");
    let Some(found) = report.host(host) else {
        return Err(LabError::NoHost { name: name.clone(), host: host.to_owned(), known: known() });
    };
    let Some((program, arguments)) = command.split_first() else {
        return Err(LabError::Configuration("there is no command to run".into()));
    };
    enter(&report, Some(&found.netns)).map_err(LabError::system(format!("cannot enter {host} of the lab {name}")))?;
    let mut command = Command::new(program);
    command.args(arguments).env("HERALD_LAB", name.as_str());
    if report.node(host).is_some() {
        command.env("HERALD_CONTROL", folder.node_control(host));
    }
    run(&command)
}

/// Runs a script on a lab and waits for it: `$HERALD_LAB` is the lab, and the first folder of `$PATH` is this program's. It has
/// the machine's network, but it belongs to the lab as a command of [`exec`] does: it ends with it, and so does whatever
/// it started. Returns its exit code.
///
/// The process must have only this one thread: it enters the lab's namespaces.
///
/// # Errors
///
/// When there is no such lab, or the kernel does not let us in.
pub fn run_script(name: &LabName, script: &Path) -> Result<u8, LabError> {
    let report = report(&Folder::of(name))?;
    let own = std::env::current_exe().map_err(LabError::system("cannot find this program's file"))?;
    let before = std::env::var_os("PATH").unwrap_or_default();
    let folders = own.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&before));
    let path = std::env::join_paths(folders)
        .map_err(|e| LabError::Configuration(format!("the folder of {} in $PATH: {e}", own.display())))?;
    enter(&report, None).map_err(LabError::system(format!("cannot enter the lab {name}")))?;
    let mut command = Command::new(script);
    command.env("HERALD_LAB", name.as_str()).env("PATH", path).env_remove("HERALD_CONTROL");
    run(&command)
}

/// Runs a command in the namespaces that have been entered. Signals are taken over before there is a command, so that
/// from its first moment on they are for it.
fn run(command: &Command) -> Result<u8, LabError> {
    let failed = |e| LabError::system("cannot wait for signals")(e);
    let taken = SigSet::from_iter(PASSED_ON.into_iter().chain([Signal::SIGCHLD]));
    let before = taken.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(failed)?;
    let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC).map_err(failed)?;
    let child = spawn(command, &before)
        .map_err(|source| LabError::Command { program: command.get_program().to_owned(), source })?;
    wait(child, &signals).map_err(LabError::system("cannot wait for the command"))
}

/// Starts a command with this signal mask, which is not this process's own; [`Command::spawn`] cannot do that. As there,
/// SIGPIPE, which this process ignores, ends the command.
fn spawn(command: &Command, mask: &SigSet) -> io::Result<Pid> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => variables.insert(name.to_owned(), value.to_owned()),
            None => variables.remove(name),
        };
    }
    let text = |part: &OsStr| CString::new(part.as_bytes());
    let program = text(command.get_program())?;
    let line = [command.get_program()].into_iter().chain(command.get_args());
    let line: Vec<CString> = line.map(text).collect::<Result<_, _>>()?;
    let variable = |(name, value): (OsString, OsString)| text(&[name, value].join(OsStr::new("=")));
    let variables: Vec<CString> = variables.into_iter().map(variable).collect::<Result<_, _>>()?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    attributes.set_sigmask(mask)?;
    attributes.set_sigdefault(&SigSet::from_iter([Signal::SIGPIPE]))?;
    Ok(posix_spawnp(&program, &PosixSpawnFileActions::init()?, &attributes, &line, &variables)?)
}

/// Enters the namespaces of the lab: this thread's user and (with a path) network, and its children's PID namespace.
fn enter(report: &Report, netns: Option<&str>) -> io::Result<()> {
    let keeper = PathBuf::from(format!("/proc/{}/ns", report.keeper));
    let (user, pid) = (File::open(keeper.join("user"))?, File::open(keeper.join("pid"))?);
    let net = netns.map(File::open).transpose()?;
    let (own, theirs) = (fstat(&File::open("/proc/self/ns/user")?)?, fstat(&user)?);
    // Entering one's own user namespace is an error; as root the lab has none.
    if (own.st_dev, own.st_ino) != (theirs.st_dev, theirs.st_ino) {
        setns(&user, CloneFlags::CLONE_NEWUSER)?;
    }
    setns(&pid, CloneFlags::CLONE_NEWPID)?;
    if let Some(net) = net {
        setns(&net, CloneFlags::CLONE_NEWNET)?;
    }
    Ok(())
}

/// Waits for the command. What a process sends us is for the command; what the terminal sends (Ctrl-C), the command
/// gets from there too, being in our process group.
fn wait(child: Pid, signals: &SignalFd) -> io::Result<u8> {
    loop {
        if let Some(code) = exit_code(waitpid(child, Some(WaitPidFlag::WNOHANG))?) {
            return Ok(code);
        }
        let Some(arrived) = signals.read_signal()? else { continue };
        let from_kernel = arrived.ssi_code == SI_KERNEL;
        let signal = i32::try_from(arrived.ssi_signo).ok().and_then(|s| Signal::try_from(s).ok());
        if let Some(signal) = signal.filter(|signal| *signal != Signal::SIGCHLD && !from_kernel) {
            kill(child, signal)?;
        }
    }
}

/// The exit code of a command that has ended.
fn exit_code(status: WaitStatus) -> Option<u8> {
    let code = match status {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => (signal as i32).saturating_add(128),
        WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive => return None,
    };
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

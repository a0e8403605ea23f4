//! Runs a command in a host of the lab.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use nix::libc::SI_KERNEL;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use crate::lab::LabError;
use crate::lab::folder::Folder;
use crate::lab::name::LabName;
use crate::lab::request::{Report, report};

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
    run(command)
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
    run(command)
}

/// Runs a command in the namespaces that have been entered.
fn run(mut command: Command) -> Result<u8, LabError> {
    let mask = SigSet::from_iter(PASSED_ON.into_iter().chain([Signal::SIGCHLD]));
    let failed = |e| LabError::system("cannot wait for signals")(e);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(source) => return Err(LabError::Command { program: command.get_program().to_owned(), source }),
    };
    // After the spawn, because the child would inherit the mask.
    mask.thread_block().map_err(failed)?;
    let signals = SignalFd::new(&mask).map_err(failed)?;
    wait(child, &signals).map_err(LabError::system("cannot wait for the command"))
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
fn wait(mut child: Child, signals: &SignalFd) -> io::Result<u8> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(exit_code(status));
        }
        let Some(arrived) = signals.read_signal()? else { continue };
        let from_kernel = arrived.ssi_code == SI_KERNEL;
        let signal = i32::try_from(arrived.ssi_signo).ok().and_then(|s| Signal::try_from(s).ok());
        if let (Some(signal), Ok(pid)) = (signal, i32::try_from(child.id()))
            && signal != Signal::SIGCHLD
            && !from_kernel
        {
            kill(Pid::from_raw(pid), signal)?;
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|s| s.saturating_add(128)));
    code.and_then(|c| u8::try_from(c).ok()).unwrap_or(u8::MAX)
}

//! Runs commands: bounded in time, ended when the benchmark is, their output kept.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::now;
use crate::error::BenchError;
use crate::interrupt;

/// How long a command may take to end after it was asked to.
const END_TIME_MAX: Duration = Duration::from_secs(3);

/// A request to end is seen at least this often.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Whether a request to end stops the waiting. Removing what was made goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// Stop.
    Stop,
    /// Go on.
    GoOn,
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
///
/// When it cannot start, fails, takes too long, or the benchmark is to end.
pub(crate) fn run(command: Command, time_max: Duration, on_interrupt: OnInterrupt) -> Result<String, BenchError> {
    Running::start(command)?.finish(time_max, on_interrupt)
}

/// A command that runs. Dropping it ends it: its standard input is closed, then it is asked, then killed.
#[derive(Debug)]
pub(crate) struct Running {
    command: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Running {
    /// Starts a command, out of reach of the terminal's Ctrl-C: what it made has to be removed in order.
    pub(crate) fn start(mut command: Command) -> Result<Self, BenchError> {
        let shown = show(&command);
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
        let mut child = spawned.map_err(BenchError::system(format!("cannot start `{shown}`")))?;
        let stdout = Output::new(child.stdout.take().map(OwnedFd::from));
        let stderr = Output::new(child.stderr.take().map(OwnedFd::from));
        Ok(Self { command: shown, child, stdout, stderr })
    }

    /// Waits for the first line of the standard output.
    pub(crate) fn first_line(&mut self, time_max: Duration) -> Result<String, BenchError> {
        let has_line = |running: &Self| running.stdout.text.contains(&b'\n');
        self.read_until(has_line, time_max, OnInterrupt::Stop)?;
        match self.stdout.lossy().split_once('\n') {
            Some((line, _)) => Ok(line.to_owned()),
            None => Err(self.unintelligible()),
        }
    }

    /// Waits for the end and returns the standard output.
    fn finish(mut self, time_max: Duration, on_interrupt: OnInterrupt) -> Result<String, BenchError> {
        self.read_until(|_| false, time_max, on_interrupt)?;
        let status = self.child.wait().map_err(BenchError::system(format!("cannot wait for `{}`", self.command)))?;
        if status.success() {
            return Ok(self.stdout.lossy());
        }
        let said = if self.stderr.text.is_empty() { self.stdout.lossy() } else { self.stderr.lossy() };
        let command = self.command.clone();
        Err(BenchError::Failed { command, status: status.to_string(), said: said.trim_end().to_owned() })
    }

    /// Reads both outputs until there is enough or they are closed, which is when the command has ended.
    fn read_until(
        &mut self,
        enough: impl Fn(&Self) -> bool,
        time_max: Duration,
        on_interrupt: OnInterrupt,
    ) -> Result<(), BenchError> {
        let deadline = now() + time_max;
        while !enough(self) && (self.stdout.is_open() || self.stderr.is_open()) {
            if on_interrupt == OnInterrupt::Stop {
                interrupt::check()?;
            }
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return Err(BenchError::TookTooLong { command: self.command.clone(), time_max });
            }
            self.read_some(left.min(CHECK_INTERVAL))
                .map_err(BenchError::system(format!("cannot read from `{}`", self.command)))?;
        }
        Ok(())
    }

    /// Waits until an output can be read, at most so long, and reads it.
    fn read_some(&mut self, time_max: Duration) -> std::io::Result<()> {
        let millis = u16::try_from(time_max.as_millis()).unwrap_or(u16::MAX).max(1);
        let files = [&self.stdout, &self.stderr].into_iter().filter_map(|o| o.file.as_ref());
        let mut waiting: Vec<PollFd<'_>> = files.map(|f| PollFd::new(f.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut waiting, PollTimeout::from(millis)) {
            Ok(0) | Err(nix::Error::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        self.stdout.read()?;
        self.stderr.read()
    }

    fn unintelligible(&self) -> BenchError {
        let said = format!("{}{}", self.stdout.lossy(), self.stderr.lossy());
        BenchError::Unintelligible { command: self.command.clone(), said }
    }

    /// Waits until the command has closed its outputs.
    fn wait_closed(&mut self, deadline: Instant) -> bool {
        while self.stdout.is_open() || self.stderr.is_open() {
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() || self.read_some(left).is_err() {
                return false;
            }
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        if !self.wait_closed(now() + END_TIME_MAX / 3) {
            if let Ok(pid) = i32::try_from(self.child.id()) {
                // A failure means that it has ended by itself meanwhile.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            if !self.wait_closed(now() + END_TIME_MAX) {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
    }
}

/// One output of a command and what was read of it.
#[derive(Debug)]
struct Output {
    file: Option<File>,
    text: Vec<u8>,
}

impl Output {
    fn new(pipe: Option<OwnedFd>) -> Self {
        if let Some(pipe) = &pipe {
            // Blocking would be no fault of correctness here, only one of time; so a refusal is not an error.
            let _ = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK));
        }
        Self { file: pipe.map(File::from), text: Vec::new() }
    }

    fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn read(&mut self) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut some = [0; 65536];
        match file.read(&mut some) {
            Ok(0) => self.file = None,
            Ok(n) => self.text.extend_from_slice(some.get(..n).unwrap_or_default()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// The command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

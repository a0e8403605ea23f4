//! Programs in the lab, and waiting.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Time for a program to end after SIGTERM.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// What a program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; 128 and the signal's number after a signal.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    pub(crate) fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: exit_code(status), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The standard output of a program that ended well.
    ///
    /// # Panics
    ///
    /// When its exit code is not 0.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == 0, "exit code {}\n{}\n{}", self.code, self.stdout, self.stderr);
        self.stdout
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|s| s.saturating_add(128))).unwrap_or(-1)
}

/// The same command, which SIGINT ends: where tests run in the background of a script, it is ignored, and that is inherited.
#[must_use]
pub fn interruptible(command: &Command) -> Command {
    let mut own = Command::new("env");
    own.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => own.env(name, value),
            None => own.env_remove(name),
        };
    }
    own
}

/// A program that runs until it ends by itself or this guard is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

impl Running {
    /// Starts a program; what it prints can be read while it runs.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Starts a program that reads what [`say`](Self::say) writes.
    #[track_caller]
    pub(crate) fn converse(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    #[track_caller]
    fn start_with(command: &mut Command, stdin: Stdio) -> Self {
        let start = || -> std::io::Result<Self> {
            let (stdout, stderr) = (NamedTempFile::new()?, NamedTempFile::new()?);
            command.stdin(stdin).stdout(stdout.reopen()?).stderr(stderr.reopen()?);
            Ok(Self { child: command.spawn()?, stdout, stderr })
        };
        start().unwrap_or_else(|e| panic!("cannot start the program: {e}"))
    }

    /// Writes a line to the program's standard input.
    ///
    /// # Panics
    ///
    /// When it does not listen.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let said = self.child.stdin.as_mut().map(|stdin| writeln!(stdin, "{line}"));
        assert!(matches!(said, Some(Ok(()))), "the program does not listen: {said:?}\n{}", self.stderr());
    }

    /// What the program has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_all(self.stdout.path())
    }

    /// What the program has said of itself so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_all(self.stderr.path())
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        if let Some(status) = self.ended() {
            panic!("no program to send {signal} to: it ended with {status}\n{}", self.stderr());
        }
        self.send(signal);
    }

    fn send(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may end at any moment; the caller sees that by other means.
            let _ended_just_now = kill(Pid::from_raw(pid), signal);
        }
    }

    /// The exit code, if the program has ended.
    #[must_use]
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().map(exit_code)
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    ///
    /// When it does not within `limit`.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Output {
        let deadline = Deadline::after(limit);
        loop {
            if let Some(code) = self.ended() {
                return Output { code, stdout: self.stdout(), stderr: self.stderr() };
            }
            let (stdout, stderr) = (self.stdout(), self.stderr());
            assert!(!deadline.is_over(), "the program did not end within {limit:?}\n{stdout}\n{stderr}");
            pause(INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.send(Signal::SIGTERM);
        let deadline = Deadline::after(END_TIME_MAX);
        while self.ended().is_none() && !deadline.is_over() {
            pause(INTERVAL);
        }
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn read_all(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The end of a span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "the tests' one clock: it only bounds waiting")]
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    #[expect(clippy::disallowed_methods, reason = "the tests' one clock: it only bounds waiting")]
    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Looks again and again until `look` finds something.
///
/// # Panics
///
/// When it has not within `limit`; the message says `what` was waited for.
#[track_caller]
pub fn eventually<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(limit);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!deadline.is_over(), "not within {limit:?}: {what}");
        pause(INTERVAL);
    }
}

/// Lets time pass. Only for tests in which the span itself is what is tested, such as the moment of a kill.
#[expect(clippy::disallowed_methods, reason = "the one place; tests wait for conditions with `eventually`")]
pub fn pause(span: Duration) {
    thread::sleep(span);
}

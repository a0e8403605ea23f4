//! `herald plugin check`: the tests of the contract, each in a process of its own, which it may crash or hang.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::app::reports::table;
use herald_host::check::{Subject, TESTS, Test};
use herald_host::{HostError, Manifest};

/// Time for one test: far more than any takes with a plugin that does not wait.
const TEST_TIME_MAX: Duration = Duration::from_secs(15);

/// What a process that runs one test says of its failure begins with this.
const FOUND: &str = "found: ";

/// `herald plugin check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The plugin's file
    #[arg(value_name = "FILE.so")]
    pub file: PathBuf,
    /// The plugin's own configuration, a file in TOML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Run one test in this process.
    #[arg(long, value_name = "NAME", hide = true)]
    pub test: Option<String>,
}

/// A plugin that was not accepted, or could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is no plugin.
    #[error(transparent)]
    Refused(#[from] HostError),
    /// Tests failed.
    #[error("{}: {failed} of {} tests failed; the table says which, and what to do", file.display(), TESTS.len())]
    Failed {
        /// The file.
        file: PathBuf,
        /// How many.
        failed: usize,
    },
    /// No such test.
    #[error("{0:?} is no test of plugins")]
    Unknown(String),
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system says.
        error: io::Error,
    },
}

/// What one test found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct TestRow {
    /// Its name.
    test: &'static str,
    /// `passed` or `failed`.
    result: &'static str,
    /// What the plugin does if it passes.
    about: &'static str,
    /// What it did instead.
    found: Option<String>,
}

/// All that was found of a plugin.
#[derive(Clone, Debug, Serialize)]
struct Checked {
    /// Its id.
    id: String,
    /// Its version.
    version: String,
    /// Bytes of its state of each stream.
    state_size: usize,
    /// The tests.
    tests: Vec<TestRow>,
}

/// Checks a plugin. What was found as text, and whether it fails.
///
/// # Errors
/// It is no plugin, or cannot be checked.
pub(super) fn run(arguments: &CheckArguments) -> Result<(String, Result<(), CheckError>), CheckError> {
    let system = |what: String| move |error| CheckError::System { what, error };
    let config = match &arguments.config {
        Some(path) => std::fs::read_to_string(path).map_err(system(path.display().to_string()))?,
        None => String::new(),
    };
    let subject = Subject { path: &arguments.file, config: &config };
    if let Some(name) = &arguments.test {
        let test = TESTS.iter().find(|test| test.name == name).ok_or_else(|| CheckError::Unknown(name.clone()))?;
        return Ok(match subject.run(test) {
            Ok(()) => (String::new(), Ok(())),
            Err(found) => (format!("{FOUND}{}\n", found.replace('\n', "; ")), Err(failed(arguments, 1))),
        });
    }
    let Manifest { text, state_size, .. } = subject.manifest()?;
    let mut tests = Vec::new();
    for (test, found) in TESTS.iter().zip(all_apart(arguments)) {
        let found = found.map_err(system(format!("cannot run the test {}", test.name)))?;
        let result = if found.is_some() { "failed" } else { "passed" };
        tests.push(TestRow { test: test.name, result, about: test.about, found });
    }
    let failures = tests.iter().filter(|row| row.found.is_some()).count();
    let checked = Checked { id: text.id, version: text.version, state_size, tests };
    let outcome = if failures == 0 { Ok(()) } else { Err(failed(arguments, failures)) };
    Ok((shown(&checked, arguments.json), outcome))
}

fn failed(arguments: &CheckArguments, failed: usize) -> CheckError {
    CheckError::Failed { file: arguments.file.clone(), failed }
}

fn shown(checked: &Checked, json: bool) -> String {
    if json {
        // Texts and numbers can always be written as JSON.
        return serde_json::to_string(checked).unwrap_or_default() + "\n";
    }
    let line = |row: &TestRow| {
        let words = row.found.clone().unwrap_or_else(|| row.about.to_owned());
        vec![row.test.to_owned(), row.result.to_owned(), words]
    };
    let Checked { id, version, state_size, tests } = checked;
    let head = format!("plugin {id}, version {version}, {state_size} bytes of state for each stream\n");
    head + &table(["TEST", "RESULT", "WHAT IT DOES"], tests.iter().map(line))
}

/// Runs all tests at the same time, so that a plugin which hangs in each is waited for once.
fn all_apart(arguments: &CheckArguments) -> Vec<io::Result<Option<String>>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = TESTS.iter().map(|test| scope.spawn(|| apart(arguments, test))).collect();
        let gone = |_| Err(io::Error::other("the thread that watches it has panicked"));
        running.into_iter().map(|test| test.join().unwrap_or_else(gone)).collect()
    })
}

/// Runs one test in a process of its own. What it found.
fn apart(arguments: &CheckArguments, test: &Test) -> io::Result<Option<String>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["plugin", "check", "--test", test.name]).arg(&arguments.file);
    if let Some(config) = &arguments.config {
        command.arg("--config").arg(config);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A thread for each, so that a plugin that says much does not wait for a reader.
    let (ended, end) = mpsc::channel();
    let said = child.stdout.take().map(|stream| reader(stream, Some(ended)));
    let logged = child.stderr.take().map(|stream| reader(stream, None));
    if end.recv_timeout(TEST_TIME_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
        stop(&mut child)?;
        return Ok(Some(format!(
            "it does not return within {} s; wait for nothing in a hook",
            TEST_TIME_MAX.as_secs()
        )));
    }
    let status = child.wait()?;
    let text = |thread: Option<std::thread::JoinHandle<String>>| thread.and_then(|t| t.join().ok()).unwrap_or_default();
    let (said, logged) = (text(said), text(logged));
    if let Some(signal) = status.signal() {
        return Ok(Some(died(signal, &logged)));
    }
    if status.success() {
        return Ok(None);
    }
    let found = said.lines().rev().find_map(|line| line.strip_prefix(FOUND));
    let ended = || format!("it ends the process with exit code {}", status.code().unwrap_or_default());
    Ok(Some(found.map_or_else(ended, str::to_owned)))
}

/// The last words of a plugin, with what killed it.
fn died(signal: i32, logged: &str) -> String {
    let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
    let meaning = match Signal::try_from(signal) {
        Ok(Signal::SIGSEGV | Signal::SIGBUS) => ": it touches memory that it was not lent",
        Ok(Signal::SIGABRT) => ": it aborts; build it with panic = \"unwind\" and let no panic out of extern \"C\"",
        _ => "",
    };
    let last = logged.lines().last().map_or(String::new(), |line| format!(" (last line: {line})"));
    format!("it crashes by {name}{meaning}{last}")
}

fn stop(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

/// Reads all of a stream, and tells its end by dropping `ended`.
fn reader(mut stream: impl Read + Send + 'static, ended: Option<mpsc::Sender<()>>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read counts, whatever ends it.
        let _ = stream.read_to_end(&mut bytes);
        drop(ended);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

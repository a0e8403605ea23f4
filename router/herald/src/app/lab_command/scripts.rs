//! `herald lab test`: runs scripts, each in a fresh lab, and prints how each went in the Test Anything Protocol, version 14.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;

use super::{LabCommandError, ShapeArguments};
use herald_lab::{LabError, LabName, NodeAccount, NodeState};

/// Bytes at the end of a script's output from which its last lines are shown.
const OUTPUT_LEN_SHOWN: u64 = 16 * 1024;

/// The last lines of a script's output that are shown.
const OUTPUT_LINES_SHOWN: usize = 50;

/// Arguments of `herald lab test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// The scripts: any executable files
    #[arg(value_name = "SCRIPT", required = true)]
    scripts: Vec<PathBuf>,
    /// Seconds for each script, after which it has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    #[command(flatten)]
    shape: ShapeArguments,
}

/// How a script went.
enum Outcome {
    Passed,
    Failed(Failure),
}

/// Why a script failed, and what there was to see then.
struct Failure {
    message: String,
    output: Vec<String>,
    nodes: Vec<NodeAccount>,
}

impl Failure {
    /// A script that did not get its lab.
    fn without_lab(error: &LabError) -> Self {
        Self { message: error.to_string(), output: Vec::new(), nodes: Vec::new() }
    }
}

/// Runs the scripts one after the other. The exit code says whether all passed. However this process ends, nothing of a
/// lab or of a script stays.
///
/// # Errors
///
/// When a script is no executable file, or standard output is gone.
pub(super) fn run(arguments: &TestArguments) -> Result<ExitCode, LabCommandError> {
    arguments.scripts.iter().try_for_each(|script| check(script))?;
    let mut out = io::stdout().lock();
    writeln!(out, "TAP version 14\n1..{}", arguments.scripts.len())?;
    out.flush()?;
    let mut failed = 0;
    for (script, number) in arguments.scripts.iter().zip(1_usize..) {
        let name: LabName = format!("test-{}-{number}", std::process::id())
            .parse()
            .map_err(|e: herald_lab::LabNameError| LabError::Configuration(e.to_string()))?;
        match try_script(arguments, &name, script) {
            Outcome::Passed => writeln!(out, "ok {number} - {}", title(script))?,
            Outcome::Failed(failure) => {
                failed += 1;
                writeln!(out, "not ok {number} - {}", title(script))?;
                describe(&mut out, &failure)?;
            }
        }
        out.flush()?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Refuses what cannot be run, before anything is built.
fn check(script: &Path) -> Result<(), LabError> {
    let found = fs::metadata(script).map_err(|e| LabError::Configuration(format!("{}: {e}", script.display())))?;
    if found.is_file() && found.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    let path = script.display();
    if found.is_dir() {
        return Err(LabError::Configuration(format!(
            "{path} is no executable file but a folder: name the scripts in it"
        )));
    }
    Err(LabError::Configuration(format!("{path} is no executable file; a script is one: `chmod +x {path}`")))
}

/// A name for a test line, in which `#` and `\` have a meaning.
fn title(script: &Path) -> String {
    let name = script.file_name().unwrap_or(script.as_os_str()).to_string_lossy();
    name.replace('\\', "\\\\").replace('#', "\\#").replace('\n', " ")
}

fn try_script(arguments: &TestArguments, name: &LabName, script: &Path) -> Outcome {
    let built = match herald_lab::build(&arguments.shape.clone().wanted(name.clone()), &mut |_| {}) {
        Ok(built) => built,
        Err(error) => return Outcome::Failed(Failure::without_lab(&error)),
    };
    let output = built.folder().join("script.log");
    let ended = start(name, script, &output).map(|mut child| {
        let ended = herald_lab::eventually(Duration::from_secs(arguments.timeout), || child.try_wait().transpose());
        (child, ended)
    });
    let (child, message) = match ended {
        Ok((child, Some(Ok(status)))) if status.success() => (child, None),
        Ok((child, Some(Ok(status)))) => (child, Some(how(status))),
        Ok((child, Some(Err(error)))) => (child, Some(format!("cannot wait for it: {error}"))),
        Ok((child, None)) => (child, Some(format!("not done after {} s", arguments.timeout))),
        Err(error) => return Outcome::Failed(Failure::without_lab(&error)),
    };
    let failure = message.map(|message| Failure {
        message,
        output: last_lines(&output).unwrap_or_default(),
        nodes: herald_lab::accounts(name).unwrap_or_default(),
    });
    // With the lab goes everything that the script has left.
    let removed = built.remove();
    reap(child);
    match (failure, removed) {
        (Some(failure), _) => Outcome::Failed(failure),
        (None, Err(error)) => Outcome::Failed(Failure::without_lab(&error)),
        (None, Ok(())) => Outcome::Passed,
    }
}

/// Starts a script within its lab; what it says goes to a file.
fn start(name: &LabName, script: &Path, output: &Path) -> Result<Child, LabError> {
    let failed = |error: io::Error| LabError::Configuration(format!("cannot start {}: {error}", script.display()));
    // A name without a folder would be looked up in `$PATH`.
    let script_path = fs::canonicalize(script).map_err(failed)?;
    let start = || {
        let file = File::create(output)?;
        let twin = file.try_clone()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["lab", "script", name.as_str()]).arg(&script_path);
        command.stdin(Stdio::null()).stdout(file).stderr(twin).spawn()
    };
    start().map_err(failed)
}

/// The process that waits for the script ends with it, and the script has ended with the lab.
fn reap(mut child: Child) {
    let _ended_already = child.kill();
    let _reaped = child.wait();
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

fn last_lines(file: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(file)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(OUTPUT_LEN_SHOWN)))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_LEN_SHOWN).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let from = lines.len().saturating_sub(OUTPUT_LINES_SHOWN);
    Ok(lines.into_iter().skip(from).collect())
}

/// The YAML block of a test line. JSON is YAML, so texts and reports are written as JSON.
fn describe(out: &mut impl Write, failure: &Failure) -> io::Result<()> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    writeln!(out, "  ---\n  message: {}", quoted(&failure.message))?;
    list(out, "  ", "output", &failure.output)?;
    if !failure.nodes.is_empty() {
        writeln!(out, "  nodes:")?;
    }
    for NodeAccount { node, reports, log } in &failure.nodes {
        let state = match node.state {
            NodeState::Running => "running",
            NodeState::Stopped => "stopped",
            NodeState::Dead => node.ended.as_deref().unwrap_or("dead"),
        };
        writeln!(out, "    - node: {}\n      state: {}", quoted(&node.node), quoted(state))?;
        for (what, said) in reports {
            writeln!(out, "      {what}: {said}")?;
        }
        list(out, "      ", "log", log)?;
    }
    writeln!(out, "  ...")
}

fn list(out: &mut impl Write, indent: &str, key: &str, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return writeln!(out, "{indent}{key}: []");
    }
    writeln!(out, "{indent}{key}:")?;
    lines.iter().try_for_each(|line| writeln!(out, "{indent}  - {}", serde_json::Value::from(line.as_str())))
}

//! `herald lab test`: what a script gets, what is printed, and that nothing stays.

#![expect(clippy::unwrap_used, reason = "a test's own steps may panic too")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use netns_tests::{Output, Running, binary, eventually, interruptible};
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// For a lab and a script.
const LIMIT: Duration = Duration::from_secs(120);

/// A folder of scripts. Its path, in the command line of each process that a script starts, tells whose they are.
struct Scripts(TempDir);

impl Scripts {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Every process whose command line names this folder.
    fn processes(&self) -> Vec<String> {
        let mark = self.0.path().display().to_string();
        let lines = fs::read_dir("/proc").unwrap().flatten();
        let lines = lines.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
        lines.map(|line| line.replace('\0', " ")).filter(|line| line.contains(&mark)).collect()
    }
}

fn command(scripts: &[&Path], options: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["lab", "test"]).args(options).args(scripts).env_remove("HERALD_LAB").env_remove("HERALD_CONTROL");
    command
}

fn run(scripts: &[&Path], options: &[&str]) -> Output {
    Running::start(&mut command(scripts, options)).wait(LIMIT)
}

/// The labs of a `herald lab test` with this process id.
fn labs(pid: u32) -> Vec<PathBuf> {
    let mark = format!("test-{pid}-");
    let entries = fs::read_dir("/run/herald").into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&mark)).collect()
}

#[test]
fn the_example_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut scripts: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    let output = run(&scripts.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &[]);
    let expected = "TAP version 14\n1..2\nok 1 - cut_and_heal\nok 2 - first_holder_dies\n";
    assert_eq!((output.code, output.stdout.as_str()), (0, expected), "{}", output.stderr);
}

#[test]
fn a_script_gets_its_lab_and_the_program() {
    let scripts = Scripts::new();
    let good = scripts.write(
        "good",
        "set -e; herald lab status | grep -q $HERALD_LAB; herald lab exec b -- herald roles --json | grep -q holder\n\
         test \"$(command -v herald)\" = \"$EXPECTED\"; test -z \"$HERALD_CONTROL\"; herald lab kill c; herald lab heal",
    );
    let mut command = command(&[&good, &good], &["--nodes", "3"]);
    let output = Running::start(command.env("EXPECTED", binary()).current_dir(scripts.0.path())).wait(LIMIT);
    // The second one has a fresh lab: its c is alive.
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "TAP version 14\n1..2\nok 1 - good\nok 2 - good\n"),
        "{output:?}"
    );
}

#[test]
fn a_failure_tells_what_the_nodes_saw_and_the_next_script_runs() {
    let scripts = Scripts::new();
    let bad = scripts.write("bad #1", "echo \"said: \\\"this\\\"\"; herald lab kill b; exit 3");
    let good = scripts.write("good", "true");
    let output = run(&[&bad, &good], &["--nodes", "2"]);
    assert_eq!(output.code, 1, "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[..5], ["TAP version 14", "1..2", "not ok 1 - bad \\#1", "  ---", "  message: \"exit code 3\""]);
    assert_eq!(lines[lines.len() - 2..], ["  ...", "ok 2 - good"]);
    for expected in [
        "    - \"said: \\\"this\\\"\"",
        "    - node: \"a\"",
        "      state: \"running\"",
        "      state: \"SIGKILL\"",
        "      roles: {\"first\":{\"epoch\":",
        "      members: [{",
        "      drops: {",
        "      log:",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} in\n{}", output.stdout);
    }
}

#[test]
fn a_script_that_does_not_end_is_ended_with_all_that_it_started() {
    let scripts = Scripts::new();
    let sleeper = scripts.write("sleeper", "exec sleep 1000");
    let endless = format!("setsid sh {0} >/dev/null 2>&1 &\necho waiting; sh {0}", sleeper.display());
    let slow = scripts.write("slow", &endless.replace("exec ", ""));
    let output = run(&[&slow], &["--nodes", "1", "--timeout", "3"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stdout.contains("not done after 3 s") && output.stdout.contains("- \"waiting\""),
        "{}",
        output.stdout
    );
    assert!(scripts.processes().is_empty(), "{:?}", scripts.processes());
}

#[test]
fn whatever_ends_the_test_nothing_stays() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let scripts = Scripts::new();
        let mark = scripts.0.path().join("began");
        let endless = scripts.write("endless", &format!("echo > {}; while :; do sleep 0.1; done", mark.display()));
        let mut command = interruptible(&command(&[&endless], &["--nodes", "1"]));
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        eventually(LIMIT, "the script runs", || mark.exists().then_some(()));
        let pid = child.id();
        assert!(labs(pid).len() == 1 || !nix::unistd::geteuid().is_root());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
        child.wait().unwrap();
        eventually(LIMIT, "everything has ended", || {
            (scripts.processes().is_empty() && labs(pid).is_empty()).then_some(())
        });
    }
}

#[test]
fn a_lab_that_does_not_come_up_is_a_failure_of_the_script() {
    let scripts = Scripts::new();
    let good = scripts.write("good", "true");
    let output = run(&[&good], &["--set", "no_such_key=1"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stdout.contains("not ok 1 - good\n  ---\n  message: \"flag --set no_such_key="),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("no_such_key") && output.stdout.ends_with("  ...\n"), "{}", output.stdout);
}

#[test]
fn wrong_usage_is_refused_before_anything_is_built() {
    let scripts = Scripts::new();
    let (good, plain) = (scripts.write("good", "true"), scripts.write("plain", "true"));
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    for (list, options, code, expected) in [
        (&[][..], &[][..], 2, "SCRIPT"),
        (&[good.as_path(), Path::new("/no/such")], &[], 1, "/no/such: No such file"),
        (&[&good, &plain], &[], 1, "is no executable file"),
        (&[scripts.0.path()], &[], 1, "is no executable file"),
        (&[&good], &["--timeout", "0"], 2, "--timeout"),
        (&[&good], &["--nodes", "0"], 2, "1..=9"),
    ] {
        let output = run(list, options);
        assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{list:?} {options:?}: {}", output.stderr);
        assert!(output.stderr.contains(expected) && output.stderr.lines().count() == 1, "{}", output.stderr);
    }
}

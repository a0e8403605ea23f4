//! `herald lab demo`: one real request, twelve steps in their order, and nothing that stays.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use netns_tests::{Output, Running, binary, eventually, interruptible};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What the demonstration shows, in this order.
const MOMENTS: [&str; 13] = ["M1", "M2", "M3", "M4", "M5", "M6", "M7", "ack", "M8", "M9", "M10", "M11", "M12"];

/// Who tells of it: `a` holds the first redirector, `b` the second, `c` is chosen.
const TELLERS: [&str; 13] = ["a", "a", "a", "c", "c", "c", "b", "c", "c", "b", "b", "b", "c"];

/// Where labs of root and of user 65534 have their files.
fn folders(name: &str) -> Vec<PathBuf> {
    let roots = ["/run/herald", "/tmp/herald-65534"].map(PathBuf::from);
    roots.into_iter().map(|root| root.join(name)).filter(|folder| folder.exists()).collect()
}

/// Processes whose command line names the lab.
fn processes(name: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let lines = entries.filter_map(|path| Some(fs::read_to_string(path.join("cmdline")).ok()?.replace('\0', " ")));
    lines.filter(|line| line.contains(name)).collect()
}

#[track_caller]
fn await_nothing_left(name: &str) {
    eventually(LIMIT, "nothing of the lab is left", || {
        (folders(name).is_empty() && processes(name).is_empty()).then_some(())
    });
}

fn name(hint: &str) -> String {
    format!("demo-{hint}-{}", std::process::id())
}

fn demo(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["lab", "demo", "--name", name]).args(arguments);
    command
}

fn run(command: Command) -> Output {
    let mut command = command;
    Running::start(&mut command).wait(2 * LIMIT)
}

/// The lines of the steps: microseconds, step, node.
fn steps(said: &str) -> Vec<(u64, String, String)> {
    let step = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (micros, step, node) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        MOMENTS.contains(&step.as_str()).then_some((micros, step, node))
    };
    said.lines().filter_map(step).collect()
}

#[track_caller]
fn assert_shown(said: &str) {
    let steps = steps(said);
    assert_eq!(steps.iter().map(|s| s.1.as_str()).collect::<Vec<_>>(), MOMENTS, "{said}");
    assert_eq!(steps.iter().map(|s| s.2.as_str()).collect::<Vec<_>>(), TELLERS, "{said}");
    assert!(steps[0].0 == 0 && steps.is_sorted_by_key(|s| s.0), "{said}");
    assert_eq!(said.lines().filter(|l| l.trim_start().starts_with("redirector ")).count(), 2, "{said}");
    assert_eq!(said.lines().filter(|l| l.trim_start().starts_with("marker ")).count(), 1, "{said}");
    assert!(said.contains("the very bytes that were served") && said.contains("were inspected on c, none elsewhere"));
    assert!(said.contains("\"event_type\":\"flow\"") && !said.contains('\x1b'), "{said}");
}

#[test]
fn the_demo_shows_twelve_steps_and_leaves_nothing() {
    for (hint, arguments) in
        [("v4", &[][..]), ("v6", &["--ipv6"]), ("keys", &["--set", "choose.per_interface_key=true"])]
    {
        let name = name(hint);
        assert_shown(&run(demo(&name, arguments)).ok());
        assert!(folders(&name).is_empty() && processes(&name).is_empty(), "{:?}", processes(&name));
    }
}

#[test]
fn the_demo_has_a_server_and_a_client_of_its_own() {
    let name = name("own");
    let mut command = demo(&name, &[]);
    command.env("PATH", "/nonexistent");
    let said = run(command).ok();
    assert_shown(&said);
    assert!(said.contains("own small client") && said.contains("own small server"), "{said}");
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_demo_without_announcements_fails_shows_how_far_it_came_and_leaves_nothing() {
    let name = name("mute");
    let output = run(demo(&name, &["--set", "testing.announcements=false"]));
    assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
    let steps = steps(&output.stdout).into_iter().map(|s| s.1).collect::<Vec<_>>();
    assert!(steps.contains(&"M5".to_owned()) && !steps.contains(&"M7".to_owned()), "{}", output.stdout);
    await_nothing_left(&name);
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let name = name("stop");
        // The page waits for its announcement, so the demo is not over before the signal.
        let slow = ["--set", "testing.announcement_delay_ms=5000", "--set", "hold_ms_max=10000"];
        let mut running = Running::start(&mut interruptible(&demo(&name, &slow)));
        eventually(LIMIT, "the lab is up", || running.stdout().contains("is up").then_some(()));
        running.signal(signal);
        assert_eq!(running.wait(LIMIT).code, 128 + signal as i32);
        await_nothing_left(&name);
    }
}

#[test]
fn a_kept_lab_stays_until_it_is_taken_down() {
    let name = name("keep");
    let said = run(demo(&name, &["--keep"])).ok();
    assert!(said.contains(&format!("herald lab down --name {name}")), "{said}");
    let lab = |word: &str| Command::new(binary()).args(["lab", word, "--name", &name]).output().unwrap();
    assert!(lab("status").status.success());
    assert!(lab("down").status.success());
    await_nothing_left(&name);
}

/// Gives the TAP driver its permissions back.
struct Permissions(u32);

impl Drop for Permissions {
    fn drop(&mut self) {
        let _as_it_was = fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(self.0));
    }
}

/// The program and its plugins where any user can run them.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(binary(), folder.path().join("herald")).unwrap();
    for entry in fs::read_dir(binary().parent().unwrap()).unwrap().flatten() {
        if entry.path().extension().is_some_and(|e| e == "so") {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

#[test]
fn the_demo_works_for_an_ordinary_user() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user; the other tests have shown this one's demo");
        return;
    }
    let (folder, name) = (copied(), name("nobody"));
    let before = Permissions(fs::metadata("/dev/net/tun").unwrap().permissions().mode() & 0o777);
    let nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(folder.path().join("herald"));
        command.args(["lab", "demo", "--name", &name]).current_dir(Path::new("/"));
        command.env_remove("XDG_RUNTIME_DIR").env("PATH", "/usr/bin:/bin");
        run(command)
    };
    fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(0o600)).unwrap();
    let refused = nobody();
    assert_eq!((refused.code, refused.stderr.lines().count()), (1, 1), "{}", refused.stderr);
    assert!(refused.stderr.contains("/dev/net/tun") && refused.stderr.contains("chmod 0666"), "{}", refused.stderr);
    fs::set_permissions("/dev/net/tun", fs::Permissions::from_mode(0o666)).unwrap();
    assert_shown(&nobody().ok());
    drop(before);
    assert!(folders(&name).is_empty() && processes(&name).is_empty(), "{:?}", processes(&name));
}

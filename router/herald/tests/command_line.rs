//! The program as a user meets it: exit codes, one-line errors, and a node that starts, answers and stops.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::fs::Permissions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use herald::io::clock;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a node may take to start on a crowded machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn herald(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herald")).args(arguments).env_remove("HERALD_CONTROL").output().unwrap()
}

/// Instead of the examples' secret.
const SECRET: &str = "cluster.secret=a text that only these nodes know";

fn configs(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name).display().to_string()
}

#[test]
fn errors_are_one_line_and_have_their_exit_code() {
    let good = configs("three-nodes/a.toml");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["fly"], 2, "unrecognized subcommand 'fly'"),
        (&["roles"], 2, "--control <PATH>"),
        (&["run"], 2, "--config <FILE>"),
        (&["who", "tcp", "10.1.0.1:1", "--control", "x"], 2, "a stream is PROTOCOL"),
        (&["config", "check", &good, "--set", "x"], 2, "KEY=VALUE is expected"),
        (&["config", "check", "/nonexistent.toml"], 1, "/nonexistent.toml: cannot be read"),
        (&["config", "check", &good, "--set", "nothing=1"], 1, "there is no such key"),
        (&["run", "--config", "/nonexistent.toml"], 1, "/nonexistent.toml: cannot be read"),
        (&["roles", "--control", "/nonexistent.sock"], 1, "no node at /nonexistent.sock"),
        (&["keys", "issue", "a", "--folder", "/nonexistent"], 1, "make one with `herald keys init"),
        (&["keys", "issue", "A"], 2, "is no node id"),
        (&["keys", "issue", "a", "--days", "0"], 2, "0 is not in 1..=3650"),
        (&["keys", "init"], 2, "--cluster <NAME>"),
        (&["drain"], 2, "--control <PATH>, or $HERALD_CONTROL; see --help\n"),
        (&["drain", "--timeout", "x", "--control", "y"], 2, "a whole number is expected"),
        (&["config", "check", &good, "--set", "plugins=[{}]"], 1, "flag --set plugins=...: plugins.0.name is missing"),
        (&["lab", "test", "/"], 1, "/ is no executable file but a folder: name the scripts in it"),
        (
            &["lab", "up", "--name", "wrong", "--set", "hold_ms=1"],
            1,
            "flag --set hold_ms=...: hold_ms = 1: there is no such key",
        ),
        (&["statu"], 2, "unrecognized subcommand 'statu'; a similar subcommand exists: 'status'; see --help\n"),
        (&["keys", "issue", "a", "--days", "-1"], 2, "unexpected argument '-1' found; see --help\n"),
        (&["roles", "--control", &good], 1, "that is no socket; say where the node's is"),
        (&["lab", "cut", "a"], 2, "which network of a?"),
        (&["lab", "impair", "a", "b"], 2, "nothing to impair"),
        (&["lab", "heal", "a", "a"], 2, "a and a are one node"),
        (&["lab", "kill", "a", "--signal", "9"], 2, "\"9\" is no signal"),
        (&["run", "--config", &good, "--set", SECRET], 1, "mesh.ca = /etc/herald/ca.pem: cannot be read"),
        (
            &["run", "--config", &good],
            1,
            "a.toml:7: cluster.secret = (hidden): that of the examples, which everybody knows",
        ),
        (&["config", "check", &good], 1, "a.toml:7: cluster.secret = (hidden): that of the examples"),
    ];
    for (arguments, code, reason) in cases {
        let output = herald(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {said}");
        assert!(said.starts_with("herald: ") && said.contains(reason), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(!said.contains("For more information"), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_what_was_asked_for() {
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["lab", "--help"]] {
        let output = herald(arguments);
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_configuration_is_checked_and_shown() {
    let file = configs("every-option.toml");
    let checked = String::from_utf8(herald(&["config", "check", &file, "--set", SECRET]).stdout).unwrap();
    let (good, cost) = checked.split_once('\n').unwrap();
    assert_eq!(good, format!("{file}: good: node a of cluster example with peers b, c"));
    // The file gives a GiB to the tables.
    assert!(
        cost.starts_with("memory, at most: ") && cost.contains(" marker sessions (383 MiB and the plugins' states), ")
    );
    assert!(cost.ends_with(" frames (255 MiB); memory_max is 1024 MiB\n"), "{cost}");
    let shown = String::from_utf8(herald(&["config", "show", &file, "--set", "timeouts.udp_s=7"]).stdout).unwrap();
    assert!(shown.contains("udp_s = 7") && shown.contains("secret = \"(hidden)\""), "{shown}");
}

#[test]
fn keys_are_made_once_and_a_node_takes_them() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("keys").display().to_string();
    let init = || herald(&["keys", "init", "--cluster", "three", "--folder", &folder]);
    assert!(String::from_utf8(init().stdout).unwrap().contains("ca.key: keep it secret"));
    let issued = herald(&["keys", "issue", "a", "--folder", &folder, "--days", "1"]);
    let section: toml::Table = String::from_utf8(issued.stdout).unwrap().parse().unwrap();
    for (key, file) in [("ca", "ca.pem"), ("certificate", "node-a.pem"), ("key", "node-a.key")] {
        let path = section["mesh"][key].as_str().unwrap();
        assert_eq!(path, format!("{folder}/{file}"));
        assert!(Path::new(path).exists(), "{path}");
    }
    let key = section["mesh"]["key"].as_str().unwrap();
    let text = std::fs::read_to_string(configs("three-nodes/a.toml")).unwrap().replace("/etc/herald", &folder);
    let file = place.path().join("a.toml").display().to_string();
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(key, Permissions::from_mode(0o640)).unwrap();
    let exposed = String::from_utf8(herald(&["run", "--config", &file, "--set", SECRET]).stderr).unwrap();
    let expected = format!("others than its owner have rights to it (mode 0640): chmod 600 {key}\n");
    assert!(exposed.starts_with("herald: mesh.key: ") && exposed.ends_with(&expected), "{exposed}");
    let again = init();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("never overwritten") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_variable_stands_between_file_and_flag() {
    let file = configs("one-node/alone.toml");
    let show = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command.args(["config", "show", &file]).args(flags).env("HERALD_CONFIG__TIMEOUTS__UDP_S", "7");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(show(&[]).contains("udp_s = 7"));
    assert!(show(&["--set", "timeouts.udp_s=8"]).contains("udp_s = 8"));
    let wrong = Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(["config", "check", &file])
        .env("HERALD_CONFIG__TIMEOUTS__UDP_S", "0")
        .output()
        .unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    let expected =
        "herald: variable HERALD_CONFIG__TIMEOUTS__UDP_S: timeouts.udp_s = 0: allowed is a number of seconds";
    assert!(said.starts_with(expected), "{said}");
}

/// A node that is killed if the test fails.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a report until it succeeds and satisfies `wanted`.
fn wait_for(report: &[&str], wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let until = clock::now() + PATIENCE;
    loop {
        let output = herald(report);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() && wanted(&answer) {
            return answer;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(clock::now() < until, "{report:?} gives {answer} {said}");
    }
}

/// The node gets a network namespace of its own, which ends with it; without the right to make one the test says so.
#[test]
fn a_node_starts_answers_and_stops() {
    let thread = std::thread::spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => run_alone(),
        Err(errno) => eprintln!("skipped: a network namespace cannot be made here: {errno}"),
    });
    thread.join().unwrap();
}

fn run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("alone.sock").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args([
        "run",
        "--config",
        &configs("one-node/alone.toml"),
        "--set",
        SECRET,
        "--set",
        &format!("control={socket}"),
    ]);
    // A descriptor of the caller, as a shell leaves them open.
    let (callers, _other_end) = nix::unistd::pipe().unwrap();
    let callers = std::fs::read_link(format!("/proc/self/fd/{}", callers.as_raw_fd())).unwrap();
    let mut node = Node(command.stderr(Stdio::piped()).spawn().unwrap());

    let both_held =
        |roles: &serde_json::Value| roles["first"]["holder"] == "alone" && roles["second"]["holder"] == "alone";
    wait_for(&["roles", "--json", "--control", &socket], both_held);
    let open = std::fs::read_dir(format!("/proc/{}/fd", node.0.id())).unwrap();
    let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
    assert!(open.len() > 10 && !open.contains(&callers), "{open:?}");
    let status = wait_for(&["status", "--json", "--control", &socket], |s| s["interfaces"]["second"]["state"] == "up");
    assert_eq!(status["interfaces"]["first"]["tap"], "herald-first");
    assert_eq!(status["members"][0]["state"], "alive");
    for list in ["sessions", "plugins"] {
        assert_eq!(wait_for(&[list, "--json", "--control", &socket], |_| true), serde_json::json!([]), "{list}");
    }
    let routes = wait_for(&["routes", "--json", "--control", &socket], |_| true);
    assert_eq!(routes[0], serde_json::json!({"to": "10.1.0.0/24", "interface": "first", "via": null}));
    let who = wait_for(&["who", "tcp 10.1.0.9:1 10.2.0.9:2", "--json", "--control", &socket], |_| true);
    assert_eq!(who, serde_json::json!({"chosen": null, "first": null, "second": null}));
    let events = String::from_utf8(herald(&["events", "--control", &socket]).stdout).unwrap();
    let is_taken = |line: &str| line.contains("\"at\":\"20") && line.contains("\"event\":\"holder-changed\"");
    assert!(events.lines().any(is_taken), "{events}");

    let second = herald(&[
        "run",
        "--config",
        &configs("one-node/alone.toml"),
        "--set",
        SECRET,
        "--set",
        &format!("control={socket}"),
    ]);
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains("another process has it"), "{said}");

    kill(Pid::from_raw(node.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(node.0.wait().unwrap().success());
    assert!(!Path::new(&socket).exists(), "the socket goes with the node");
}

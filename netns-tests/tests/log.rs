//! Nothing that happens to a node's log happens to the node: full disks, readers that stop, and lines without end.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use netns_tests::{Lab, binary, eventually};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

const NODES: [&str; 3] = ["a", "b", "c"];

/// What the lab says of a node's process.
fn process(lab: &Lab, node: &str) -> Value {
    let status = lab.status();
    status["nodes"].as_array().unwrap().iter().find(|n| n["node"] == node).unwrap().clone()
}

fn log_file(lab: &Lab, node: &str) -> PathBuf {
    PathBuf::from(process(lab, node)["log"].as_str().unwrap())
}

/// What a node counts of its log's lines.
fn lines(lab: &Lab, node: &str, which: &str) -> u64 {
    lab.json(node, &["status"])["log"][which].as_u64().unwrap()
}

fn sees(lab: &Lab, node: &str, other: &str, state: &str) -> Option<()> {
    let members = lab.json(node, &["members"]);
    members.as_array().unwrap().iter().any(|m| m["node"] == other && m["state"] == state).then_some(())
}

fn ping(lab: &Lab) {
    let output = lab.exec("client", &["ping", "-n", "-c", "3", "-i", "0.2", "-W", "10", "10.2.0.100"]);
    assert_eq!(output.code, 0, "{}", output.stdout);
}

fn pid(lab: &Lab, node: &str) -> u64 {
    process(lab, node)["pid"].as_u64().unwrap()
}

/// Files of the process, and of those that it starts, may not grow beyond this; `unlimited` takes it back.
fn limit_files(pid: u64, bytes: &str) {
    let (pid, limit) = (pid.to_string(), format!("--fsize={bytes}:unlimited"));
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

#[test]
fn a_disk_that_fills_up_ends_no_node_and_tears_no_line() {
    let lab = Lab::up("disk").start();
    let log = log_file(&lab, "b");
    // The next line fits in part.
    let full = fs::metadata(&log).unwrap().len() + 20;
    limit_files(pid(&lab, "b"), &full.to_string());
    lab.kill("c", "KILL");
    eventually(LIMIT, "b sees that c is dead", || sees(&lab, "b", "c", "dead"));
    eventually(LIMIT, "lines of b wait", || (lines(&lab, "b", "waiting") > 0).then_some(()));
    eventually(LIMIT, "the disk is full", || (fs::metadata(&log).unwrap().len() == full).then_some(()));
    lab.start("c");
    let _roles = lab.await_mesh(LIMIT, &NODES);
    ping(&lab);
    assert_eq!(process(&lab, "b")["state"], "running");

    limit_files(pid(&lab, "b"), "unlimited");
    eventually(LIMIT, "no line waits", || (lines(&lab, "b", "waiting") == 0).then_some(()));
    assert_eq!(lines(&lab, "b", "lost"), 0);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("c is dead"), "{text}");
    // Each begins with its time.
    assert!(text.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{text}");
}

#[test]
fn a_node_starts_on_a_full_disk_and_ends_there() {
    // Plugins are copied into memory by way of a file, which the limit concerns, too.
    let lab = Lab::up("full").set("plugins", "[]").start();
    let status = fs::read_to_string(format!("/proc/{}/status", pid(&lab, "a"))).unwrap();
    let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    lab.kill("a", "KILL");
    limit_files(keeper, "1");
    lab.start("a");
    let _roles = lab.await_mesh(LIMIT, &NODES);
    assert!(lines(&lab, "a", "waiting") > 3, "{}", lab.json("a", &["status"]));
    ping(&lab);
    lab.kill("a", "TERM");
    eventually(LIMIT, "a ends", || (process(&lab, "a")["ended"] == "exit code 0").then_some(()));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_reader_that_stops_holds_nothing_up() {
    let lab = Lab::up("reader").start();
    lab.kill("a", "KILL");
    eventually(LIMIT, "b sees that a is dead", || sees(&lab, "b", "a", "dead"));
    let configuration = log_file(&lab, "a").with_file_name("config.toml").display().to_string();
    let program = binary().display().to_string();
    let mut run = lab.command("exec");
    run.args(["a", "--", &program, "run", "--config", &configuration, "--set", "log=debug"]);
    let mut node = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Nobody reads from it, but it stays open; few lines fill it.
    let unread = node.stderr.take().unwrap();
    fcntl(&unread, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    eventually(LIMIT, "b sees that a lives", || sees(&lab, "b", "a", "alive"));
    let roles = lab.await_mesh(LIMIT, &NODES);
    eventually(LIMIT, "lines of a wait", || {
        ping(&lab);
        (lines(&lab, "a", "waiting") > 10).then_some(())
    });
    let seen = lab.exec("b", &[&program, "events"]).ok().lines().count();
    (0..10).for_each(|_| ping(&lab));
    assert_eq!(lab.await_mesh(LIMIT, &NODES), roles);
    let events = lab.exec("b", &[&program, "events"]).ok();
    let since: Vec<_> =
        events.lines().skip(seen).filter(|line| line.contains("link-lost") || line.contains("died")).collect();
    assert!(since.is_empty(), "{since:?}");

    kill(Pid::from_raw(node.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = eventually(LIMIT, "a ends although nobody reads its last lines", || node.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    drop(unread);
}

#[test]
fn lines_of_one_kind_are_left_out_and_counted() {
    const TIMES: usize = 12;
    let lab = Lab::up("lines").nodes(1).start();
    let set = |state| lab.exec("net-first", &["ip", "link", "set", "a-first", state]).ok();
    let is = |state| lab.json("a", &["status"])["interfaces"]["first"]["state"] == state;
    for _ in 0..TIMES {
        for state in ["down", "up"] {
            let _nothing_said = set(state);
            eventually(LIMIT, state, || is(state).then_some(()));
        }
    }
    let log = log_file(&lab, "a");
    let count = |text: &str| fs::read_to_string(&log).unwrap().lines().filter(|line| line.ends_with(text)).count();
    assert_eq!(count(" INFO the first interface is Down"), 3);
    assert!(lines(&lab, "a", "left_out") >= 2 * (TIMES as u64 - 3));
    lab.kill("a", "TERM");
    eventually(LIMIT, "a ends", || (process(&lab, "a")["state"] == "dead").then_some(()));
    let told = format!("{} lines like this were left out, the last", TIMES - 3);
    let text = fs::read_to_string(&log).unwrap();
    let told = text.lines().filter(|line| line.contains(&told) && line.ends_with("interface is Down")).count();
    assert_eq!(told, 1, "{text}");
}

//! Who is not taken for a member: a node whose configuration differs in what must be equal, and a clone of a node. Each is
//! refused by name and told once, at both ends, and costs the cluster nothing.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netns_tests::{Lab, Load, Running, Size, binary, eventually, pause};
use serde_json::Value;
use tempfile::TempDir;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["a", "b", "c"];

/// Some attempts of a node that is refused, which come once a second.
const ATTEMPTS: Duration = Duration::from_secs(5);

fn log_of(lab: &Lab, node: &str) -> PathBuf {
    let status = lab.status();
    let mut nodes = status["nodes"].as_array().unwrap().iter();
    nodes.find(|n| n["node"] == node).unwrap()["log"].as_str().unwrap().into()
}

fn configuration_of(lab: &Lab, node: &str) -> PathBuf {
    log_of(lab, node).with_file_name("config.toml")
}

/// How many lines of a log contain these words.
fn lines(log: &Path, words: &str) -> usize {
    fs::read_to_string(log).unwrap().lines().filter(|line| line.contains(words)).count()
}

/// What `herald members` at a node says of another one.
fn row(lab: &Lab, at: &str, of: &str) -> Value {
    let members = lab.json(at, &["members"]);
    members.as_array().unwrap().iter().find(|row| row["node"] == of).unwrap().clone()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Ends a node and starts it again with these lines in front of its configuration.
fn restart_with(lab: &Lab, node: &str, configuration: &str) {
    lab.kill(node, "TERM");
    eventually(LIMIT, "it has ended", || {
        let status = lab.status();
        let nodes = status["nodes"].as_array().unwrap().clone();
        nodes.iter().any(|n| n["node"] == node && n["pid"].is_null()).then_some(())
    });
    fs::write(configuration_of(lab, node), configuration).unwrap();
    lab.start(node);
}

#[test]
fn another_redirect_is_refused_by_name_and_told_once() {
    let lab = Lab::up("redirect").set("redirect", "ethernet").start();
    let roles = lab.json("a", &["roles"]);
    let good = fs::read_to_string(configuration_of(&lab, "c")).unwrap();
    restart_with(&lab, "c", &good.replace("redirect = \"ethernet\"", "redirect = \"mesh\""));
    pause(ATTEMPTS);
    for (at, of) in [("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")] {
        assert_eq!(text(&row(&lab, at, of), "refused"), "differs in redirect", "{at} of {of}");
        let line = format!("{of} at ");
        let told = fs::read_to_string(log_of(&lab, at)).unwrap();
        let told: Vec<_> = told.lines().filter(|l| l.contains(&line) && l.contains("redirect must be equal")).collect();
        assert_eq!(told.len(), 1, "{at} of {of}: {told:?}");
        assert!(lab.json(at, &["status"])["refusals"]["other-configuration"].as_u64().unwrap() > 1);
    }
    assert_eq!(lab.json("a", &["roles"]), roles);
    assert_eq!(lab.json("c", &["roles"])["first"], Value::Null, "it takes nothing from others");
    assert_eq!(lab.exec("client", &["ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", "10.2.0.100"]).code, 0);
    restart_with(&lab, "c", &good);
    assert_eq!(lab.await_mesh(LIMIT, &NODES), roles);
    assert_eq!(row(&lab, "a", "c")["refused"], Value::Null);
}

#[test]
fn another_time_out_is_warned_of_by_name_and_keeps_nobody_out() {
    let lab = Lab::up("time-out").set("timeouts.udp_s", 100).start();
    assert!(
        NODES.iter().all(|node| row(&lab, "a", node)["differs"] == Value::Array(Vec::new())),
        "nodes of a lab are alike"
    );
    let good = fs::read_to_string(configuration_of(&lab, "c")).unwrap();
    restart_with(&lab, "c", &good.replace("udp_s = 100", "udp_s = 90"));
    lab.await_mesh(LIMIT, &NODES);
    for (at, of) in [("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")] {
        assert_eq!(row(&lab, at, of)["differs"][0], "timeouts.udp_s", "{at} of {of}");
        let told = lines(&log_of(&lab, at), &format!("configuration of {of} differs in timeouts.udp_s"));
        assert_eq!(told, 1, "{at} of {of}");
    }
}

/// Runs a node with the id and the keys of another one, with TAPs of its own, on the machine of a third one.
fn clone_of(lab: &Lab, (node, machine, listen): (&str, &str, &str), folder: &TempDir) -> Running {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let sets = [
        format!("control={}", path("control")),
        format!("mesh.key_log={}", path("key-log")),
        format!("mesh.listen={listen}"),
        "interfaces.first.tap=clone-first".to_owned(),
        "interfaces.second.tap=clone-second".to_owned(),
        "plugins=[]".to_owned(),
    ];
    let (program, configuration) = (binary().display().to_string(), configuration_of(lab, node).display().to_string());
    let sets = sets.iter().flat_map(|set| ["--set", set.as_str()]);
    let line: Vec<_> = [program.as_str(), "run", "--config", &configuration].into_iter().chain(sets).collect();
    lab.spawn(machine, &line)
}

#[test]
fn a_clone_is_refused_and_told_and_disturbs_nobody() {
    let lab = Lab::up("clone").start();
    let roles = lab.json("b", &["roles"]);
    let (folder, load) = (tempfile::tempdir().unwrap(), Load::start(&lab, Size::asked_for()));
    let clone = clone_of(&lab, ("a", "c", "10.9.0.13:7401"), &folder);
    pause(ATTEMPTS);
    for at in ["b", "c"] {
        let of_a = row(&lab, at, "a");
        assert_eq!((text(&of_a, "state"), text(&of_a, "link")), ("alive", "up"), "{at}");
        assert!(text(&of_a, "refused").starts_with("another node with this id, at 10.9.0.13:"), "{of_a}");
        let log = log_of(&lab, at);
        assert_eq!(lines(&log, "node a is a member already, at 10.9.0.11:"), 1, "{at} says it once");
        assert_eq!((lines(&log, "a is dead"), lines(&log, "link to a is lost")), (0, 0), "{at}");
        let events = lab.exec(at, &[&binary().display().to_string(), "events"]).ok();
        assert_eq!(
            events.lines().filter(|l| l.contains("\"kept-apart\"") && l.contains("id-twice")).count(),
            1,
            "{at}"
        );
    }
    let said = clone.stdout() + &clone.stderr();
    let told = said.lines().filter(|l| l.contains("this node's id is taken") && l.contains("at 10.9.0.11:")).count();
    assert_eq!(told, 2, "once for each of b and c: {said}");
    assert_eq!(lab.json("b", &["roles"]), roles);
    drop(clone);
    let outage = load.stop();
    assert!(outage.lost().is_empty() && outage.short_failed == 0, "{outage:?}");
    eventually(LIMIT, "it is forgotten", || row(&lab, "b", "a")["refused"].is_null().then_some(()));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_clone_that_nobody_dials_is_refused_too() {
    let lab = Lab::up("clone-c").start();
    let roles = lab.json("b", &["roles"]);
    let folder = tempfile::tempdir().unwrap();
    // It would hear nothing of the others, and serve alone after at most nine seconds.
    let clone = clone_of(&lab, ("c", "a", "10.9.0.11:7401"), &folder);
    eventually(LIMIT, "both refuse it", || {
        ["a", "b"].iter().all(|at| text(&row(&lab, at, "c"), "refused").starts_with("another node")).then_some(())
    });
    pause(ATTEMPTS * 2);
    let said = clone.stdout() + &clone.stderr();
    assert_eq!(said.lines().filter(|line| line.contains("this node's id is taken")).count(), 2, "{said}");
    assert!(!said.contains("holds the"), "it takes no role: {said}");
    assert_eq!(lab.await_mesh(LIMIT, &NODES), roles);
}

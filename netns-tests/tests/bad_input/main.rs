//! Bad input from every door: configuration, plugins, links, interfaces. Each gives one clear error or one named drop
//! reason, and nothing else stops.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

mod claimed;
mod frames;
mod junk;
mod links;
mod start;
mod unread;

use std::fs;
use std::time::Duration;

use netns_tests::Lab;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["a", "b", "c"];

/// The memory of each node's process in KiB, by a field of `/proc/PID/status` (proc(5)), with its process.
fn memory(lab: &Lab, field: &str) -> Vec<(i64, u64)> {
    let status = lab.status();
    let pids = status["nodes"].as_array().unwrap().iter().map(|node| node["pid"].as_i64().unwrap());
    pids.map(|pid| {
        let said = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = said.lines().find(|line| line.starts_with(field)).unwrap_or_else(|| panic!("{field}: {said}"));
        (pid, line.split_whitespace().nth(1).unwrap().parse().unwrap())
    })
    .collect()
}

/// The processes are still the same, and none has grown by more.
#[track_caller]
fn assert_grown_by_less(kib: u64, before: &[(i64, u64)], after: &[(i64, u64)]) {
    for ((pid_before, before), (pid_after, after)) in before.iter().zip(after) {
        assert_eq!(pid_before, pid_after, "a node has ended");
        assert!(*after < before + kib, "memory of a node grew from {before} to {after} KiB");
    }
    assert_eq!(before.len(), after.len());
}

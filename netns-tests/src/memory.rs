//! The memory of the nodes of a lab.

use std::fs;

use serde_json::Value;

use crate::lab::Lab;

/// What one kind of memory of each node's process is, in KiB, and which process that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory(Vec<(i64, u64)>);

impl Memory {
    /// Since then the processes are the same, and none has grown by as many KiB.
    ///
    /// # Panics
    ///
    /// When that is not so.
    #[track_caller]
    pub fn assert_grown_by_less(&self, kib: u64, before: &Self) {
        assert_eq!(self.0.len(), before.0.len(), "nodes before and now");
        for ((pid, now), (pid_before, before)) in self.0.iter().zip(&before.0) {
            assert_eq!(pid, pid_before, "a node has ended");
            assert!(*now < before + kib, "memory of a node grew from {before} to {now} KiB");
        }
    }
}

impl Lab {
    /// The memory of each node by a field of `/proc/PID/status` (proc(5)): `"VmRSS:"` is what it has, `"VmHWM:"` the most
    /// it ever had.
    ///
    /// # Panics
    ///
    /// When a node does not run.
    #[must_use]
    #[track_caller]
    pub fn memory(&self, field: &str) -> Memory {
        let kib = |pid: i64| {
            let said = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = said.lines().find(|line| line.starts_with(field));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            (pid, kib.unwrap_or_else(|| panic!("process {pid} has no {field}: {said}")))
        };
        Memory(self.pids().into_iter().map(kib).collect())
    }

    /// The most descriptors that a node has open now.
    ///
    /// # Panics
    ///
    /// When a node does not run.
    #[must_use]
    #[track_caller]
    pub fn descriptors_max(&self) -> usize {
        let open = |pid| {
            let folder = fs::read_dir(format!("/proc/{pid}/fd"));
            folder.unwrap_or_else(|e| panic!("process {pid}: {e}")).count()
        };
        self.pids().into_iter().map(open).max().unwrap_or_default()
    }

    #[track_caller]
    fn pids(&self) -> Vec<i64> {
        let status = self.status();
        let nodes = status.get("nodes").and_then(Value::as_array).into_iter().flatten();
        nodes.filter_map(|node| node.get("pid")?.as_i64()).collect()
    }
}

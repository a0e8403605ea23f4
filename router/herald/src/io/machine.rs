//! What memory there is for this process: the machine's, its control group's, and what its limits leave.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Where the hierarchy of control groups is (cgroups(7)).
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that tables and buffers take at most unless they are told: a quarter of what the machine and the control group
/// have, as other nodes and programs may run beside this one, and half of the addresses that the process has left.
#[must_use]
pub fn default_memory() -> u64 {
    let machine = machine_bytes().into_iter().chain(group_bytes()).min();
    let shares = machine.map(|bytes| bytes / 4).into_iter().chain(addresses_left().map(|bytes| bytes / 2));
    // Where nothing is known, the other bounds decide.
    shares.min().unwrap_or(u64::MAX)
}

fn machine_bytes() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The lowest bound of the control groups that this process is in.
fn group_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new(CONTROL_GROUPS);
    let path = root.join(group);
    let bounds = path.ancestors().take_while(|path| path.starts_with(root));
    bounds.filter_map(|path| fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok()).min()
}

/// Bytes of addresses that the process may still take (RLIMIT_AS); `None` without such a limit.
fn addresses_left() -> Option<u64> {
    let limit = getrlimit(Resource::As).current?;
    let taken = kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmSize:")?;
    Some(limit.saturating_sub(taken))
}

/// A number of kibibytes behind its name, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory() {
        assert!(machine_bytes().is_some_and(|bytes| bytes > 1 << 27));
        assert!(default_memory() > 1 << 20);
    }

    #[test]
    fn a_line_is_a_number_of_kibibytes() {
        let text = "MemFree:  7 kB\nMemTotal:       24 kB\n";
        assert_eq!(kibibytes(text, "MemTotal:"), Some(24 * 1024));
        assert_eq!((kibibytes(text, "Else:"), kibibytes("MemTotal: x kB", "MemTotal:")), (None, None));
    }
}

//! Breaks and mends single nodes.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::LabError;
use crate::control;
use crate::folder::Folder;
use crate::name::LabName;
use crate::request::{NodeReport, NodeState, Report, Request, ask, report};
use crate::wait::eventually;

/// Time for a signal to take effect, or a node to answer.
const EFFECT_TIME_MAX: Duration = Duration::from_secs(20);

/// Lines of a node's log in an error.
const LAST_LINES: usize = 8;

/// Sends a node's process a signal, named with or without `SIG`. When the signal is one that ends, stops or continues any
/// process, this returns after it has done so.
///
/// # Errors
///
/// When there is no such lab, node or signal, or the node does not run.
pub fn kill(name: &LabName, node: &str, signal: &str) -> Result<(), LabError> {
    let upper = signal.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let known: Signal = full
        .parse()
        .map_err(|_| LabError::Usage(format!("{signal:?} is no signal; KILL, TERM, STOP, CONT, ... are")))?;
    let folder = Folder::of(name);
    find(&report(&folder)?, name, node)?;
    ask(&folder, &Request::Kill { node: node.to_owned(), signal: full })?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "what other signals do is the node's affair")]
    let expected = match known {
        Signal::SIGKILL => NodeState::Dead,
        Signal::SIGSTOP => NodeState::Stopped,
        Signal::SIGCONT => NodeState::Running,
        _ => return Ok(()),
    };
    let happened = || report(&folder).ok().and_then(|r| Some(r.node(node)?.state == expected)).filter(|is| *is);
    eventually(EFFECT_TIME_MAX, happened).map(drop).ok_or_else(|| {
        LabError::Node(format!("{known} had no effect on {node} within {} s", EFFECT_TIME_MAX.as_secs()))
    })
}

/// Starts a node that does not run, and waits until it answers.
///
/// # Errors
///
/// When there is no such lab or node, it runs already, or it does not come up.
pub fn start(name: &LabName, node: &str) -> Result<(), LabError> {
    let folder = Folder::of(name);
    find(&report(&folder)?, name, node)?;
    ask(&folder, &Request::Start { node: node.to_owned() })?;
    let looked = eventually(EFFECT_TIME_MAX, || {
        if control::get(&folder.node_control(node), "/roles").is_ok() {
            return Some(Ok(()));
        }
        let report = match report(&folder) {
            Ok(report) => report,
            Err(e) => return Some(Err(e)),
        };
        let dead = report.node(node).filter(|n| n.state == NodeState::Dead)?;
        let how = dead.ended.as_deref().unwrap_or("never started");
        Some(Err(LabError::Node(format!("node {node} ended: {how}{}", last_words(&folder, node)))))
    });
    looked.unwrap_or_else(|| {
        let words = last_words(&folder, node);
        Err(LabError::Node(format!("node {node} does not answer after {} s{words}", EFFECT_TIME_MAX.as_secs())))
    })
}

fn find<'a>(report: &'a Report, name: &LabName, node: &str) -> Result<&'a NodeReport, LabError> {
    report.node(node).ok_or_else(|| LabError::NoNode {
        name: name.clone(),
        node: node.to_owned(),
        known: report.nodes.iter().map(|n| n.node.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// The end of a node's log, for an error: what it complained of, if it did.
pub(crate) fn last_words(folder: &Folder, node: &str) -> String {
    let mut lines = last_lines(folder, node);
    if let Some(complaint) = lines.iter().rposition(|line| line.starts_with("herald: ")) {
        lines = lines.split_off(complaint);
    }
    lines.iter().map(|line| format!("\n  {node}: {line}")).collect()
}

/// The last lines of a node's log.
pub(crate) fn last_lines(folder: &Folder, node: &str) -> Vec<String> {
    let log = fs::read(folder.node_log(node)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    lines.into_iter().skip(from).map(str::to_owned).collect()
}

//! The cases with Herald: a lab of the built binary.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use serde::Deserialize;

use crate::device::Device;
use crate::error::BenchError;
use crate::process::{OnInterrupt, run, show};

/// `lab up` returns when the nodes are ready; it has bounds of its own that are shorter.
const UP_TIME_MAX: Duration = Duration::from_secs(60);

/// For the other commands of the lab.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(20);

/// How many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// One, which is redirector and chosen node at once.
    One,
    /// A redirector on each side, and one chosen node.
    Three,
}

/// What inspects the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugins {
    /// Nothing.
    None,
    /// The lab's own chain: `acl`, which passes everything, and `flowlog`.
    Default,
}

/// A lab that is up. Dropping it takes it down.
#[derive(Debug)]
pub(crate) struct HeraldLab {
    name: String,
    binary: PathBuf,
    status: Status,
}

/// What is needed of `herald lab status --json`.
#[derive(Debug, Default, Deserialize)]
struct Status {
    hosts: Vec<HostStatus>,
    nodes: Vec<NodeStatus>,
}

#[derive(Debug, Deserialize)]
struct HostStatus {
    host: String,
    netns: PathBuf,
}

#[derive(Debug, Deserialize)]
struct NodeStatus {
    pid: Option<i32>,
}

impl HeraldLab {
    /// Builds a lab and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When there is no binary or the lab does not come up.
    pub(crate) fn up(case: &str, nodes: Nodes, plugins: Plugins) -> Result<Self, BenchError> {
        let name = format!("hb-{}-{case}", std::process::id());
        let mut lab = Self { name, binary: binary()?, status: Status::default() };
        let mut up = lab.command("up");
        match nodes {
            Nodes::One => up.args(["--nodes", "1"]),
            Nodes::Three => up.args(["--nodes", "3"]),
        };
        match plugins {
            Plugins::None => up.args(["--set", "plugins=[]"]),
            Plugins::Default => &mut up,
        };
        run(up, UP_TIME_MAX, OnInterrupt::Stop)?;
        let mut status = lab.command("status");
        status.arg("--json");
        let shown = show(&status);
        let said = run(status, COMMAND_TIME_MAX, OnInterrupt::Stop)?;
        lab.status = serde_json::from_str(&said).map_err(|_| BenchError::Unintelligible { command: shown, said })?;
        Ok(lab)
    }

    /// The beginning of a command in a host.
    pub(crate) fn enter(&self, host: &str) -> Command {
        let mut command = self.command("exec");
        command.args([host, "--"]);
        command
    }

    /// The file of a host's network namespace.
    pub(crate) fn netns(&self, host: &str) -> Result<PathBuf, BenchError> {
        let found = self.status.hosts.iter().find(|h| h.host == host);
        found.map(|h| h.netns.clone()).ok_or_else(|| BenchError::Missing(format!("the lab has no host {host}")))
    }

    /// The nodes' processes.
    pub(crate) fn device(&self) -> Device {
        Device::new(self.status.nodes.iter().filter_map(|n| n.pid).map(Pid::from_raw).collect())
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["lab", what, "--name", &self.name]).stdin(Stdio::null());
        command
    }
}

impl Drop for HeraldLab {
    fn drop(&mut self) {
        if let Err(error) = run(self.command("down"), COMMAND_TIME_MAX, OnInterrupt::GoOn) {
            eprintln!("bench: {error}");
        }
    }
}

/// The binary under test: `$HERALD_BIN`, else the one beside this program.
fn binary() -> Result<PathBuf, BenchError> {
    if let Some(named) = std::env::var_os("HERALD_BIN") {
        return Ok(named.into());
    }
    let own = std::env::current_exe().map_err(BenchError::system("cannot find this program"))?;
    let beside = own.with_file_name("herald");
    if beside.exists() {
        return Ok(beside);
    }
    Err(BenchError::Missing(format!("{} does not exist: build first, or use netns-tests/bench", beside.display())))
}

//! What there is in a lab and how it is.

use serde::Serialize;
use serde_json::Value;

use crate::LabError;
use crate::control;
use crate::folder::Folder;
use crate::name::LabName;
use crate::relay::{FaultReport, RelayReport};
use crate::request::{HostReport, NodeReport, NodeState, Report, report};
use herald_core::id::Interface;

/// The state of a lab; this is also the shape of `herald lab status --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The lab's name.
    pub name: LabName,
    /// Its network namespaces.
    pub hosts: Vec<HostReport>,
    /// Its nodes.
    pub nodes: Vec<NodeReport>,
    /// What is cut and impaired.
    pub faults: Vec<FaultReport>,
    /// The processes that lose, delay, double and reorder frames.
    pub relays: Vec<RelayReport>,
    /// The roles as the first node sees them that answers, in the shape of `herald roles --json`; `null` if none does.
    pub roles: Value,
}

impl Status {
    /// Whether a node holds a role.
    #[must_use]
    pub fn holds(&self, node: &str, role: Interface) -> bool {
        control::holder(&self.roles, role) == Some(node)
    }
}

/// Looks at a lab.
///
/// # Errors
///
/// When no such lab is up.
pub fn status(name: &LabName) -> Result<Status, LabError> {
    let folder = Folder::of(name);
    let report = report(&folder)?;
    let mut running = report.nodes.iter().filter(|n| n.state == NodeState::Running);
    let roles = running.find_map(|n| control::get(&folder.node_control(&n.node), "/roles").ok());
    let Report { hosts, nodes, faults, relays, .. } = report;
    Ok(Status { name: name.clone(), hosts, nodes, faults, relays, roles: roles.unwrap_or_default() })
}

//! What the nodes of a lab say of themselves when something went wrong.

use serde_json::Value;

use crate::LabError;
use crate::control;
use crate::folder::Folder;
use crate::name::LabName;
use crate::nodes::last_lines;
use crate::request::{NodeReport, report};

/// One node's view.
#[derive(Clone, Debug)]
pub struct NodeAccount {
    /// Its process.
    pub node: NodeReport,
    /// `roles`, `members` and `drops`, each as `herald ... --json` shows it, or a text that says why it does not.
    pub reports: Vec<(&'static str, Value)>,
    /// The end of its log.
    pub log: Vec<String>,
}

/// What each node of a lab sees, as far as it answers.
///
/// # Errors
///
/// When no such lab is up.
pub fn accounts(name: &LabName) -> Result<Vec<NodeAccount>, LabError> {
    let folder = Folder::of(name);
    let account = |node: NodeReport| {
        let get = |what| {
            let got = control::get(&folder.node_control(&node.node), &format!("/{what}"));
            (what, got.unwrap_or_else(|error| Value::String(error.to_string())))
        };
        let (reports, log) = (["roles", "members", "drops"].map(get).to_vec(), last_lines(&folder, &node.node));
        NodeAccount { node, reports, log }
    };
    Ok(report(&folder)?.nodes.into_iter().map(account).collect())
}

//! The relay: a switch of the lab's own that loses, delays, doubles and reorders frames, without netem.
//!
//! Each network with impaired lanes has one. The ports of the nodes that these lanes name are taken off the network's bridge
//! and joined with the relay, port by port, over small bridges; one more of its TAPs is a port of the network's bridge,
//! so that everybody else is still in reach, and those who are not concerned keep the kernel's way.
//!
//! ```text
//!  a-first --- [ spur-a ] --- relay-a --+
//!                                       |  relay: what it switches from one port to another, it passes through
//!  b-first --- [ spur-b ] --- relay-b --+         the lanes that are between the two
//!                                       |
//!  client, c-first --- [ bridge ] --- relay
//! ```
//!
//! A network whose nodes send tagged frames has a relay for all of them, which takes the tags off for the hosts.
//!
//! Here is what it decides; its process, which has the TAPs, is the application's.

mod lane;
mod switch;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Lane};
use crate::plan::Network;

pub use switch::Switch;

/// The relay's port on the network's bridge.
pub const UPLINK: &str = "relay";

/// What the keeper tells a relay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// From now on, these ports and these faults.
    Take(Course),
    /// What has been counted since these faults began.
    Count,
}

/// What a relay answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done.
    Done,
    /// It cannot be done, and why.
    Failed(String),
    /// For each lane of the course, in its order.
    Counts(Vec<Counts>),
}

/// All that a relay has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// The nodes whose ports are joined with it.
    pub nodes: Vec<String>,
    /// What it does to the frames of each lane.
    pub lanes: Vec<(Lane, Fault)>,
    /// The VLAN whose tag the nodes' frames have: it is put on towards them and taken off what comes from them.
    #[serde(default)]
    pub vlan: Option<u16>,
}

/// What a relay has done on one lane. A frame for several ports counts once for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames that passed, or are on their way.
    pub passed: u64,
    /// Frames lost on purpose.
    pub lost: u64,
    /// Frames that passed twice.
    pub duplicated: u64,
    /// Frames that another one overtook.
    pub reordered: u64,
    /// Frames lost because too many were on their way.
    pub overflowed: u64,
}

/// A fault as `herald lab status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultReport {
    /// Where it is.
    #[serde(flatten)]
    pub lane: Lane,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
    /// What the relay has counted; `None` where there is no relay: a port that is cut in both directions needs none.
    pub counts: Option<Counts>,
}

/// A relay's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelayReport {
    /// Whose frames it has.
    pub network: Network,
    /// Its process id in the machine's numbering, while it runs.
    pub pid: Option<u32>,
    /// How it ended, such as `SIGKILL`. Until it is healed, nothing reaches its ports then.
    pub ended: Option<String>,
}

/// The name of a relay's port towards a node.
pub fn port(node: &str) -> String {
    format!("relay-{node}")
}

/// The name of the bridge between that port and the node's.
pub(crate) fn spur(node: &str) -> String {
    format!("spur-{node}")
}

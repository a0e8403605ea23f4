//! What membership is told at the start.

use std::net::IpAddr;

use crate::id::{BootId, Mac, NodeId, PerInterface};

/// How redirectors get their holders.
#[derive(Clone, Debug)]
pub enum RolesMode {
    /// Named by the configuration; a named node holds while it lives. For tests.
    Static(PerInterface<Option<NodeId>>),
    /// The living member with the highest priority holds.
    Priority,
}

/// What membership is told at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// This run of it.
    pub boot: BootId,
    /// Its own MACs.
    pub macs: PerInterface<Mac>,
    /// Its own addresses.
    pub addresses: PerInterface<Vec<IpAddr>>,
    /// The other members, at most `limits::MEMBERS_MAX` less one; more are left out.
    pub peers: Vec<NodeId>,
    /// Its priorities: the highest holds, of equals the lower id.
    pub priorities: PerInterface<u8>,
    /// Its weight for choosing; 0: never.
    pub weight: u16,
    /// How redirectors get their holders.
    pub roles: RolesMode,
}

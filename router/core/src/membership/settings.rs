//! What membership is told at the start.

use std::net::IpAddr;
use std::time::Duration;

use super::ProbeSettings;
use crate::id::{BootId, Mac, NodeId, PerInterface};

/// How redirectors get their holders.
#[derive(Clone, Debug)]
pub enum RolesMode {
    /// Named by the configuration; a named node holds while it lives. For tests.
    Static(PerInterface<Option<NodeId>>),
    /// Elected by VRRP: the highest priority takes a vacant role.
    Priority,
}

/// Whether a higher priority takes a role from a living holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// It waits until the role is vacant.
    Never,
    /// It does, once it is in sync and every member has said for this time that it hears the node on that interface.
    After(Duration),
}

/// How adverts are sent and read. Equal on all nodes but for the preemption.
#[derive(Clone, Debug)]
pub struct AdvertSettings {
    /// Time between two adverts in hundredths of a second, 1 to 4095.
    pub centiseconds: u16,
    /// Whether this node takes a role from a living holder of lower priority.
    pub preemption: Preemption,
    /// The virtual routers, which also name the virtual MACs.
    pub vrids: PerInterface<u8>,
    /// The cluster's addresses. For IPv6 a link-local one is derived from the virtual MAC if there is none.
    pub virtual_addresses: PerInterface<Vec<IpAddr>>,
}

impl Default for AdvertSettings {
    fn default() -> Self {
        Self {
            centiseconds: 10,
            preemption: Preemption::Never,
            vrids: PerInterface { first: 1, second: 2 },
            virtual_addresses: PerInterface::default(),
        }
    }
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
    /// Its priorities: the highest takes a vacant role, of equals the lower id.
    pub priorities: PerInterface<u8>,
    /// Its weight for choosing; 0: never.
    pub weight: u16,
    /// How redirectors get their holders.
    pub roles: RolesMode,
    /// How they are advertised.
    pub adverts: AdvertSettings,
    /// How members prove that they live.
    pub probes: ProbeSettings,
}

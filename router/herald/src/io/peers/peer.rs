//! A peer: where it is, its two connections, and what was said to it.

use std::net::SocketAddr;

use super::apart::KeptApart;
use herald_core::id::{BootId, NodeId};
use herald_core::mesh::Lane;
use herald_core::mesh::resend::Resend;
use herald_core::time::Instant;

/// One of the peers.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) address: SocketAddr,
    /// Its boot while its link is up.
    pub(super) boot: Option<BootId>,
    /// Its numbered messages.
    pub(super) resend: Resend,
    /// Why it was kept apart last.
    pub(super) apart: Option<KeptApart>,
    /// Which boot's configuration was compared, and the keys that should be equal and are not.
    pub(super) compared: Option<BootId>,
    pub(super) differs: Vec<String>,
    control: Way,
    frames: Way,
}

/// One of a peer's connections, or the attempt to open it.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Its place.
    pub(super) slot: Option<usize>,
    /// Attempts in a row that came to nothing.
    pub(super) failures: u32,
    /// Not dialled before this.
    pub(super) dial_at: Instant,
}

impl Peer {
    pub(super) fn new(node: NodeId, address: SocketAddr, own: BootId) -> Self {
        Self {
            node,
            address,
            boot: None,
            resend: Resend::new(own),
            apart: None,
            compared: None,
            differs: Vec::new(),
            control: Way::default(),
            frames: Way::default(),
        }
    }

    pub(super) fn way(&self, lane: Lane) -> &Way {
        match lane {
            Lane::Control => &self.control,
            Lane::Frames => &self.frames,
        }
    }

    pub(super) fn way_mut(&mut self, lane: Lane) -> &mut Way {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Frames => &mut self.frames,
        }
    }
}

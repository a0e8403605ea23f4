//! `Arrival`: an IP packet that came to this node, with where and how it came.

use super::{Frame, Headers, Packet};
use crate::event::DropReason;
use crate::flow::FlowKey;
use crate::id::Interface;
use crate::limits::HANDOVER_HOPS_MAX;

/// An IP packet that came in.
#[derive(Debug)]
pub struct Arrival {
    /// Where it arrived.
    pub interface: Interface,
    /// Its checked headers.
    pub headers: Headers,
    /// Its bytes.
    pub frame: Frame,
    /// How it came to this node.
    pub came: Came,
}

/// How a packet came to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// From a host to a virtual MAC, from a redirector over the mesh, or from this node's own.
    Directly,
    /// From a host to this node's own MAC: such hosts answer to the MAC that a packet came from.
    Straight,
    /// In a frame of the network that has a redirector's MAC as its source, which any host can write.
    Redirected,
    /// From a member that is not the node for it, to be steered here.
    Astray,
    /// From a node that had its stream before, or held it.
    HandedOver {
        /// How often it may be handed over once more.
        hops: u8,
    },
}

impl Came {
    /// How often the packet may be handed over from here on, from one owner of its stream to the next.
    #[must_use]
    pub fn hops_left(self) -> u8 {
        match self {
            Self::Directly | Self::Straight | Self::Redirected | Self::Astray => HANDOVER_HOPS_MAX,
            Self::HandedOver { hops } => hops,
        }
    }

    /// True if it came by way of a node that had its stream before.
    #[must_use]
    pub fn is_handed_over(self) -> bool {
        match self {
            Self::HandedOver { .. } => true,
            Self::Directly | Self::Straight | Self::Redirected | Self::Astray => false,
        }
    }
}

impl Arrival {
    /// The packet in a frame that came over the mesh. A VLAN tag that it had where it came in is of no meaning here.
    ///
    /// # Errors
    /// The frame and the reason to drop it: it carries no IP packet that this router handles.
    pub fn parse(interface: Interface, mut frame: Frame, came: Came) -> Result<Self, (Frame, DropReason)> {
        match Packet::parse_ip(&frame) {
            Ok(headers) => Ok(Self { interface, headers, frame, came }),
            Err(DropReason::VlanTagged) if frame.untag() => Self::parse(interface, frame, came),
            Err(reason) => Err((frame, reason)),
        }
    }

    /// The key of its flow.
    #[must_use]
    pub fn key(&self) -> FlowKey {
        self.headers.flow_key(self.interface)
    }

    /// Wire packets that it stands for, and its Ethernet bytes.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        (self.frame.segments(self.headers.payload_len()), self.frame.bytes().len() as u64)
    }
}

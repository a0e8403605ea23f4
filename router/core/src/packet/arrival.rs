//! `Arrival`: an IP packet that came to this node, with where and how it came.

use super::{Frame, Headers, Packet};
use crate::event::DropReason;
use crate::flow::FlowKey;
use crate::id::Interface;

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
    /// From a host or a redirector.
    Directly,
    /// From a node that had its stream before, or held it.
    HandedOver {
        /// How often it may be handed over once more.
        hops: u8,
    },
}

impl Arrival {
    /// The packet in a frame.
    ///
    /// # Errors
    /// The frame and the reason to drop it: it carries no IP packet that this router handles.
    pub fn parse(interface: Interface, frame: Frame, came: Came) -> Result<Self, (Frame, DropReason)> {
        match Packet::parse_ip(&frame) {
            Ok(headers) => Ok(Self { interface, headers, frame, came }),
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

//! Packets that came to a node which is not known to be the one for them: a host sent them straight to its MAC, or a frame of
//! the network claims to be redirected and begins a stream that this node would not be chosen for. The holder of the interface
//! can say whose they are. It gets them over the mesh, once.
//!
//! ```text
//!  host or forger           node                                holder
//!   | ---- to its own MAC --> |                                   |
//!   |                         | has the stream: takes it          |
//!   |                         | ---- Astray --------------------> | steers it as if a host had sent it there
//!   |                         | <--- Redirect, if that is the one | always over the mesh, where the sender is proven
//! ```

use super::Node;
use crate::chosen::Unmarked;
use crate::event::DropReason;
use crate::forward::Forward;
use crate::fragments::Way;
use crate::id::{Interface, NodeId};
use crate::inspector::HostPart;
use crate::mesh::Astray;
use crate::mutation::{Mutation, is_on};
use crate::packet::{Arrival, Came, Frame};
use crate::redirector::choice;
use crate::turn::Turn;

/// Whether a node may begin a stream, by how its first packet came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning<'a> {
    pub(super) node: NodeId,
    pub(super) choice: choice::Settings,
    /// Who might be chosen, as far as this node knows.
    pub(super) candidates: &'a [choice::Candidate],
    pub(super) forward: &'a Forward,
}

impl Beginning<'_> {
    /// The choice hash of the stream, if this node may begin it and its source is where the packet came from. A frame on a
    /// network proves nothing, and so does no more than a packet to the virtual MAC would: its stream begins at the node that
    /// it would be given to. Where two nodes' views differ for a moment, the holder decides.
    pub(super) fn begin(&self, arrival: &Arrival, came: Came) -> Result<u64, Unmarked> {
        let hash = self.choice.hash(&arrival.key());
        let may = match came {
            Came::Directly | Came::Astray | Came::HandedOver { .. } => true,
            Came::Redirected if is_on(Mutation::BelieveRedirects) => true,
            Came::Redirected => self.choice.choose(hash, self.candidates) == Some(self.node),
            Came::Straight => is_on(Mutation::BeginStraight),
        };
        if !may {
            return Err(Unmarked::Astray);
        }
        self.forward.check_source(arrival.interface, &arrival.headers).map_err(Unmarked::Dropped)?;
        Ok(hash)
    }
}

impl<H: HostPart> Node<H> {
    /// A packet came whose stream this node has not got: it goes to the holder, if that is another.
    pub(super) fn went_astray(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival) {
        let came = match arrival.came {
            Came::Straight | Came::Directly | Came::HandedOver { .. } => Came::Directly,
            Came::Redirected | Came::Astray => {
                turn.out.ledger.unproven += 1;
                Came::Astray
            }
        };
        let interface = arrival.interface;
        if self.view.steers(turn.now, interface) {
            return self.steer(turn, Arrival { came, ..arrival });
        }
        let Some(holder) = self.view.holder(interface) else {
            return turn.out.drop(arrival.frame, DropReason::NotFromHolder);
        };
        match self.astray.take(turn.now) {
            Some(()) => turn.out.hand_to_holder(holder, interface, arrival.frame),
            None => turn.out.drop(arrival.frame, DropReason::AstrayRate),
        }
    }

    /// A member has a packet that is not its own, as far as it knows. It is steered as if a host had sent it here. If the
    /// member was chosen for it a moment ago and cannot be any more, another node is.
    pub(super) fn astray_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, astray: &Astray) {
        let Some(frame) = Frame::from_wire(&astray.wire) else {
            turn.out.ledger.messages_unauthorised += 1;
            return;
        };
        turn.out.ledger.arrived_mesh += 1;
        self.strayed(turn, from, astray.interface, frame);
    }

    /// The frame that a member has sent here.
    pub(super) fn strayed(&mut self, turn: &mut Turn<'_, H>, from: NodeId, interface: Interface, frame: Frame) {
        let arrival = match Arrival::parse(interface, frame, Came::Astray) {
            Ok(arrival) => arrival,
            Err((frame, reason)) => return self.join_or_drop(turn, (interface, Way::Astray(from)), frame, reason),
        };
        if !self.view.steers(turn.now, interface) {
            return turn.out.drop(arrival.frame, DropReason::NotHolder);
        }
        let destination = arrival.headers.destination;
        if self.forward.is_own_address(destination) || self.forward.is_virtual_address(destination) {
            let Arrival { headers, frame, .. } = arrival;
            return self.forward.local_arrived(turn.now, interface, &headers, frame, turn.out);
        }
        if !self.candidates.iter().any(|candidate| candidate.node == from) {
            self.redirector.forget_choice(&arrival.key(), from);
        }
        self.steer(turn, arrival);
    }
}

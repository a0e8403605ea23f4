//! The links to peers: each a connection for messages, and one for frames beside it.

use super::{Node, Redirecting};
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::membership::Apart;
use crate::mesh::Hello;
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// The link to a peer is up.
    pub fn link_up(&mut self, turn: &mut Turn<'_, H>, hello: &Hello) {
        // Its connection for frames comes about later.
        self.frames_lost(turn, hello.node);
        self.change_view(turn, |membership, now, out| membership.link_up(now, hello, out));
        self.compare_after_reconnect(turn, hello.node);
    }

    /// The link to a peer is lost.
    pub fn link_lost(&mut self, turn: &mut Turn<'_, H>, peer: NodeId) {
        self.change_view(turn, |membership, now, out| membership.link_lost(now, peer, out));
    }

    /// The connection for frames beside a link is up.
    pub fn frames_up(&mut self, turn: &mut Turn<'_, H>, peer: NodeId) {
        if !self.frames_to.contains(&peer) {
            self.frames_to.push(peer);
        }
        self.change_view(turn, |membership, now, out| membership.frames_up(now, peer, out));
    }

    /// The connection for frames beside a link is lost. Where the mesh redirects, no stream may go to a node that frames do
    /// not reach; elsewhere none may be given to it by this node, which would have to hand over what still comes.
    pub fn frames_lost(&mut self, turn: &mut Turn<'_, H>, peer: NodeId) {
        self.frames_to.retain(|other| *other != peer);
        match self.redirecting {
            Redirecting::Ethernet => {}
            Redirecting::Mesh => {
                self.change_view(turn, |membership, now, out| membership.frames_lost(now, peer, out));
            }
        }
    }

    /// This node and a peer have no link, although they can reach each other.
    pub fn kept_apart(&mut self, turn: &mut Turn<'_, H>, peer: NodeId, apart: Apart) {
        self.change_view(turn, |membership, now, out| membership.kept_apart(now, peer, apart, out));
    }

    /// Nobody listens at a peer's address, although its machine answers.
    pub fn peer_refused(&mut self, turn: &mut Turn<'_, H>, peer: NodeId) {
        self.change_view(turn, |membership, now, out| membership.peer_refused(now, peer, out));
    }
}

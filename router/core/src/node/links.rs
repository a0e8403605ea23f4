//! The links to peers: each a connection for messages, and one for frames beside it.

use super::{Node, Redirecting};
use crate::id::NodeId;
use crate::inspector::Inspector;
use crate::mesh::Hello;
use crate::outbox::Outbox;
use crate::time::Instant;

impl Node {
    /// The link to a peer is up.
    pub fn link_up(&mut self, now: Instant, hello: &Hello, plugins: &mut dyn Inspector, out: &mut Outbox) {
        // Its connection for frames comes about later.
        self.frames_lost(now, hello.node, plugins, out);
        self.membership.link_up(now, hello, out);
        self.find_detours();
        self.take_changes(now, plugins, out);
        self.compare_after_reconnect(now, hello.node, out);
    }

    /// The link to a peer is lost.
    pub fn link_lost(&mut self, now: Instant, peer: NodeId, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.membership.link_lost(now, peer, out);
        self.find_detours();
        self.take_changes(now, plugins, out);
    }

    /// The connection for frames beside a link is up.
    pub fn frames_up(&mut self, now: Instant, peer: NodeId, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.membership.frames_up(now, peer, out);
        self.take_changes(now, plugins, out);
    }

    /// The connection for frames beside a link is lost. Where the mesh redirects, no stream may go to a node that frames do
    /// not reach; elsewhere it carries only the stragglers of streams that move.
    pub fn frames_lost(&mut self, now: Instant, peer: NodeId, plugins: &mut dyn Inspector, out: &mut Outbox) {
        match self.redirecting {
            Redirecting::Ethernet => {}
            Redirecting::Mesh => {
                self.membership.frames_lost(now, peer, out);
                self.take_changes(now, plugins, out);
            }
        }
    }

    /// Nobody listens at a peer's address, although its machine answers.
    pub fn peer_refused(&mut self, now: Instant, peer: NodeId, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.membership.peer_refused(now, peer, out);
        self.take_changes(now, plugins, out);
    }
}

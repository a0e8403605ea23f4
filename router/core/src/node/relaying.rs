//! Messages for members that live but are out of reach: they take one detour, by a member that has links to both.

use super::Node;
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::membership::Member;
use crate::mesh::{Message, Relay, codec};
use crate::outbox::Outbox;
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// The link that a message to `to` takes.
    pub(super) fn way_to(&self, to: NodeId) -> NodeId {
        self.view.detours().iter().find(|(target, _)| *target == to).map_or(to, |(_, via)| *via)
    }

    /// Sends what is for members out of reach by another.
    pub(super) fn take_detours(&mut self, out: &mut Outbox) {
        if self.view.detours().is_empty() {
            return;
        }
        for (to, message) in &mut out.send {
            let via = self.view.detours().iter().find(|(target, _)| target == to).map(|(_, via)| *via);
            let (Some(via), true) = (via, message.may_be_relayed()) else { continue };
            let mut bytes = Vec::new();
            // What is over its bound is lost on a link, too, and counted there.
            if codec::encode(message, &mut bytes).is_ok() {
                *message = Message::Relay(Relay { source: self.node, target: *to, bytes });
                *to = via;
            }
        }
    }

    /// A member passes on what another says, or wants it passed on.
    pub(super) fn relay_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, relay: Relay) {
        let is_linked = |node| self.view.member(node).is_some_and(|member| member.link_up);
        if relay.source == from && relay.target != self.node {
            if is_linked(relay.target) {
                turn.out.send(relay.target, Message::Relay(relay));
            } else {
                turn.out.ledger.messages_stale += 1;
            }
            return;
        }
        // Who is heard says it itself. A detour is taken only after a silence, which is both ends' within a heartbeat.
        let is_believed = |member: &Member| member.boot.is_some() && !member.was_just_heard(turn.now);
        let believed = self.view.member(relay.source).is_some_and(is_believed);
        match codec::decode_message(&relay.bytes).filter(Message::may_be_relayed) {
            Some(message) if relay.target == self.node && relay.source != self.node && believed => {
                self.message_arrived(turn, relay.source, message);
            }
            Some(_) | None => turn.out.ledger.messages_unauthorised += 1,
        }
    }
}

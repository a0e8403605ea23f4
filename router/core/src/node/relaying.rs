//! Messages for members that live but are out of reach: they take one detour, by a member that has links to both.

use super::Node;
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::membership::Member;
use crate::mesh::{Lane, Message, Relay, RelayFrame, codec};
use crate::outbox::{Ledger, Outbox};
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
            if let (Some(via), true) = (via, message.may_be_relayed()) {
                self.take_detour(via, (to, message), &mut out.ledger);
            }
        }
    }

    fn take_detour(&self, via: NodeId, (to, message): (&mut NodeId, &mut Message), ledger: &mut Ledger) {
        let mut bytes = Vec::new();
        // What is over its bound is lost on a link, too, and counted there.
        if codec::encode(message, &mut bytes).is_ok() {
            ledger.note_detour(message);
            *message = relayed(message.lane(), Relay { source: self.node, target: *to, bytes });
            *to = via;
        }
    }

    /// A member passes on what another says, or wants it passed on.
    pub(super) fn relay_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, (lane, relay): (Lane, Relay)) {
        if relay.source == from && relay.target != self.node {
            return self.relay(turn, (lane, relay));
        }
        // Who is heard says it itself. A detour is taken only after a silence, which is both ends' within a heartbeat.
        let is_believed = |member: &Member| member.boot.is_some() && !member.was_just_heard(turn.now);
        let believed = self.view.member(relay.source).is_some_and(is_believed);
        let is_allowed = |message: &Message| message.may_be_relayed() && message.lane() == lane;
        match codec::decode_message(&relay.bytes).filter(is_allowed) {
            Some(message) if relay.target == self.node && relay.source != self.node && believed => {
                let sent = turn.out.send.len();
                self.message_arrived(turn, relay.source, message);
                self.answer_the_same_way((relay.source, from), sent, turn.out);
            }
            Some(_) | None => turn.out.ledger.messages_unauthorised += 1,
        }
    }

    /// One end may take a detour while the other still waits for its link to come back: who asked, asked lately, and waits less
    /// long.
    fn answer_the_same_way(&self, (source, via): (NodeId, NodeId), sent: usize, out: &mut Outbox) {
        if self.view.member(source).is_some_and(|member| member.link_up) {
            return;
        }
        for (to, message) in out.send.iter_mut().skip(sent) {
            if *to == source && matches!(message, Message::Answer(_) | Message::Acknowledge(_) | Message::Refuse(_)) {
                self.take_detour(via, (to, message), &mut out.ledger);
            }
        }
    }

    /// A member wants something passed on to one that it cannot reach. A frame for which there is no link is counted as one
    /// that finds none.
    fn relay(&self, turn: &mut Turn<'_, H>, (lane, relay): (Lane, Relay)) {
        let target = relay.target;
        let message = relayed(lane, relay);
        if let Message::RelayFrame(relayed) = &message {
            let frames = u64::from(relayed.has_frame());
            turn.out.ledger.arrived_mesh += frames;
            turn.out.ledger.handed_over += frames;
        } else if !self.view.member(target).is_some_and(|member| member.link_up) {
            turn.out.ledger.messages_stale += 1;
            return;
        }
        turn.out.send(target, message);
    }
}

/// What is relayed stays on the connection that it would take.
fn relayed(lane: Lane, relay: Relay) -> Message {
    match lane {
        Lane::Control => Message::Relay(relay),
        Lane::Frames => Message::RelayFrame(RelayFrame(relay)),
    }
}

//! What other nodes say. A message changes state only if its sender may speak for what it is about.

use super::Node;
use crate::chosen::Arrival;
use crate::event::{Event, Step};
use crate::id::NodeId;
use crate::inspector::Inspector;
use crate::limits::MEMBERS_MAX;
use crate::mesh::{Acknowledge, Announce, Answer, Close, Handover, Message, Refresh};
use crate::outbox::Outbox;
use crate::packet::{Content, Frame, Packet};
use crate::redirector::{Heard, Redirector};
use crate::time::Instant;

/// Answers that nobody has fetched yet.
const ANSWERS_MAX: usize = MEMBERS_MAX * 16;

impl Node {
    /// A message came over the link to `from`.
    pub fn message_arrived(
        &mut self,
        now: Instant,
        from: NodeId,
        message: Message,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        match message {
            Message::Heartbeat(heartbeat) => self.membership.heartbeat_arrived(now, from, &heartbeat, out),
            Message::Claim(claim) => self.membership.claim_arrived(now, from, &claim, out),
            Message::Announce(announce) => self.announced(now, from, &announce, out),
            Message::Acknowledge(acknowledge) => self.acknowledge_arrived(now, from, &acknowledge, out),
            Message::Refuse(refuse) => self.refused(now, &refuse, out),
            Message::Refresh(refresh) => self.refreshed(now, from, refresh, out),
            Message::Close(close) => self.closed(now, from, &close, out),
            Message::Handover(handover) => self.handed_over(now, &handover, plugins, out),
            Message::Query(query) => {
                let (believed, owned) = (self.redirector.belief(&query.key), None);
                out.send(from, Message::Answer(Answer { id: query.id, key: query.key, believed, owned }));
            }
            Message::Answer(answer) if self.answers.len() < ANSWERS_MAX => self.answers.push(answer),
            Message::Answer(_) => {}
            Message::Assign(_)
            | Message::Fence(_)
            | Message::Redirect(_)
            | Message::Compare(_)
            | Message::SyncEnd(_) => out.ledger.messages_stale += 1,
        }
        self.take_changes(now, plugins, out);
    }

    /// True if `from` is the node that the announcement makes the owner, in its present boot.
    fn may_announce(&self, from: NodeId, announce: &Announce, out: &mut Outbox) -> bool {
        if announce.generation.node != from {
            out.ledger.messages_unauthorised += 1;
            return false;
        }
        let member = self.membership.members().find(|member| member.node == from);
        if member.and_then(|member| member.boot) != Some(announce.boot) {
            out.ledger.messages_stale += 1;
            return false;
        }
        true
    }

    /// A chosen node announces a stream.
    fn announced(&mut self, now: Instant, from: NodeId, announce: &Announce, out: &mut Outbox) {
        if !self.may_announce(from, announce, out) {
            return;
        }
        if !self.hear(now, from, announce, out) {
            return;
        }
        let back = announce.return_key.interface();
        if let Some(epoch) = self.membership.epoch(back).filter(|_| self.membership.holds(back)) {
            out.tell(Event::Step { step: Step::M7, flow: announce.arrival, node: from });
            out.send(from, Message::Acknowledge(Redirector::acknowledge(announce, epoch)));
        }
    }

    /// The sessions of a stream are made or refreshed in the redirectors that this node holds. False if refused.
    fn hear(&mut self, now: Instant, from: NodeId, announce: &Announce, out: &mut Outbox) -> bool {
        for key in [announce.arrival, announce.return_key] {
            if !self.membership.holds(key.interface()) {
                continue;
            }
            match self.redirector.session_announced(now, &key, announce) {
                Heard::Acknowledged => {}
                Heard::Displaced(loser, refuse) if loser == self.node => self.refused(now, &refuse, out),
                Heard::Displaced(loser, refuse) => out.send(loser, Message::Refuse(refuse)),
                Heard::Refused(refuse) if from == self.node => {
                    self.refused(now, &refuse, out);
                    return false;
                }
                Heard::Refused(refuse) => {
                    out.send(from, Message::Refuse(refuse));
                    return false;
                }
            }
        }
        true
    }

    /// Streams of `from` live on.
    pub(super) fn refreshed(&mut self, now: Instant, from: NodeId, refresh: Refresh, out: &mut Outbox) {
        for announce in refresh.streams {
            if self.may_announce(from, &announce, out) {
                self.hear(now, from, &announce, out);
            }
        }
    }

    /// A redirector acknowledges; it counts only in the epoch in which that node holds the role.
    fn acknowledge_arrived(&mut self, now: Instant, from: NodeId, acknowledge: &Acknowledge, out: &mut Outbox) {
        let interface = acknowledge.return_key.interface();
        if acknowledge.epoch.node != from {
            out.ledger.messages_unauthorised += 1;
            return;
        }
        let slot = self.chosen.slot_announced(&acknowledge.return_key, acknowledge.generation);
        match slot {
            Some(slot) if self.membership.epoch(interface) == Some(acknowledge.epoch) => {
                self.acknowledged(now, slot, from, out);
            }
            Some(_) | None => out.ledger.messages_stale += 1,
        }
    }

    /// A chosen node closes a stream.
    fn closed(&mut self, now: Instant, from: NodeId, close: &Close, out: &mut Outbox) {
        if close.generation.node != from {
            out.ledger.messages_unauthorised += 1;
            return;
        }
        for key in [close.arrival, close.return_key] {
            if self.membership.holds(key.interface()) {
                self.redirector.session_closed(now, &key, close);
            }
        }
    }

    /// A frame of a stream that this node has won.
    fn handed_over(&mut self, now: Instant, handover: &Handover, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let Some(frame) = Frame::from_wire(&handover.wire) else {
            out.ledger.messages_unauthorised += 1;
            return;
        };
        out.ledger.arrived_mesh += 1;
        match Packet::parse(&frame).map(|packet| packet.content) {
            Ok(Content::Ip(headers)) => {
                self.accept(now, Arrival { interface: handover.interface, headers, frame }, plugins, out);
                self.batch_ended(now, plugins, out);
            }
            Ok(Content::Arp(_)) => out.drop(frame, crate::event::DropReason::Malformed),
            Err(reason) => out.drop(frame, reason),
        }
    }
}

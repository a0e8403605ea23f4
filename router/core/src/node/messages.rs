//! What other nodes say. A message changes state only if its sender may speak for what it is about.

use super::Node;
use super::early::{Awaited, Early};
use crate::chosen::{Arrival, Came};
use crate::event::{DropReason, Event, Step};
use crate::flow::FlowKey;
use crate::id::{Interface, NodeId};
use crate::inspector::Inspector;
use crate::limits::HANDOVER_HOPS_MAX;
use crate::mesh::{Acknowledge, Announce, Close, Handover, Message, Redirect, Refresh, Refuse};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::{Content, Frame, Packet};
use crate::redirector::{Heard, Redirector};
use crate::time::Instant;

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
            Message::Refuse(refuse) => self.refuse_arrived(now, from, &refuse, out),
            Message::Refresh(refresh) => self.refreshed(now, from, refresh, out),
            Message::Close(close) => self.closed(now, from, &close, out),
            Message::Handover(handover) => self.handed_over(now, &handover, plugins, out),
            Message::Assign(assign) => self.assign_arrived(now, from, &assign, plugins, out),
            Message::Fence(fence) => self.fence_arrived(now, &fence, plugins, out),
            Message::Redirect(redirect) => self.redirect_arrived(now, from, &redirect, plugins, out),
            Message::Query(query) => self.query_arrived(from, &query, out),
            Message::Answer(answer) => self.answer_arrived(now, from, answer, plugins, out),
            Message::Compare(compare) => self.compare_arrived(now, from, &compare, out),
            Message::SyncEnd(end) => self.sync_ended(now, from, &end, out),
            Message::Relay(relay) => self.relay_arrived(now, from, relay, plugins, out),
            Message::Unheard(unheard) => self.was_unheard(now, from, unheard.interface, out),
        }
        self.take_changes(now, plugins, out);
    }

    /// True if `from` is the node that the announcement makes the owner, in its present boot.
    pub(super) fn may_announce(&self, from: NodeId, announce: &Announce, out: &mut Outbox) -> bool {
        if announce.generation.node != from && !is_on(Mutation::SpeakForOthers) {
            out.ledger.messages_unauthorised += 1;
            return false;
        }
        let member = self.membership.members().find(|member| member.node == from);
        if member.and_then(|member| member.boot) != Some(announce.boot) && !is_on(Mutation::AcceptAnyBoot) {
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
        if !is_on(Mutation::AcknowledgeUnheard) && !self.hear(now, from, announce, out) {
            return;
        }
        let back = announce.return_key.interface();
        if let Some(epoch) = self.membership.epoch(back).filter(|_| self.membership.holds(back)) {
            out.tell(Event::Step { step: Step::M7, flow: announce.arrival, node: from });
            out.send(from, Message::Acknowledge(Redirector::acknowledge(announce, epoch)));
        }
    }

    /// The sessions of a stream are made or confirmed in the redirectors that this node holds or stands by for. False if
    /// one that it holds refuses.
    pub(super) fn hear(&mut self, now: Instant, from: NodeId, announce: &Announce, out: &mut Outbox) -> bool {
        let stream = self.choice.stream(&announce.arrival, &announce.return_key);
        for key in [announce.arrival, announce.return_key] {
            match self.redirector_hears(now, key, stream, announce) {
                None | Some(Heard::Acknowledged) => {}
                Some(Heard::Displaced(loser, refuse)) if loser == self.node => self.refused(now, &refuse, out),
                Some(Heard::Displaced(loser, refuse)) => out.send(loser, Message::Refuse(refuse)),
                Some(Heard::Refused(refuse)) if from == self.node => {
                    self.refused(now, &refuse, out);
                    return false;
                }
                Some(Heard::Refused(refuse)) => {
                    out.send(from, Message::Refuse(refuse));
                    return false;
                }
            }
        }
        true
    }

    /// The session of one of the keys of a stream, which has this identity, is made or confirmed, if this node keeps that interface's sessions. What
    /// its redirector says to that, if it holds it.
    pub(super) fn redirector_hears(
        &mut self,
        now: Instant,
        key: FlowKey,
        stream: u64,
        announce: &Announce,
    ) -> Option<Heard> {
        if !self.keeps(key.interface()) {
            return None;
        }
        let heard = self.redirector.session_announced(now, &key, stream, announce);
        self.note_answered(key);
        Some(heard).filter(|_| self.membership.holds(key.interface()))
    }

    /// Streams of `from` that a comparison asked for.
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
            Some(slot)
                if self.membership.epoch(interface) == Some(acknowledge.epoch) || is_on(Mutation::AcceptOldEpoch) =>
            {
                self.acknowledged(now, slot, from, out);
            }
            Some(_) | None => out.ledger.messages_stale += 1,
        }
    }

    /// A redirector refuses an announcement. Nobody else may: the stream would be lost to whom it names. One whose role is
    /// not known yet is announced to again when it is.
    fn refuse_arrived(&mut self, now: Instant, from: NodeId, refuse: &Refuse, out: &mut Outbox) {
        if Interface::BOTH.into_iter().any(|interface| self.was_sent_by_holder(now, interface, from)) {
            self.refused(now, refuse, out);
        } else {
            out.ledger.messages_unauthorised += 1;
        }
    }

    /// A chosen node closes a stream.
    fn closed(&mut self, now: Instant, from: NodeId, close: &Close, out: &mut Outbox) {
        if close.generation.node != from && !is_on(Mutation::CloseForOthers) {
            out.ledger.messages_unauthorised += 1;
            return;
        }
        for key in [close.arrival, close.return_key] {
            if self.keeps(key.interface()) {
                self.redirector.session_closed(now, &key, close);
            }
        }
    }

    /// A frame of a stream that this node has won, or that was given to it: the assignment may still be on its way.
    fn handed_over(&mut self, now: Instant, handover: &Handover, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let Some(frame) = Frame::from_wire(&handover.wire) else {
            out.ledger.messages_unauthorised += 1;
            return;
        };
        out.ledger.arrived_mesh += 1;
        let (interface, hops) = (handover.interface, handover.hops.min(HANDOVER_HOPS_MAX));
        let headers = match Packet::parse(&frame).map(|packet| packet.content) {
            Ok(Content::Ip(headers)) => headers,
            Ok(Content::Arp(_)) => return out.drop(frame, DropReason::Malformed),
            Err(reason) => return out.drop(frame, reason),
        };
        let key = headers.flow_key(interface);
        if self.chosen.markers.slot_of(&key).is_none() {
            let awaited = Awaited::Assign(key);
            return self.early.keep(now, Early { awaited, interface, hops, frame }, out);
        }
        self.accept(now, Arrival { interface, headers, frame, came: Came::HandedOver { hops } }, plugins, out);
    }

    /// A frame from a redirector that redirects over the mesh. It must be the holder, in its present epoch; one whose
    /// claim may still be on its way waits for it.
    fn redirect_arrived(
        &mut self,
        now: Instant,
        from: NodeId,
        redirect: &Redirect,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        let Some(frame) = Frame::from_wire(&redirect.wire) else {
            out.ledger.messages_unauthorised += 1;
            return;
        };
        out.ledger.arrived_mesh += 1;
        let interface = redirect.interface;
        let headers = match Packet::parse(&frame).map(|packet| packet.content) {
            Ok(Content::Ip(headers)) => headers,
            Ok(Content::Arp(_)) => return out.drop(frame, DropReason::Malformed),
            Err(reason) => return out.drop(frame, reason),
        };
        if self.was_sent_by_holder(now, interface, from) {
            if self.forward.is_own_address(headers.destination) {
                return self.forward.local_arrived(now, interface, &headers, frame, out);
            }
            self.accept(now, Arrival { interface, headers, frame, came: Came::Directly }, plugins, out);
        } else if self.membership.epoch(interface).is_none_or(|own| redirect.epoch > own) {
            let awaited = Awaited::Claim(from, interface);
            self.early.keep(now, Early { awaited, interface, hops: 0, frame }, out);
        } else {
            out.drop(frame, DropReason::NotFromHolder);
        }
    }
}

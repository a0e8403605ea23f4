//! What other nodes say. A message changes state only if its sender may speak for what it is about.

use super::Node;
use super::early::{Awaited, Early};
use crate::event::{DropReason, Event, Step};
use crate::flow::FlowKey;
use crate::fragments::Way;
use crate::id::{Epoch, Interface, NodeId};
use crate::inspector::HostPart;
use crate::limits::{HANDOVER_HOPS_MAX, TOMBSTONE_TIME};
use crate::mesh::{Acknowledge, Announce, Close, Handover, Lane, Message, Redirect, Refresh, Refuse, RelayFrame};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::{Arrival, Came, Frame};
use crate::redirector::{Heard, Redirector};
use crate::time::Instant;
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// A message came over the link to `from`.
    pub fn message_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, message: Message) {
        match message {
            Message::Heartbeat(heartbeat) => {
                self.change_view(turn, |membership, now, out| membership.heartbeat_arrived(now, from, &heartbeat, out))
            }
            Message::Claim(claim) => {
                self.change_view(turn, |membership, now, out| membership.claim_arrived(now, from, &claim, out))
            }
            Message::Announce(announce) => self.announced(turn, from, &announce),
            Message::Acknowledge(acknowledge) => self.acknowledge_arrived(turn, from, &acknowledge),
            Message::Refuse(refuse) => self.refuse_arrived(turn, from, &refuse),
            Message::Refresh(refresh) => self.refreshed(turn, from, refresh),
            Message::Close(close) => self.closed(turn, from, &close),
            Message::Handover(handover) => self.handed_over(turn, &handover),
            Message::Assign(assign) => self.assign_arrived(turn, from, &assign),
            Message::Fence(fence) => self.fence_arrived(turn, from, &fence),
            Message::Astray(astray) => self.astray_arrived(turn, from, &astray),
            Message::Redirect(redirect) => self.redirect_arrived(turn, from, &redirect),
            Message::Query(query) => self.query_arrived(from, &query, turn.out),
            Message::Answer(answer) => self.answer_arrived(turn, from, answer),
            Message::Compare(compare) => self.compare_arrived(turn, from, &compare),
            Message::SyncEnd(end) => self.sync_ended(turn, from, &end),
            Message::Relay(relay) => self.relay_arrived(turn, from, (Lane::Control, relay)),
            Message::RelayFrame(RelayFrame(relay)) => self.relay_arrived(turn, from, (Lane::Frames, relay)),
            Message::Inquiry(inquiry) => self.inquiry_arrived(from, inquiry, turn.out),
            Message::Decline(decline) => self.declined(turn, from, &decline),
            Message::NeighbourChanged(changed) => self.neighbour_changed(turn, from, &changed),
            Message::Unheard(unheard) => self.was_unheard(turn, from, unheard.interface),
        }
    }

    /// True if `from` is the node that the announcement makes the owner, in its present boot.
    pub(super) fn may_announce(&self, from: NodeId, announce: &Announce, out: &mut Outbox) -> bool {
        if announce.generation.node != from && !is_on(Mutation::SpeakForOthers) {
            out.ledger.messages_unauthorised += 1;
            return false;
        }
        let member = self.view.members().find(|member| member.node == from);
        if member.and_then(|member| member.boot) != Some(announce.boot) && !is_on(Mutation::AcceptAnyBoot) {
            out.ledger.messages_stale += 1;
            return false;
        }
        true
    }

    /// A chosen node announces a stream.
    fn announced(&mut self, turn: &mut Turn<'_, H>, from: NodeId, announce: &Announce) {
        if !self.may_announce(from, announce, turn.out) {
            return;
        }
        if !is_on(Mutation::AcknowledgeUnheard) && !self.hear(turn, from, announce) {
            return;
        }
        let back = announce.return_key.interface();
        if let Some(epoch) = self.view.epoch(back).filter(|_| self.view.holds(back)) {
            turn.out.tell(Event::Step { step: Step::M7, flow: announce.arrival, node: from });
            turn.out.send(from, Message::Acknowledge(Redirector::acknowledge(announce, epoch)));
        }
    }

    /// The sessions of a stream are made or confirmed in the redirectors that this node holds or stands by for. False if
    /// one that it holds refuses.
    pub(super) fn hear(&mut self, turn: &mut Turn<'_, H>, from: NodeId, announce: &Announce) -> bool {
        let stream = self.choice.stream(&announce.arrival, &announce.return_key);
        for key in [announce.arrival, announce.return_key] {
            match self.redirector_hears(turn.now, key, stream, announce) {
                None | Some(Heard::Acknowledged) => {}
                Some(Heard::Displaced(loser, refuse)) if loser == self.node => self.refused(turn, &refuse),
                Some(Heard::Displaced(loser, refuse)) => turn.out.send(loser, Message::Refuse(refuse)),
                Some(Heard::Refused(refuse)) if from == self.node => {
                    self.refused(turn, &refuse);
                    return false;
                }
                Some(Heard::Refused(refuse)) => {
                    turn.out.send(from, Message::Refuse(refuse));
                    return false;
                }
            }
        }
        true
    }

    /// The session of one of the keys of a stream, which has this identity, is made or confirmed, if this node keeps that
    /// interface's sessions. What its redirector says to that, if it holds it.
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
        let holds = self.view.holds(key.interface());
        if !holds && matches!(heard, Heard::Refused(Refuse { winner: Some(_), .. })) {
            // The holder decides. It may have forgotten the one that won here.
            self.compare_by(key.interface(), now + TOMBSTONE_TIME);
        }
        Some(heard).filter(|_| holds)
    }

    /// Streams of `from` that a comparison asked for.
    pub(super) fn refreshed(&mut self, turn: &mut Turn<'_, H>, from: NodeId, refresh: Refresh) {
        for announce in refresh.streams {
            if self.may_announce(from, &announce, turn.out) {
                self.hear(turn, from, &announce);
            }
        }
    }

    /// A redirector acknowledges; it counts only in the epoch in which that node holds the role.
    fn acknowledge_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, acknowledge: &Acknowledge) {
        let interface = acknowledge.return_key.interface();
        if acknowledge.epoch.node != from {
            turn.out.ledger.messages_unauthorised += 1;
            return;
        }
        let slot = self.chosen.slot_announced(&acknowledge.return_key, acknowledge.generation);
        match slot {
            Some(slot) if self.view.epoch(interface) == Some(acknowledge.epoch) || is_on(Mutation::AcceptOldEpoch) => {
                self.acknowledged(turn, slot, from);
            }
            Some(_) | None => turn.out.ledger.messages_stale += 1,
        }
    }

    /// A redirector refuses an announcement. Nobody else may: the stream would be lost to whom it names. One whose role is
    /// not known yet is announced to again when it is.
    fn refuse_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, refuse: &Refuse) {
        if Interface::BOTH.into_iter().any(|interface| self.was_sent_by_holder(turn.now, interface, from)) {
            self.refused(turn, refuse);
        } else {
            turn.out.ledger.messages_unauthorised += 1;
        }
    }

    /// A chosen node closes a stream.
    fn closed(&mut self, turn: &mut Turn<'_, H>, from: NodeId, close: &Close) {
        if close.generation.node != from && !is_on(Mutation::CloseForOthers) {
            turn.out.ledger.messages_unauthorised += 1;
            return;
        }
        for key in [close.arrival, close.return_key] {
            if self.keeps(key.interface()) {
                self.redirector.session_closed(turn.now, &key, close);
            }
        }
    }

    /// A frame of a stream that this node has won, or that was given to it: the assignment may still be on its way.
    fn handed_over(&mut self, turn: &mut Turn<'_, H>, handover: &Handover) {
        let Some(frame) = Frame::from_wire(&handover.wire) else {
            turn.out.ledger.messages_unauthorised += 1;
            return;
        };
        turn.out.ledger.arrived_mesh += 1;
        self.followed(turn, handover.interface, handover.hops.min(HANDOVER_HOPS_MAX), frame);
    }

    /// A frame that followed its stream here, and may do so `hops` times more.
    pub(super) fn followed(&mut self, turn: &mut Turn<'_, H>, interface: Interface, hops: u8, frame: Frame) {
        let arrival = match Arrival::parse(interface, frame, Came::HandedOver { hops }) {
            Ok(arrival) => arrival,
            Err((frame, reason)) => return self.join_or_drop(turn, (interface, Way::Handover { hops }), frame, reason),
        };
        let key = arrival.key();
        if self.chosen.markers.slot_of(&key).is_none() {
            let awaited = Awaited::Assign(key);
            return self.early.keep(turn.now, Early { awaited, arrival }, turn.out);
        }
        self.accept(turn, arrival);
    }

    /// A frame from a redirector that redirects over the mesh. It must be the holder, in its present epoch; one whose
    /// claim may still be on its way waits for it.
    fn redirect_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, redirect: &Redirect) {
        let Some(frame) = Frame::from_wire(&redirect.wire) else {
            turn.out.ledger.messages_unauthorised += 1;
            return;
        };
        turn.out.ledger.arrived_mesh += 1;
        self.redirected(turn, from, (redirect.interface, redirect.epoch), frame);
    }

    /// The frame that a redirector has sent here, for an interface and in an epoch.
    pub(super) fn redirected(
        &mut self,
        turn: &mut Turn<'_, H>,
        from: NodeId,
        (interface, epoch): (Interface, Epoch),
        frame: Frame,
    ) {
        let arrival = match Arrival::parse(interface, frame, Came::Directly) {
            Ok(arrival) => arrival,
            Err((frame, reason)) => {
                return self.join_or_drop(turn, (interface, Way::Redirect(from, epoch)), frame, reason);
            }
        };
        if self.was_sent_by_holder(turn.now, interface, from) {
            if self.forward.is_own_address(arrival.headers.destination) {
                let Arrival { headers, frame, .. } = arrival;
                return self.forward.local_arrived(turn.now, interface, &headers, frame, turn.out);
            }
            self.accept(turn, arrival);
        } else if self.view.epoch(interface).is_none_or(|own| epoch > own) {
            let awaited = Awaited::Claim(from, interface);
            self.early.keep(turn.now, Early { awaited, arrival }, turn.out);
        } else {
            turn.out.drop(arrival.frame, DropReason::NotFromHolder);
        }
    }
}

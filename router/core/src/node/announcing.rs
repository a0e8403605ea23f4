//! Announce, hold, release: no first packet leaves before the other redirector has its stream's session.

use super::{Announcing, Node};
use crate::chosen::Held;
use crate::event::{DropReason, Event, Step};
use crate::flow::FlowKey;
use crate::id::{Generation, Interface, NodeId, Slot};
use crate::inspector::HostPart;
use crate::limits::{DELAYED_ANNOUNCEMENTS_MAX, HANDOVER_HOPS_MAX};
use crate::mesh::{Announce, Message, Refuse, Unheard, Urgency};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::Frame;
use crate::redirector::Heard;
use crate::session::Announced;
use crate::time::Instant;
use crate::turn::Turn;

/// What became of an announcement when it was made.
enum Told {
    /// Both redirectors that matter are this node: the session stands.
    Stands,
    /// It is on its way, to this node if there is a holder.
    Sent(Option<NodeId>),
    /// This node's own redirector refused it.
    Refused(Option<Generation>),
}

impl<H: HostPart> Node<H> {
    /// The first packet of a stream is ready to leave: the other redirector must know first.
    pub(super) fn announce(&mut self, turn: &mut Turn<'_, H>, slot: Slot, held: Held) {
        let arrival = held.headers.flow_key(held.arrived);
        let return_key = arrival.reversed(held.hop.interface);
        let opener = self.chosen.markers.at(slot).opener;
        let identity = self.choice.stream(&opener, &return_key);
        if self.chosen.learn_return_key(turn, slot, (return_key, identity)).is_err() {
            return turn.out.drop(held.frame, DropReason::ReturnKeyTaken);
        }
        if self.announcing == Announcing::Off {
            self.chosen.acknowledged(slot, self.node, turn.out);
            return self.release(turn, slot, held);
        }
        match self.tell_redirectors(turn, slot) {
            Told::Stands => {
                self.chosen.acknowledged(slot, self.node, turn.out);
                self.release(turn, slot, held);
            }
            Told::Sent(Some(peer)) if self.chosen.breakers.is_open(peer) => {
                self.chosen.wait(turn.now, slot);
                self.fall_back(turn, slot, held);
            }
            Told::Sent(_) if is_on(Mutation::TransmitEarly) => {
                self.chosen.wait(turn.now, slot);
                self.release(turn, slot, held);
            }
            Told::Sent(_) => {
                self.chosen.wait(turn.now, slot);
                self.keep_held(slot, held, turn.out);
            }
            Told::Refused(winner) => {
                self.keep_held(slot, held, turn.out);
                self.lost(turn, slot, winner);
            }
        }
    }

    /// A stream has begun in the place of one that both redirectors know, with an answer that may leave at once. What the
    /// opener says waits as ever.
    pub(super) fn announce_renewed(&mut self, turn: &mut Turn<'_, H>, slot: Slot) {
        if self.announcing == Announcing::Off {
            return self.chosen.acknowledged(slot, self.node, turn.out);
        }
        match self.tell_redirectors(turn, slot) {
            Told::Stands => self.chosen.acknowledged(slot, self.node, turn.out),
            Told::Sent(_) => self.chosen.wait(turn.now, slot),
            Told::Refused(winner) => self.lost(turn, slot, winner),
        }
    }

    /// Announces a stream to both redirectors. Only the one of the return packets is waited for.
    fn tell_redirectors(&mut self, turn: &mut Turn<'_, H>, slot: Slot) -> Told {
        // What need not be given way to may stand in either redirector: each is outbid once.
        for _ in 0..3 {
            let Some(announce) = self.chosen.announcement(slot, self.boot) else { return Told::Refused(None) };
            match self.tell_once(turn, &announce) {
                Told::Refused(Some(standing)) if self.may_outbid(slot, standing) => self.chosen.outbid(slot, standing),
                told @ Told::Refused(_) => return told,
                told @ (Told::Stands | Told::Sent(_)) => {
                    self.chosen.note_told(slot);
                    return told;
                }
            }
        }
        Told::Refused(None)
    }

    fn tell_once(&mut self, turn: &mut Turn<'_, H>, announce: &Announce) -> Told {
        let (arrival, back) = (announce.arrival.interface(), announce.return_key.interface());
        let stream = self.choice.stream(&announce.arrival, &announce.return_key);
        for key in [announce.arrival, announce.return_key] {
            match self.redirector_hears(turn.now, key, stream, announce) {
                None | Some(Heard::Acknowledged) => {}
                Some(Heard::Displaced(loser, refuse)) => turn.out.send(loser, Message::Refuse(refuse)),
                Some(Heard::Refused(refuse)) => return Told::Refused(refuse.winner),
            }
        }
        let back_holder = self.view.holder(back);
        let told = back_holder.unwrap_or(self.node);
        turn.out.tell(Event::Step { step: Step::M6, flow: announce.arrival, node: told });
        let keepers = self.keepers([arrival, back]);
        self.missing.told([arrival, back], &keepers);
        for peer in keepers.into_iter().flatten().filter(|peer| Some(*peer) != back_holder) {
            self.send_announce(turn, peer, *announce);
        }
        if back_holder == Some(self.node) {
            turn.out.tell(Event::Step { step: Step::M7, flow: announce.arrival, node: self.node });
            return Told::Stands;
        }
        if let Some(peer) = back_holder {
            self.send_announce(turn, peer, *announce);
        }
        Told::Sent(back_holder)
    }

    /// The other nodes that keep sessions of these interfaces, each once: holders and warm standbys.
    fn keepers(&self, interfaces: [Interface; 2]) -> [Option<NodeId>; 4] {
        let [one, other] = interfaces;
        let standby = |interface| self.view.standby(interface).filter(|_| !is_on(Mutation::ColdStandby));
        let mut keepers = [self.view.holder(one), self.view.holder(other), standby(one), standby(other)];
        for place in 0..keepers.len() {
            let (before, rest) = keepers.split_at_mut(place);
            if let Some(keeper) = rest.first_mut()
                && (*keeper == Some(self.node) || before.contains(keeper))
            {
                *keeper = None;
            }
        }
        keepers
    }

    fn send_announce(&mut self, turn: &mut Turn<'_, H>, to: NodeId, announce: Announce) {
        match self.announcing {
            Announcing::On(delay) if delay.is_zero() => turn.out.send(to, Message::Announce(announce)),
            Announcing::On(delay) if self.delayed.len() < DELAYED_ANNOUNCEMENTS_MAX => {
                self.delayed.push_back((turn.now + delay, to, announce));
            }
            Announcing::On(_) | Announcing::Off => {}
        }
    }

    /// Sends the announcements whose artificial delay is over.
    pub(super) fn send_delayed(&mut self, turn: &mut Turn<'_, H>) {
        while self.delayed.front().is_some_and(|(at, _, _)| *at <= turn.now) {
            if let Some((_, to, announce)) = self.delayed.pop_front() {
                turn.out.send(to, Message::Announce(announce));
            }
        }
    }

    /// Keeps a frame until its stream is acknowledged.
    pub(super) fn keep_held(&mut self, slot: Slot, held: Held, out: &mut Outbox) {
        if let Err((frame, reason)) = self.chosen.hold.keep(slot, held, out) {
            out.drop(frame, reason);
        }
    }

    /// The stream is acknowledged: this packet and all behind it may leave.
    fn release(&mut self, turn: &mut Turn<'_, H>, slot: Slot, held: Held) {
        self.chosen.first_left(slot, turn.out);
        if is_on(Mutation::TransmitTwice)
            && let Some(copy) = Frame::from_wire(held.frame.wire())
        {
            self.forward.transmit(turn.now, held.hop, &held.headers, copy, turn.out);
        }
        self.forward.transmit(turn.now, held.hop, &held.headers, held.frame, turn.out);
    }

    /// The holds that ran out: their packets leave if the return packets will find this node all the same.
    pub(super) fn holds_ran_out(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(slot) = self.chosen.next_timed_out(turn.now) {
            let Some(announce) = self.chosen.announcement(slot, self.boot) else { continue };
            let holder = self.view.holder(announce.return_key.interface());
            if holder == Some(self.node) {
                // The role came to this node while its streams without a packet waited for the former holder.
                self.announce_again(turn, slot);
                continue;
            }
            turn.out.tell(Event::HoldTimedOut { flow: announce.arrival });
            if let Some(peer) = holder
                && self.chosen.breakers.timed_out(peer)
            {
                turn.out.tell(Event::Breaker { peer, open: true });
                turn.out.send(peer, Message::Unheard(Unheard { interface: announce.return_key.interface() }));
            }
            while let Some(held) = self.chosen.hold.take(slot) {
                self.fall_back(turn, slot, held);
            }
        }
    }

    /// A packet whose stream is not acknowledged in time leaves if the return packets will find this node all the same.
    pub(super) fn fall_back(&mut self, turn: &mut Turn<'_, H>, slot: Slot, held: Held) {
        let return_key = self.chosen.markers.at(slot).return_key;
        let leads_back = |key: FlowKey| {
            self.choice.choose(self.choice.hash(&key), &self.candidates) == Some(self.node)
                || self.is_known_to_be_cut_off(turn.now, [held.arrived, key.interface()])
        };
        if return_key.is_some_and(leads_back) {
            turn.out.ledger.unacknowledged += 1;
            self.release(turn, slot, held);
        } else {
            turn.out.drop(held.frame, DropReason::HoldTimedOut);
        }
    }

    /// True if this node has lost the mesh for so long that the others know it: what one of them still redirects to it is of
    /// streams that both redirectors were told of.
    fn is_known_to_be_cut_off(&self, now: Instant, interfaces: [Interface; 2]) -> bool {
        interfaces.into_iter().all(|interface| !self.view.holds(interface)) && self.view.is_long_alone(now)
    }

    /// The redirector of the return packets has acknowledged.
    pub(super) fn acknowledged(&mut self, turn: &mut Turn<'_, H>, slot: Slot, from: NodeId) {
        self.chosen.acknowledged(slot, from, turn.out);
        if is_on(Mutation::ReleaseBackwards) {
            let mut held: Vec<_> = std::iter::from_fn(|| self.chosen.hold.take(slot)).collect();
            held.reverse();
            return held.into_iter().for_each(|held| self.release(turn, slot, held));
        }
        while let Some(held) = self.chosen.hold.take(slot) {
            self.release(turn, slot, held);
        }
    }

    /// Both redirectors hear again of a stream whose packets do not wait for that.
    pub(super) fn tell_anew(&mut self, turn: &mut Turn<'_, H>, slot: Slot) {
        match self.tell_redirectors(turn, slot) {
            Told::Stands | Told::Sent(_) => {}
            Told::Refused(winner) => self.lost(turn, slot, winner),
        }
    }

    /// A redirector refused this node's announcement.
    pub(super) fn refused(&mut self, turn: &mut Turn<'_, H>, refuse: &Refuse) {
        if is_on(Mutation::IgnoreRefuse) || self.chosen.is_known_as_moved(turn.now, &refuse.return_key, refuse.winner) {
            return;
        }
        let Some(slot) = self.chosen.slot_announced(&refuse.return_key, refuse.generation) else {
            turn.out.ledger.messages_stale += 1;
            return;
        };
        match refuse.winner {
            Some(standing) if self.may_outbid(slot, standing) => {
                self.chosen.outbid(slot, standing);
                match self.tell_redirectors(turn, slot) {
                    Told::Stands => self.acknowledged(turn, slot, self.node),
                    Told::Sent(_) => {}
                    Told::Refused(winner) => self.lost(turn, slot, winner),
                }
            }
            winner => self.lost(turn, slot, winner),
        }
    }

    /// True if a stream need not give way to what stands in its place: a tombstone of this node's own, or the same stream at a
    /// member that nothing reaches, for which a redirector has chosen anew.
    fn may_outbid(&self, slot: Slot, standing: Generation) -> bool {
        let is_new = !self.chosen.markers.at(slot).midstream;
        standing.node == self.node || is_new && self.view.is_beyond_reach(standing.node)
    }

    /// Another node has the stream: what was held goes there, and the marker session ends.
    fn lost(&mut self, turn: &mut Turn<'_, H>, slot: Slot, winner: Option<Generation>) {
        while let Some(held) = self.chosen.hold.take(slot) {
            match winner {
                Some(winner) if self.view.mac(winner.node, held.arrived).is_some() => {
                    turn.out.hand_over(winner.node, held.arrived, HANDOVER_HOPS_MAX - 1, held.frame);
                }
                Some(_) | None => turn.out.drop(held.frame, DropReason::Refused),
            }
        }
        turn.out.tell(Event::Refused { flow: self.chosen.markers.at(slot).opener, winner });
        self.chosen.give_up(turn.now, slot);
    }

    /// A new holder must hear of the streams whose packets are held for it.
    pub(super) fn announce_held_again(&mut self, turn: &mut Turn<'_, H>, interface: Interface) {
        let slots: Vec<Slot> = self.chosen.hold.slots().collect();
        for slot in slots {
            let session = self.chosen.markers.at(slot);
            let is_meant = session.return_key.is_some_and(|key| key.interface() == interface);
            if session.announced == Announced::Waiting && is_meant {
                self.announce_again(turn, slot);
            }
        }
    }

    /// Announces a stream of which no packet may leave before the answer.
    pub(super) fn announce_again(&mut self, turn: &mut Turn<'_, H>, slot: Slot) {
        match self.tell_redirectors(turn, slot) {
            Told::Stands => self.acknowledged(turn, slot, self.node),
            Told::Sent(_) => self.chosen.wait(turn.now, slot),
            Told::Refused(winner) => self.lost(turn, slot, winner),
        }
    }

    /// True if a message to this node must leave at once.
    #[must_use]
    pub fn is_urgent(&self, to: NodeId, message: &Message) -> bool {
        match message.urgency() {
            Urgency::Now => true,
            Urgency::Later => self.is_waited_for(to, message),
        }
    }

    /// True for an announcement to the redirector whose acknowledgement is waited for.
    fn is_waited_for(&self, to: NodeId, message: &Message) -> bool {
        let Message::Announce(announce) = message else { return false };
        self.view.holder(announce.return_key.interface()) == Some(to)
    }

    /// Both redirectors hear of the streams that ended.
    pub(super) fn tell_closed(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(close) = self.chosen.closed.pop() {
            for key in [close.arrival, close.return_key] {
                if self.keeps(key.interface()) {
                    self.redirector.session_closed(turn.now, &key, &close);
                }
            }
            let interfaces = [close.arrival.interface(), close.return_key.interface()];
            let keepers = self.keepers(interfaces);
            self.missing.told(interfaces, &keepers);
            for peer in keepers.into_iter().flatten() {
                turn.out.send(peer, Message::Close(close));
            }
        }
    }
}

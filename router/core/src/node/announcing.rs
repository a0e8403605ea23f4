//! Announce, hold, release: no first packet leaves before the other redirector has its stream's session.

use super::{Announcing, Node};
use crate::chosen::Held;
use crate::event::{DropReason, Event, Step};
use crate::id::{Generation, Interface, NodeId};
use crate::limits::{DELAYED_ANNOUNCEMENTS_MAX, HANDOVER_HOPS_MAX};
use crate::mesh::{Announce, Message, Refuse, Unheard};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::Frame;
use crate::redirector::Heard;
use crate::session::Announced;
use crate::time::Instant;

/// What became of an announcement when it was made.
enum Told {
    /// Both redirectors that matter are this node: the session stands.
    Stands,
    /// It is on its way, to this node if there is a holder.
    Sent(Option<NodeId>),
    /// This node's own redirector refused it.
    Refused(Option<Generation>),
}

impl Node {
    /// The first packet of a stream is ready to leave: the other redirector must know first.
    pub(super) fn announce(&mut self, now: Instant, slot: u32, held: Held, out: &mut Outbox) {
        let arrival = held.headers.flow_key(held.arrived);
        let return_key = arrival.reversed(held.hop.interface);
        let opener = self.chosen.markers.at(slot).map_or(arrival, |session| session.stream.opener);
        let identity = self.choice.stream(&opener, &return_key);
        if self.chosen.learn_return_key(now, slot, (return_key, identity), out).is_err() {
            return out.drop(held.frame, DropReason::ReturnKeyTaken);
        }
        if self.announcing == Announcing::Off {
            self.chosen.acknowledged(slot, self.node, out);
            return self.release(now, slot, held, out);
        }
        match self.tell_redirectors(now, slot, out) {
            Told::Stands => {
                self.chosen.acknowledged(slot, self.node, out);
                self.release(now, slot, held, out);
            }
            Told::Sent(Some(peer)) if self.chosen.breakers.is_open(peer) => {
                self.chosen.wait(now, slot);
                self.fall_back(now, slot, held, out);
            }
            Told::Sent(_) if is_on(Mutation::TransmitEarly) => {
                self.chosen.wait(now, slot);
                self.release(now, slot, held, out);
            }
            Told::Sent(_) => {
                self.chosen.wait(now, slot);
                self.keep_held(slot, held, out);
            }
            Told::Refused(winner) => {
                self.keep_held(slot, held, out);
                self.lost(now, slot, winner, out);
            }
        }
    }

    /// Announces a stream to both redirectors. Only the one of the return packets is waited for.
    fn tell_redirectors(&mut self, now: Instant, slot: u32, out: &mut Outbox) -> Told {
        // A tombstone of this node's own may stand in either redirector: each is outbid once.
        for _ in 0..3 {
            let Some(announce) = self.chosen.announcement(slot, self.boot) else { return Told::Refused(None) };
            match self.tell_once(now, &announce, out) {
                Told::Refused(Some(standing)) if standing.node == self.node => self.chosen.outbid(slot, standing),
                told @ Told::Refused(_) => return told,
                told @ (Told::Stands | Told::Sent(_)) => {
                    self.chosen.note_told(slot);
                    return told;
                }
            }
        }
        Told::Refused(None)
    }

    fn tell_once(&mut self, now: Instant, announce: &Announce, out: &mut Outbox) -> Told {
        let (arrival, back) = (announce.arrival.interface(), announce.return_key.interface());
        let stream = self.choice.stream(&announce.arrival, &announce.return_key);
        for key in [announce.arrival, announce.return_key] {
            match self.redirector_hears(now, key, stream, announce) {
                None | Some(Heard::Acknowledged) => {}
                Some(Heard::Displaced(loser, refuse)) => out.send(loser, Message::Refuse(refuse)),
                Some(Heard::Refused(refuse)) => return Told::Refused(refuse.winner),
            }
        }
        let back_holder = self.membership.holder(back);
        let told = back_holder.unwrap_or(self.node);
        out.tell(Event::Step { step: Step::M6, flow: announce.arrival, node: told });
        for peer in self.keepers([arrival, back]).into_iter().flatten().filter(|peer| Some(*peer) != back_holder) {
            self.send_announce(now, peer, *announce, out);
        }
        if back_holder == Some(self.node) {
            out.tell(Event::Step { step: Step::M7, flow: announce.arrival, node: self.node });
            return Told::Stands;
        }
        if let Some(peer) = back_holder {
            self.send_announce(now, peer, *announce, out);
        }
        Told::Sent(back_holder)
    }

    /// The other nodes that keep sessions of these interfaces, each once: holders and warm standbys.
    fn keepers(&self, interfaces: [Interface; 2]) -> [Option<NodeId>; 4] {
        let [one, other] = interfaces;
        let mut keepers = [
            self.membership.holder(one),
            self.membership.holder(other),
            self.membership.standby(one),
            self.membership.standby(other),
        ];
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

    fn send_announce(&mut self, now: Instant, to: NodeId, announce: Announce, out: &mut Outbox) {
        match self.announcing {
            Announcing::On(delay) if delay.is_zero() => out.send(to, Message::Announce(announce)),
            Announcing::On(delay) if self.delayed.len() < DELAYED_ANNOUNCEMENTS_MAX => {
                self.delayed.push_back((now + delay, to, announce));
            }
            Announcing::On(_) | Announcing::Off => {}
        }
    }

    /// Sends the announcements whose artificial delay is over.
    pub(super) fn send_delayed(&mut self, now: Instant, out: &mut Outbox) {
        while self.delayed.front().is_some_and(|(at, _, _)| *at <= now) {
            if let Some((_, to, announce)) = self.delayed.pop_front() {
                out.send(to, Message::Announce(announce));
            }
        }
    }

    /// Keeps a frame until its stream is acknowledged.
    pub(super) fn keep_held(&mut self, slot: u32, held: Held, out: &mut Outbox) {
        if let Err((frame, reason)) = self.chosen.hold.keep(slot, held) {
            out.drop(frame, reason);
        }
    }

    /// The stream is acknowledged: this packet and all behind it may leave.
    fn release(&mut self, now: Instant, slot: u32, held: Held, out: &mut Outbox) {
        self.chosen.first_left(slot, out);
        if is_on(Mutation::TransmitTwice)
            && let Some(copy) = Frame::from_wire(held.frame.wire())
        {
            self.forward.transmit(now, held.hop, &held.headers, copy, out);
        }
        self.forward.transmit(now, held.hop, &held.headers, held.frame, out);
    }

    /// The holds that ran out: their packets leave if the return packets will find this node all the same.
    pub(super) fn holds_ran_out(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(slot) = self.chosen.next_timed_out(now) {
            let Some(announce) = self.chosen.announcement(slot, self.boot) else { continue };
            let holder = self.membership.holder(announce.return_key.interface());
            if holder == Some(self.node) {
                // The role came to this node while its streams without a packet waited for the former holder.
                self.announce_again(now, slot, out);
                continue;
            }
            out.tell(Event::HoldTimedOut { flow: announce.arrival });
            if let Some(peer) = holder
                && self.chosen.breakers.timed_out(peer)
            {
                out.tell(Event::Breaker { peer, open: true });
                out.send(peer, Message::Unheard(Unheard { interface: announce.return_key.interface() }));
            }
            while let Some(held) = self.chosen.hold.take(slot) {
                self.fall_back(now, slot, held, out);
            }
        }
    }

    /// A packet whose stream is not acknowledged in time leaves if the other redirector, knowing nothing, would choose
    /// this node by itself.
    pub(super) fn fall_back(&mut self, now: Instant, slot: u32, held: Held, out: &mut Outbox) {
        let return_key = self.chosen.markers.at(slot).and_then(|session| session.return_key);
        let other_choice = return_key.map(|key| self.choice.hash(&key));
        if other_choice.and_then(|choice| self.choice.choose(choice, &self.candidates)) == Some(self.node) {
            out.ledger.unacknowledged += 1;
            self.release(now, slot, held, out);
        } else {
            out.drop(held.frame, DropReason::HoldTimedOut);
        }
    }

    /// The redirector of the return packets has acknowledged.
    pub(super) fn acknowledged(&mut self, now: Instant, slot: u32, from: NodeId, out: &mut Outbox) {
        self.chosen.acknowledged(slot, from, out);
        if is_on(Mutation::ReleaseBackwards) {
            let mut held: Vec<_> = std::iter::from_fn(|| self.chosen.hold.take(slot)).collect();
            held.reverse();
            return held.into_iter().for_each(|held| self.release(now, slot, held, out));
        }
        while let Some(held) = self.chosen.hold.take(slot) {
            self.release(now, slot, held, out);
        }
    }

    /// A redirector refused this node's announcement.
    pub(super) fn refused(&mut self, now: Instant, refuse: &Refuse, out: &mut Outbox) {
        if is_on(Mutation::IgnoreRefuse) || self.chosen.is_known_as_moved(now, &refuse.return_key, refuse.winner) {
            return;
        }
        let Some(slot) = self.chosen.slot_announced(&refuse.return_key, refuse.generation) else {
            out.ledger.messages_stale += 1;
            return;
        };
        match refuse.winner {
            Some(standing) if standing.node == self.node => {
                self.chosen.outbid(slot, standing);
                match self.tell_redirectors(now, slot, out) {
                    Told::Stands => self.acknowledged(now, slot, self.node, out),
                    Told::Sent(_) => {}
                    Told::Refused(winner) => self.lost(now, slot, winner, out),
                }
            }
            winner => self.lost(now, slot, winner, out),
        }
    }

    /// Another node has the stream: what was held goes there, and the marker session ends.
    fn lost(&mut self, now: Instant, slot: u32, winner: Option<Generation>, out: &mut Outbox) {
        while let Some(held) = self.chosen.hold.take(slot) {
            match winner {
                Some(winner) if self.membership.mac(winner.node, held.arrived).is_some() => {
                    out.hand_over(winner.node, held.arrived, HANDOVER_HOPS_MAX - 1, held.frame);
                }
                Some(_) | None => out.drop(held.frame, DropReason::Refused),
            }
        }
        if let Some(session) = self.chosen.markers.at(slot) {
            out.tell(Event::Refused { flow: session.stream.opener, winner });
        }
        self.chosen.give_up(now, slot);
    }

    /// A new holder must hear of the streams whose packets are held for it.
    pub(super) fn announce_held_again(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let slots: Vec<u32> = self.chosen.hold.slots().collect();
        for slot in slots {
            let waiting = self.chosen.markers.at(slot).is_some_and(|session| {
                session.announced == Announced::Waiting
                    && session.return_key.is_some_and(|key| key.interface() == interface)
            });
            if waiting {
                self.announce_again(now, slot, out);
            }
        }
    }

    /// Announces a stream of which no packet may leave before the answer.
    pub(super) fn announce_again(&mut self, now: Instant, slot: u32, out: &mut Outbox) {
        match self.tell_redirectors(now, slot, out) {
            Told::Stands => self.acknowledged(now, slot, self.node, out),
            Told::Sent(_) => self.chosen.wait(now, slot),
            Told::Refused(winner) => self.lost(now, slot, winner, out),
        }
    }

    /// Both redirectors hear of the streams that ended.
    pub(super) fn tell_closed(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(close) = self.chosen.closed.pop() {
            for key in [close.arrival, close.return_key] {
                if self.keeps(key.interface()) {
                    self.redirector.session_closed(now, &key, &close);
                }
            }
            for peer in self.keepers([close.arrival.interface(), close.return_key.interface()]).into_iter().flatten() {
                out.send(peer, Message::Close(close));
            }
        }
    }
}

//! Packets without a session: they are parked until the members have said whose stream they belong to.

use super::Node;
use crate::event::DropReason;
use crate::flow::{FlowKey, HashedKey};
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::membership::Member;
use crate::mesh::{Announce, Answer, Message, Query};
use crate::outbox::Outbox;
use crate::packet::Arrival;
use crate::redirector::Summary;
use crate::session::Opening;
use crate::turn::Turn;

/// Marks the numbers of a redirector's own queries, apart from those that are asked for reports.
const OWN_QUERY: u64 = 1 << 63;

impl<H: HostPart> Node<H> {
    /// What steering needs to know of a packet.
    pub(super) fn summary(key: HashedKey, arrival: &Arrival) -> Summary {
        let (packets, bytes) = arrival.size();
        Summary { key, opening: Opening::of(&arrival.headers), packets, bytes }
    }

    /// Nobody is known to own the packet's stream: all members in reach are asked, this node first.
    pub(super) fn ask_members(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival) {
        let key = arrival.key();
        if let Some(announce) = self.owned(&key) {
            self.hear(turn, self.node, &announce);
            if self.redirector.belief(&key).is_some() {
                return self.steer(turn, arrival);
            }
        }
        if self.redirector.unowned.has(turn.now, &key) {
            return self.steer_unowned(turn, arrival);
        }
        let may_own = |member: &&Member| member.node != self.node && member.lives();
        let others = self.view.members().filter(may_own).map(|member| member.node);
        let others: Vec<NodeId> = others.filter(|node| !self.view.is_beyond_reach(*node)).collect();
        if others.is_empty() {
            return self.steer_unowned(turn, arrival);
        }
        match self.redirector.parking.park(turn.now, key, arrival, || others.clone(), turn.out) {
            Ok(Some(id)) => {
                for to in others {
                    turn.out.send(to, Message::Query(Query { id: id | OWN_QUERY, key }));
                }
            }
            Ok(None) => {}
            Err((frame, reason)) => turn.out.drop(frame, reason),
        }
    }

    /// A frame waits for the announcement of the node that its stream was assigned to.
    pub(super) fn await_announcement(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival) {
        let key = arrival.key();
        if let Err((frame, reason)) = self.redirector.parking.park(turn.now, key, arrival, Vec::new, turn.out) {
            turn.out.drop(frame, reason);
        }
    }

    /// This node's own live stream with this key.
    fn owned(&self, key: &FlowKey) -> Option<Announce> {
        let slot = self.chosen.markers.slot_of(key)?;
        let session = self.chosen.markers.at(slot);
        let told = session.alive && session.told.is_some();
        self.chosen.announcement(slot, self.boot).filter(|_| told)
    }

    /// A member asks whose stream a key belongs to.
    pub(super) fn query_arrived(&mut self, from: NodeId, query: &Query, out: &mut Outbox) {
        let (believed, owned) = (self.believed(query), self.owned(&query.key));
        out.send(from, Message::Answer(Answer { id: query.id, key: query.key, believed, owned }));
    }

    /// A member answers.
    pub(super) fn answer_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, answer: Answer) {
        if answer.id & OWN_QUERY == 0 {
            return self.keep_answer(answer);
        }
        match answer.owned {
            Some(announce) if [announce.arrival, announce.return_key].contains(&answer.key) => {
                if self.may_announce(from, &announce, turn.out) {
                    self.hear(turn, from, &announce);
                }
            }
            Some(_) => turn.out.ledger.messages_unauthorised += 1,
            None => {
                if self.redirector.parking.disowned(&answer.key, answer.id & !OWN_QUERY, from) {
                    self.nobody_owns(turn, answer.key);
                }
            }
        }
    }

    /// A member died or came out of reach: it will not answer any more.
    pub(super) fn no_answer_from(&mut self, turn: &mut Turn<'_, H>, node: NodeId) {
        for key in self.redirector.parking.member_left(node) {
            self.nobody_owns(turn, key);
        }
    }

    fn nobody_owns(&mut self, turn: &mut Turn<'_, H>, key: FlowKey) {
        self.redirector.unowned.note(turn.now, key);
        for parked in self.redirector.parking.take(&key) {
            // This node itself may have made the session meanwhile; else the key counts as nobody's now.
            self.steer(turn, parked);
        }
    }

    /// An announcement or a standing session answers what waits for its key.
    pub(super) fn note_answered(&mut self, key: FlowKey) {
        self.redirector.unowned.forget(&key);
        if self.redirector.parking.has(&key) {
            self.answered.push(key);
        }
    }

    /// Steers what waited for keys that are known now.
    pub(super) fn release_answered(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(key) = self.answered.pop() {
            for parked in self.redirector.parking.take(&key) {
                self.steer(turn, parked);
            }
        }
    }

    /// Ends what waited in vain.
    pub(super) fn parked_in_vain(&mut self, turn: &mut Turn<'_, H>) {
        while let Some((moving, frames)) = self.redirector.parking.pop_due(turn.now) {
            let reason = if moving { DropReason::MoveTimedOut } else { DropReason::QueryTimedOut };
            for parked in frames {
                turn.out.drop(parked.frame, reason);
            }
        }
    }
}

//! Packets without a session: they are parked until the members have said whose stream they belong to.

use super::Node;
use crate::chosen::{Arrival, Came};
use crate::event::DropReason;
use crate::flow::FlowKey;
use crate::id::NodeId;
use crate::inspector::Inspector;
use crate::mesh::{Announce, Answer, Message, Query};
use crate::outbox::Outbox;
use crate::packet::Frame;
use crate::redirector::{Parked, Summary};
use crate::session::Opening;
use crate::time::Instant;

/// Marks the numbers of a redirector's own queries, apart from those that are asked for reports.
const OWN_QUERY: u64 = 1 << 63;

impl Node {
    /// What steering needs to know of a packet.
    pub(super) fn summary(arrival: &Arrival) -> Summary {
        Summary {
            key: arrival.headers.flow_key(arrival.interface),
            opening: Opening::of(&arrival.headers),
            packets: arrival.frame.segments(arrival.headers.payload_len()),
            bytes: arrival.frame.bytes().len() as u64,
        }
    }

    /// Nobody is known to own the packet's stream: all members are asked, this node first.
    pub(super) fn ask_members(
        &mut self,
        now: Instant,
        arrival: Arrival,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        let key = Self::summary(&arrival).key;
        if let Some(announce) = self.owned(&key) {
            self.hear(now, self.node, &announce, out);
            if self.redirector.belief(&key).is_some() {
                return self.steer(now, arrival, plugins, out);
            }
        }
        if self.redirector.unowned.has(now, &key) {
            return self.steer_unowned(now, arrival, plugins, out);
        }
        let others = self.membership.members().filter(|member| member.node != self.node && member.lives());
        let others: Vec<NodeId> = others.map(|member| member.node).collect();
        if others.is_empty() {
            return self.steer_unowned(now, arrival, plugins, out);
        }
        let Arrival { headers, frame, .. } = arrival;
        match self.redirector.parking.park(now, key, Parked { headers, frame }, || others.clone()) {
            Ok(Some(id)) => {
                for to in others {
                    out.send(to, Message::Query(Query { id: id | OWN_QUERY, key }));
                }
            }
            Ok(None) => {}
            Err((frame, reason)) => out.drop(frame, reason),
        }
    }

    /// A frame waits for the announcement of the node that its stream was assigned to.
    pub(super) fn await_announcement(&mut self, now: Instant, arrival: Arrival, out: &mut Outbox) {
        let key = Self::summary(&arrival).key;
        let Arrival { headers, frame, .. } = arrival;
        if let Err((frame, reason)) = self.redirector.parking.park(now, key, Parked { headers, frame }, Vec::new) {
            out.drop(frame, reason);
        }
    }

    /// This node's own live stream with this key.
    fn owned(&self, key: &FlowKey) -> Option<Announce> {
        let slot = self.chosen.markers.slot_of(key)?;
        let told = self.chosen.markers.at(slot).is_some_and(|session| session.alive && session.told.is_some());
        self.chosen.announcement(slot, self.boot).filter(|_| told)
    }

    /// A member asks whose stream a key belongs to.
    pub(super) fn query_arrived(&mut self, from: NodeId, query: &Query, out: &mut Outbox) {
        let (believed, owned) = (self.redirector.belief(&query.key), self.owned(&query.key));
        out.send(from, Message::Answer(Answer { id: query.id, key: query.key, believed, owned }));
    }

    /// A member answers.
    pub(super) fn answer_arrived(
        &mut self,
        now: Instant,
        from: NodeId,
        answer: Answer,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        if answer.id & OWN_QUERY == 0 {
            return self.keep_answer(answer);
        }
        match answer.owned {
            Some(announce) if [announce.arrival, announce.return_key].contains(&answer.key) => {
                if self.may_announce(from, &announce, out) {
                    self.hear(now, from, &announce, out);
                }
            }
            Some(_) => out.ledger.messages_unauthorised += 1,
            None => {
                if self.redirector.parking.disowned(&answer.key, answer.id & !OWN_QUERY, from) {
                    self.nobody_owns(now, answer.key, plugins, out);
                }
            }
        }
    }

    /// A member died: it will not answer any more.
    pub(super) fn no_answer_from(&mut self, now: Instant, node: NodeId, plugins: &mut dyn Inspector, out: &mut Outbox) {
        for key in self.redirector.parking.member_left(node) {
            self.nobody_owns(now, key, plugins, out);
        }
    }

    fn nobody_owns(&mut self, now: Instant, key: FlowKey, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.redirector.unowned.note(now, key);
        for parked in self.redirector.parking.take(&key) {
            // This node itself may have made the session meanwhile; else the key counts as nobody's now.
            self.steer(now, unparked(key, parked), plugins, out);
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
    pub(super) fn release_answered(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        while let Some(key) = self.answered.pop() {
            for parked in self.redirector.parking.take(&key) {
                self.steer(now, unparked(key, parked), plugins, out);
            }
        }
    }

    /// Ends what waited in vain.
    pub(super) fn parked_in_vain(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((moving, frames)) = self.redirector.parking.pop_due(now) {
            let reason = if moving { DropReason::MoveTimedOut } else { DropReason::QueryTimedOut };
            for parked in frames {
                out.drop(parked.frame, reason);
            }
        }
    }
}

fn unparked(key: FlowKey, parked: Parked) -> Arrival {
    let Parked { headers, frame } = parked;
    let frame: Frame = frame;
    Arrival { interface: key.interface(), headers, frame, came: Came::Directly }
}

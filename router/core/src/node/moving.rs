//! Streams that change their chosen node: one that has died is succeeded, one that drains gives them away.

use super::Node;
use super::early::Awaited;
use crate::chosen::Arrival;
use crate::event::EndReason;
use crate::id::{Interface, NodeId};
use crate::inspector::Inspector;
use crate::limits::{DETECTION_TIME, DRAIN_INTERVAL, DRAIN_STREAMS_MAX};
use crate::membership::Service;
use crate::mesh::{Assign, Fence, Message};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::time::Instant;

/// How far a draining node has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// The next slot to look at.
    next: u32,
    /// When it goes on.
    at: Instant,
}

/// What is left to give away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Redirectors that this node holds, or has handed over so lately that frames may still come to it.
    pub roles: usize,
    /// Streams that it is the chosen node of.
    pub streams: usize,
}

impl Node {
    /// This node is to be drained, or to serve again.
    pub fn service_changed(&mut self, now: Instant, service: Service, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.membership.service_changed(now, service, out);
        self.watch_reach(now);
        self.take_changes(now, plugins, out);
    }

    /// The node stops: it gives up its roles, and plugins and redirectors hear that its streams end.
    pub fn stop(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        self.batch_ended(now, plugins, out);
        self.membership.stop(now, out);
        self.take_changes(now, plugins, out);
        let slots: Vec<u32> = self.chosen.markers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.chosen.end(now, slot, EndReason::Shutdown, plugins, out);
        }
        self.tell_closed(now, out);
    }

    /// What a drained node would have given away already.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        let remains = |i: &&Interface| self.membership.holds(**i) || self.membership.lingers(**i);
        Remaining { roles: Interface::BOTH.iter().filter(remains).count(), streams: self.chosen.alive() }
    }

    /// A node that stays out of reach gives its streams away as a draining one does.
    pub(super) fn watch_reach(&mut self, now: Instant) {
        let before = self.out_of_reach;
        self.out_of_reach = self.membership.is_out_of_reach().then(|| before.unwrap_or(now));
        let stays = self.out_of_reach.is_some_and(|since| now >= since + DETECTION_TIME);
        let is_draining = self.membership.member(self.node).is_some_and(|own| own.draining);
        self.drain = match (stays || is_draining, self.drain) {
            (true, drain) => drain.or(Some(Drain { next: 0, at: now })),
            (false, _) => None,
        };
    }

    /// Gives away some streams, once this node holds no role any more.
    pub(super) fn drain_on(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let Some(drain) = self.drain.filter(|drain| drain.at <= now) else { return };
        let mut next = drain.next;
        // Who drains gives its roles away first; who is cut off cannot wait for that.
        let holds = Interface::BOTH.iter().any(|interface| self.membership.holds(*interface));
        let may = self.out_of_reach.is_some() || !holds;
        if may && self.chosen.alive() > 0 {
            for _ in 0..DRAIN_STREAMS_MAX {
                let Some(slot) = self.chosen.markers.slot_from(next) else {
                    next = 0;
                    break;
                };
                next = slot + 1;
                self.give_away(now, slot, plugins, out);
            }
        }
        self.drain = Some(Drain { next, at: now + DRAIN_INTERVAL });
    }

    /// When [`drain_on`](Self::drain_on) is due.
    pub(super) fn next_drain(&self) -> Option<Instant> {
        self.drain.map(|drain| drain.at).filter(|_| self.chosen.alive() > 0)
    }

    fn give_away(&mut self, now: Instant, slot: u32, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let choice = self.chosen.markers.at(slot).map(|session| session.choice);
        let successor = choice.and_then(|choice| self.choice.choose(choice, &self.candidates));
        let Some(to) = successor.filter(|to| *to != self.node) else { return };
        if let Some(assign) = self.chosen.give_away(now, slot, to, plugins, out)
            && !is_on(Mutation::LoseOnDrain)
        {
            out.send(to, Message::Assign(assign));
        }
    }

    /// A member died: what was being given to it goes to another, or comes back.
    pub(super) fn give_anew(&mut self, now: Instant, died: NodeId, plugins: &mut dyn Inspector, out: &mut Outbox) {
        for (slot, choice) in self.chosen.unfenced_at(died) {
            let successor = self.choice.choose(choice, &self.candidates).filter(|to| *to != died);
            if let Some(assign) = self.chosen.give_anew(now, slot, successor.unwrap_or(self.node)) {
                self.assign(now, assign, plugins, out);
            }
        }
    }

    /// Tells new owners that nothing more is handed over.
    pub(super) fn send_fences(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((to, fence)) = self.chosen.next_fence(now) {
            out.send(to, Message::Fence(fence));
        }
    }

    /// This redirector gives a stream to another node, or to this one.
    pub(super) fn assign(&mut self, now: Instant, assign: Assign, plugins: &mut dyn Inspector, out: &mut Outbox) {
        if assign.generation.node == self.node {
            self.assigned(now, &assign, plugins, out);
        } else {
            out.send(assign.generation.node, Message::Assign(assign));
        }
    }

    /// A redirector or a stream's owner gives a stream to this node.
    pub(super) fn assign_arrived(
        &mut self,
        now: Instant,
        from: NodeId,
        assign: &Assign,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        let is_redirector = Interface::BOTH.iter().any(|i| self.membership.holder(*i) == Some(from));
        if assign.generation.node != self.node || !is_redirector && assign.life.is_none() {
            out.ledger.messages_unauthorised += 1;
            return;
        }
        self.assigned(now, assign, plugins, out);
    }

    /// A stream becomes this node's own: it announces it at once, before any packet.
    pub(super) fn assigned(&mut self, now: Instant, assign: &Assign, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let identity = self.choice.stream(&assign.arrival, &assign.return_key);
        // Without a place for the stream its frames end where they wait, with their own reason.
        let Ok(slot) = self.chosen.take_over(now, assign, identity, plugins, out) else { return };
        self.announce_again(now, slot, out);
        let keys = [assign.arrival, assign.return_key];
        self.accept_early(now, &keys.map(Awaited::Assign), plugins, out);
    }

    /// Nothing more is handed over of a stream: what came directly goes on behind it.
    pub(super) fn fence_arrived(&mut self, now: Instant, fence: &Fence, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let kept = self.chosen.fence_arrived(fence);
        self.accept_all(now, kept, plugins, out);
    }

    /// Goes on with streams whose fence did not come.
    pub(super) fn unfence(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        while let Some(kept) = self.chosen.next_unfenced(now) {
            self.accept_all(now, kept, plugins, out);
        }
    }

    fn accept_all(&mut self, now: Instant, kept: Vec<Arrival>, plugins: &mut dyn Inspector, out: &mut Outbox) {
        for arrival in kept {
            self.accept(now, arrival, plugins, out);
        }
    }
}

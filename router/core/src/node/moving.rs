//! Streams that change their chosen node: one that has died is succeeded, one that drains gives them away.

use super::Node;
use super::early::Awaited;
use crate::chosen::FenceDue;
use crate::event::{EndReason, Event};
use crate::id::{Interface, NodeId, Slot};
use crate::inspector::HostPart;
use crate::limits::{DETECTION_TIME, DRAIN_INTERVAL, DRAIN_STREAMS_MAX, TAKEN_BACK_DELAY};
use crate::membership::Service;
use crate::mesh::{Assign, Fence, Message};
use crate::mutation::{Mutation, is_on};
use crate::packet::Arrival;
use crate::time::Instant;
use crate::turn::Turn;

/// How far a draining node has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// The next slot to look at.
    next: Slot,
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

impl<H: HostPart> Node<H> {
    /// This node is to be drained, or to serve again.
    pub fn service_changed(&mut self, turn: &mut Turn<'_, H>, service: Service) {
        self.change_view(turn, |membership, now, out| membership.service_changed(now, service, out));
        self.watch_reach(turn.now);
    }

    /// The node stops: it gives up its roles, and plugins and redirectors hear that its streams end.
    pub fn stop(&mut self, turn: &mut Turn<'_, H>) {
        self.batch_ended(turn);
        self.change_view(turn, |membership, now, out| membership.stop(now, out));
        let slots: Vec<Slot> = self.chosen.markers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.chosen.end(turn, slot, EndReason::Shutdown);
        }
        self.tell_closed(turn);
    }

    /// What a drained node would have given away already.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        let remains = |i: &&Interface| self.view.holds(**i) || self.view.lingers(**i);
        Remaining { roles: Interface::BOTH.iter().filter(remains).count(), streams: self.chosen.alive() }
    }

    /// A node that stays out of reach gives its streams away as a draining one does.
    pub(super) fn watch_reach(&mut self, now: Instant) {
        let before = self.out_of_reach;
        self.out_of_reach = self.view.is_out_of_reach().then(|| before.unwrap_or(now));
        let stays = self.out_of_reach.is_some_and(|since| now >= since + DETECTION_TIME);
        let is_draining = self.view.member(self.node).is_some_and(|own| own.draining);
        self.drain = match (stays || is_draining, self.drain) {
            (true, drain) => drain.or(Some(Drain { next: Slot::FIRST, at: now })),
            (false, _) => None,
        };
    }

    /// Gives away some streams, once this node holds no role any more.
    pub(super) fn drain_on(&mut self, turn: &mut Turn<'_, H>) {
        let Some(drain) = self.drain.filter(|drain| drain.at <= turn.now) else { return };
        let mut next = drain.next;
        // Who drains gives its roles away first; who is cut off cannot wait for that.
        let holds = Interface::BOTH.iter().any(|interface| self.view.holds(*interface));
        let may = self.out_of_reach.is_some() || !holds;
        if may && self.chosen.alive() > 0 {
            for _ in 0..DRAIN_STREAMS_MAX {
                let Some(slot) = self.chosen.markers.slot_from(next) else {
                    next = Slot::FIRST;
                    break;
                };
                next = slot.next();
                self.give_away(turn, slot);
            }
        }
        self.drain = Some(Drain { next, at: turn.now + DRAIN_INTERVAL });
    }

    /// When [`drain_on`](Self::drain_on) is due.
    pub(super) fn next_drain(&self) -> Option<Instant> {
        self.drain.map(|drain| drain.at).filter(|_| self.chosen.alive() > 0)
    }

    /// True if this node may hand frames over to another: by a link with a connection for frames.
    fn reaches(&self, node: NodeId) -> bool {
        self.view.member(node).is_some_and(|member| member.link_up) && self.frames_to.contains(&node)
    }

    fn give_away(&mut self, turn: &mut Turn<'_, H>, slot: Slot) {
        let successor = self.choice.choose(self.chosen.markers.at(slot).choice, &self.candidates);
        let Some(to) = successor.filter(|to| *to != self.node && self.reaches(*to)) else { return };
        if let Some(assign) = self.chosen.give_away(turn, slot, to)
            && !is_on(Mutation::LoseOnDrain)
        {
            turn.out.send(to, Message::Assign(assign));
        }
    }

    /// A member died: what was being given to it goes to another, or comes back.
    pub(super) fn give_anew(&mut self, turn: &mut Turn<'_, H>, died: NodeId) {
        for (slot, choice) in self.chosen.unfenced_at(died) {
            let successor = self.choice.choose(choice, &self.candidates).filter(|to| *to != died);
            if let Some(assign) = self.chosen.give_anew(turn.now, slot, successor.unwrap_or(self.node)) {
                self.assign(turn, assign);
            }
        }
    }

    /// Tells new owners that nothing more is handed over, and takes back what they have not confirmed.
    pub(super) fn send_fences(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(due) = self.chosen.next_fence(turn.now) {
            match due {
                FenceDue::Send(to, fence) => turn.out.send(to, Message::Fence(fence)),
                FenceDue::TakeBack { slot, from } => self.take_back(turn, slot, from),
            }
        }
    }

    /// Takes back a stream that was given to a node of which no redirector has heard. Before it is given away again some
    /// time passes: the next node may be as silent.
    fn take_back(&mut self, turn: &mut Turn<'_, H>, slot: Slot, from: NodeId) {
        let identity = self.chosen.markers.at(slot).identity;
        let Some(slot) = self.chosen.take_back(turn, slot, identity) else { return };
        turn.out.tell(Event::TakenBack { flow: self.chosen.markers.at(slot).opener, from });
        self.tell_anew(turn, slot);
        if let Some(drain) = &mut self.drain {
            drain.at = turn.now + TAKEN_BACK_DELAY;
        }
    }

    /// This redirector gives a stream to another node, or to this one.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_, H>, assign: Assign) {
        if assign.generation.node == self.node {
            self.assigned(turn, &assign);
        } else {
            turn.out.send(assign.generation.node, Message::Assign(assign));
        }
    }

    /// A redirector or a stream's owner gives a stream to this node.
    pub(super) fn assign_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, assign: &Assign) {
        let is_redirector = Interface::BOTH.iter().any(|i| self.view.holder(*i) == Some(from));
        if assign.generation.node != self.node || !is_redirector && assign.life.is_none() {
            turn.out.ledger.messages_unauthorised += 1;
            return;
        }
        self.assigned(turn, assign);
    }

    /// A stream becomes this node's own: it announces it at once, before any packet.
    pub(super) fn assigned(&mut self, turn: &mut Turn<'_, H>, assign: &Assign) {
        let identity = self.choice.stream(&assign.arrival, &assign.return_key);
        // Without a place for the stream its frames end where they wait, with their own reason.
        let Ok(slot) = self.chosen.take_over(turn, assign, identity) else { return };
        self.announce_again(turn, slot);
        let keys = [assign.arrival, assign.return_key];
        self.accept_early(turn, &keys.map(Awaited::Assign));
    }

    /// Nothing more is handed over of a stream: what came directly goes on behind it.
    pub(super) fn fence_arrived(&mut self, turn: &mut Turn<'_, H>, fence: &Fence) {
        let kept = self.chosen.fence_arrived(fence);
        self.accept_all(turn, kept);
    }

    /// Goes on with streams whose fence did not come.
    pub(super) fn unfence(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(kept) = self.chosen.next_unfenced(turn.now) {
            self.accept_all(turn, kept);
        }
    }

    fn accept_all(&mut self, turn: &mut Turn<'_, H>, kept: Vec<Arrival>) {
        for arrival in kept {
            self.accept(turn, arrival);
        }
    }
}

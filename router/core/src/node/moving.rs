//! Streams that change their chosen node: one that has died is succeeded, one that drains gives them away.

use super::Node;
use super::early::Awaited;
use crate::chosen::{FenceDue, FenceError};
use crate::event::{EndReason, Event};
use crate::flow::FlowKey;
use crate::id::{Interface, NodeId, Slot};
use crate::inspector::HostPart;
use crate::limits::{DETECTION_TIME, DRAIN_INTERVAL, DRAIN_STREAMS_MAX, HEARTBEAT_INTERVAL, TAKEN_BACK_DELAY};
use crate::membership::Service;
use crate::mesh::{Assign, Fence, Message};
use crate::mutation::{Mutation, is_on};
use crate::packet::Arrival;
use crate::session::{Announced, RedirectorSession, Standing};
use crate::time::Instant;
use crate::turn::Turn;

/// How far a draining node has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// The next slot to look at.
    next: Slot,
    /// When it goes on.
    at: Instant,
    /// The node that was given a stream and did not confirm it, while this node waits for that alone.
    silent: Option<NodeId>,
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
        for interface in Interface::BOTH {
            // Who takes the role goes on as the same gateway.
            if self.view.standby(interface).is_none() {
                self.forward.withdraw_gateway(interface, turn.out);
            }
        }
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

    /// Sees whether the plugins judge. A node whose plugins do not gets no new streams and gives its own away, as long as others
    /// judge. Its roles stay: a redirector asks no plugin, and every change of a role costs everybody's streams a moment.
    pub(super) fn watch_plugins(&mut self, turn: &mut Turn<'_, H>) {
        turn.plugins.time_passed(turn.now);
        let readiness = turn.plugins.readiness();
        if std::mem::replace(&mut self.readiness, readiness) != readiness {
            self.change_view(turn, |membership, now, out| membership.readiness_changed(now, readiness, out));
            self.watch_reach(turn.now);
        }
    }

    /// A node that stays out of reach, or is passed over, gives its streams away as a draining one does.
    pub(super) fn watch_reach(&mut self, now: Instant) {
        let before = self.out_of_reach;
        self.out_of_reach = self.view.is_out_of_reach().then(|| before.unwrap_or(now));
        let stays = self.out_of_reach.is_some_and(|since| now >= since + DETECTION_TIME);
        let is_draining = self.view.member(self.node).is_some_and(|own| own.draining);
        self.drain = match (stays || is_draining || self.view.is_passed_over(), self.drain) {
            // It was silent because it is gone: the next node need not be.
            (true, Some(drain)) if drain.silent.is_some_and(|node| !self.reaches(node)) => {
                Some(Drain { at: now, silent: None, ..drain })
            }
            (true, drain) => drain.or(Some(Drain { next: Slot::FIRST, at: now, silent: None })),
            (false, _) => None,
        };
    }

    /// Gives away some streams; of a node that drains, once it holds no role any more.
    pub(super) fn drain_on(&mut self, turn: &mut Turn<'_, H>) {
        let Some(drain) = self.drain.filter(|drain| drain.at <= turn.now) else { return };
        let (mut next, mut pause) = (drain.next, DRAIN_INTERVAL);
        let is_draining = self.view.member(self.node).is_some_and(|own| own.draining);
        let is_passed_over = self.view.is_passed_over() && !is_draining && self.out_of_reach.is_none();
        // Who drains gives its roles away first; who is cut off cannot wait for that, and who is passed over keeps them.
        let holds = Interface::BOTH.iter().any(|interface| self.view.holds(*interface));
        let may = self.out_of_reach.is_some() || is_passed_over || !holds;
        if may && self.chosen.alive() > 0 {
            for _ in 0..DRAIN_STREAMS_MAX {
                let Some(slot) = self.chosen.markers.slot_from(next) else {
                    next = Slot::FIRST;
                    // What is left there may stay for as long as it lives.
                    if is_passed_over {
                        pause = HEARTBEAT_INTERVAL;
                    }
                    break;
                };
                next = slot.next();
                // On what has ended a plugin has failed itself: it would do so elsewhere, too.
                if !is_passed_over || !self.chosen.markers.at(slot).standing.is_ended() {
                    self.give_away(turn, slot);
                }
            }
        }
        self.drain = Some(Drain { next, at: turn.now + pause, silent: None });
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
    /// time passes, as the next node may be as silent, unless the node turns out to be out of reach.
    fn take_back(&mut self, turn: &mut Turn<'_, H>, slot: Slot, from: NodeId) {
        let identity = self.chosen.markers.at(slot).identity;
        let Some(slot) = self.chosen.take_back(turn, slot, identity) else { return };
        turn.out.tell(Event::TakenBack { flow: self.chosen.markers.at(slot).opener, from });
        self.tell_anew(turn, slot);
        if let Some(drain) = &mut self.drain {
            (drain.at, drain.silent) = (turn.now + TAKEN_BACK_DELAY, Some(from));
        }
    }

    /// This redirector gives a stream to another node, or to this one.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_, H>, assign: Assign) {
        if assign.generation.node == self.node {
            self.assigned(turn, self.node, &assign);
        } else {
            turn.out.send(assign.generation.node, Message::Assign(assign));
        }
    }

    /// A redirector or a stream's owner gives a stream to this node.
    pub(super) fn assign_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, assign: &Assign) {
        if assign.generation.node != self.node || !self.may_assign(from, assign) {
            turn.out.ledger.messages_unauthorised += 1;
        } else if assign.life.is_some() && self.owns(assign) && !is_on(Mutation::AssignForOthers) {
            // Its sender gave the stream away, or lost it, before it was this node's.
            turn.out.ledger.messages_stale += 1;
        } else {
            self.assigned(turn, from, assign);
        }
    }

    /// True if a member may give this stream away: a redirector of one of its keys does so when its owner has died, its
    /// owner with the stream's life. Who keeps the sessions of a key knows whose the stream is, as an owner announces before
    /// it gives away.
    fn may_assign(&self, from: NodeId, assign: &Assign) -> bool {
        let keys = [assign.arrival, assign.return_key];
        match assign.life {
            _ if is_on(Mutation::AssignForOthers) => true,
            Some(_) => !keys.iter().any(|key| self.is_of_other(key, from)),
            None => keys.iter().any(|key| self.view.holder(key.interface()) == Some(from)),
        }
    }

    /// True if this node has it from a living member other than `from` that a stream is that member's. One that it does not
    /// hear may be dead, and the stream may have been on its way there.
    fn is_of_other(&self, key: &FlowKey, from: NodeId) -> bool {
        let announced = |session: &&RedirectorSession| session.standing == Standing::Announced;
        let owner = self.redirector.session(key).filter(announced).map(|session| session.generation.node);
        let owner = owner.filter(|owner| *owner != from && *owner != self.node);
        owner.and_then(|owner| self.view.member(owner)).is_some_and(|owner| owner.link_up)
    }

    /// True if a stream is this node's own, and its redirector has said so.
    fn owns(&self, assign: &Assign) -> bool {
        self.chosen.markers.slot_of(&assign.arrival).is_some_and(|slot| {
            let session = self.chosen.markers.at(slot);
            session.alive && session.announced == Announced::Acknowledged
        })
    }

    /// A stream that `by` had, or had to find a node for, becomes this node's own: it announces it at once, before any packet.
    fn assigned(&mut self, turn: &mut Turn<'_, H>, by: NodeId, assign: &Assign) {
        let identity = self.choice.stream(&assign.arrival, &assign.return_key);
        // Without a place for the stream its frames end where they wait, with their own reason.
        let Ok(slot) = self.chosen.take_over(turn, by, assign, identity) else { return };
        self.announce_again(turn, slot);
        let keys = [assign.arrival, assign.return_key];
        self.accept_early(turn, &keys.map(Awaited::Assign));
    }

    /// Nothing more is handed over of a stream: what came directly goes on behind it. Only who gave it to this node knows.
    pub(super) fn fence_arrived(&mut self, turn: &mut Turn<'_, H>, from: NodeId, fence: &Fence) {
        match self.chosen.fence_arrived(from, fence) {
            Ok(kept) => self.accept_all(turn, kept),
            Err(FenceError::NotTheirs) => turn.out.ledger.messages_unauthorised += 1,
            Err(FenceError::NotAwaited) => turn.out.ledger.messages_stale += 1,
        }
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

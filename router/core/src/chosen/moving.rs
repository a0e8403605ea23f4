//! Streams that move from one chosen node to another: given away, taken over, and the order of their frames meanwhile.
//!
//! ```text
//!  former owner                          new owner                         redirectors
//!   | ---- Assign ------------------------> |                                   |
//!   | ---- frames that still come --------> | inspects them                     |
//!   |                                       | ---- Announce ------------------> | steer to the new owner
//!   | <--------------- Refuse, which names the new owner ---------------------- |
//!   |                                       | keeps back what comes directly    |
//!   | ---- Fence, behind the last frame --> | inspects what it kept back        |
//! ```

use std::collections::{HashMap, VecDeque};

use super::{Arrival, Chosen};
use crate::event::{DropReason, EndReason, Event};
use crate::flow::{FlowKey, HashKey};
use crate::id::{Generation, NodeId, Slot};
use crate::inspector::HostPart;
use crate::limits::{DETECTION_TIME, FENCE_DELAY, FENCE_TIME_MAX, FENCED_FRAMES_MAX};
use crate::mesh::{Assign, Close, Fence};
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::session::{Announced, Count, Life, MarkerSession, Moved, NewMarker, ToldBy};
use crate::time::Instant;
use crate::turn::Turn;

/// Streams that wait for the fence of their former owner, and the frames of them that came directly meanwhile.
#[derive(Debug)]
pub struct Fenced {
    /// By the stream's number, which no other stream of this node gets.
    queues: HashMap<u64, Queue, HashKey>,
    deadlines: VecDeque<(Instant, Slot, u64)>,
    frames: usize,
}

/// What waits for one fence.
#[derive(Debug)]
struct Queue {
    /// Who gave the stream to this node, and says when it has nothing more to hand over.
    by: NodeId,
    /// Counter of the generation that it was given in.
    generation: u32,
    arrivals: Vec<Arrival>,
}

/// Why a fence opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceError {
    /// Another node gave the stream away.
    NotTheirs,
    /// The stream waits for no fence, or for that of another generation.
    NotAwaited,
}

impl Fenced {
    pub(super) fn new(key: HashKey) -> Self {
        Self { queues: HashMap::with_hasher(key), deadlines: VecDeque::new(), frames: 0 }
    }

    /// The stream with this number, in this slot, waits for a fence from `by`.
    fn begin(&mut self, until: Instant, (slot, id): (Slot, u64), (by, generation): (NodeId, u32)) {
        self.queues.insert(id, Queue { by, generation, arrivals: Vec::new() });
        self.deadlines.push_back((until, slot, id));
    }

    /// Keeps a packet until the fence of the stream with this number.
    pub fn keep(&mut self, id: u64, arrival: Arrival, out: &mut Outbox) {
        match self.queues.get_mut(&id) {
            Some(queue) if self.frames < FENCED_FRAMES_MAX => {
                self.frames += 1;
                queue.arrivals.push(out.packed_arrival(arrival));
            }
            Some(_) | None => out.drop(arrival.frame, DropReason::FencedFull),
        }
    }

    fn take(&mut self, id: u64) -> Vec<Arrival> {
        let arrivals = self.queues.remove(&id).map(|queue| queue.arrivals).unwrap_or_default();
        self.frames -= arrivals.len();
        arrivals
    }

    /// Frames that wait now.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// When a fence was waited for long enough.
    #[must_use]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _, _)| *at)
    }
}

/// What is due of a stream that was given away.
#[derive(Clone, Copy, Debug)]
pub enum FenceDue {
    /// The new owner is to hear that nothing more is handed over.
    Send(NodeId, Fence),
    /// Nobody has heard of the new owner.
    TakeBack {
        /// The stream's.
        slot: Slot,
        /// The node it was given to.
        from: NodeId,
    },
}

impl<H: HostPart> Chosen<H> {
    /// Gives a stream to another node: what still comes of it is handed over from now on. `None` if it cannot be given
    /// away now, because its announcement has not been acknowledged.
    pub fn give_away(&mut self, turn: &mut Turn<'_, H>, slot: Slot, to: NodeId) -> Option<Assign> {
        let session = self.markers.at_mut(slot);
        if !session.alive || session.announced != Announced::Acknowledged || session.fenced {
            return None;
        }
        let generation = Generation { counter: session.generation.saturating_add(1), node: to };
        let (arrival, return_key) = (session.opener, session.return_key?);
        let assign = Assign { arrival, return_key, choice: session.choice, generation, life: Some(session.life) };
        // A new owner that no redirector has heard of by then is dead, or as good as that.
        let fence = turn.now + DETECTION_TIME + FENCE_TIME_MAX;
        session.announced = Announced::Moved(Moved { to: generation, told_by: ToldBy::Nobody, fence });
        self.fences.set(slot, fence);
        self.unfenced += 1;
        self.end(turn, slot, EndReason::HandedOver);
        Some(assign)
    }

    /// A redirector says that a stream of this node has another owner. True if this node gave it away to that one.
    pub fn is_known_as_moved(&mut self, now: Instant, return_key: &FlowKey, winner: Option<Generation>) -> bool {
        let Some(slot) = self.markers.slot_of(return_key) else { return false };
        let session = self.markers.at_mut(slot);
        let Announced::Moved(moved) = &mut session.announced else { return false };
        if winner.is_none_or(|winner| moved.to.wins_over(winner)) {
            return false;
        }
        moved.told_by = moved.told_by.and_one();
        let delay = if moved.told_by < ToldBy::Both { FENCE_TIME_MAX } else { FENCE_DELAY };
        if moved.fence != Instant::NEVER && now + delay < moved.fence {
            let fence = now + delay;
            moved.fence = fence;
            self.fences.set(slot, fence);
        }
        true
    }

    /// Streams that were given to this node and not fenced yet, by slot and choice hash.
    #[must_use]
    pub fn unfenced_at(&self, node: NodeId) -> Vec<(Slot, u64)> {
        if self.unfenced == 0 {
            return Vec::new();
        }
        let of_node = |session: &MarkerSession<H>| match session.announced {
            Announced::Moved(moved) => moved.to.node == node && moved.fence != Instant::NEVER,
            Announced::No
            | Announced::Waiting
            | Announced::TimedOut { .. }
            | Announced::Acknowledged
            | Announced::Lost => false,
        };
        let unfenced = self.markers.iter().filter(|(_, session)| of_node(session));
        unfenced.map(|(slot, session)| (slot, session.choice)).collect()
    }

    /// Gives a stream to another node than the one it was given to, which has died before it was heard.
    pub fn give_anew(&mut self, now: Instant, slot: Slot, to: NodeId) -> Option<Assign> {
        let session = self.markers.at_mut(slot);
        let (arrival, return_key) = (session.opener, session.return_key?);
        let Announced::Moved(moved) = &mut session.announced else { return None };
        let generation = Generation { counter: moved.to.counter.saturating_add(1), node: to };
        let fence = now + DETECTION_TIME + FENCE_TIME_MAX;
        *moved = Moved { to: generation, told_by: ToldBy::Nobody, fence };
        // Its tombstone outlives the fence.
        session.silent_since = now;
        let assign = Assign { arrival, return_key, choice: session.choice, generation, life: Some(session.life) };
        self.fences.set(slot, fence);
        Some(assign)
    }

    /// What is due of a stream that was given away. If no redirector knows of the move by then, the new owner may never have
    /// heard of it: the stream is to be taken back. If one does, the other may never: it is told that this node has the
    /// stream no more.
    pub fn next_fence(&mut self, now: Instant) -> Option<FenceDue> {
        let node = self.settings.node;
        while let Some(slot) = self.fences.pop_due(now) {
            let session = self.markers.at_mut(slot);
            let Announced::Moved(moved) = &mut session.announced else { continue };
            let Moved { to, told_by, .. } = *moved;
            if told_by == ToldBy::Nobody {
                return Some(FenceDue::TakeBack { slot, from: to.node });
            }
            if let (true, Some(return_key)) = (told_by < ToldBy::Both, session.return_key) {
                let generation = Generation { counter: session.generation, node };
                self.closed.push(Close { arrival: session.opener, return_key, generation });
            }
            let fence = Fence { arrival: session.opener, generation: to };
            self.forget_fence(slot);
            self.classify(slot);
            return Some(FenceDue::Send(to.node, fence));
        }
        None
    }

    /// A stream that was given away stays here after all. The redirectors have never heard of another owner, so its packets
    /// wait for nothing. `identity` is the stream's.
    pub fn take_back(&mut self, turn: &mut Turn<'_, H>, slot: Slot, identity: u64) -> Option<Slot> {
        let assign = self.give_anew(turn.now, slot, self.settings.node)?;
        let slot = self.take_over(turn, self.settings.node, &assign, identity).ok()?;
        self.markers.at_mut(slot).announced = Announced::Acknowledged;
        Some(slot)
    }

    /// Nothing follows a stream any more: its fence is sent, or it comes back to this node, or is forgotten.
    pub(super) fn forget_fence(&mut self, slot: Slot) {
        self.fences.forget(slot);
        if let Announced::Moved(moved) = &mut self.markers.at_mut(slot).announced
            && std::mem::replace(&mut moved.fence, Instant::NEVER) != Instant::NEVER
        {
            self.unfenced -= 1;
        }
    }

    /// A frame of a stream that was given away follows it.
    pub fn follow(&self, to: NodeId, arrival: Arrival, out: &mut Outbox) {
        match arrival.came.hops_left().checked_sub(1) {
            Some(hops) => out.hand_over(to, arrival.interface, hops, arrival.frame),
            None => out.drop(arrival.frame, DropReason::Straggler),
        }
    }

    /// Takes over a stream that `by` assigned to this node; its slot. `identity` is the stream's.
    ///
    /// # Errors
    /// Why there is no place for it.
    pub fn take_over(
        &mut self,
        turn: &mut Turn<'_, H>,
        by: NodeId,
        assign: &Assign,
        identity: u64,
    ) -> Result<Slot, DropReason> {
        let old = self.markers.slot_of(&assign.arrival).or_else(|| self.markers.slot_of(&assign.return_key));
        if let Some(slot) = old
            && self.markers.at(slot).alive
        {
            let session = self.markers.at_mut(slot);
            if session.opener == assign.arrival && session.return_key.is_some() {
                session.generation = session.generation.max(assign.generation.counter);
                if let (Some(_), Some(queue)) = (assign.life, self.fenced.queues.get_mut(&session.id)) {
                    (queue.by, queue.generation) = (by, assign.generation.counter);
                }
                return Ok(slot);
            }
            // A frame that was handed over came before this and was taken for the first of another stream; or a stream has
            // ended here at its first packet, which its opener sent again, to another node.
            self.end(turn, slot, EndReason::Replaced);
        }
        let new = NewMarker {
            opener: assign.arrival,
            midstream: true,
            choice: assign.choice,
            generation: assign.generation.counter,
            life: assign.life.unwrap_or_else(|| Life::picked_up(assign.arrival.protocol())),
            size: Count::default(),
        };
        let slot = self.mark(turn, old, &new)?;
        if self.learn_return_key(turn, slot, (assign.return_key, identity)).is_err() {
            self.end(turn, slot, EndReason::Refused);
            return Err(DropReason::ReturnKeyTaken);
        }
        // Of a stream that comes back nothing was handed over to this node.
        if assign.life.is_some() && by != self.settings.node {
            let session = self.markers.at_mut(slot);
            // Frames come directly only once a redirector has heard of this node; from its word to the former owner on,
            // the fence takes half of this.
            let until = turn.now + FENCE_TIME_MAX * 2;
            session.fenced = true;
            self.fenced.begin(until, (slot, session.id), (by, session.generation));
        }
        turn.out.tell(Event::TakenOver { flow: assign.arrival, generation: assign.generation.counter });
        Ok(slot)
    }

    /// The former owner of a stream has handed over everything: what was kept back, in order.
    ///
    /// # Errors
    /// Why the fence is not that for which a stream waits.
    pub fn fence_arrived(&mut self, from: NodeId, fence: &Fence) -> Result<Vec<Arrival>, FenceError> {
        let slot = self.markers.slot_of(&fence.arrival).ok_or(FenceError::NotAwaited)?;
        let session = self.markers.at_mut(slot);
        let queue = self.fenced.queues.get(&session.id).ok_or(FenceError::NotAwaited)?;
        let generation = Generation { counter: queue.generation, node: self.settings.node };
        if !is_on(Mutation::FenceForOthers) {
            if fence.generation != generation {
                return Err(FenceError::NotAwaited);
            }
            if queue.by != from {
                return Err(FenceError::NotTheirs);
            }
        }
        session.fenced = false;
        Ok(self.fenced.take(session.id))
    }

    /// A stream whose fence did not come in time: what was kept back, in order.
    pub fn next_unfenced(&mut self, now: Instant) -> Option<Vec<Arrival>> {
        let &(at, slot, id) = self.fenced.deadlines.front()?;
        if at > now {
            return None;
        }
        self.fenced.deadlines.pop_front();
        if let Some(session) = self.markers.still_mut(slot, id) {
            session.fenced = false;
        }
        Some(self.fenced.take(id))
    }
}

//! How far the redirectors know of a stream: announced, acknowledged, timed out; and in which generation.

use super::{Chosen, Punctuality};
use crate::event::Event;
use crate::flow::FlowKey;
use crate::id::{BootId, Generation, NodeId, Slot};
use crate::inspector::{Direction, HostPart};
use crate::limits::HEARTBEAT_INTERVAL;
use crate::mesh::Announce;
use crate::outbox::Outbox;
use crate::session::Announced;
use crate::time::Instant;

impl<H: HostPart> Chosen<H> {
    /// The announcement of the stream in a slot, once its return key is known.
    #[must_use]
    pub fn announcement(&self, slot: Slot, boot: BootId) -> Option<Announce> {
        let session = self.markers.at(slot);
        let generation = Generation { counter: session.generation, node: self.settings.node };
        let (arrival, return_key) = (session.opener, session.return_key?);
        Some(Announce { arrival, return_key, choice: session.choice, boot, generation })
    }

    /// The slot of a live stream that was announced with this return key in this generation.
    #[must_use]
    pub fn slot_announced(&self, return_key: &FlowKey, generation: Generation) -> Option<Slot> {
        let slot = self.markers.slot_of(return_key)?;
        let session = self.markers.at(slot);
        let ours = Generation { counter: session.generation, node: self.settings.node };
        (session.alive && session.return_key.as_ref() == Some(return_key) && ours == generation).then_some(slot)
    }

    /// Both redirectors are told of the stream in its present generation: the digests have it from now on.
    pub fn note_told(&mut self, slot: Slot) {
        let session = self.markers.at_mut(slot);
        let before = session.told.replace(session.generation);
        let after = session.told;
        if before != after {
            before.into_iter().chain(after).for_each(|generation| self.toggle(slot, generation));
        }
    }

    /// The redirectors are to know nothing of the stream.
    pub(super) fn note_untold(&mut self, slot: Slot) {
        if let Some(generation) = self.markers.at_mut(slot).told.take() {
            self.toggle(slot, generation);
        }
    }

    /// Adds a stream in one generation to the digests of the interfaces where its directions arrive, or takes it away.
    fn toggle(&mut self, slot: Slot, generation: u32) {
        let session = self.markers.at(slot);
        for direction in Direction::BOTH {
            if let Some(&key) = session.key(direction) {
                self.digests[key.interface()].toggle(session.identity, generation, direction);
            }
        }
    }

    /// Counts a stream's generation on, past one that still stands for its key.
    pub fn outbid(&mut self, slot: Slot, standing: Generation) {
        let session = self.markers.at_mut(slot);
        session.generation = session.generation.max(standing.counter.saturating_add(1));
    }

    /// Begins to wait for an acknowledgement.
    pub fn wait(&mut self, now: Instant, slot: Slot) {
        let session = self.markers.at_mut(slot);
        session.announced = Announced::Waiting;
        self.hold.begin(now, slot, session.id);
    }

    /// The other redirector has the stream in this slot.
    pub fn acknowledged(&mut self, slot: Slot, from: NodeId, out: &mut Outbox) {
        let session = self.markers.at_mut(slot);
        let punctuality = match std::mem::replace(&mut session.announced, Announced::Acknowledged) {
            Announced::TimedOut { .. } => Punctuality::Late,
            Announced::No | Announced::Waiting | Announced::Acknowledged | Announced::Lost | Announced::Moved(_) => {
                Punctuality::InTime
            }
        };
        let changed = self.breakers.acknowledged(from, punctuality);
        if changed.closed {
            out.tell(Event::Breaker { peer: from, open: false });
        }
        if let Some(late) = changed.late {
            out.tell(Event::AcknowledgesLate { peer: from, late });
        }
        out.tell(Event::Acknowledged { flow: session.opener, node: from });
        self.schedule(slot);
    }

    /// The next stream whose hold ran out, by slot.
    pub fn next_timed_out(&mut self, now: Instant) -> Option<Slot> {
        while let Some((slot, id)) = self.hold.pop_due(now) {
            let Some(session) = self.markers.still_mut(slot, id) else { continue };
            if session.announced == Announced::Waiting {
                session.announced = Announced::TimedOut { again: now + HEARTBEAT_INTERVAL };
                return Some(slot);
            }
        }
        None
    }
}

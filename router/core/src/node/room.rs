//! Streams without room: who chose this node for them chooses the next one, and for all others while it is full.

use super::Node;
use crate::event::Event;
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::membership::Intake;
use crate::mesh::{Decline, Message};
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// Tells the members whether this node has room, and the redirectors of streams that found none.
    pub(super) fn tell_room(&mut self, turn: &mut Turn<'_, H>) {
        let full = self.chosen.is_full(turn.now);
        if std::mem::replace(&mut self.is_full, full) != full {
            turn.out.tell(Event::Full { full });
            let intake = if full { Intake::Full } else { Intake::Open };
            self.change_view(turn, |membership, now, out| membership.intake_changed(now, intake, out));
        }
        let is_short = self.redirector.is_short_of_memory();
        if std::mem::replace(&mut self.redirector_was_short, is_short) != is_short && is_short {
            turn.out.tell(Event::ShortOfMemory { sessions: self.redirector.capacity() });
        }
        while let Some(arrival) = self.chosen.declined.pop() {
            match self.view.holder(arrival.interface()) {
                Some(holder) if holder == self.node => self.declined(turn, self.node, &Decline { arrival }),
                Some(holder) => turn.out.send(holder, Message::Decline(Decline { arrival })),
                None => {}
            }
        }
    }

    /// A node that was chosen for a stream has no room for it.
    pub(super) fn declined(&mut self, turn: &mut Turn<'_, H>, from: NodeId, decline: &Decline) {
        if !self.redirector.declined(turn.now, &decline.arrival, from, &self.candidates) {
            turn.out.ledger.messages_stale += 1;
        }
    }
}

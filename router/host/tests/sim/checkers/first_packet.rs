//! I3: the opener's packets leave only after the other redirector has the stream, or without its word as section 5 allows.

use std::collections::{BTreeMap, BTreeSet};

use herald_core::event::Event;
use herald_core::flow::FlowKey;
use herald_core::outbox::Leaving;

use super::Checker;
use crate::member::{NODES, Place};
use crate::packets;
use crate::recorder::Note;
use crate::world::{Sight, World};

/// A node in one boot.
type Run = (Place, u64);

/// What was acknowledged.
#[derive(Default)]
pub(super) struct FirstPacket {
    /// By the opener's flow.
    acknowledged: BTreeSet<(Run, FlowKey)>,
    openers: BTreeSet<(Run, FlowKey)>,
    /// Packets without an acknowledgement that a node has owned up to.
    owned_up: BTreeMap<Run, u64>,
}

impl Checker for FirstPacket {
    fn invariant(&self) -> &'static str {
        "I3"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            // Only what was acknowledged is given away, so what comes back has been.
            Sight::Told { place, event: Event::Acknowledged { flow, .. } | Event::TakenBack { flow, .. } } => {
                self.acknowledged.insert(((*place, world.members[*place].boot), *flow));
                Ok(())
            }
            Sight::Told { place, event: Event::Refused { flow, .. } } => {
                // Of an exchange opened from both ends at once, this one's packets are the return packets of the other.
                self.openers.remove(&((*place, world.members[*place].boot), *flow));
                Ok(())
            }
            Sight::Noted { place, note: Note::Started { opener, .. } } => {
                let run = (*place, world.members[*place].boot);
                let back = opener.reversed(opener.interface().other());
                // Packets of the stream before may still wait for a neighbour, and nothing tells them from its own.
                let queued = world.members[*place].node.as_ref().map_or(0, |node| node.forward().frames_queued());
                if queued == 0 {
                    self.acknowledged.remove(&(run, *opener));
                }
                // The same of a stream that the other end opens anew.
                if !self.openers.remove(&(run, back)) {
                    self.openers.insert((run, *opener));
                }
                Ok(())
            }
            Sight::Left { place, interface, bytes, leaving: Leaving::Forwarded } => {
                let Some(seen) = packets::seen(interface.other(), bytes) else { return Ok(()) };
                self.left(world, *place, &seen.flow)
            }
            _ => Ok(()),
        }
    }
}

impl FirstPacket {
    fn left(&mut self, world: &World, place: Place, flow: &FlowKey) -> Result<(), String> {
        let run = (place, world.members[place].boot);
        // What goes to the opener returns to the redirector that chose this node.
        if !self.openers.contains(&(run, *flow)) || self.acknowledged.contains(&(run, *flow)) {
            return Ok(());
        }
        let used = self.owned_up.entry(run).or_default();
        *used += 1;
        if *used <= world.members[place].out.ledger.unacknowledged {
            return Ok(());
        }
        Err(format!("{} forwarded {flow} before anybody acknowledged it", NODES[place]))
    }
}

//! I3: the opener's packets leave only after the other redirector has the stream, or without its word as section 5 allows.

use std::collections::{BTreeMap, BTreeSet};

use herald::event::Event;
use herald::flow::FlowKey;
use herald::mesh::Message;
use herald::outbox::Leaving;
use herald::session::Standing;

use super::Checker;
use crate::member::{NODES, Place, id, place_of};
use crate::packets;
use crate::recorder::Note;
use crate::world::{Sight, World};

/// A node in one boot.
type Run = (Place, u64);

/// What was acknowledged.
#[derive(Default)]
pub(super) struct FirstPacket {
    /// Who acknowledged which return key of whom.
    words: BTreeSet<(Place, FlowKey, Place)>,
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
            Sight::Sent { place, to, message: Message::Acknowledge(acknowledge) } => {
                let tables = world.members[*place].node.as_ref().unwrap().tables();
                let session = tables.redirector.get(&acknowledge.return_key);
                let has_it = session.is_some_and(|s| s.standing != Standing::Provisional);
                self.words.insert((*place, acknowledge.return_key, *to));
                if has_it { Ok(()) } else { Err(format!("{} acknowledged a session it has not", NODES[*place])) }
            }
            Sight::Told { place, event: Event::Acknowledged { flow, node } } => {
                let from = place_of(*node).unwrap();
                let return_key = flow.reversed(flow.interface().other());
                self.acknowledged.insert(((*place, world.members[*place].boot), *flow));
                let own_word = *node == id(*place);
                if own_word || self.words.contains(&(from, return_key, *place)) {
                    return Ok(());
                }
                Err(format!("{} heard an acknowledgement of {flow} that {node} never gave", NODES[*place]))
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

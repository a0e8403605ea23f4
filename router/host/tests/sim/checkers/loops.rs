//! I4: no loops. What is redirected came from a host, once; what is accepted came by the doors of sections 2 and 4; and no
//! stream begins by a frame that proves nothing, but at the node that it would be given to.

use std::collections::{BTreeMap, BTreeSet};

use herald_core::event::{Event, Step};
use herald_core::flow::FlowKey;
use herald_core::id::{BootId, Interface};
use herald_core::membership;
use herald_core::mesh::Message;
use herald_core::outbox::Leaving;
use herald_core::packet::Frame;
use herald_core::redirector::choice::Candidate;

use super::Checker;
use super::doors::{Door, Doors, Packet};
use crate::member::{NODES, Place, id, node_mac, settings};
use crate::packets::{self, Seen};
use crate::recorder::Note;
use crate::world::{Sight, World};

/// What came in, and what became of it.
#[derive(Default)]
pub(super) struct NoLoops {
    doors: Doors,
    /// What a node has inspected in this turn, each copy as a packet of which stream.
    inspected: BTreeMap<Packet, Vec<u64>>,
    /// Streams of which plugins have been told in this turn and have seen no packet.
    fresh: BTreeSet<(Place, u64)>,
    /// Those whose first packet proves nothing, by their flow, and its door.
    doubtful: BTreeMap<(Place, FlowKey), Door>,
}

impl Checker for NoLoops {
    fn invariant(&self) -> &'static str {
        "I4"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Arrived { place, interface, bytes } => self.doors.arrived(world, *place, *interface, bytes),
            Sight::Hearing { place, message: Message::Handover(handover), .. } => {
                self.doors.handed(*place, handover.interface, &handover.wire);
            }
            Sight::Hearing { place, message: Message::Redirect(redirect), .. } => {
                self.doors.handed(*place, redirect.interface, &redirect.wire);
            }
            Sight::Hearing { place, message: Message::Astray(astray), .. } => {
                self.doors.astray(*place, astray.interface, &astray.wire);
            }
            Sight::Noted { place, note: Note::Started { stream, .. } } => {
                self.fresh.insert((*place, *stream));
            }
            Sight::Told { place, event: Event::Step { step: Step::M4, flow, .. } } => {
                if let Some(door) = self.doubtful.get(&(*place, *flow)) {
                    return begins(world, *place, flow, *door);
                }
            }
            Sight::Noted { place, note: Note::Inspected { interface, bytes, stream, .. } } => {
                let Some(seen) = packets::seen(*interface, bytes) else { return Ok(()) };
                let key = (*place, *interface, seen.hash);
                let copies = self.inspected.entry(key).or_default();
                if let Some(door) = self.doors.take_any(key) {
                    copies.push(*stream);
                    if self.fresh.remove(&(*place, *stream)) && door != Door::Proven {
                        self.doubtful.insert((*place, seen.flow), door);
                    }
                    return Ok(());
                }
                // Of an exchange opened from both ends at once, the packet of the stream that lost passes again.
                let lost = copies.iter_mut().find(|before| *before != stream);
                let before = lost.ok_or_else(|| format!("{} accepted {} by no door", NODES[*place], seen.flow))?;
                *before = *stream;
            }
            Sight::TurnEnded { place } => {
                self.inspected.retain(|(node, _, _), _| node != place);
                self.fresh.retain(|(node, _)| node != place);
                self.doubtful.retain(|(node, _), _| node != place);
            }
            Sight::Left { place, interface, bytes, leaving: Leaving::Redirected } => {
                let Some(seen) = packets::seen(*interface, bytes) else { return Ok(()) };
                if let Some(to) = (0..NODES.len()).find(|node| node_mac(*interface, *node) == seen.to) {
                    self.doors.left(to, *interface, seen.hash);
                }
                return if self.doors.take_ingress((*place, *interface, seen.hash)) {
                    Ok(())
                } else {
                    looped(*place, &seen)
                };
            }
            Sight::Sent { place, message: Message::Redirect(redirect), .. } => {
                let Some(frame) = Frame::from_wire(&redirect.wire) else { return Ok(()) };
                let Some(seen) = packets::seen(redirect.interface, frame.bytes()) else { return Ok(()) };
                let key = (*place, redirect.interface, seen.hash);
                let came = self.doors.take_ingress(key) || self.doors.take_astray(key);
                return if came { Ok(()) } else { looped(*place, &seen) };
            }
            _ => {}
        }
        Ok(())
    }
}

fn looped(place: Place, seen: &Seen) -> Result<(), String> {
    Err(format!("{} redirected {} which no host had sent to it", NODES[place], seen.flow))
}

/// A stream begins at a node by a packet that proves nothing. It may where it would be given to that node: as far as the node
/// knows, and whatever it knows of itself alone.
fn begins(world: &World, place: Place, flow: &FlowKey, door: Door) -> Result<(), String> {
    let Some(node) = &world.members[place].node else { return Ok(()) };
    let settings = settings(place, BootId(0), &world.scenario.choices);
    let (choice, weight) = (settings.choice, settings.membership.weight);
    let membership = node.membership();
    let of = |c: &membership::Candidate| {
        let membership::Candidate { node, weight, is_holder, is_full } = *c;
        Candidate { node, weight, is_holder, is_full }
    };
    let mut candidates: Vec<_> = membership.candidates().iter().map(of).collect();
    if candidates.iter().all(|candidate| candidate.node != id(place)) {
        let is_holder = Interface::BOTH.into_iter().any(|interface| membership.holds(interface));
        let is_full = membership.member(id(place)).is_some_and(|own| own.full);
        candidates.push(Candidate { node: id(place), weight, is_holder, is_full });
    }
    let is_own = choice.choose(choice.hash(flow), &candidates) == Some(id(place));
    // A key whose last stream has just ended here stays with this node.
    let session = node.markers().find(flow).map(|(slot, _)| node.markers().at(slot));
    if session.is_some_and(|session| session.generation > 1) {
        return Ok(());
    }
    // Who steers the interface chooses itself.
    let steers = membership.holds(flow.interface()) || membership.lingers(flow.interface());
    if steers || door == Door::Forged && is_own {
        return Ok(());
    }
    Err(format!("{} began {flow} by a packet that no redirector had given to it ({door:?})", NODES[place]))
}

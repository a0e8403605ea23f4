//! I4: no loops. What is redirected came from a host to the virtual address, once; what is accepted came by the doors of
//! section 4.

use std::collections::BTreeMap;

use herald_core::id::Interface;
use herald_core::mesh::Message;
use herald_core::outbox::Leaving;
use herald_core::packet::Frame;

use super::Checker;
use super::doors::{Doors, Packet};
use crate::member::{NODES, Place};
use crate::packets;
use crate::recorder::Note;
use crate::world::{Sight, World};

/// What came in, and what became of it.
#[derive(Default)]
pub(super) struct NoLoops {
    doors: Doors,
    /// What a node has inspected in this turn, each copy as a packet of which stream.
    inspected: BTreeMap<Packet, Vec<u64>>,
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
            Sight::Noted { place, note: Note::Inspected { interface, bytes, stream, .. } } => {
                let Some(seen) = packets::seen(*interface, bytes) else { return Ok(()) };
                let key = (*place, *interface, seen.hash);
                let copies = self.inspected.entry(key).or_default();
                if self.doors.take_any(key) {
                    copies.push(*stream);
                    return Ok(());
                }
                // Of an exchange opened from both ends at once, the packet of the stream that lost passes again.
                let lost = copies.iter_mut().find(|before| *before != stream);
                let before = lost.ok_or_else(|| format!("{} accepted {} by no door", NODES[*place], seen.flow))?;
                *before = *stream;
            }
            Sight::TurnEnded { place } => self.inspected.retain(|(node, _, _), _| node != place),
            Sight::Left { place, interface, bytes, leaving: Leaving::Redirected } => {
                return self.redirected(*place, *interface, bytes);
            }
            Sight::Sent { place, message: Message::Redirect(redirect), .. } => {
                let Some(frame) = Frame::from_wire(&redirect.wire) else { return Ok(()) };
                return self.redirected(*place, redirect.interface, frame.bytes());
            }
            _ => {}
        }
        Ok(())
    }
}

impl NoLoops {
    fn redirected(&mut self, place: Place, interface: Interface, bytes: &[u8]) -> Result<(), String> {
        let Some(seen) = packets::seen(interface, bytes) else { return Ok(()) };
        if self.doors.take_ingress((place, interface, seen.hash)) {
            return Ok(());
        }
        Err(format!("{} redirected {} which no host had sent to it", NODES[place], seen.flow))
    }
}

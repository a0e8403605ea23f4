//! I4: no loops. What is redirected came from a host to the virtual address, once; what is accepted came by the doors of
//! section 4.

use std::collections::BTreeMap;

use herald::id::Interface;
use herald::mesh::Message;
use herald::outbox::Leaving;
use herald::packet::Frame;

use super::Checker;
use crate::member::{NODES, Place, node_mac, virtual_macs};
use crate::packets;
use crate::recorder::Note;
use crate::world::{Sight, World};

/// Copies of packets that came in by a door and have not been used, by node.
#[derive(Default)]
pub(super) struct NoLoops {
    ingress: BTreeMap<(Place, Interface, u64), u64>,
    redirected: BTreeMap<(Place, Interface, u64), u64>,
    /// What a node has inspected in this turn, each copy as a packet of which stream.
    inspected: BTreeMap<(Place, Interface, u64), Vec<u64>>,
}

fn take(from: &mut BTreeMap<(Place, Interface, u64), u64>, key: (Place, Interface, u64)) -> bool {
    let count = from.entry(key).or_default();
    let had = *count > 0;
    *count = count.saturating_sub(1);
    had
}

impl Checker for NoLoops {
    fn invariant(&self) -> &'static str {
        "I4"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Arrived { place, interface, bytes } => self.arrived(world, *place, *interface, bytes),
            Sight::Hearing { place, message: Message::Handover(handover), .. } => {
                self.handed(*place, handover.interface, &handover.wire);
            }
            Sight::Hearing { place, message: Message::Redirect(redirect), .. } => {
                self.handed(*place, redirect.interface, &redirect.wire);
            }
            Sight::Noted { place, note: Note::Inspected { interface, bytes, stream, .. } } => {
                let Some(seen) = packets::seen(*interface, bytes) else { return Ok(()) };
                let key = (*place, *interface, seen.hash);
                let copies = self.inspected.entry(key).or_default();
                if take(&mut self.ingress, key) || take(&mut self.redirected, key) {
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
        if take(&mut self.ingress, (place, interface, seen.hash)) {
            return Ok(());
        }
        Err(format!("{} redirected {} which no host had sent to it", NODES[place], seen.flow))
    }

    fn arrived(&mut self, world: &World, place: Place, interface: Interface, bytes: &[u8]) {
        let Some(seen) = packets::seen(interface, bytes) else { return };
        // A node knows the MACs of those that have said hello to it.
        let knows = |mac| world.members[place].node.as_ref()?.membership().member_by_mac(interface, mac);
        let from_member = knows(seen.from).is_some();
        let key = (place, interface, seen.hash);
        if virtual_macs(interface).contains(&seen.to) && !from_member {
            *self.ingress.entry(key).or_default() += 1;
        } else if seen.to == node_mac(interface, place) && from_member {
            *self.redirected.entry(key).or_default() += 1;
        }
    }

    fn handed(&mut self, place: Place, interface: Interface, wire: &[u8]) {
        let Some(frame) = Frame::from_wire(wire) else { return };
        if let Some(seen) = packets::seen(interface, frame.bytes()) {
            *self.redirected.entry((place, interface, seen.hash)).or_default() += 1;
        }
    }
}

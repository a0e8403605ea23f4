//! The doors by which packets come into a node, and how many copies came by each: for the checker of loops.

use std::collections::BTreeMap;

use herald_core::id::Interface;
use herald_core::packet::Frame;

use crate::member::{Place, node_mac, virtual_macs};
use crate::packets;
use crate::world::World;

/// A packet at a node, by the hash of what no redirect changes.
pub(super) type Packet = (Place, Interface, u64);

/// Copies of packets that came in by a door and have not been used.
#[derive(Default)]
pub(super) struct Doors {
    ingress: BTreeMap<Packet, u64>,
    redirected: BTreeMap<Packet, u64>,
}

fn take(from: &mut BTreeMap<Packet, u64>, key: Packet) -> bool {
    let count = from.entry(key).or_default();
    let had = *count > 0;
    *count = count.saturating_sub(1);
    had
}

impl Doors {
    /// Uses a copy that a host sent to the virtual address. False if there is none.
    pub(super) fn take_ingress(&mut self, packet: Packet) -> bool {
        take(&mut self.ingress, packet)
    }

    /// Uses a copy that came in by any door. False if there is none.
    pub(super) fn take_any(&mut self, packet: Packet) -> bool {
        take(&mut self.ingress, packet) || take(&mut self.redirected, packet)
    }

    /// A frame came from a network.
    pub(super) fn arrived(&mut self, world: &World, place: Place, interface: Interface, bytes: &[u8]) {
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

    /// A frame came over the mesh.
    pub(super) fn handed(&mut self, place: Place, interface: Interface, wire: &[u8]) {
        let Some(frame) = Frame::from_wire(wire) else { return };
        if let Some(seen) = packets::seen(interface, frame.bytes()) {
            *self.redirected.entry((place, interface, seen.hash)).or_default() += 1;
        }
    }
}

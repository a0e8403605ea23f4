//! The doors by which packets come into a node, and how many copies came by each: for the checker of loops.
//!
//! Two doors prove nothing of a stream: a frame that a host sent straight to the node's own MAC, and one that says it was
//! redirected, when nobody had redirected it.

use std::collections::{BTreeMap, BTreeSet};

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
    /// From a member that could not place them.
    astray: BTreeMap<Packet, u64>,
    straight: BTreeMap<Packet, u64>,
    forged: BTreeMap<Packet, u64>,
    /// Packets that nodes have redirected on a network, to whom.
    sent: BTreeSet<Packet>,
}

/// What a door proves of the packets that come by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// A redirector, or a former owner, has sent it here, or it came to a redirector.
    Proven,
    /// A host has sent it straight to the node.
    Straight,
    /// It says that it was redirected.
    Forged,
}

fn take(from: &mut BTreeMap<Packet, u64>, key: Packet) -> bool {
    let count = from.entry(key).or_default();
    let had = *count > 0;
    *count = count.saturating_sub(1);
    had
}

impl Doors {
    /// Uses a copy that a host sent to a node that steers. False if there is none.
    pub(super) fn take_ingress(&mut self, packet: Packet) -> bool {
        take(&mut self.ingress, packet) || take(&mut self.straight, packet)
    }

    /// Uses a copy that a node could not place: what is redirected of it goes over the mesh. False if there is none.
    pub(super) fn take_astray(&mut self, packet: Packet) -> bool {
        take(&mut self.astray, packet) || take(&mut self.redirected, packet) || take(&mut self.forged, packet)
    }

    /// Uses a copy that came in by any door, if there is one.
    pub(super) fn take_any(&mut self, packet: Packet) -> Option<Door> {
        let proven = [&mut self.ingress, &mut self.redirected, &mut self.astray];
        if proven.into_iter().any(|door| take(door, packet)) {
            return Some(Door::Proven);
        }
        let straight = take(&mut self.straight, packet).then_some(Door::Straight);
        straight.or_else(|| take(&mut self.forged, packet).then_some(Door::Forged))
    }

    /// A node redirected a packet on a network.
    pub(super) fn left(&mut self, place: Place, interface: Interface, hash: u64) {
        self.sent.insert((place, interface, hash));
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
        } else if seen.to == node_mac(interface, place) {
            let door = match (from_member, self.sent.contains(&key)) {
                (true, true) => &mut self.redirected,
                (true, false) => &mut self.forged,
                (false, _) => &mut self.straight,
            };
            *door.entry(key).or_default() += 1;
        }
    }

    /// A frame came from a member that could not place it.
    pub(super) fn astray(&mut self, place: Place, interface: Interface, wire: &[u8]) {
        let Some(frame) = Frame::from_wire(wire) else { return };
        if let Some(seen) = packets::seen(interface, frame.bytes()) {
            *self.astray.entry((place, interface, seen.hash)).or_default() += 1;
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

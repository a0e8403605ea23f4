//! Whether what a member sends to groups is heard. Neighbours are resolved, and virtual addresses found, by frames to groups: a
//! node that cannot send or hear them serves nobody for long, although it answers probes and its mesh is whole. So every node
//! says something to all with each heartbeat, and a member counts as heard where both come: frames for one, and frames for all.
//! Where the network loses them for everybody, nobody is the worse for it, and roles stay where they are.

use etherparse::{Icmpv6Type, PacketBuilder};

use super::Membership;
use crate::event::Event;
use crate::id::{Interface, Mac, NodeId};
use crate::limits::HEARTBEAT_INTERVAL;
use crate::mutation::{Mutation, is_on};
use crate::outbox::{Leaving, Outbox};
use crate::packet::Frame;
use crate::packet::vrrp::HOP_LIMIT;
use crate::time::Instant;

/// All routers that speak VRRP (RFC 9568, section 5.1.2.2), to which nodes listen and hosts do not, and where frames to them go
/// (RFC 2464, section 7).
const ALL_ROUTERS: ([u8; 16], Mac) =
    ([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12], Mac([0x33, 0x33, 0, 0, 0, 0x12]));

impl Membership {
    /// A frame that only neighbours exchange came from this MAC, to a group.
    pub fn group_heard(&mut self, now: Instant, interface: Interface, link_source: Mac) {
        let member = self.member_by_mac(interface, link_source);
        if let Some(member) = member.and_then(|node| self.peer_mut(node)) {
            member.heard_in_groups[interface] = Some(now);
        }
    }

    /// Says to all on every interface that works that this node can. A holder's adverts say so, too, if they are as frequent.
    pub(super) fn call_groups(&self, out: &mut Outbox) {
        let Some(own) = self.member(self.settings.node).filter(|_| self.admitted) else { return };
        let advertises = |i: Interface| self.holds(i) && self.adverts[i].interval() <= HEARTBEAT_INTERVAL;
        for interface in Interface::BOTH.into_iter().filter(|i| own.interfaces[*i] && !advertises(*i)) {
            if let Some(frame) = call(self.settings.macs[interface]) {
                out.transmit(interface, frame, Leaving::Generated);
            }
        }
    }

    /// Members with an interface that does not work, as they say or as nobody hears it, or that hear nobody there: what is
    /// given to them may end there.
    #[must_use]
    pub fn out_of_order(&self) -> Vec<NodeId> {
        let is_broken = |member: &&super::Member| {
            member.lives()
                && member.priorities.is_some()
                && Interface::BOTH.into_iter().any(|i| !member.interfaces[i] || self.is_unheard(member.node, i))
        };
        if is_on(Mutation::OpenAtUnheard) {
            return Vec::new();
        }
        self.members.iter().filter(is_broken).map(|member| member.node).collect()
    }

    /// Says once whose interface nobody hears, or hears nobody, and when that is over.
    pub(super) fn tell_unheard(&mut self, out: &mut Outbox) {
        for interface in Interface::BOTH {
            let changed = self.unheard[interface] ^ self.told_as_unheard[interface];
            if changed == 0 {
                continue;
            }
            // Of the dead it is told that they are.
            let live = self.members.iter().filter(|member| member.lives());
            let changed = live.fold(0, |all, member| all | self.place(member.node)) & changed;
            self.told_as_unheard[interface] ^= changed;
            for node in self.members.iter().map(|member| member.node).filter(|node| changed & self.place(*node) != 0) {
                out.tell(Event::InterfaceUnheard { node, interface, unheard: self.is_unheard(node, interface) });
            }
        }
    }
}

/// A neighbour solicitation to the other nodes for the sender's own link-local address, which nobody answers or learns from: it
/// names no MAC (RFC 4861, sections 7.1.1 and 7.2.3).
fn call(from: Mac) -> Option<Frame> {
    let (own, (group, to)) = (from.link_local().octets(), ALL_ROUTERS);
    let mut bytes = Vec::with_capacity(96);
    PacketBuilder::ethernet2(from.0, to.0)
        .ipv6(own, group, HOP_LIMIT)
        .icmpv6(Icmpv6Type::NeighborSolicitation)
        .write(&mut bytes, &own)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

//! By which door a packet comes in: who may send what to which address of this node.

use std::net::IpAddr;

use super::{Node, Redirecting};
use crate::event::DropReason;
use crate::forward::Forward;
use crate::id::{Interface, NodeId};
use crate::inspector::HostPart;
use crate::mutation::{Mutation, is_on};
use crate::packet::{Content, Packet};
use crate::time::Instant;

/// By which door a packet comes in.
pub(super) enum Entrance {
    /// From a host, to be steered.
    Ingress,
    /// From a host, to this node's own MAC.
    Straight,
    /// From the redirector, for this node as chosen node.
    Redirected,
    /// From a member that is not known as the holder yet.
    Early(NodeId),
    /// For an address of the cluster.
    Local,
    /// By none.
    Refused(DropReason),
}

impl<H: HostPart> Node<H> {
    /// Who may send what to which address of ours: a packet to `destination`.
    pub(super) fn entrance(
        &self,
        now: Instant,
        interface: Interface,
        packet: &Packet,
        destination: IpAddr,
    ) -> Entrance {
        let own = packet.destination == self.macs[interface];
        if !own && !self.virtual_macs[interface].contains(&packet.destination) {
            if !packet.destination.is_multicast() {
                return Entrance::Refused(DropReason::OtherMac);
            }
            let is_answered = is_asked_group(packet) && self.view.steers(now, interface);
            return if is_answered { Entrance::Local } else { Entrance::Refused(DropReason::Multicast) };
        }
        let steers = self.view.steers(now, interface);
        let of_all =
            || self.forward.is_virtual_address(destination) || destination.is_multicast() && is_asked_group(packet);
        let local = self.forward.is_own_address(destination) || steers && of_all();
        let member = self.view.member_by_mac(interface, packet.source);
        match (own, member) {
            (false, _) if !steers => Entrance::Refused(DropReason::NotHolder),
            (false, Some(_)) => Entrance::Refused(DropReason::MemberSource),
            (true | false, _) if local => Entrance::Local,
            (false, None) => Entrance::Ingress,
            (true, None) => Entrance::Straight,
            // Where the mesh redirects, the network's frames are not the holder's, whatever their source says.
            (true, Some(_)) if self.redirecting == Redirecting::Mesh => Entrance::Refused(DropReason::NotFromHolder),
            (true, Some(_)) if is_on(Mutation::RedirectTwice) => Entrance::Ingress,
            (true, Some(member)) if self.was_sent_by_holder(now, interface, member) => Entrance::Redirected,
            (true, Some(member)) => Entrance::Early(member),
        }
    }

    pub(super) fn was_sent_by_holder(&self, now: Instant, interface: Interface, member: NodeId) -> bool {
        self.view.holder(interface) == Some(member)
            || self.view.previous_holder(now, interface) == Some(member)
            || self.view.cut_holder(now, interface) == Some(member)
    }
}

/// Such a packet may come in a frame to one receiver, too (RFC 6085).
fn is_asked_group(packet: &Packet) -> bool {
    matches!(&packet.content, Content::Ip(headers) if Forward::is_asked_group(headers))
}

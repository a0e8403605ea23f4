//! Fragments: they wait for the rest of their datagram, which then comes in as one frame, by the same door.

use super::Node;
use super::entrance::Entrance;
use crate::event::DropReason;
use crate::forward::{Received, Unreachable};
use crate::fragments::{Overdue, Way};
use crate::id::Interface;
use crate::inspector::HostPart;
use crate::mutation::{Mutation, is_on};
use crate::packet::{Content, Fragment, Frame, Packet, Transport};
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// A fragment came in at an interface. Only what this node would take whole waits.
    #[cold]
    #[inline(never)]
    pub(super) fn fragment_arrived(
        &mut self,
        turn: &mut Turn<'_, H>,
        interface: Interface,
        packet: &Packet,
        fragment: Fragment,
        frame: Frame,
    ) {
        if let Entrance::Refused(reason) = self.entrance(turn.now, interface, packet, fragment.destination) {
            return turn.out.drop(frame, reason);
        }
        if is_on(Mutation::PassFragments) && !fragment.is_first() {
            let headers = fragment.headers();
            if let Ok(hop) = self.forward.route(interface, &headers, &frame, || 0) {
                return self.forward.transmit(turn.now, hop, &headers, frame, turn.out);
            }
        }
        let way = Way::Network { destination: packet.destination, source: packet.source };
        self.join(turn, (interface, way), fragment, frame);
    }

    /// A frame of the mesh that may carry no packet of its own: a fragment waits, anything else ends.
    #[cold]
    #[inline(never)]
    pub(super) fn join_or_drop(
        &mut self,
        turn: &mut Turn<'_, H>,
        place: (Interface, Way),
        frame: Frame,
        reason: DropReason,
    ) {
        match Packet::parse(&frame).map(|packet| packet.content) {
            // What is a fragment even when it is joined was cut twice.
            Ok(Content::Fragment(fragment)) if !frame.is_joined() => self.join(turn, place, fragment, frame),
            Ok(Content::Fragment(_) | Content::Ip(_) | Content::Arp(_)) | Err(_) => turn.out.drop(frame, reason),
        }
    }

    fn join(&mut self, turn: &mut Turn<'_, H>, place: (Interface, Way), fragment: Fragment, frame: Frame) {
        let Some(whole) = self.fragments.arrived(turn.now, place, fragment, frame, turn.out) else { return };
        let (interface, way) = place;
        match way {
            Way::Network { .. } => self.joined(turn, interface, whole),
            Way::Redirect(from, epoch) => self.redirected(turn, from, (interface, epoch), whole),
            Way::Handover { hops } => self.followed(turn, interface, hops, whole),
            Way::Astray(from) => self.strayed(turn, from, interface, whole),
        }
    }

    /// All fragments of a datagram have come in at an interface: it comes in.
    fn joined(&mut self, turn: &mut Turn<'_, H>, interface: Interface, frame: Frame) {
        let packet = match Packet::parse(&frame) {
            Ok(packet) => packet,
            Err(reason) => return turn.out.drop(frame, reason),
        };
        match packet.content {
            Content::Ip(headers) if !matches!(headers.transport, Transport::Discovery { .. }) => {
                self.packet_arrived(turn, interface, &packet, &headers, frame);
            }
            Content::Ip(_) | Content::Arp(_) | Content::Fragment(_) => turn.out.drop(frame, DropReason::Fragment),
        }
    }

    /// Datagrams whose time is over: their sources are told, if they can be (RFC 792; RFC 4443, section 3.3).
    pub(super) fn fragments_overdue(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(Overdue { interface, parts }) = self.fragments.pop_overdue(turn.now) {
            if let Some((fragment, frame)) = parts.first().filter(|(fragment, _)| fragment.is_first()) {
                let received = Received { interface, headers: &fragment.headers(), frame };
                self.forward.unreachable(turn.now, received, Unreachable::Incomplete, turn.out);
            }
            parts.into_iter().for_each(|(_, frame)| turn.out.drop(frame, DropReason::FragmentTimedOut));
        }
    }
}

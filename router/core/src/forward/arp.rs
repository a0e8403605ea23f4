//! Address resolution for IPv4 (RFC 826, RFC 5227).
//!
//! Learned is what this node asked for, and the sender of a request for one of its addresses. Every message, whomever it is
//! for, says of a known neighbour which MAC it has (RFC 826); if that is another one, both are asked.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{ArpEthIpv4Packet, ArpOperation as EtherArp, PacketBuilder};

use super::local::Local;
use super::neighbour::Told;
use super::neighbours::Unknown;
use super::{Forward, Hop};
use crate::event::DropReason;
use crate::id::{Interface, Mac};
use crate::outbox::{Leaving, Outbox};
use crate::packet::{Arp, ArpOperation, Frame};
use crate::time::Instant;

impl Forward {
    /// An ARP message arrived. Its frame ends here.
    pub fn arp_arrived(&mut self, now: Instant, interface: Interface, arp: &Arp, frame: Frame, out: &mut Outbox) {
        if arp.sender_mac.is_multicast() || arp.sender_mac == Mac::default() {
            return out.drop(frame, DropReason::Malformed);
        }
        let local = &self.local[interface];
        if let Some(mac) = local.claims_v4(arp.sender) {
            if mac == arp.sender_mac {
                return out.consume(frame);
            }
            self.conflict_heard(now, interface, (arp.sender.into(), arp.sender_mac), out);
            return out.drop(frame, DropReason::AddressConflict);
        }
        out.consume(frame);
        let answers = local.answers_v4(arp.target);
        if let (ArpOperation::Request, Some(mac)) = (arp.operation, answers) {
            transmit(interface, reply(mac, arp), out);
        }
        if !local.is_on_link(arp.sender.into()) || self.is_virtual_address(arp.sender.into()) {
            return;
        }
        let sender = Hop { interface, next_hop: arp.sender.into() };
        let heard = Told { mac: Some(arp.sender_mac), solicited: false, overrides: true };
        match arp.operation {
            ArpOperation::Request if answers.is_some() => self.told(now, sender, heard, Unknown::Learn, out),
            ArpOperation::Reply if self.neighbours[interface].is_asked(sender.next_hop) => {
                self.told(now, sender, Told { solicited: true, ..heard }, Unknown::Ignore, out);
            }
            ArpOperation::Request | ArpOperation::Reply => self.told(now, sender, heard, Unknown::Ignore, out),
        }
    }
}

/// Asks for a neighbour's MAC: by broadcast, or by unicast if one is to be confirmed (RFC 1122, section 2.3.2.1).
pub(super) fn request(local: &Local, target: Ipv4Addr, mac: Option<Mac>) -> Option<Frame> {
    let Some(IpAddr::V4(sender)) = local.source_towards(target.into()) else { return None };
    let arp = ArpEthIpv4Packet {
        operation: EtherArp::REQUEST,
        sender_mac: local.mac.0,
        sender_ipv4: sender.octets(),
        target_mac: [0; 6],
        target_ipv4: target.octets(),
    };
    framed(mac.unwrap_or(Mac::BROADCAST), &arp)
}

/// Tells everyone on the link who has an address (RFC 5227, section 3).
pub(super) fn announcement(mac: Mac, address: Ipv4Addr) -> Option<Frame> {
    let arp = ArpEthIpv4Packet {
        operation: EtherArp::REQUEST,
        sender_mac: mac.0,
        sender_ipv4: address.octets(),
        target_mac: [0; 6],
        target_ipv4: address.octets(),
    };
    framed(Mac::BROADCAST, &arp)
}

fn reply(mac: Mac, request: &Arp) -> Option<Frame> {
    let arp = ArpEthIpv4Packet {
        operation: EtherArp::REPLY,
        sender_mac: mac.0,
        sender_ipv4: request.target.octets(),
        target_mac: request.sender_mac.0,
        target_ipv4: request.sender.octets(),
    };
    framed(request.sender_mac, &arp)
}

/// The Ethernet source is the MAC that the message speaks of, so that switches learn the same as hosts.
fn framed(to: Mac, arp: &ArpEthIpv4Packet) -> Option<Frame> {
    let mut bytes = Vec::with_capacity(64);
    PacketBuilder::ethernet2(arp.sender_mac, to.0).arp(arp.to_arp_packet()).write_to_vec(&mut bytes).ok()?;
    Some(Frame::from_bytes(&bytes))
}

fn transmit(interface: Interface, frame: Option<Frame>, out: &mut Outbox) {
    if let Some(frame) = frame {
        out.transmit(interface, frame, Leaving::Generated);
    }
}

#[cfg(test)]
mod tests {
    use super::super::HolderState;
    use super::super::testing::*;
    use super::*;
    use crate::limits::DEFEND_INTERVAL;

    /// An ARP frame as it is on the wire.
    fn frame(to: Mac, operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Frame {
        let mut bytes = Vec::new();
        bytes.extend(to.0);
        bytes.extend(sender.0.0);
        bytes.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation]);
        for (mac, address) in [sender, target] {
            bytes.extend(mac.0);
            bytes.extend(address.octets());
        }
        Frame::from_bytes(&bytes)
    }

    fn asks(sender: Ipv4Addr, target: Ipv4Addr) -> Frame {
        frame(Mac::BROADCAST, 1, (CLIENT_MAC, sender), (Mac::default(), target))
    }

    fn answers(sender: (Mac, Ipv4Addr)) -> Frame {
        frame(OWN_MAC, 2, sender, (OWN_MAC, OWN))
    }

    #[test]
    fn a_request_for_the_own_address_is_answered_and_its_sender_learned() {
        let mut router = Router::new();
        router.arrives(FIRST, asks(CLIENT, OWN));
        let expected = frame(CLIENT_MAC, 2, (OWN_MAC, OWN), (CLIENT_MAC, CLIENT));
        assert_eq!(router.sent_one().bytes(), expected.bytes());
        assert_eq!(router.state_of(CLIENT), "stale");
        assert_eq!((router.out.ledger.consumed, router.out.ledger.generated), (1, 1));
    }

    #[test]
    fn virtual_addresses_are_answered_by_their_holder_with_the_virtual_mac() {
        let mut router = Router::new();
        router.arrives(FIRST, asks(CLIENT, VIRTUAL));
        assert!(router.sent().is_empty());
        assert_eq!(router.state_of(CLIENT), "unknown");
        let mut router = router.holding(FIRST);
        router.arrives(FIRST, asks(CLIENT, VIRTUAL));
        let expected = frame(CLIENT_MAC, 2, (VIRTUAL_MAC_V4, VIRTUAL), (CLIENT_MAC, CLIENT));
        assert_eq!(router.sent_one().bytes(), expected.bytes());
        router.forward.holder_changed(router.now, FIRST, HolderState::DoesNot, &mut router.out);
        router.sent();
        router.arrives(FIRST, asks(CLIENT, VIRTUAL));
        assert!(router.sent().is_empty());
    }

    #[test]
    fn nothing_is_answered_or_learned_for_others() {
        let mut router = Router::new().holding(FIRST);
        for (sender, target) in
            [(CLIENT, Ipv4Addr::new(10, 1, 0, 77)), (CLIENT, Ipv4Addr::new(10, 2, 0, 11)), (CLIENT, CLIENT)]
        {
            router.arrives(FIRST, asks(sender, target));
        }
        router.arrives(FIRST, answers((CLIENT_MAC, CLIENT)));
        assert!(router.sent().is_empty());
        assert!(router.forward.neighbours().is_empty());
    }

    #[test]
    fn a_probe_is_answered_and_teaches_nothing() {
        let mut router = Router::new();
        router.arrives(FIRST, asks(Ipv4Addr::UNSPECIFIED, OWN));
        assert_eq!(router.sent().len(), 1);
        assert!(router.forward.neighbours().is_empty());
    }

    #[test]
    fn senders_of_other_networks_and_group_macs_are_not_learned() {
        let mut router = Router::new();
        router.arrives(FIRST, asks(SERVER, OWN));
        router.arrives(FIRST, asks(Ipv4Addr::new(10, 1, 0, 255), OWN));
        assert_eq!(router.sent().len(), 2);
        router.arrives(FIRST, frame(OWN_MAC, 1, (Mac([3, 0, 0, 0, 0, 1]), CLIENT), (Mac::default(), OWN)));
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::Malformed), 1);
        assert!(router.forward.neighbours().is_empty());
    }

    #[test]
    fn an_answer_that_was_asked_for_releases_what_waited() {
        let mut router = Router::new();
        router.forwards(SECOND, udp(SERVER, CLIENT, b"hello")).unwrap();
        let expected = frame(Mac::BROADCAST, 1, (OWN_MAC, OWN), (Mac::default(), CLIENT));
        assert_eq!(router.sent_one().bytes(), expected.bytes());
        router.arrives(FIRST, answers((CLIENT_MAC, CLIENT)));
        let sent = router.sent_one();
        assert_eq!((sent.packet().destination, sent.packet().source), (CLIENT_MAC, OWN_MAC));
        assert_eq!(router.state_of(CLIENT), "reachable");
    }

    #[test]
    fn whatever_contradicts_what_is_known_has_both_macs_asked() {
        let moved = Mac([2, 0, 0, 0, 0, 0x65]);
        let elsewhere = (Mac::default(), Ipv4Addr::new(10, 1, 0, 77));
        for (name, said) in [
            ("an announcement", frame(Mac::BROADCAST, 1, (moved, CLIENT), (Mac::default(), CLIENT))),
            ("a question to this node", frame(Mac::BROADCAST, 1, (moved, CLIENT), (Mac::default(), OWN))),
            ("a question to the holder", frame(Mac::BROADCAST, 1, (moved, CLIENT), (Mac::default(), VIRTUAL))),
            ("a question to somebody", frame(Mac::BROADCAST, 1, (moved, CLIENT), elsewhere)),
            ("an answer that nobody asked for", answers((moved, CLIENT))),
        ] {
            let mut router = Router::with_neighbours();
            router.arrives(FIRST, said);
            assert_eq!((router.state_of(CLIENT), router.mac_of(CLIENT)), ("contested", Some(CLIENT_MAC)), "{name}");
            let sent = router.sent();
            for mac in [CLIENT_MAC, moved] {
                let probe = frame(mac, 1, (OWN_MAC, OWN), (Mac::default(), CLIENT));
                assert_eq!(sent.iter().filter(|sent| sent.bytes() == probe.bytes()).count(), 1, "{name}");
            }
        }
    }

    #[test]
    fn every_message_says_who_a_neighbour_is_that_is_waited_for() {
        let mut router = Router::new();
        router.forwards(SECOND, udp(SERVER, CLIENT, b"hello")).unwrap();
        router.sent_one();
        router.arrives(FIRST, asks(CLIENT, Ipv4Addr::new(10, 1, 0, 77)));
        assert_eq!(router.sent_one().packet().destination, CLIENT_MAC);
        assert_eq!(router.state_of(CLIENT), "stale");
    }

    #[test]
    fn addresses_in_use_are_defended_once_in_ten_seconds() {
        let mut router = Router::new().holding(FIRST);
        let thief = |address| frame(Mac::BROADCAST, 1, (CLIENT_MAC, address), (Mac::default(), address));
        router.arrives(FIRST, thief(OWN));
        let expected = frame(Mac::BROADCAST, 1, (OWN_MAC, OWN), (Mac::default(), OWN));
        assert_eq!(router.sent_one().bytes(), expected.bytes());
        router.arrives(FIRST, thief(OWN));
        assert!(router.sent().is_empty());
        // Each address by itself: who claims one does not silence another.
        router.arrives(FIRST, thief(VIRTUAL));
        assert_eq!(router.sent_one().packet().source, VIRTUAL_MAC_V4);
        router.arrives(FIRST, thief(VIRTUAL));
        assert!(router.sent().is_empty());
        router.now = router.now + DEFEND_INTERVAL;
        router.arrives(FIRST, thief(OWN));
        assert_eq!(router.sent_one().packet().source, OWN_MAC);
        router.arrives(FIRST, frame(Mac::BROADCAST, 1, (VIRTUAL_MAC_V4, VIRTUAL), (Mac::default(), VIRTUAL)));
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::AddressConflict), 5);
        // A node that does not hold the role counts it, too, and leaves the defence to the holder.
        let mut router = Router::new();
        router.arrives(FIRST, thief(VIRTUAL));
        router.arrives(FIRST, answers((CLIENT_MAC, VIRTUAL)));
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::AddressConflict), 2);
        assert!(router.forward.neighbours().is_empty());
    }
    #[test]
    fn who_claims_an_address_again_too_early_is_contradicted_once_that_may_be() {
        let mut router = Router::new();
        let thief = || frame(Mac::BROADCAST, 1, (CLIENT_MAC, OWN), (Mac::default(), OWN));
        router.arrives(FIRST, thief());
        assert_eq!(router.sent().len(), 1);
        let again = router.now + DEFEND_INTERVAL;
        assert_eq!(router.forward.next_deadline(), None, "it is contradicted");
        router.arrives(FIRST, thief());
        router.arrives(FIRST, thief());
        assert_eq!(router.forward.next_deadline(), Some(again));
        assert!(router.sent().is_empty());
        router.now = again;
        router.forward.deadline_reached(again, &mut router.out);
        let expected = frame(Mac::BROADCAST, 1, (OWN_MAC, OWN), (Mac::default(), OWN));
        assert_eq!(router.sent_one().bytes(), expected.bytes());
        assert_eq!(router.forward.next_deadline(), None);
        // That was a defence like any other.
        router.arrives(FIRST, thief());
        assert!(router.sent().is_empty());
    }
}

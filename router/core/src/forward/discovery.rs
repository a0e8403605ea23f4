//! Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements. Router advertisements of others and redirects
//! are checked and ignored; router solicitations go to `gateway_adverts`, multicast listener queries to `listener`.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionType, NdpOptionsIterator, NeighborAdvertisementHeader};
use etherparse::{Icmpv6Slice, Icmpv6Type, PacketBuilder};

use super::local::{ALL_NODES, Local, group_mac, solicited_node};
use super::neighbour::Told;
use super::neighbours::Unknown;
use super::{Forward, Hop, listener};
use crate::event::DropReason;
use crate::id::{Interface, Mac};
use crate::outbox::{Leaving, Outbox};
use crate::packet::{Frame, Headers};
use crate::time::Instant;

/// Proof that a message has not crossed a router (RFC 4861, section 7.1).
const HOP_LIMIT: u8 = 255;

/// A checked neighbour discovery message.
enum Message {
    /// Who has `target`? `asker` is the MAC of the sender, if it names it.
    Solicitation { target: Ipv6Addr, asker: Option<Mac> },
    /// `target` has this MAC.
    Advertisement { target: Ipv6Addr, told: Told },
    /// Who is a router here? `asker` as above.
    RouterSolicitation { asker: Option<Mac> },
    /// Another message; nothing follows from it.
    Other,
}

impl Message {
    /// The address that its sender says it has, and with which MAC: hosts learn from both messages.
    fn claim(&self, source: Ipv6Addr) -> Option<(Ipv6Addr, Mac)> {
        match self {
            Self::Solicitation { asker, .. } | Self::RouterSolicitation { asker } => asker.map(|mac| (source, mac)),
            Self::Advertisement { target, told } => told.mac.map(|mac| (*target, mac)),
            Self::Other => None,
        }
    }
}

impl Forward {
    /// A message of neighbour discovery or multicast listener discovery arrived. Its frame ends here.
    pub fn discovery_arrived(
        &mut self,
        now: Instant,
        interface: Interface,
        headers: &Headers,
        frame: Frame,
        out: &mut Outbox,
    ) {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (headers.source, headers.destination) else {
            return out.drop(frame, DropReason::Malformed);
        };
        let icmp = headers.transport_bytes(&frame);
        let Ok(icmp) = Icmpv6Slice::from_slice(icmp) else { return out.drop(frame, DropReason::Malformed) };
        // A partial checksum comes from the kernel of this machine; there is nothing to check.
        if !frame.offload().needs_checksum() && !icmp.is_checksum_valid(source.octets(), destination.octets()) {
            return out.drop(frame, DropReason::IcmpChecksum);
        }
        if listener::is_listener_message(icmp.type_u8()) {
            if let Some(delay) = listener::query_delay(source, headers.hop_limit, &icmp) {
                self.schedule[interface].query_arrived(now, delay);
            }
            return out.consume(frame);
        }
        let Some(message) = check(source, destination, headers.hop_limit, &icmp) else {
            return out.drop(frame, DropReason::Malformed);
        };
        let link_source = frame.bytes().get(6..12).and_then(|b| b.try_into().ok()).map_or(Mac::default(), Mac);
        if let Some((address, claimant)) = message.claim(source)
            && self.local[interface].claims_v6(address).is_some_and(|mac| mac != claimant)
        {
            self.conflict_heard(now, interface, (address.into(), claimant), out);
            return out.drop(frame, DropReason::AddressConflict);
        }
        out.consume(frame);
        match message {
            Message::Solicitation { target, asker } => {
                let answers = self.local[interface].answers_v6(target);
                // RFC 4861, section 7.2.7: another router's answer is as good.
                let overrides = !self.local[interface].is_anycast(target);
                let asked = Asked { source, link_source: asker.unwrap_or(link_source), target, overrides };
                if let Some(frame) = answers.and_then(|mac| advertisement(mac, &asked)) {
                    out.transmit(interface, frame, Leaving::Generated);
                }
                if asker.is_some() {
                    let heard = Told { mac: asker, solicited: false, overrides: true };
                    let unknown = if answers.is_some() { Unknown::Learn } else { Unknown::Ignore };
                    self.told_v6(now, Hop { interface, next_hop: source.into() }, heard, unknown, out);
                }
            }
            Message::Advertisement { target, told } => {
                // An answer to a unicast solicitation may leave out the MAC (RFC 4861, section 4.4): of two that are asked,
                // the frame says which one it is.
                let names_none = told.solicited && told.mac.is_none();
                let mac = told.mac.or((names_none && self.is_contested(interface, target)).then_some(link_source));
                let told = Told { mac, ..told };
                self.told_v6(now, Hop { interface, next_hop: target.into() }, told, Unknown::Ignore, out);
            }
            Message::RouterSolicitation { asker } => {
                self.gateway_asked(now, interface);
                let told = Told { mac: asker, solicited: false, overrides: true };
                self.told_v6(now, Hop { interface, next_hop: source.into() }, told, Unknown::Ignore, out);
            }
            Message::Other => {}
        }
    }

    /// Believes nobody who claims an address of the cluster, or one of another link.
    fn told_v6(&mut self, now: Instant, neighbour: Hop, told: Told, unknown: Unknown, out: &mut Outbox) {
        let Hop { interface, next_hop: address } = neighbour;
        let ours = self.is_own_address(address) || self.is_virtual_address(address);
        if !ours && self.local[interface].is_on_link(address) {
            self.told(now, neighbour, told, unknown, out);
        }
    }
}

/// The checks of RFC 4861, sections 6.1.1, 7.1.1 and 7.1.2; `None`: discard silently.
fn check(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, icmp: &Icmpv6Slice<'_>) -> Option<Message> {
    if hop_limit != HOP_LIMIT || icmp.code_u8() != 0 {
        return None;
    }
    match (icmp.icmp_type(), icmp.payload_slice().ok()?) {
        (Icmpv6Type::NeighborSolicitation, Icmpv6PayloadSlice::NeighborSolicitation(payload)) => {
            let target = payload.target_address();
            let asker = link_address(payload.options_iterator(), NdpOptionType::SOURCE_LINK_LAYER_ADDRESS)?;
            let detects_duplicates = source.is_unspecified();
            let wrong = detects_duplicates && (asker.is_some() || destination != solicited_node(target));
            (!target.is_multicast() && !wrong).then_some(Message::Solicitation { target, asker })
        }
        (Icmpv6Type::NeighborAdvertisement(header), Icmpv6PayloadSlice::NeighborAdvertisement(payload)) => {
            let target = payload.target_address();
            let mac = link_address(payload.options_iterator(), NdpOptionType::TARGET_LINK_LAYER_ADDRESS)?;
            let told = Told { mac, solicited: header.solicited, overrides: header.r#override };
            let wrong = target.is_multicast() || (header.solicited && destination.is_multicast());
            (!wrong).then_some(Message::Advertisement { target, told })
        }
        (Icmpv6Type::RouterSolicitation, Icmpv6PayloadSlice::RouterSolicitation(payload)) => {
            let asker = link_address(payload.options_iterator(), NdpOptionType::SOURCE_LINK_LAYER_ADDRESS)?;
            // Who has no address names no MAC (RFC 4861, section 6.1.1).
            (!source.is_unspecified() || asker.is_none()).then_some(Message::RouterSolicitation { asker })
        }
        _ => Some(Message::Other),
    }
}

/// The MAC in the wanted option, if it is there. `None` if the options are malformed or the MAC is no unicast one.
fn link_address(options: NdpOptionsIterator<'_>, wanted: NdpOptionType) -> Option<Option<Mac>> {
    let mut found = None;
    for option in options {
        let option = option.ok()?;
        if option.option_type() != wanted {
            continue;
        }
        let mac = Mac(option.as_bytes().get(2..)?.try_into().ok()?);
        if mac.is_multicast() || mac == Mac::default() {
            return None;
        }
        found = found.or(Some(mac));
    }
    Some(found)
}

/// Asks for a neighbour's MAC, or whether it still has this one (RFC 4861, section 7.2.2).
pub(super) fn solicitation(local: &Local, target: Ipv6Addr, mac: Option<Mac>) -> Option<Frame> {
    let group = solicited_node(target);
    let (to, destination) = mac.map_or((group_mac(group), group), |mac| (mac, target));
    let option = (NdpOptionType::SOURCE_LINK_LAYER_ADDRESS, local.mac);
    let ends = Ends { to, from: local.mac, source: local.link_local, destination };
    message(&ends, Icmpv6Type::NeighborSolicitation, target, option)
}

/// Tells everyone on the link who has an address (RFC 4861, section 7.2.6).
pub(super) fn announcement(mac: Mac, address: Ipv6Addr) -> Option<Frame> {
    let flags = NeighborAdvertisementHeader { router: true, solicited: false, r#override: true };
    let ends = Ends { to: group_mac(ALL_NODES), from: mac, source: address, destination: ALL_NODES };
    let option = (NdpOptionType::TARGET_LINK_LAYER_ADDRESS, mac);
    message(&ends, Icmpv6Type::NeighborAdvertisement(flags), address, option)
}

/// A solicitation that this node answers.
struct Asked {
    source: Ipv6Addr,
    link_source: Mac,
    target: Ipv6Addr,
    /// The answer takes the place of what the asker has.
    overrides: bool,
}

/// Answers a solicitation (RFC 4861, section 7.2.4); one that detects duplicates is answered to all nodes.
fn advertisement(mac: Mac, asked: &Asked) -> Option<Frame> {
    let known = !asked.source.is_unspecified();
    let (to, destination) = if known { (asked.link_source, asked.source) } else { (group_mac(ALL_NODES), ALL_NODES) };
    let flags = NeighborAdvertisementHeader { router: true, solicited: known, r#override: asked.overrides };
    let ends = Ends { to, from: mac, source: asked.target, destination };
    let option = (NdpOptionType::TARGET_LINK_LAYER_ADDRESS, mac);
    message(&ends, Icmpv6Type::NeighborAdvertisement(flags), asked.target, option)
}

/// Both ends of a message, on Ethernet and IPv6.
struct Ends {
    to: Mac,
    from: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
}

fn message(ends: &Ends, kind: Icmpv6Type, target: Ipv6Addr, option: (NdpOptionType, Mac)) -> Option<Frame> {
    let mut payload = Vec::with_capacity(24);
    payload.extend(target.octets());
    // The length of an option is in units of 8 bytes (RFC 4861, section 4.6).
    payload.extend([option.0.0, 1]);
    payload.extend(option.1.0);
    let mut bytes = Vec::with_capacity(96);
    PacketBuilder::ethernet2(ends.from.0, ends.to.0)
        .ipv6(ends.source.octets(), ends.destination.octets(), HOP_LIMIT)
        .icmpv6(kind)
        .write(&mut bytes, &payload)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use herald_testing::frames;

    const SOURCE_OPTION: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 0x64];
    const TARGET_OPTION: [u8; 8] = [2, 1, 2, 0, 0, 0, 0, 0x64];

    /// One ICMPv6 message from the client, byte by byte behind the ICMPv6 checksum.
    struct Said<'a> {
        kind: u8,
        from: &'a str,
        to: &'a str,
        flags: u8,
        target: &'a str,
        options: &'a [u8],
        hop_limit: u8,
    }

    const ASKS: Said<'_> = Said {
        kind: 135,
        from: "fd00:1::64",
        to: "ff02::1:ff00:11",
        flags: 0,
        target: "fd00:1::11",
        options: &SOURCE_OPTION,
        hop_limit: 255,
    };

    const ANSWERS: Said<'_> = Said {
        kind: 136,
        from: "fd00:1::64",
        to: "fe80::ff:fe00:10a",
        flags: 0x60,
        target: "fd00:1::64",
        options: &TARGET_OPTION,
        hop_limit: 255,
    };

    impl Said<'_> {
        fn frame(&self) -> Frame {
            let mut payload = v6(self.target).octets().to_vec();
            payload.extend(self.options);
            let macs = [CLIENT_MAC.0, group_mac(v6(self.to)).0];
            let ip = frames::ip(macs, v6(self.from), v6(self.to), self.hop_limit);
            Frame::from_bytes(&frames::icmpv6(ip, (self.kind, 0), [self.flags, 0, 0, 0], &payload))
        }
    }

    /// The bytes of an advertisement: addresses, flags, target, MAC.
    fn assert_advertises(sent: &Sent, to: (&str, Mac), flags: u8, from: (&str, Mac)) {
        let bytes = sent.bytes();
        assert_eq!((sent.packet().destination, sent.packet().source), (to.1, from.1));
        assert_eq!((sent.headers().source, sent.headers().destination), (v6(from.0).into(), v6(to.0).into()));
        assert_eq!(sent.headers().hop_limit, 255);
        assert_eq!(bytes.len(), 14 + 40 + 32);
        assert_eq!(&bytes[54..56], [136, 0]);
        assert_eq!(&bytes[58..62], [flags, 0, 0, 0]);
        assert_eq!(&bytes[62..78], v6(from.0).octets());
        assert_eq!(&bytes[78..80], [2, 1]);
        assert_eq!(&bytes[80..86], from.1.0);
    }

    #[test]
    fn a_solicitation_is_answered_and_its_sender_learned() {
        let mut router = Router::new();
        router.arrives(FIRST, ASKS.frame());
        assert_advertises(&router.sent_one(), ("fd00:1::64", CLIENT_MAC), 0xe0, ("fd00:1::11", OWN_MAC));
        assert_eq!(router.state_of(v6("fd00:1::64")), "stale");
        let link_local = Said { to: "fe80::ff:fe00:10a", target: "fe80::ff:fe00:10a", options: &[], ..ASKS };
        router.arrives(FIRST, link_local.frame());
        assert_advertises(&router.sent_one(), ("fd00:1::64", CLIENT_MAC), 0xe0, ("fe80::ff:fe00:10a", OWN_MAC));
    }

    #[test]
    fn virtual_addresses_are_answered_by_their_holder_with_the_virtual_mac() {
        let mut router = Router::new();
        let gateways = [("fd00:1::1", "ff02::1:ff00:1"), ("fe80::200:5eff:fe00:201", "ff02::1:ff00:201")];
        for (target, to) in gateways {
            router.arrives(FIRST, Said { target, to, ..ASKS }.frame());
        }
        assert!(router.sent().is_empty());
        let mut router = router.holding(FIRST);
        for (target, to) in gateways {
            router.arrives(FIRST, Said { target, to, ..ASKS }.frame());
            assert_advertises(&router.sent_one(), ("fd00:1::64", CLIENT_MAC), 0xe0, (target, VIRTUAL_MAC_V6));
        }
    }

    #[test]
    fn duplicate_address_detection_is_answered_to_all_nodes() {
        let mut router = Router::new();
        router.arrives(FIRST, Said { from: "::", options: &[], ..ASKS }.frame());
        let all = ("ff02::1", Mac([0x33, 0x33, 0, 0, 0, 1]));
        assert_advertises(&router.sent_one(), all, 0xa0, ("fd00:1::11", OWN_MAC));
        assert!(router.forward.neighbours().is_empty());
    }

    #[test]
    fn an_answer_releases_what_waited() {
        let mut router = Router::new();
        router.forwards(SECOND, udp(v6("fd00:2::c8"), v6("fd00:1::64"), b"hello")).unwrap();
        let ask = router.sent_one();
        let expected = Said {
            from: "fe80::ff:fe00:10a",
            to: "ff02::1:ff00:64",
            target: "fd00:1::64",
            options: &[1, 1, 2, 0, 0, 0, 1, 0x0a],
            ..ASKS
        };
        assert_eq!(ask.bytes()[..6], [0x33, 0x33, 0xff, 0, 0, 0x64]);
        assert_eq!(ask.bytes()[6..12], OWN_MAC.0);
        assert_eq!(ask.bytes()[12..], expected.frame().bytes()[12..]);
        router.arrives(FIRST, Said { options: &[], ..ANSWERS }.frame());
        assert!(router.sent().is_empty());
        router.arrives(FIRST, ANSWERS.frame());
        let sent = router.sent_one();
        assert_eq!((sent.packet().destination, sent.packet().source), (CLIENT_MAC, OWN_MAC));
        assert_eq!((sent.headers().hop_limit, router.state_of(v6("fd00:1::64"))), (63, "reachable"));
    }

    #[test]
    fn a_contradicting_message_has_both_macs_asked_and_makes_nobody_known() {
        let moved = Mac([2, 0, 0, 0, 0, 0x65]);
        let all = Said { to: "ff02::1", flags: 0x20, options: &[2, 1, 2, 0, 0, 0, 0, 0x65], ..ANSWERS };
        let asks = Said { options: &[1, 1, 2, 0, 0, 0, 0, 0x65], ..ASKS };
        let asks_another = Said { target: "fd00:1::77", to: "ff02::1:ff00:77", ..asks };
        for (name, said) in [("announces", &all), ("asks this node", &asks), ("asks another", &asks_another)] {
            let mut router = Router::with_neighbours();
            router.arrives(FIRST, said.frame());
            assert_eq!(router.state_of(v6("fd00:1::64")), "contested", "{name}");
            let solicits = |mac| move |sent: &&Sent| sent.packet().destination == mac && sent.icmp().0 == 135;
            let sent = router.sent();
            assert!([CLIENT_MAC, moved].iter().all(|mac| sent.iter().filter(solicits(*mac)).count() == 1), "{name}");
        }
        let mut router = Router::with_neighbours();
        router.arrives(FIRST, Said { target: "fd00:1::77", ..all }.frame());
        assert_eq!(router.state_of(v6("fd00:1::77")), "unknown");
    }

    #[test]
    fn an_answer_without_a_mac_is_its_senders() {
        let mut router = Router::with_neighbours();
        let all = Said { to: "ff02::1", flags: 0x20, options: &[2, 1, 2, 0, 0, 0, 0, 0x65], ..ANSWERS };
        router.arrives(FIRST, all.frame());
        // From the old MAC: it stays.
        router.arrives(FIRST, Said { options: &[], ..ANSWERS }.frame());
        router.wait(crate::limits::NEIGHBOUR_CONTEST_INTERVAL);
        assert_eq!(router.state_of(v6("fd00:1::64")), "reachable");
        assert_eq!(router.mac_of(v6("fd00:1::64")), Some(CLIENT_MAC));
    }

    #[test]
    fn invalid_messages_are_discarded() {
        let group_option = [1, 1, 3, 0, 0, 0, 0, 0x64];
        for (name, said) in [
            ("crossed a router", Said { hop_limit: 254, ..ASKS }),
            ("multicast target", Said { target: "ff02::1", ..ASKS }),
            ("option without length", Said { options: &[1, 0, 2, 0, 0, 0, 0, 1], ..ASKS }),
            ("option cut short", Said { options: &[1, 2, 2, 0, 0, 0, 0, 1], ..ASKS }),
            ("group MAC", Said { options: &group_option, ..ASKS }),
            ("duplicate detection with a MAC", Said { from: "::", ..ASKS }),
            ("duplicate detection by unicast", Said { from: "::", to: "fd00:1::11", options: &[], ..ASKS }),
            ("solicited to a group", Said { to: "ff02::1", ..ANSWERS }),
        ] {
            let mut router = Router::new();
            router.arrives(FIRST, said.frame());
            assert!(router.sent().is_empty(), "{name}");
            assert_eq!(router.dropped(DropReason::Malformed), 1, "{name}");
            assert!(router.forward.neighbours().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_discarded_and_a_partial_one_is_not() {
        let mut frame = ASKS.frame();
        frame.bytes_mut()[60] ^= 1;
        let partial = with_offload(&frame, 54, 2, 0);
        let mut router = Router::new();
        router.arrives(FIRST, frame);
        assert_eq!(router.dropped(DropReason::IcmpChecksum), 1);
        assert!(router.sent().is_empty());
        router.arrives(FIRST, partial);
        assert_eq!(router.sent().len(), 1);
    }

    #[test]
    fn whoever_claims_an_address_of_the_cluster_is_counted_and_contradicted_by_its_holder_only() {
        let thief = |target| Said { to: "ff02::1", flags: 0x20, target, from: "fe80::64", ..ANSWERS }.frame();
        for (router, defended) in [(Router::new().holding(FIRST), 2), (Router::new(), 0)] {
            let mut router = router;
            for target in ["fd00:1::1", "fe80::200:5eff:fe00:201", "fd00:1::1"] {
                router.arrives(FIRST, thief(target));
            }
            // Who asks in its name claims it, too; that is not answered.
            router.arrives(FIRST, Said { from: "fd00:1::1", ..ASKS }.frame());
            assert_eq!(router.dropped(DropReason::AddressConflict), 4);
            let sent = router.sent();
            assert_eq!(sent.len(), defended, "each once in a while");
            assert!(sent.iter().all(|frame| frame.packet().source == VIRTUAL_MAC_V6));
            assert!(router.forward.neighbours().is_empty());
        }
    }

    #[test]
    fn nobody_is_believed_about_addresses_of_the_cluster_or_of_other_links() {
        let mut router = Router::new().holding(FIRST);
        for from in ["fd00:1::11", "fd00:1::1", "fd00:2::c8", "2001:db8::1"] {
            router.arrives(FIRST, Said { from, ..ASKS }.frame());
        }
        assert!(router.forward.neighbours().is_empty());
        assert_eq!(router.dropped(DropReason::AddressConflict), 2);
    }
}

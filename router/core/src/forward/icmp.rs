//! ICMP and ICMPv6 errors: what the source of a packet must be told, and when it must not be (RFC 1812, section 4.3.2;
//! RFC 4443, section 2.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpDscp, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, PacketBuilder, icmpv4, icmpv6,
};

use super::extensions::HeaderFault;
use super::quote::quote;
use super::{Forward, Hop};
use crate::id::Interface;
use crate::outbox::Outbox;
use crate::packet::{Frame, Headers, Transport};
use crate::time::Instant;

/// TTL and hop limit of what this node makes itself (RFC 1700).
pub(super) const HOP_LIMIT: u8 = 64;

/// Length of the longest IPv4 error, IP header included (RFC 1812, section 4.3.2.3).
const ERROR_V4_LEN_MAX: usize = 576;

/// Length of the longest IPv6 error, IP header included: the smallest MTU (RFC 4443, section 2.4 (c)).
const ERROR_V6_LEN_MAX: usize = 1280;

/// Where an IPv6 header says what follows it (RFC 8200, section 3).
pub(super) const NEXT_HEADER_AT: u16 = 6;

/// Bytes of the ICMP header in front of the quoted packet.
const ICMP_LEN: usize = 8;

/// A packet that arrived and is spoken of; its frame stays where it is.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Where it arrived.
    pub interface: Interface,
    /// Its checked headers.
    pub headers: &'a Headers,
    /// Its frame, its TTL as it arrived.
    pub frame: &'a Frame,
}

/// Why a packet does not reach its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// TTL or hop limit ran out here.
    TimeExceeded,
    /// The other fragments of its datagram did not come in time.
    Incomplete,
    /// No route to its destination.
    NoRoute,
    /// The next neighbour does not answer.
    NeighbourSilent,
    /// A plugin rejected it.
    Prohibited,
    /// Nothing listens on this port of this node.
    Port,
    /// This node does not speak this protocol.
    Protocol,
    /// An IPv4 option contradicts itself.
    Parameter {
        /// Where: bytes from the beginning of the IP header.
        at: u16,
    },
    /// An extension header of IPv6 that is not known here (RFC 4443, section 3.4).
    Header {
        /// What is wrong with it.
        fault: HeaderFault,
        /// Where: bytes from the beginning of the IP header.
        at: u16,
    },
    /// It is too big for the next network and must not be cut.
    TooBig {
        /// The next network's MTU in bytes.
        mtu: u16,
    },
}

impl Forward {
    /// Tells a packet's source why it does not reach its destination, unless it must not be told (an ICMP error, a group,
    /// a source that is no host) or too much has been told lately. The error's source is this node's own address on the
    /// interface towards the packet's source; a port that nothing listens on speaks with the address it was asked at.
    pub fn unreachable(&mut self, now: Instant, received: Received<'_>, kind: Unreachable, out: &mut Outbox) {
        let headers = received.headers;
        if is_icmp_error(&received) {
            return;
        }
        let Some(hop) = self.way_back(&received) else { return };
        let source = match kind {
            Unreachable::Port | Unreachable::Protocol | Unreachable::Header { .. } => Some(headers.destination),
            Unreachable::TimeExceeded
            | Unreachable::Incomplete
            | Unreachable::NoRoute
            | Unreachable::NeighbourSilent
            | Unreachable::Prohibited
            | Unreachable::Parameter { .. }
            | Unreachable::TooBig { .. } => self.speaker(hop.interface, headers.source),
        };
        if self.errors.take(now).is_none() {
            return;
        }
        let error = match (source, headers.source) {
            (Some(IpAddr::V4(from)), IpAddr::V4(to)) => error_v4(from, to, kind, &received),
            (Some(IpAddr::V6(from)), IpAddr::V6(to)) => error_v6(from, to, kind, &received),
            (Some(IpAddr::V4(_) | IpAddr::V6(_)) | None, IpAddr::V4(_) | IpAddr::V6(_)) => None,
        };
        if let Some(frame) = error {
            self.originate(now, hop, frame, out);
        }
    }

    /// The way to the source of a packet, if that is a host which may be answered: one address, not one of the cluster's,
    /// and the packet was for one receiver on every layer (RFC 1812, section 4.3.2.7).
    pub(super) fn way_back(&self, received: &Received<'_>) -> Option<Hop> {
        let Headers { source, destination, .. } = *received.headers;
        let group_frame = received.frame.bytes().first().is_none_or(|first| first & 1 != 0);
        let ours = self.is_own_address(source) || self.is_virtual_address(source);
        if group_frame || ours || !is_host(source) || !is_host(destination) {
            return None;
        }
        self.way_to(received.interface, source)
    }

    /// The own address that speaks towards `peer` at `interface`; the other interface's if that has none of the family.
    pub(super) fn speaker(&self, interface: Interface, peer: IpAddr) -> Option<IpAddr> {
        [interface, interface.other()].into_iter().find_map(|i| self.local[i].source_towards(peer))
    }
}

/// True for one host's address.
pub(super) fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !broadcast
}

/// True for ICMP errors, and for the ICMP messages that a router must not answer with one (RFC 792: source quench,
/// redirect; RFC 4443, section 2.1: types below 128; neighbour discovery).
fn is_icmp_error(received: &Received<'_>) -> bool {
    let headers = received.headers;
    match headers.transport {
        Transport::IcmpError { .. } | Transport::Discovery { .. } => true,
        Transport::Tcp { .. } | Transport::Udp { .. } | Transport::EchoRequest { .. } | Transport::EchoReply { .. } => {
            false
        }
        Transport::Other => {
            let kind = headers.transport_bytes(received.frame).first().copied().unwrap_or_default();
            match IpNumber(headers.protocol) {
                IpNumber::ICMP => matches!(kind, 4 | 5),
                IpNumber::IPV6_ICMP => kind < 128,
                _ => false,
            }
        }
    }
}

fn error_v4(from: Ipv4Addr, to: Ipv4Addr, kind: Unreachable, received: &Received<'_>) -> Option<Frame> {
    use icmpv4::{DestUnreachableHeader as Why, TimeExceededCode};
    let unreachable = Icmpv4Type::DestinationUnreachable;
    let message = match kind {
        Unreachable::TimeExceeded => Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit),
        Unreachable::Incomplete => Icmpv4Type::TimeExceeded(TimeExceededCode::FragmentReassemblyTimeExceeded),
        Unreachable::NoRoute => unreachable(Why::Network),
        Unreachable::NeighbourSilent => unreachable(Why::Host),
        Unreachable::Prohibited => unreachable(Why::FilterProhibited),
        Unreachable::Port => unreachable(Why::Port),
        Unreachable::Protocol => unreachable(Why::Protocol),
        Unreachable::Parameter { at } => {
            let at = u8::try_from(at).unwrap_or(u8::MAX);
            Icmpv4Type::ParameterProblem(icmpv4::ParameterProblemHeader::PointerIndicatesError(at))
        }
        Unreachable::Header { .. } => return None,
        Unreachable::TooBig { mtu } => unreachable(Why::FragmentationNeeded { next_hop_mtu: mtu }),
    };
    // Precedence 6, internetwork control (RFC 1812, section 4.3.2.5).
    let ip = Ipv4Header {
        dscp: IpDscp::CS6,
        // It may be cut on the way: nobody would learn of its end there.
        dont_fragment: false,
        time_to_live: HOP_LIMIT,
        source: from.octets(),
        destination: to.octets(),
        ..Ipv4Header::default()
    };
    let quoted = quote(received.headers, received.frame, ERROR_V4_LEN_MAX - Ipv4Header::MIN_LEN - ICMP_LEN);
    let mut bytes = Vec::with_capacity(ERROR_V4_LEN_MAX + 14);
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ip(IpHeaders::Ipv4(ip, Ipv4Extensions::default()))
        .icmpv4(message)
        .write(&mut bytes, &quoted)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

fn error_v6(from: Ipv6Addr, to: Ipv6Addr, kind: Unreachable, received: &Received<'_>) -> Option<Frame> {
    use icmpv6::{DestUnreachableCode as Why, ParameterProblemCode, ParameterProblemHeader, TimeExceededCode};
    let unreachable = Icmpv6Type::DestinationUnreachable;
    let problem = |code, at: u16| Icmpv6Type::ParameterProblem(ParameterProblemHeader { code, pointer: at.into() });
    let message = match kind {
        Unreachable::TimeExceeded => Icmpv6Type::TimeExceeded(TimeExceededCode::HopLimitExceeded),
        Unreachable::Incomplete => Icmpv6Type::TimeExceeded(TimeExceededCode::FragmentReassemblyTimeExceeded),
        Unreachable::NoRoute => unreachable(Why::NoRoute),
        Unreachable::NeighbourSilent => unreachable(Why::Address),
        Unreachable::Prohibited => unreachable(Why::Prohibited),
        Unreachable::Port => unreachable(Why::Port),
        Unreachable::Protocol => problem(ParameterProblemCode::UnrecognizedNextHeader, NEXT_HEADER_AT),
        Unreachable::Parameter { at } => problem(ParameterProblemCode::ErroneousHeaderField, at),
        Unreachable::Header { fault: HeaderFault::Field, at } => {
            problem(ParameterProblemCode::ErroneousHeaderField, at)
        }
        Unreachable::Header { fault: HeaderFault::NextHeader, at } => {
            problem(ParameterProblemCode::UnrecognizedNextHeader, at)
        }
        Unreachable::Header { fault: HeaderFault::Option, at } => {
            problem(ParameterProblemCode::UnrecognizedIpv6Option, at)
        }
        Unreachable::TooBig { mtu } => Icmpv6Type::PacketTooBig { mtu: mtu.into() },
    };
    let quoted = quote(received.headers, received.frame, ERROR_V6_LEN_MAX - 40 - ICMP_LEN);
    let mut bytes = Vec::with_capacity(ERROR_V6_LEN_MAX + 14);
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv6(from.octets(), to.octets(), HOP_LIMIT)
        .icmpv6(message)
        .write(&mut bytes, &quoted)
        .ok()?;
    Some(Frame::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::event::DropReason;
    use crate::limits::ICMP_ERRORS_BURST_MAX;

    /// Type and code of an ICMP message.
    type Code = (u8, u8);

    /// Each kind with its codes for IPv4 and IPv6.
    const KINDS: [(Unreachable, Code, Code); 9] = [
        (Unreachable::TimeExceeded, (11, 0), (3, 0)),
        (Unreachable::Incomplete, (11, 1), (3, 1)),
        (Unreachable::NoRoute, (3, 0), (1, 0)),
        (Unreachable::NeighbourSilent, (3, 1), (1, 3)),
        (Unreachable::Prohibited, (3, 13), (1, 1)),
        (Unreachable::Port, (3, 3), (1, 4)),
        (Unreachable::Protocol, (3, 2), (4, 1)),
        (Unreachable::Parameter { at: 22 }, (12, 0), (4, 0)),
        (Unreachable::TooBig { mtu: 1400 }, (3, 4), (2, 0)),
    ];

    fn tell(router: &mut Router, frame: &Frame, kind: Unreachable) {
        let headers = headers(frame);
        let received = Received { interface: FIRST, headers: &headers, frame };
        router.forward.unreachable(router.now, received, kind, &mut router.out);
    }

    #[test]
    fn every_kind_has_its_type_its_source_and_its_quote() {
        let mut router = Router::with_neighbours();
        let v4 = (udp(CLIENT, SERVER, b"hello"), IpAddr::from(OWN), IpAddr::from(SERVER));
        let addresses = [v6("fd00:1::64"), v6("fd00:2::c8"), v6("fd00:1::11")];
        let v6 = (udp(addresses[0], addresses[1], b"hello"), addresses[2].into(), addresses[1].into());
        for (kind, code_v4, code_v6) in KINDS {
            for ((frame, own, asked), code) in [(&v4, code_v4), (&v6, code_v6)] {
                tell(&mut router, frame, kind);
                let sent = router.sent_one();
                assert_eq!((sent.interface, sent.icmp()), (FIRST, code), "{kind:?}");
                assert_eq!((sent.packet().destination, sent.packet().source), (CLIENT_MAC, OWN_MAC));
                let speaker = if matches!(kind, Unreachable::Port | Unreachable::Protocol) { asked } else { own };
                assert_eq!((sent.headers().source, sent.headers().destination), (*speaker, headers(frame).source));
                assert_eq!(sent.quoted(), &frame.bytes()[14..]);
                assert!(sent.headers().is_ipv6() || sent.bytes()[20] == 0, "it may be cut");
                // The error belongs to the stream of what it quotes.
                assert_eq!(sent.headers().flow_key(SECOND), headers(frame).flow_key(FIRST).reversed(SECOND));
                let mtu = usize::from(sent.headers().payload_at) - 2;
                if matches!(kind, Unreachable::TooBig { .. }) {
                    assert_eq!(sent.bytes()[mtu..mtu + 2], 1400_u16.to_be_bytes());
                }
            }
        }
    }

    #[test]
    fn quotes_are_as_long_as_an_error_may_be() {
        let mut router = Router::with_neighbours();
        tell(&mut router, &udp(CLIENT, SERVER, &[7; 1400]), Unreachable::NoRoute);
        assert_eq!(router.sent_one().headers().packet_len(), 576);
        tell(&mut router, &udp(v6("fd00:1::64"), v6("fd00:2::c8"), &[7; 1400]), Unreachable::NoRoute);
        assert_eq!(router.sent_one().headers().packet_len(), 1280);
    }

    #[test]
    fn some_packets_are_never_answered() {
        let mut error = Vec::new();
        let quoted = &udp(SERVER, CLIENT, b"x").bytes()[14..].to_vec();
        ip(CLIENT, SERVER).icmpv4_raw(3, 1, [0; 4]).write(&mut error, quoted).unwrap();
        let (mut redirect, mut unknown_error) = (Vec::new(), Vec::new());
        ip(CLIENT, SERVER).icmpv4_raw(5, 1, [0; 4]).write(&mut redirect, quoted).unwrap();
        ip(v6("fd00:1::64"), v6("fd00:2::c8")).icmpv6_raw(100, 0, [0; 4]).write(&mut unknown_error, &[]).unwrap();
        let mut group_frame = udp(CLIENT, SERVER, b"x");
        group_frame.bytes_mut()[..6].copy_from_slice(&[0xff; 6]);
        let broadcast = Ipv4Addr::new(10, 1, 0, 255);
        for (name, frame) in [
            ("an ICMP error", Frame::from_bytes(&error)),
            ("a redirect", Frame::from_bytes(&redirect)),
            ("an unknown ICMPv6 error", Frame::from_bytes(&unknown_error)),
            ("a frame to a group", group_frame),
            ("to a group", udp(CLIENT, Ipv4Addr::new(224, 0, 0, 9), b"x")),
            ("to everyone", udp(CLIENT, Ipv4Addr::BROADCAST, b"x")),
            ("from nobody", udp(Ipv4Addr::UNSPECIFIED, SERVER, b"x")),
            ("from a broadcast address", udp(broadcast, SERVER, b"x")),
            ("from a group", udp(Ipv4Addr::new(224, 0, 0, 9), SERVER, b"x")),
            ("from loopback", udp(Ipv4Addr::LOCALHOST, SERVER, b"x")),
            ("from this node", udp(OWN, SERVER, b"x")),
            ("from the cluster", udp(VIRTUAL, SERVER, b"x")),
            ("without a way back", udp(Ipv4Addr::new(203, 0, 113, 9), SERVER, b"x")),
            ("from no IPv6 address", udp(Ipv6Addr::UNSPECIFIED, v6("fd00:2::c8"), b"x")),
        ] {
            let mut router = Router::with_neighbours();
            tell(&mut router, &frame, Unreachable::NoRoute);
            assert!(router.sent().is_empty(), "{name}");
        }
    }

    #[test]
    fn echo_requests_are_answered_with_errors() {
        let mut bytes = Vec::new();
        ip(CLIENT, SERVER).icmpv4_echo_request(1, 2).write(&mut bytes, b"ping").unwrap();
        let mut router = Router::with_neighbours();
        tell(&mut router, &Frame::from_bytes(&bytes), Unreachable::TimeExceeded);
        assert_eq!(router.sent_one().icmp(), (11, 0));
    }

    #[test]
    fn errors_have_a_rate() {
        let mut router = Router::with_neighbours();
        for _ in 0..ICMP_ERRORS_BURST_MAX + 50 {
            tell(&mut router, &udp(CLIENT, SERVER, b"x"), Unreachable::NoRoute);
        }
        assert_eq!(router.sent().len(), ICMP_ERRORS_BURST_MAX as usize);
        assert_eq!(router.forward.errors_suppressed(), 50);
    }

    #[test]
    fn an_error_waits_for_its_neighbour_and_causes_none_itself() {
        let mut router = Router::new();
        tell(&mut router, &udp(CLIENT, SERVER, b"x"), Unreachable::NoRoute);
        assert!(matches!(router.sent_one().packet().content, crate::packet::Content::Arp(_)));
        router.wait(std::time::Duration::from_secs(10));
        assert!(router.sent().iter().all(|s| matches!(s.packet().content, crate::packet::Content::Arp(_))));
        assert_eq!(router.dropped(DropReason::NeighbourSilent), 1);
        assert_eq!(router.out.ledger.generated_dropped, 1);
    }
}

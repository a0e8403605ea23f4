//! Packets to the node's own and to the virtual addresses: pings are answered, other askers are told that nothing is here.

use std::net::IpAddr;

use etherparse::IpNumber;
use etherparse::checksum::Sum16BitWords;

use super::icmp::{HOP_LIMIT, is_host};
use super::local::{ALL_NODES, ALL_ROUTERS, ALL_ROUTERS_OF_SITE};
use super::path_mtu::Learned;
use super::quote::transport_checksum;
use super::{Forward, Received, Unreachable, Unroutable, extensions, options};
use crate::event::DropReason;
use crate::flow::Hop;
use crate::id::Interface;
use crate::outbox::Outbox;
use crate::packet::rewrite::finish_checksum;
use crate::packet::{Frame, Headers, Odd, Offload, Packet, Transport, checksum, cut};
use crate::time::Instant;

impl Forward {
    /// A packet to one of this node's or the cluster's addresses arrived; virtual addresses of either interface are
    /// answered by the holder of the interface where the packet arrived. An echo request becomes its reply in place, a
    /// UDP packet is answered with port unreachable, a TCP segment with a reset, a protocol that is not spoken here with that.
    pub fn local_arrived(
        &mut self,
        now: Instant,
        interface: Interface,
        headers: &Headers,
        frame: Frame,
        out: &mut Outbox,
    ) {
        if !self.is_own_address(headers.destination) {
            if !self.is_virtual_address(headers.destination) && !Self::is_asked_group(headers) {
                return out.drop(frame, DropReason::LocalUnhandled);
            }
            if !self.local[interface].is_holder() {
                return out.drop(frame, DropReason::NotHolder);
            }
        }
        if !checksum::is_right(headers, &frame) {
            return out.drop(frame, DropReason::TransportChecksum);
        }
        let received = Received { interface, headers, frame: &frame };
        if let Err(Unroutable { reason, answer }) = check_options(headers, &frame) {
            if let Some(answer) = answer {
                self.unreachable(now, received, answer, out);
            }
            return out.drop(frame, reason);
        }
        match headers.transport {
            Transport::EchoRequest { .. } => return self.echo(now, interface, headers, frame, out),
            // What is no datagram or segment reaches no port (RFC 768; RFC 9293, section 3.1).
            Transport::Udp { .. } | Transport::Tcp { .. } if matches!(headers.odd, Odd::UdpLength | Odd::Transport) => {
            }
            Transport::Udp { .. } => self.unreachable(now, received, Unreachable::Port, out),
            Transport::Tcp { .. } => self.refuse(now, received, out),
            Transport::IcmpError { .. } => {
                let is_right = icmp_checksum(headers, &frame) == 0;
                if is_right && self.told_mtu(now, received) == Learned::Mtu {
                    return out.consume(frame);
                }
            }
            Transport::Other if is_foreign(headers) => {
                self.unreachable(now, received, Unreachable::Protocol, out);
            }
            Transport::EchoReply { .. } | Transport::Discovery { .. } | Transport::Other => {}
        }
        out.drop(frame, DropReason::LocalUnhandled);
    }

    /// Turns an echo request into its reply and sends it (RFC 792; RFC 1812, section 4.3.3.6; RFC 4443, section 4.2).
    /// IPv4 options come back, with this router in a recorded route (RFC 1122, section 3.2.2.6). The extension headers of
    /// IPv6 do not: they were for the way here.
    fn echo(&mut self, now: Instant, interface: Interface, headers: &Headers, mut frame: Frame, out: &mut Outbox) {
        if frame.offload().segment_size() != 0 {
            return out.drop(frame, DropReason::LocalUnhandled);
        }
        finish_checksum(&mut frame);
        if let Some(plain) = cut::without_extensions(&frame, headers)
            && let Ok(headers) = Packet::parse_ip(&plain)
        {
            out.spent.push(frame);
            return self.echo(now, interface, &headers, plain, out);
        }
        let Some((speaker, hop)) = self.echo_from(interface, headers, &frame) else {
            return out.drop(frame, DropReason::LocalUnhandled);
        };
        // What a network has put behind the request stays there.
        frame.truncate(headers.end as usize);
        if icmp_checksum(headers, &frame) != 0 {
            return out.drop(frame, DropReason::IcmpChecksum);
        }
        if let IpAddr::V4(own) = speaker {
            options::fill_in(headers, &mut frame, own, now);
        }
        turn_into_reply(headers, speaker, &mut frame);
        // As for the books, the request ends here and the reply is made here.
        out.count_consumed(&frame);
        frame.forget_fragments();
        self.originate(now, hop, frame, out);
    }

    /// True for a ping to all routers or all nodes of a link (RFC 4291, section 2.7.1), which the holder answers.
    #[must_use]
    pub fn is_asked_group(headers: &Headers) -> bool {
        let is_group = matches!(headers.destination, IpAddr::V6(v6) if [ALL_ROUTERS, ALL_ROUTERS_OF_SITE, ALL_NODES].contains(&v6));
        is_group && matches!(headers.transport, Transport::EchoRequest { .. })
    }

    /// The address that answers a ping, and the way of its answer. Where all routers were asked, the cluster answers with an
    /// address that is its own.
    fn echo_from(&self, interface: Interface, headers: &Headers, frame: &Frame) -> Option<(IpAddr, Hop)> {
        let (source, destination) = (headers.source, headers.destination);
        let (IpAddr::V6(peer), IpAddr::V6(asked)) = (source, destination) else {
            return Some((destination, self.way_back(&Received { interface, headers, frame })?));
        };
        let is_group = Self::is_asked_group(headers);
        if !is_group && !Interface::BOTH.iter().any(|i| self.local[*i].is_anycast(asked)) {
            return Some((destination, self.way_back(&Received { interface, headers, frame })?));
        }
        let ours = self.is_own_address(source) || self.is_virtual_address(source);
        let hop = self.way_to(interface, source).filter(|_| is_host(source) && !ours)?;
        Some((self.local[interface].virtual_towards(peer)?.into(), hop))
    }
}

/// Whether the options and extension headers of a packet to this node let it be looked at.
fn check_options(headers: &Headers, frame: &Frame) -> Result<(), Unroutable> {
    // A chain that ends at its first header looks as if it had none.
    if headers.odd != Odd::Header && !options::are_there(headers) {
        Ok(())
    } else if headers.is_ipv6() {
        extensions::check(headers, frame)
    } else {
        options::check(headers, frame)
    }
}

/// True for a protocol that stands whole behind the IP header and that this node does not speak at all: its sender is told
/// (RFC 1122, section 3.2.2.1; RFC 8200, section 4).
fn is_foreign(headers: &Headers) -> bool {
    let is_behind = !headers.is_ipv6() || headers.transport_at == headers.network_at + 40;
    let is_spoken = match IpNumber(headers.protocol) {
        IpNumber::ICMP | IpNumber::IGMP => !headers.is_ipv6(),
        IpNumber::IPV6_ICMP | IpNumber::IPV6_NO_NEXT_HEADER => headers.is_ipv6(),
        _ => false,
    };
    is_behind && !is_spoken && matches!(headers.odd, Odd::No | Odd::Protocol)
}

/// Writes the reply's addresses, type, TTL and checksums. Everything else of the request comes back as it was.
fn turn_into_reply(headers: &Headers, speaker: IpAddr, frame: &mut Frame) {
    let (network, transport) = (usize::from(headers.network_at), usize::from(headers.transport_at));
    let reply_type = if headers.is_ipv6() { 129 } else { 0 };
    if let Some(ip) = frame.bytes_mut().get_mut(network..transport) {
        match (headers.source, speaker) {
            (IpAddr::V4(asker), IpAddr::V4(asked)) => {
                write(ip, 8, &[HOP_LIMIT]);
                write(ip, 12, &asked.octets());
                write(ip, 16, &asker.octets());
                write(ip, 10, &[0, 0]);
                let sum = Sum16BitWords::new().add_slice(ip).ones_complement();
                write(ip, 10, &sum.to_ne_bytes());
            }
            (IpAddr::V6(asker), IpAddr::V6(asked)) => {
                write(ip, 7, &[HOP_LIMIT]);
                write(ip, 8, &asked.octets());
                write(ip, 24, &asker.octets());
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }
    write(frame.bytes_mut(), transport, &[reply_type, 0, 0, 0]);
    let sum = icmp_checksum(&Headers { destination: speaker, ..*headers }, frame);
    write(frame.bytes_mut(), transport + 2, &sum.to_be_bytes());
    frame.set_offload(Offload::default());
}

/// The checksum over an ICMP message as it stands: 0 if its field is right, the right value if its field is 0. The pseudo
/// header's sum is the same for both orders of its addresses.
fn icmp_checksum(headers: &Headers, frame: &Frame) -> u16 {
    let icmp = headers.transport_bytes(frame);
    if headers.is_ipv6() {
        transport_checksum(headers, icmp)
    } else {
        u16::from_be(Sum16BitWords::new().add_slice(icmp).ones_complement())
    }
}

fn write(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use herald_testing::frames::{self, SYN};
    use proptest::prelude::*;

    fn ping(from: impl Into<IpAddr>, to: impl Into<IpAddr>, payload: &[u8]) -> Frame {
        let (from, to) = (from.into(), to.into());
        let mut bytes = Vec::new();
        let ip = ip_with_hop_limit(from, to, 5);
        if from.is_ipv4() {
            ip.icmpv4_echo_request(0x1234, 7).write(&mut bytes, payload).unwrap();
        } else {
            ip.icmpv6_echo_request(0x1234, 7).write(&mut bytes, payload).unwrap();
        }
        Frame::from_bytes(&bytes)
    }

    fn assert_answers(router: &mut Router, from: impl Into<IpAddr>, to: impl Into<IpAddr>, payload: &[u8]) {
        let (from, to) = (from.into(), to.into());
        let before = router.out.ledger;
        router.arrives(FIRST, ping(from, to, payload));
        let sent = router.sent_one();
        assert_eq!((sent.packet().destination, sent.packet().source), (CLIENT_MAC, OWN_MAC));
        let h = sent.headers();
        assert_eq!((h.source, h.destination, h.hop_limit), (to, from, 64));
        assert_eq!(h.transport, Transport::EchoReply { identifier: 0x1234 });
        assert_eq!(&sent.bytes()[usize::from(h.payload_at)..h.end as usize], payload);
        assert_eq!(&sent.bytes()[usize::from(h.payload_at) - 2..usize::from(h.payload_at)], [0, 7]);
        assert_eq!(router.out.ledger.consumed, before.consumed + 1);
        assert_eq!(router.out.ledger.generated, before.generated + 1);
    }

    #[test]
    fn own_and_held_virtual_addresses_of_either_interface_answer_pings() {
        let mut router = Router::with_neighbours().holding(FIRST);
        for to in ["10.1.0.11", "10.2.0.11", "10.1.0.1", "10.2.0.1"] {
            assert_answers(&mut router, CLIENT, to.parse::<IpAddr>().unwrap(), b"0123456789abcdef");
        }
        for to in ["fd00:1::11", "fd00:2::11", "fd00:1::1", "fe80::ff:fe00:10a", "fe80::200:5eff:fe00:201"] {
            assert_answers(&mut router, v6("fd00:1::64"), v6(to), b"0123456789abcdef");
        }
        assert_answers(&mut router, v6("fe80::64"), v6("fe80::200:5eff:fe00:201"), b"");
    }

    #[test]
    fn an_atomic_fragment_is_answered_like_any_request() {
        let mut router = Router::with_neighbours();
        let request = ping(v6("fd00:1::64"), v6("fd00:1::11"), b"some bytes");
        let atomic = herald_testing::fragments::fragment(request.bytes(), 5, 0, 1_000);
        assert_eq!(atomic.len(), request.bytes().len() + 8);
        router.arrives(FIRST, Frame::from_bytes(&atomic));
        let sent = router.sent_one();
        assert_eq!(sent.headers().transport, Transport::EchoReply { identifier: 0x1234 });
        assert_eq!(sent.bytes().len(), request.bytes().len());
    }

    #[test]
    fn where_all_routers_are_asked_the_holder_answers_with_an_address_of_the_cluster() {
        for (from, to, speaker) in [
            ("fe80::64", "ff02::2", "fe80::200:5eff:fe00:201"),
            ("fe80::64", "ff02::1", "fe80::200:5eff:fe00:201"),
            ("fd00:1::64", "ff02::2", "fd00:1::1"),
            ("fd00:1::64", "ff05::2", "fd00:1::1"),
            ("fd00:1::64", "fd00:1::", "fd00:1::1"),
            ("fd00:1::64", "fd00:2::", "fd00:1::1"),
        ] {
            let mut router = Router::with_neighbours().holding(FIRST);
            let mut frame = ping(v6(from), v6(to), b"0123456789");
            if to.starts_with("ff") {
                frame.bytes_mut()[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 2]);
            }
            router.arrives(FIRST, frame);
            let sent = router.sent_one();
            assert_eq!(sent.headers().transport, Transport::EchoReply { identifier: 0x1234 }, "{to}");
            assert_eq!((sent.headers().source, sent.headers().destination), (v6(speaker).into(), v6(from).into()));
            assert_eq!(super::icmp_checksum(&sent.headers(), &sent.frame), 0, "{to}");
            let mut other = Router::with_neighbours();
            other.arrives(FIRST, ping(v6(from), v6(to), b"0123456789"));
            assert!(other.sent().is_empty(), "{to} is answered once");
        }
        let mut router = Router::with_neighbours().holding(FIRST);
        router.arrives(FIRST, udp(v6("fe80::64"), v6("ff02::2"), b"x"));
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::LocalUnhandled), 1);
    }

    #[test]
    fn a_virtual_address_that_another_node_holds_does_not_answer() {
        let mut router = Router::with_neighbours();
        router.arrives(FIRST, ping(CLIENT, VIRTUAL, b""));
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::NotHolder), 1);
    }

    #[test]
    fn requests_with_wrong_checksums_or_options_are_dropped() {
        let mut router = Router::with_neighbours();
        for to in [IpAddr::from(OWN), v6("fd00:1::11").into()] {
            let from = if to.is_ipv4() { IpAddr::from(CLIENT) } else { v6("fd00:1::64").into() };
            let mut frame = ping(from, to, b"some bytes");
            let last = frame.bytes().len() - 1;
            frame.bytes_mut()[last] ^= 1;
            router.arrives(FIRST, frame);
        }
        assert_eq!(router.dropped(DropReason::IcmpChecksum), 2);
        assert!(router.sent().is_empty());
    }

    #[test]
    fn a_request_with_a_partial_checksum_gets_a_reply_with_a_full_one() {
        let mut router = Router::with_neighbours();
        let mut frame = ping(CLIENT, OWN, b"some bytes");
        frame.bytes_mut()[36..38].copy_from_slice(&[0, 0]);
        router.arrives(FIRST, with_offload(&frame, 34, 2, 0));
        assert_eq!(router.sent_one().headers().transport, Transport::EchoReply { identifier: 0x1234 });
    }

    #[test]
    fn a_reply_goes_by_the_neighbour_table_and_waits_for_it() {
        let mut router = Router::new();
        router.arrives(FIRST, ping(CLIENT, OWN, b"x"));
        assert!(matches!(router.sent_one().packet().content, crate::packet::Content::Arp(_)));
        assert_eq!(router.forward.frames_queued(), 0, "only transit frames are kept for the books");
        assert_eq!(router.forward.neighbours()[0].frames, 1);
    }

    #[test]
    fn closed_ports_are_told_so() {
        let mut router = Router::with_neighbours();
        router.arrives(FIRST, udp(CLIENT, OWN, b"x"));
        assert_eq!(router.sent_one().icmp(), (3, 3));
        router.arrives(FIRST, Frame::from_bytes(&frames::tcp(ip(CLIENT, OWN), (4000, 22), SYN)));
        assert!(matches!(router.sent_one().headers().transport, Transport::Tcp { flags, .. } if flags.rst()));
        assert_eq!(router.dropped(DropReason::LocalUnhandled), 2);
    }

    #[test]
    fn answers_and_what_is_no_datagram_end_in_silence() {
        let mut router = Router::with_neighbours();
        let mut bytes = Vec::new();
        ip(CLIENT, OWN).icmpv4_echo_reply(1, 1).write(&mut bytes, b"x").unwrap();
        router.arrives(FIRST, Frame::from_bytes(&bytes));
        router.arrives(FIRST, udp(CLIENT, SERVER, b"not for this node"));
        let mut too_long = udp(CLIENT, OWN, b"x");
        too_long.bytes_mut()[38..42].copy_from_slice(&[0, 99, 0, 0]);
        router.arrives(FIRST, too_long);
        let mut no_header = frames::tcp(ip(CLIENT, OWN), (4000, 22), SYN);
        no_header[46] = 0xf0;
        let (sum, borrowed) = u16::from_be_bytes([no_header[50], no_header[51]]).overflowing_sub(0xa000);
        no_header[50..52].copy_from_slice(&(sum - u16::from(borrowed)).to_be_bytes());
        router.arrives(FIRST, Frame::from_bytes(&no_header));
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::LocalUnhandled), 4);
        let mut wrong = udp(CLIENT, OWN, b"x");
        wrong.bytes_mut()[40] ^= 1;
        router.arrives(FIRST, wrong);
        assert!(router.sent().is_empty());
        assert_eq!(router.dropped(DropReason::TransportChecksum), 1);
    }

    #[test]
    fn options_that_contradict_themselves_are_all_that_is_answered() {
        for (options, told) in [([7, 7, 0, 9, 9, 9, 9, 0], vec![(12, 0)]), ([131, 7, 4, 10, 2, 0, 9, 0], vec![])] {
            let mut router = Router::with_neighbours();
            let plain = udp(CLIENT, OWN, b"x");
            let (begin, rest) = plain.bytes().split_at(34);
            let mut frame = [begin, &options, rest].concat();
            frame[14] = 0x47;
            frame[17] += 8;
            herald_testing::fragments::mend(&mut frame);
            router.arrives(FIRST, Frame::from_bytes(&frame));
            assert_eq!(router.sent().iter().map(|sent| sent.icmp()).collect::<Vec<_>>(), told, "{options:?}");
        }
    }

    #[test]
    fn protocols_that_a_node_does_not_speak_are_refused() {
        for (to, code) in [(IpAddr::from(OWN), (3, 2)), (v6("fd00:1::11").into(), (4, 1))] {
            let from = if to.is_ipv4() { IpAddr::from(CLIENT) } else { v6("fd00:1::64").into() };
            for (protocol, is_told) in [(132, true), (253, true), (59, to.is_ipv4()), (2, to.is_ipv6())] {
                let mut router = Router::with_neighbours();
                let mut frame = udp(from, to, b"x").bytes().to_vec();
                frame[if to.is_ipv4() { 23 } else { 20 }] = protocol;
                if to.is_ipv4() {
                    herald_testing::fragments::mend(&mut frame);
                }
                router.arrives(FIRST, Frame::from_bytes(&frame));
                let told: Vec<_> = router.sent().iter().map(|sent| sent.icmp()).collect();
                assert_eq!(told, if is_told { vec![code] } else { vec![] }, "{protocol} to {to}");
                assert_eq!(router.dropped(DropReason::LocalUnhandled), 1);
            }
        }
    }

    proptest! {
        #[test]
        fn replies_have_right_checksums(payload in prop::collection::vec(any::<u8>(), 0..1473), padding in 0_usize..20) {
            let mut router = Router::with_neighbours();
            assert_answers(&mut router, CLIENT, OWN, &payload);
            assert_answers(&mut router, v6("fd00:1::64"), v6("fd00:1::11"), &payload[..payload.len().min(1_452)]);
            let padded = [ping(CLIENT, OWN, &payload).bytes(), &vec![0xaa; padding]].concat();
            router.arrives(FIRST, Frame::from_bytes(&padded));
            let sent = router.sent_one();
            prop_assert_eq!(sent.bytes().len(), padded.len() - padding);
        }
    }
}

//! Packets on their way through the router.

use std::net::Ipv4Addr;
use std::time::Duration;

use herald_testing::frames::{self, ACK, Segment};

use super::neighbour::Told;
use super::neighbours::Unknown;
use super::testing::*;
use super::*;
use crate::packet::{Content, Transport};

fn arp_requests(sent: &[Sent]) -> usize {
    sent.iter().filter(|s| matches!(s.packet().content, Content::Arp(_))).count()
}

#[test]
fn a_packet_leaves_with_its_ttl_less_one_and_the_own_mac() {
    let mut router = Router::with_neighbours();
    let frame = udp(CLIENT, SERVER, b"hello");
    let before = frame.bytes().to_vec();
    router.forwards(FIRST, frame).unwrap();
    let sent = router.sent_one();
    assert_eq!(sent.interface, SECOND);
    assert_eq!(sent.packet().destination, SERVER_MAC);
    assert_eq!(sent.packet().source, Mac([2, 0, 0, 0, 2, 0x0a]));
    assert_eq!((sent.bytes()[22], before[22]), (63, 64));
    assert_eq!(sent.bytes()[26..], before[26..]);
    assert_eq!((router.out.ledger.forwarded, router.out.ledger.generated), (1, 0));
}

#[test]
fn a_gateway_is_asked_for_instead_of_the_destination() {
    let mut router = Router::new();
    let hop = router.forwards(FIRST, udp(CLIENT, Ipv4Addr::new(192, 0, 2, 9), b"hello")).unwrap();
    assert_eq!(hop, Hop { interface: SECOND, next_hop: "10.2.0.254".parse().unwrap() });
    let Content::Arp(arp) = router.sent_one().packet().content else { panic!() };
    assert_eq!((arp.sender, arp.target), (Ipv4Addr::new(10, 2, 0, 11), Ipv4Addr::new(10, 2, 0, 254)));
}

#[test]
fn the_source_of_frames_to_a_silent_neighbour_is_told() {
    let mut router = Router::new();
    let dead = Ipv4Addr::new(10, 2, 0, 77);
    for _ in 0..3 {
        router.forwards(FIRST, udp(CLIENT, dead, b"hello")).unwrap();
    }
    assert_eq!(router.forward.frames_queued(), 3);
    let told = Told { mac: Some(CLIENT_MAC), solicited: true, overrides: true };
    router.forward.neighbours[FIRST].used(router.now, &SERVER.into(), CLIENT.into());
    router.forward.neighbours[FIRST].told(router.now, CLIENT.into(), told, Unknown::Ignore);
    router.wait(Duration::from_secs(4));
    let sent = router.sent();
    assert_eq!(arp_requests(&sent), 3);
    let errors: Vec<_> = sent.iter().filter(|s| matches!(s.packet().content, Content::Ip(_))).collect();
    assert_eq!(errors.len(), 3);
    assert_eq!((errors[0].icmp(), errors[0].interface), ((3, 1), FIRST));
    assert_eq!(errors[0].quoted(), &udp(CLIENT, dead, b"hello").bytes()[14..], "as it arrived, TTL and all");
    assert_eq!(router.dropped(DropReason::NeighbourSilent), 3);
    assert_eq!((router.forward.frames_queued(), router.out.ledger.generated_dropped), (0, 0));
}

#[test]
fn a_stale_neighbour_is_used_and_asked_and_asked_anew_when_it_is_gone() {
    let mut router = Router::with_neighbours();
    router.wait(Duration::from_secs(31));
    assert_eq!(router.state_of(SERVER), "stale");
    router.forwards(FIRST, udp(CLIENT, SERVER, b"hello")).unwrap();
    let sent = router.sent();
    assert_eq!((sent.len(), sent[0].packet().destination, sent[1].packet().destination), (2, SERVER_MAC, SERVER_MAC));
    assert_eq!(router.state_of(SERVER), "probe");
    router.wait(Duration::from_secs(3));
    assert_eq!((arp_requests(&router.sent()), router.state_of(SERVER)), (2, "unknown"));
    router.forwards(FIRST, udp(CLIENT, SERVER, b"hello")).unwrap();
    assert_eq!(router.sent_one().packet().destination, Mac::BROADCAST);
}

#[test]
fn what_cannot_be_forwarded_has_its_reason_and_its_answer() {
    let big = [0; 1380];
    let (client, server) = (v6("fd00:1::64"), v6("fd00:2::c8"));
    let expiring =
        |from: IpAddr, to: IpAddr| Frame::from_bytes(&frames::udp(ip_with_hop_limit(from, to, 1), (1, 2), b"x"));
    let nowhere = Ipv4Addr::new(203, 0, 113, 9);
    for (name, frame, reason, answer) in [
        ("ttl", expiring(CLIENT.into(), SERVER.into()), DropReason::TtlExceeded, Some((11, 0))),
        ("hop limit", expiring(client.into(), server.into()), DropReason::TtlExceeded, Some((3, 0))),
        ("no route", udp(CLIENT, nowhere, b"x"), DropReason::NoRoute, Some((3, 0))),
        ("no IPv6 route", udp(client, v6("2001:db9::1"), b"x"), DropReason::NoRoute, Some((1, 0))),
        ("too big", udp(CLIENT, SERVER, &big), DropReason::TooBig, Some((3, 4))),
        ("too big for IPv6", udp(client, server, &big), DropReason::TooBig, Some((2, 0))),
        ("to its own source", udp(CLIENT, CLIENT, b"x"), DropReason::SameInterface, None),
        ("broadcast", udp(CLIENT, Ipv4Addr::new(10, 2, 0, 255), b"x"), DropReason::Multicast, None),
        ("multicast", udp(CLIENT, Ipv4Addr::new(239, 1, 1, 1), b"x"), DropReason::Multicast, None),
        ("from this node", udp(OWN, SERVER, b"x"), DropReason::Martian, None),
        ("from the cluster", udp(v6("fd00:1::1"), server, b"x"), DropReason::Martian, None),
        ("link-local", udp(v6("fe80::64"), server, b"x"), DropReason::Martian, None),
    ] {
        let mut router = Router::with_neighbours();
        assert_eq!(router.forwards(FIRST, frame), Err(reason), "{name}");
        let sent = router.sent();
        assert_eq!(sent.first().map(Sent::icmp), answer, "{name}");
        assert_eq!(router.dropped(reason), 1, "{name}");
    }
}

#[test]
fn a_super_frame_is_measured_by_its_segments() {
    let frame = |segment| {
        let bytes = frames::tcp(ip(CLIENT, SERVER), (4000, 80), Segment { payload: &[9; 20_000], ..ACK });
        with_offload(&Frame::from_bytes(&bytes), 34, 16, segment)
    };
    let mut router = Router::with_neighbours();
    assert!(router.forwards(FIRST, frame(1360)).is_ok());
    let (_, sent, _) = router.out.transmit.pop().unwrap();
    assert_eq!((sent.offload().segment_size(), sent.offload().needs_checksum()), (1360, true));
    assert_eq!(router.forwards(FIRST, frame(1361)), Err(DropReason::TooBig));
    assert!(matches!(router.sent_one().headers().transport, Transport::IcmpError { .. }));
}

#[test]
fn reports_are_sorted() {
    let router = Router::with_neighbours();
    let rows = router.forward.neighbours();
    assert!(rows.is_sorted_by_key(|r| (r.interface, r.address)));
    assert_eq!((rows.len(), rows[0].state, rows[0].mac), (5, "reachable", Some(CLIENT_MAC)));
    let routes: Vec<_> = router.forward.routes().map(|r| r.to.to_string()).collect();
    assert_eq!(routes, ["10.1.0.0/24", "10.2.0.0/24", "192.0.2.0/24", "fd00:1::/64", "fd00:2::/64", "2001:db8::/32"]);
}

//! VLAN tags: those that tell a priority alone, and tagged networks.

use std::time::Duration;

use herald_core::event::DropReason;
use herald_core::id::{Interface, Mac};
use herald_core::node::Redirecting;
use herald_core::packet::{Frame, Tag};
use herald_testing::frames::{self, ACK, SYN, SYN_ACK};
use herald_testing::layout::{HOST, NODES, from_host, host_mac, node_mac, v4};

use crate::world::*;
use crate::{open_until_chosen, opener};

const FIRST: Interface = Interface::First;

/// The same frame with tags behind its addresses.
fn with_tags(bytes: &[u8], tags: &[u16]) -> Vec<u8> {
    let tags: Vec<u8> = tags.iter().flat_map(|tag| [&[0x81, 0][..], &tag.to_be_bytes()].concat()).collect();
    [&bytes[..12], &tags, &bytes[12..]].concat()
}

fn tag_of(bytes: &[u8]) -> Option<Tag> {
    Frame::from_bytes(bytes).inner_tag()
}

#[test]
fn a_priority_tag_is_as_good_as_none_and_stays_with_a_redirected_frame() {
    for redirecting in [Redirecting::Ethernet, Redirecting::Mesh] {
        let mut world = World::new(&Choices { redirecting, ..Choices::default() });
        let port = open_until_chosen(&mut world, FIRST, "c");
        world.host_sends(Interface::Second, 80, port, SYN_ACK);
        let (reached, seen) = (world.at_server.len(), world.wire.len());
        world.host_sends_frame(FIRST, &with_tags(&frames::tcp(from_host(FIRST), (port, 80), ACK), &[0xa000]));
        assert_eq!(world.at_server.len(), reached + 1);
        assert_eq!(tag_of(world.at_server.last().unwrap()), None, "out of the cluster it has none");
        let redirected = |s: &&Seen| s.from == node_mac(FIRST, 0) && s.to == node_mac(FIRST, 2);
        let tags: Vec<_> = world.wire[seen..].iter().filter(redirected).map(|s| tag_of(&s.bytes)).collect();
        match redirecting {
            Redirecting::Ethernet => assert_eq!(tags, [Some(Tag(0xa000))], "as it came"),
            Redirecting::Mesh => assert!(tags.is_empty()),
        }
        assert_eq!(world.inspectors(&opener(FIRST, port)), [("c", 3)]);
        // An ARP request with one is answered.
        let seen = world.wire.len();
        let host = (host_mac(FIRST).0, v4(FIRST, HOST));
        let request = frames::arp([0xff; 6], 1, host, ([0; 6], v4(FIRST, 1)));
        world.host_sends_frame(FIRST, &with_tags(&request, &[0]));
        assert!(world.wire[seen..].iter().any(|s| s.to == host_mac(FIRST) && tag_of(&s.bytes).is_none()));
        // Two of them, or a VLAN, are not.
        for tags in [&[0, 0][..], &[10], &[0, 10]] {
            let reached = world.at_server.len();
            world.host_sends_frame(FIRST, &with_tags(&frames::tcp(from_host(FIRST), (port, 80), ACK), tags));
            assert_eq!(world.at_server.len(), reached, "{tags:?}");
        }
        assert!(world.drops(DropReason::VlanTagged) >= 3);
        world.check_books();
    }
}

#[test]
fn a_tagged_network_has_its_tag_on_every_frame_and_lets_no_other_in() {
    for redirecting in [Redirecting::Ethernet, Redirecting::Mesh] {
        let mut world = World::new(&Choices { vlan: Some(10), holders: None, redirecting, ..Choices::default() });
        for port in 40_000..40_020 {
            world.host_sends(FIRST, port, 80, SYN);
            world.host_sends(Interface::Second, 80, port, SYN_ACK);
            world.host_sends(FIRST, port, 80, ACK);
            assert_eq!(world.inspectors(&opener(FIRST, port)).len(), 1);
        }
        assert_eq!((world.at_server.len(), world.at_client.len()), (40, 20));
        assert!(world.at_client.iter().all(|bytes| tag_of(bytes) == Some(Tag(10))));
        // Adverts, ARP and probes, too.
        let nodes: Vec<Mac> = (0..NODES.len()).map(|place| node_mac(FIRST, place)).collect();
        let of_nodes = world.wire.iter().filter(|s| s.interface == FIRST && nodes.contains(&s.from));
        assert!(
            of_nodes.clone().count() > 100 && of_nodes.clone().all(|s| tag_of(&s.bytes).map(Tag::vlan) == Some(10))
        );
        assert!(world.wire.iter().filter(|s| s.interface != FIRST).all(|s| tag_of(&s.bytes).is_none()));
        let plain = frames::tcp(from_host(FIRST), (40_000, 80), ACK);
        for tags in [&[][..], &[11], &[0]] {
            world.host_sends_frame(FIRST, &with_tags(&plain, tags));
        }
        world.host_sends_frame(FIRST, &with_tags(&plain, &[10, 0]));
        assert_eq!(world.at_server.len(), 40);
        // A switch that does not know where the frames go gives them to all.
        assert!(world.drops(DropReason::WrongVlan) >= 3 && world.drops(DropReason::VlanTagged) >= 1);
        // The priority of a tag goes on with a redirected frame.
        let seen = world.wire.len();
        world.host_sends_frame(FIRST, &with_tags(&plain, &[0xa00a]));
        assert_eq!(world.at_server.len(), 41);
        let is_between = |s: &&Seen| nodes.contains(&s.from) && nodes.contains(&s.to);
        let redirected = world.wire[seen..].iter().filter(is_between);
        let redirected: Vec<_> = redirected.filter(|s| tcp_of(&untagged(&s.bytes)).is_some()).collect();
        let expected = usize::from(redirecting == Redirecting::Ethernet);
        assert_eq!(redirected.len(), expected, "the stream's chosen node is no holder");
        assert!(redirected.iter().all(|s| tag_of(&s.bytes) == Some(Tag(0xa00a))));
        world.run(Duration::from_secs(1));
        world.check_books();
    }
}

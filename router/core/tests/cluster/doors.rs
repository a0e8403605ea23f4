//! Packets that come to a node by a door which proves nothing: straight from a host to its own MAC, or in a frame of the network
//! that says it was redirected.

use std::time::Duration;

use herald_core::event::DropReason;
use herald_core::id::{Interface, Mac};
use herald_core::inspector::{Action, Readiness, Verdict};
use herald_core::limits::ASTRAY_BURST_MAX;
use herald_core::membership::Service;
use herald_core::mesh::{Astray, Message};
use herald_core::node::Redirecting;
use herald_core::packet::{Frame, OFFLOAD_HEADER_LEN};
use herald_core::turn::Turn;
use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::{CLUSTER, HOST, host_mac, named, node_mac, place_of, v4};

use crate::world::*;
use crate::{open_until_chosen, opener};

/// A segment of the host on an interface, to a node's own MAC.
fn segment_to(name: &str, interface: Interface, source: Mac, ports: (u16, u16), segment: Segment<'_>) -> Vec<u8> {
    let macs = [source.0, node_mac(interface, place_of(named(name))).0];
    frames::tcp(frames::ip(macs, v4(interface, HOST), v4(interface.other(), HOST), 64), ports, segment)
}

/// A frame comes to a node's interface, whatever a switch would do with it.
fn comes_to(world: &mut World, name: &str, interface: Interface, bytes: &[u8]) {
    let now = world.now;
    let member = world.members.iter_mut().find(|m| m.name == name).unwrap();
    let turn = &mut Turn::new(now, &mut member.plugins, &mut member.out);
    member.node.frame_arrived(turn, interface, Frame::from_bytes(bytes));
    world.settle();
}

fn handed_to_holder(world: &World, name: &str) -> u64 {
    world.member(name).out.ledger.handed_to_holder
}

#[test]
fn a_host_that_answers_to_the_source_mac_is_heard_at_every_node() {
    for redirecting in [Redirecting::Ethernet, Redirecting::Mesh] {
        let mut world = World::new(&Choices { redirecting, ..Choices::default() });
        let second = Interface::Second;
        let port = open_until_chosen(&mut world, Interface::First, "c");
        for (number, name) in ["c", "a", "b"].into_iter().enumerate() {
            let before = world.at_client.len();
            let answer = segment_to(name, second, host_mac(second), (80, port), SYN_ACK);
            comes_to(&mut world, name, second, &answer);
            assert_eq!(world.at_client.len(), before + 1, "by {name}, {redirecting:?}");
            let inspected = 2 + u64::try_from(number).unwrap();
            assert_eq!(world.inspectors(&opener(Interface::First, port)), [("c", inspected)], "by {name}");
            assert_eq!(world.member(name).out.ledger.straight, 1);
        }
        // c has the stream, and b holds the redirector: only a has to ask.
        assert_eq!(["a", "b", "c"].map(|name| handed_to_holder(&world, name)), [1, 0, 0]);
        world.check_books();
    }
}

#[test]
fn what_is_opened_straight_at_a_node_goes_to_the_node_that_the_holder_chooses() {
    for redirecting in [Redirecting::Ethernet, Redirecting::Mesh] {
        let [mut world, mut honest] = [(); 2].map(|()| World::new(&Choices { redirecting, ..Choices::default() }));
        let first = Interface::First;
        for port in 40_000..40_020 {
            for name in ["a", "b", "c"] {
                let port = port + 100 * u16::try_from(place_of(named(name))).unwrap();
                honest.host_sends(first, port, 80, SYN);
                let before = world.at_server.len();
                comes_to(&mut world, name, first, &segment_to(name, first, host_mac(first), (port, 80), SYN));
                assert_eq!(world.at_server.len(), before + 1);
                let [seen, expected] = [&world, &honest].map(|world| world.inspectors(&opener(first, port)));
                assert_eq!(seen, expected, "by {name}");
                let belief = [&world, &honest].map(|w| w.member("a").node.redirector().belief(&opener(first, port)));
                assert_eq!(belief[0], belief[1]);
            }
        }
        assert_eq!(["a", "b", "c"].map(|name| handed_to_holder(&world, name)), [0, 20, 20]);
        world.check_books();
    }
}

#[test]
fn the_cluster_answers_by_its_holder_whatever_node_is_asked() {
    let mut world = World::new(&Choices::default());
    let first = Interface::First;
    let macs = [host_mac(first).0, node_mac(first, 2).0];
    let ip = frames::ip(macs, v4(first, HOST), v4(first, CLUSTER), 64);
    let before = world.at_client.len();
    comes_to(&mut world, "c", first, &frames::icmpv4(ip, (8, 0), [0, 1, 0, 1], b"who is there"));
    assert_eq!(world.at_client.len(), before + 1);
    world.check_books();
}

#[test]
fn a_forged_redirect_begins_a_stream_only_where_it_would_begin_anyway() {
    let [mut world, mut honest] = [(); 2].map(|()| World::new(&Choices::default()));
    let first = Interface::First;
    for port in 40_000..40_060 {
        honest.host_sends(first, port, 80, SYN);
        comes_to(&mut world, "c", first, &segment_to("c", first, node_mac(first, 0), (port, 80), SYN));
        let [seen, expected] = [&world, &honest].map(|world| world.inspectors(&opener(first, port)));
        assert_eq!(seen, expected);
    }
    let (handed, unproven) = (handed_to_holder(&world, "c"), world.member("c").out.ledger.unproven);
    assert_eq!(handed, unproven);
    assert!((20..55).contains(&handed), "{handed} of 60 are not c's");
    // What c was chosen for began there, by one of its own frames, and goes on.
    let port = open_until_chosen(&mut world, first, "c");
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    world.host_sends(first, port, 80, ACK);
    assert_eq!(handed_to_holder(&world, "c"), handed);
    world.check_books();
}

#[test]
fn nothing_is_lost_while_a_node_knows_other_candidates_than_the_holder() {
    let mut world = World::new(&Choices::default());
    // c does not hear that b is chosen no more, so it takes some of its own streams for b's.
    world.lost = |to, message| to == named("c") && matches!(message, Message::Heartbeat(h) if h.draining);
    world.serve("b", Service::Draining);
    for port in 40_000..40_060 {
        let before = world.at_server.len();
        world.host_sends(Interface::First, port, 80, SYN);
        assert_eq!(world.at_server.len(), before + 1, "{port}");
        assert_eq!(world.inspectors(&opener(Interface::First, port)).len(), 1, "{port}");
    }
    let c = &world.member("c").out.ledger;
    assert!(c.unproven > 5, "{c:?}");
    assert_eq!(c.unproven, c.handed_to_holder);
    world.check_books();
}

#[test]
fn a_choice_that_its_node_gives_back_is_made_anew_if_it_may_not_be_chosen_any_more() {
    let mut world = World::new(&Choices::default());
    let first = Interface::First;
    let verdict = Verdict { action: Action::Drop, fault: true, ..Verdict::default() };
    world.members[2].plugins.ends = Some(verdict);
    let port = open_until_chosen(&mut world, first, "c");
    world.members[2].plugins.readiness = Readiness::Suspended;
    world.settle();
    let wire = [&[0; OFFLOAD_HEADER_LEN][..], &segment_to("c", first, node_mac(first, 0), (port, 80), SYN)].concat();
    let before = world.at_server.len();
    world.say("c", "a", Message::Astray(Astray { interface: first, wire }));
    assert_eq!(world.at_server.len(), before + 1);
    world.check_books();
}

#[test]
fn what_is_handed_to_the_holder_goes_no_further_and_is_bounded() {
    let mut world = World::new(&Choices::default());
    let second = Interface::Second;
    let frame = segment_to("a", second, host_mac(second), (80, 40_000), SYN_ACK);
    let wire = [&[0; OFFLOAD_HEADER_LEN][..], &frame].concat();
    let before = world.drops(DropReason::NotHolder);
    world.say("c", "a", Message::Astray(Astray { interface: second, wire }));
    assert_eq!((world.drops(DropReason::NotHolder), handed_to_holder(&world, "a")), (before + 1, 0));
    for _ in 0..ASTRAY_BURST_MAX + 10 {
        comes_to(&mut world, "a", second, &frame);
    }
    assert_eq!(handed_to_holder(&world, "a"), u64::from(ASTRAY_BURST_MAX));
    assert_eq!(world.drops(DropReason::AstrayRate), 10);
    world.run(Duration::from_millis(1));
    comes_to(&mut world, "a", second, &frame);
    assert_eq!(handed_to_holder(&world, "a"), u64::from(ASTRAY_BURST_MAX) + 1);
    world.run(Duration::from_millis(100));
    world.check_books();
}

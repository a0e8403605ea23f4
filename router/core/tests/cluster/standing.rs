//! Faults that stay: what goes on while nobody mends them.

use std::time::Duration;

use herald_core::event::{DropReason, Event};
use herald_core::id::Interface;
use herald_core::limits::{DETECTION_TIME, TAKEN_BACK_DELAY};
use herald_core::membership::Service;
use herald_core::mesh::{Message, Relay, RelayFrame, Unheard, codec};
use herald_core::node::Redirecting;
use herald_core::redirector::choice::Redirectors;
use herald_testing::frames::{ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::named;

use crate::opener;
use crate::world::*;

/// Longer than it takes to notice a fault.
const NOTICED: Duration = Duration::from_millis(1_000);

fn elected() -> Choices {
    Choices { holders: None, ..Choices::default() }
}

/// Opens a connection; its chosen node.
fn open(world: &mut World, port: u16) -> &'static str {
    world.host_sends(Interface::First, port, 80, SYN);
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    world.host_sends(Interface::First, port, 80, ACK);
    let seen = world.inspectors(&opener(Interface::First, port));
    assert_eq!(seen.len(), 1, "{port}: {seen:?}");
    seen[0].0
}

#[test]
fn a_member_whose_mesh_is_cut_keeps_nobody_from_new_streams() {
    for cut in ["a", "b", "c"] {
        let mut world = World::new(&elected());
        let streams: Vec<_> = (41_000..41_060).map(|port| (port, open(&mut world, port))).collect();
        assert!(streams.iter().any(|(_, chosen)| *chosen == cut));
        world.cut_mesh(cut);
        world.run(NOTICED);
        for port in 43_000..43_020 {
            assert_ne!(open(&mut world, port), cut);
            assert!(world.talks(port), "{port}, without the mesh of {cut}");
        }
        for port in 44_000..44_020 {
            let before = world.at_server.len();
            world.host_sends_udp(Interface::First, port, 53);
            world.run(Duration::from_millis(30));
            assert_eq!(world.at_server.len(), before + 1, "UDP {port}, without the mesh of {cut}");
        }
        for (port, chosen) in streams.iter().filter(|(_, chosen)| *chosen != cut) {
            assert!(world.talks(*port), "{port} of {chosen}, without the mesh of {cut}");
        }
        let unasked: u64 = world.members.iter().map(|m| m.out.ledger.unasked).sum();
        assert!(unasked >= 40, "{unasked}");
        world.heal_mesh();
        world.run(NOTICED);
        for port in 43_000..43_020 {
            assert!(world.talks(port), "{port}, with the mesh of {cut} again");
        }
        world.check_books();
    }
}

#[test]
fn streams_of_a_member_whose_mesh_is_cut_go_on_where_they_are_known() {
    let mut world = World::new(&elected());
    let streams: Vec<_> = (41_000..41_060).map(|port| (port, open(&mut world, port))).collect();
    world.cut_mesh("c");
    world.run(NOTICED);
    for (port, chosen) in &streams {
        assert!(world.talks(*port), "{port} of {chosen}");
        assert_eq!(world.inspectors(&opener(Interface::First, *port)).len(), 1, "{port} of {chosen}");
    }
    world.check_books();
}

#[test]
fn a_connection_whose_node_is_cut_off_before_it_announced_is_opened_elsewhere_by_the_next_try() {
    let mut world = World::new(&Choices { redirectors: Redirectors::LastResort, ..elected() });
    let port = 42_000;
    world.cut_off = Some("c");
    world.host_sends(Interface::First, port, 80, SYN);
    world.cut_mesh("c");
    world.run(NOTICED);
    assert_eq!(world.drops(DropReason::HoldTimedOut), 1);
    world.host_sends(Interface::First, port, 80, SYN);
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    world.host_sends(Interface::First, port, 80, ACK);
    assert!(world.talks(port));
    world.check_books();
}

#[test]
fn a_drain_beside_a_member_that_is_cut_off_leaves_a_cluster_that_serves() {
    let mut world = World::new(&elected());
    world.cut_mesh("c");
    world.run(NOTICED);
    world.serve("a", Service::Draining);
    world.run(NOTICED);
    assert_eq!(world.remaining("a"), (0, 0));
    assert_eq!(open(&mut world, 43_000), "b");
    assert!(world.talks(43_000));
    world.check_books();
}

#[test]
fn a_stream_whose_new_owner_never_hears_of_it_is_taken_back() {
    let mut world = World::new(&elected());
    let streams: Vec<_> = (41_000..41_060).map(|port| (port, open(&mut world, port))).collect();
    let of_c: Vec<_> = streams.iter().filter(|(_, chosen)| *chosen == "c").collect();
    assert!(of_c.len() > 5);
    world.lost = |_, message| matches!(message, Message::Assign(_));
    world.serve("c", Service::Draining);
    world.run(Duration::from_millis(450));
    for (port, _) in &of_c {
        assert!(world.talks(*port), "{port}");
    }
    let taken_back = world.member("c").events.iter().filter(|event| matches!(event, Event::TakenBack { .. })).count();
    assert_eq!(taken_back, of_c.len());
    assert_eq!(world.remaining("c").1, of_c.len());
    // The drain goes on later, and now it gets through.
    world.lost = |_, _| false;
    world.run(TAKEN_BACK_DELAY * 2);
    assert_eq!(world.remaining("c"), (0, 0));
    for (port, _) in &of_c {
        assert!(world.talks(*port), "{port}");
    }
    world.check_books();
}

#[test]
fn no_stream_is_given_to_a_node_that_frames_do_not_reach() {
    let mut world = World::new(&elected());
    let streams: Vec<_> = (41_000..41_060).map(|port| (port, open(&mut world, port))).collect();
    world.lose_frames_to("c");
    world.serve("c", Service::Draining);
    world.run(NOTICED);
    let of_c = streams.iter().filter(|(_, chosen)| *chosen == "c");
    assert_eq!(world.remaining("c").1, of_c.clone().count());
    for (port, _) in of_c {
        assert!(world.talks(*port), "{port}");
    }
}

#[test]
fn frames_for_a_member_without_a_link_take_a_detour_and_stay_in_the_books() {
    let mut world = World::new(&Choices { redirecting: Redirecting::Mesh, ..Choices::default() });
    let streams: Vec<_> = (41_000..41_060).map(|port| (port, open(&mut world, port))).collect();
    let of_c: Vec<_> = streams.iter().filter(|(_, chosen)| *chosen == "c").collect();
    world.cut_link(["a", "c"]);
    // It is noticed, and c has not given its streams away yet.
    world.run(DETECTION_TIME + Duration::from_millis(10));
    assert_eq!(world.remaining("c").1, of_c.len());
    for (port, _) in &of_c {
        assert!(world.talks(*port), "{port}");
    }
    // Of each the packet that came in at a went over b.
    let handed_over = ["a", "b"].map(|name| world.member(name).out.ledger.handed_over);
    assert_eq!(handed_over, [of_c.len() as u64; 2]);
    // A word stays a word on its detour.
    let unauthorised = |world: &World| world.member("a").out.ledger.messages_unauthorised;
    let before = unauthorised(&world);
    let mut bytes = Vec::new();
    codec::encode(&Message::Unheard(Unheard { interface: Interface::First }), &mut bytes).unwrap();
    let relay = Relay { source: named("c"), target: named("a"), bytes };
    world.say("b", "a", Message::Relay(relay.clone()));
    assert_eq!(unauthorised(&world), before);
    world.say("b", "a", Message::RelayFrame(RelayFrame(relay)));
    assert_eq!(unauthorised(&world), before + 1);
    world.check_books();
}

#[test]
fn who_has_lost_the_whole_mesh_sends_what_is_still_led_to_it() {
    let mut world = World::new(&elected());
    let port = (41_000..41_060).find(|port| open(&mut world, *port) == "c").unwrap();
    world.cut_mesh("c");
    // The stream ends, of which nobody can hear, and its key is used again.
    world.host_sends(Interface::First, port, 80, Segment { flags: 4, ..ACK });
    world.run(NOTICED);
    world.host_sends(Interface::First, port, 80, Segment { sequence: 900_000, ..SYN });
    world.run(Duration::from_millis(50));
    assert_eq!(world.member("c").out.ledger.unacknowledged, 1);
    assert_eq!(world.drops(DropReason::HoldTimedOut), 0);
    let answer = Segment { acknowledgement: 900_001, ..SYN_ACK };
    let before = world.at_client.len();
    world.host_sends(Interface::Second, 80, port, answer);
    assert_eq!(world.at_client.len(), before + 1);
    world.check_books();
}

//! Three real nodes in a small world in memory: the method's base cases, races, time-outs and the books.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod admission;
mod doors;
mod forged_life;
mod fragments;
mod hairpin;
mod hostile;
mod neighbours;
mod room;
mod standing;
mod suspended;
mod takeover;
mod vlan;
mod world;

use std::time::Duration;

use herald_core::event::{DropReason, EndReason, Event, Step};
use herald_core::flow::FlowKey;
use herald_core::id::{BootId, Generation, Interface, Mac};
use herald_core::inspector::{Action, Verdict};
use herald_core::mesh::{Announce, Close, Message, Refresh};
use herald_core::node::{Announcing, Redirecting};
use herald_core::session::Kind;
use herald_core::turn::Turn;
use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::{self, HOST, host_mac, named, node_mac, place_of, v4};
use world::*;

/// The five layouts of holders and chosen node: first's holder, second's holder, chosen.
const LAYOUTS: [(&str, [&str; 2], &str); 5] = [
    ("all different", ["a", "b"], "c"),
    ("chosen holds the first", ["a", "b"], "a"),
    ("chosen holds the second", ["a", "b"], "b"),
    ("one node holds both, another is chosen", ["a", "a"], "b"),
    ("one node is all", ["a", "a"], "a"),
];

fn opener(from: Interface, port: u16) -> FlowKey {
    FlowKey::new(from, 6, (v4(from, HOST).into(), port), (v4(from.other(), HOST).into(), 80))
}

/// Opens streams from `from` until one is chosen by `wanted`; returns its port.
fn open_until_chosen(world: &mut World, from: Interface, wanted: &str) -> u16 {
    for port in 40_000..40_200 {
        world.host_sends(from, port, 80, SYN);
        let seen_by = world.inspectors(&opener(from, port));
        assert_eq!(seen_by.len(), 1, "one node inspects the SYN");
        if seen_by[0].0 == wanted {
            return port;
        }
    }
    panic!("no stream of 200 was chosen by {wanted}");
}

#[test]
fn ten_base_cases_lead_both_directions_through_the_chosen_node() {
    for (layout, holders, chosen) in LAYOUTS {
        for from in Interface::BOTH {
            let mut world = World::new(&Choices { holders: Some(holders), ..Choices::default() });
            let port = open_until_chosen(&mut world, from, chosen);
            world.host_sends(from.other(), 80, port, SYN_ACK);
            world.host_sends(from, port, 80, ACK);
            let case = format!("{layout}, opened from {from}");
            assert_eq!(world.inspectors(&opener(from, port)), [(chosen, 3)], "{case}");
            let place = place_of(named(chosen));
            for (interface, source) in [(from.other(), port), (from, 80)] {
                let left: Vec<_> = (world.wire.iter())
                    .filter(|s| s.interface == interface && s.to == host_mac(interface))
                    .filter_map(|s| Some((s.from, tcp_of(&s.bytes)?)))
                    .filter(|(_, (_, _, port))| *port == source)
                    .collect();
                assert!(!left.is_empty(), "{case}");
                for (mac, (_, ttl, _)) in left.iter().filter(|(mac, _)| *mac == node_mac(interface, place)) {
                    assert_eq!((*mac, *ttl), (node_mac(interface, place), 63), "{case}");
                }
                if source == port {
                    assert!(left.iter().all(|(mac, _)| *mac == node_mac(interface, place)), "{case}");
                }
            }
            world.check_books();
        }
    }
}

#[test]
fn only_the_announcement_to_the_redirector_of_the_return_packets_is_urgent() {
    let world = World::new(&Choices::default());
    let node = &world.member("c").node;
    let generation = Generation { counter: 1, node: named("c") };
    for (from, expected) in [(Interface::First, [false, true]), (Interface::Second, [true, false])] {
        let arrival = opener(from, 40_000);
        let return_key = arrival.reversed(from.other());
        let announce = Announce { arrival, return_key, choice: 7, boot: BootId(3), generation };
        let close = Message::Close(Close { arrival, return_key, generation });
        let urgent = |message: &Message| ["a", "b"].map(|to| node.is_urgent(named(to), message));
        assert_eq!(urgent(&Message::Announce(announce)), expected);
        assert_eq!(urgent(&close), [false, false]);
        assert_eq!(urgent(&Message::Refresh(Refresh { streams: vec![announce] })), [true, true]);
    }
}

#[test]
fn without_announcements_return_packets_lose_their_way() {
    let mut world = World::new(&Choices { announcing: Announcing::Off, ..Choices::default() });
    let mut lost = 0;
    for port in 40_000..40_040 {
        world.host_sends(Interface::First, port, 80, SYN);
        let before = world.at_client.len();
        world.host_sends(Interface::Second, 80, port, SYN_ACK);
        lost += u32::from(world.at_client.len() == before);
    }
    assert!(lost > 10, "only {lost} of 40 lost their way");
}

#[test]
fn the_twelve_steps_are_told_in_order() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    let stream = opener(Interface::First, port).stream();
    let steps = |name: &str| -> Vec<Step> {
        let events = world.member(name).events.iter();
        events
            .filter_map(|event| {
                let Event::Step { step, flow, .. } = event else { return None };
                (flow.stream() == stream).then_some(*step)
            })
            .collect()
    };
    assert_eq!(steps("a"), [Step::M1, Step::M2, Step::M3]);
    assert_eq!(steps("c"), [Step::M4, Step::M5, Step::M6, Step::M8, Step::M12]);
    assert_eq!(steps("b"), [Step::M7, Step::M9, Step::M10, Step::M11]);
}

#[test]
fn the_first_packet_waits_for_the_acknowledgement() {
    let delay = Duration::from_millis(50);
    let choices =
        Choices { announcing: Announcing::On(delay), hold_max: Duration::from_millis(200), ..Choices::default() };
    let mut world = World::new(&choices);
    let port = open_until_chosen(&mut world, Interface::First, "c");
    let reached = |world: &World| {
        world.at_server.iter().filter_map(|b| tcp_of(b)).any(|(flags, _, source)| source == port && flags.opens())
    };
    world.run(delay - Duration::from_millis(1));
    assert!(!reached(&world));
    world.run(Duration::from_millis(2));
    assert!(reached(&world));
    world.check_books();
}

#[test]
fn a_hold_that_runs_out_sends_only_what_would_come_back_here() {
    let choices = Choices {
        announcing: Announcing::On(Duration::from_secs(3600)),
        hold_max: Duration::from_millis(20),
        ..Choices::default()
    };
    let mut world = World::new(&choices);
    for port in 40_000..40_006 {
        world.host_sends(Interface::First, port, 80, SYN);
    }
    world.run(Duration::from_millis(25));
    let sent: u64 = world.members.iter().map(|m| m.out.ledger.unacknowledged).sum();
    let dropped = world.drops(DropReason::HoldTimedOut);
    let held: usize =
        world.members.iter().flat_map(|m| &m.events).filter(|e| matches!(e, Event::HoldTimedOut { .. })).count();
    assert_eq!(sent + dropped, held as u64);
    assert!(dropped > 0);
    world.check_books();
}

#[test]
fn everything_expires_to_empty() {
    let mut world = World::new(&Choices::default());
    for port in 40_000..40_050 {
        world.host_sends(Interface::First, port, 80, SYN);
        world.host_sends(Interface::Second, 80, port, SYN_ACK);
        world.host_sends(Interface::First, port, 80, ACK);
        world.host_sends(Interface::First, port, 80, Segment { flags: 17, ..ACK });
        world.host_sends(
            Interface::Second,
            80,
            port,
            Segment { flags: 17, sequence: 501, acknowledgement: 102, payload: &[] },
        );
        world.host_sends(
            Interface::First,
            port,
            80,
            Segment { flags: 16, sequence: 102, acknowledgement: 502, payload: &[] },
        );
    }
    let rows = |world: &World| -> usize { world.members.iter().map(|m| m.node.all_rows().count()).sum() };
    assert_eq!(world.members.iter().map(|m| m.node.markers().len()).sum::<usize>(), 50);
    world.run(Duration::from_secs(10));
    assert_eq!(rows(&world), 0);
    let ended: Vec<_> = world.members.iter().flat_map(|m| &m.plugins.ended).collect();
    assert_eq!(ended.len(), 50);
    assert!(ended.iter().all(|(_, reason)| *reason == EndReason::Finished));
    world.check_books();
}

#[test]
fn a_new_connection_with_an_old_key_starts_a_new_generation_on_the_same_node() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(
        Interface::Second,
        80,
        port,
        Segment { flags: 20, sequence: 0, acknowledgement: 101, payload: &[] },
    );
    world.host_sends(Interface::First, port, 80, Segment { sequence: 9_000, ..SYN });
    world.host_sends(Interface::Second, 80, port, Segment { acknowledgement: 9_001, ..SYN_ACK });
    let mut rows = world.member("c").node.all_rows();
    let row = rows.find(|row| row.opener == opener(Interface::First, port)).unwrap();
    assert_eq!((row.generation, row.chosen), (2, named("c")));
    assert_eq!(world.inspectors(&opener(Interface::First, port)), [("c", 4)]);
    world.check_books();
}

#[test]
fn streams_opened_from_both_ends_at_once_end_on_one_node() {
    let mut world = World::new(&Choices { announcing: Announcing::On(Duration::from_millis(5)), ..Choices::default() });
    for port in 40_000..40_030 {
        world.host_sends(Interface::First, port, 80, SYN);
        world.host_sends(Interface::Second, 80, port, SYN);
        world.run(Duration::from_millis(50));
        let stream = opener(Interface::First, port).stream();
        let owners: Vec<_> = (world.members.iter())
            .filter(|m| m.node.markers().iter().any(|(_, e)| e.opener.stream() == stream))
            .map(|m| m.name)
            .collect();
        assert_eq!(owners.len(), 1, "port {port}: {owners:?}");
        world.check_books();
    }
}

#[test]
fn streams_opened_from_both_ends_in_one_batch_of_one_node_become_one() {
    let mut world = World::new(&Choices::default());
    let mut merged = 0;
    for port in 40_000..40_030 {
        let before = (world.at_client.len(), world.at_server.len());
        world.host_begins_to_send(Interface::First, port, 80, SYN);
        world.host_begins_to_send(Interface::Second, 80, port, SYN);
        world.settle();
        world.run(Duration::from_millis(5));
        let stream = opener(Interface::First, port).stream();
        let sessions = world.members.iter().flat_map(|m| m.node.all_rows());
        let markers: Vec<_> = sessions.filter(|r| r.kind == Kind::Marker && r.opener.stream() == stream).collect();
        assert_eq!(markers.len(), 1, "port {port}: {markers:?}");
        assert_eq!((world.at_client.len(), world.at_server.len()), (before.0 + 1, before.1 + 1), "port {port}");
        merged += world.members.iter().flat_map(|m| &m.plugins.ended).filter(|e| e.0.stream() == stream).count();
        world.check_books();
    }
    assert!(merged > 0, "one node was never chosen for both");
    assert_eq!(world.drops(DropReason::ReturnKeyTaken), 0);
}

#[test]
fn a_verdict_on_the_stream_ends_both_directions_for_its_reason() {
    for (fault, reason) in [(false, DropReason::Verdict), (true, DropReason::PluginFault)] {
        let mut world = World::new(&Choices::default());
        for member in &mut world.members {
            member.plugins.ends = Some(Verdict { action: Action::Drop, fault, ..Verdict::default() });
        }
        for _ in 0..3 {
            world.host_sends(Interface::First, 40_000, 80, SYN);
        }
        assert_eq!(world.drops(reason), 3);
        assert_eq!(world.inspectors(&opener(Interface::First, 40_000)).iter().map(|(_, n)| n).sum::<u64>(), 1);
        assert!(world.at_server.is_empty());
        world.check_books();
    }
}

#[test]
fn frames_that_are_held_when_their_stream_ends_are_dropped_for_the_reason_of_that() {
    let mut world = World::new(&Choices { announcing: Announcing::On(Duration::from_millis(5)), ..Choices::default() });
    for port in 40_000..40_020 {
        world.host_sends(Interface::First, port, 80, SYN);
    }
    let now = world.now;
    let mut held = 0;
    for member in &mut world.members {
        held += member.node.frames_held() as u64;
        member.node.stop(&mut Turn::new(now, &mut member.plugins, &mut member.out));
    }
    assert!(held > 0, "some wait for their acknowledgement");
    assert_eq!((world.drops(DropReason::Stopping), world.drops(DropReason::HoldTimedOut)), (held, 0));
    world.check_books();
}

#[test]
fn a_stream_without_a_return_key_counts_as_one_and_is_shown_as_blocked() {
    let mut world = World::new(&Choices::default());
    for member in &mut world.members {
        member.plugins.ends = Some(Verdict { action: Action::Drop, ..Verdict::default() });
    }
    world.host_sends(Interface::First, 40_000, 80, SYN);
    let markers: usize = world.members.iter().map(|m| m.node.markers().len()).sum();
    assert_eq!(markers, 1);
    let mut rows = world.members.iter().flat_map(|m| m.node.all_rows());
    assert_eq!(rows.find(|row| row.kind == Kind::Marker).map(|row| row.state), Some("blocked"));
}

#[test]
fn a_blocked_stream_outlives_retransmissions_and_not_much_more() {
    let ends = Some(Verdict { action: Action::Drop, ..Verdict::default() });
    // While the handshake is not complete, and behind it: pauses between retransmissions, and when the stream has ended.
    for (opened, pause, end) in [(false, 59, 61), (true, 149, 151)] {
        let mut world = World::new(&Choices { timeouts: layout::ENDLESS, ..Choices::default() });
        if opened {
            world.host_sends(Interface::First, 40_000, 80, SYN);
            world.host_sends(Interface::Second, 80, 40_000, SYN_ACK);
            world.host_sends(Interface::First, 40_000, 80, ACK);
        }
        world.members.iter_mut().for_each(|member| member.plugins.ends = ends);
        let packet = if opened { Segment { payload: b"x", ..ACK } } else { SYN };
        for _ in 0..2 {
            world.host_sends(Interface::First, 40_000, 80, packet);
            world.run(Duration::from_secs(pause));
        }
        let asked = |world: &World| world.members.iter().map(|m| m.plugins.seen.values().sum::<u64>()).sum::<u64>();
        assert_eq!(asked(&world), if opened { 4 } else { 1 }, "the verdict stands");
        assert!(world.members.iter().all(|member| member.plugins.ended.is_empty()));
        world.run(Duration::from_secs(end - pause));
        let ended: Vec<_> = world.members.iter().flat_map(|member| &member.plugins.ended).collect();
        assert_eq!(ended, [&(opener(Interface::First, 40_000), EndReason::Verdict)]);
        world.check_books();
    }
}

/// A transit packet comes to c's own MAC at the first interface, with this source.
fn arrives_past_the_redirector(world: &mut World, source: Mac) {
    let first = Interface::First;
    let ip = frames::ip([source.0, node_mac(first, 2).0], v4(first, HOST), v4(Interface::Second, HOST), 64);
    let bytes = frames::udp(ip, (1000, 2000), b"past the redirector");
    let now = world.now;
    let c = &mut world.members[2];
    let frame = herald_core::packet::Frame::from_bytes(&bytes);
    c.node.frame_arrived(&mut Turn::new(now, &mut c.plugins, &mut c.out), first, frame);
}

#[test]
fn a_member_cannot_feed_transit_packets_past_the_redirector() {
    let mut world = World::new(&Choices::default());
    // From a member that holds no role it waits for its claim, and ends without one.
    arrives_past_the_redirector(&mut world, node_mac(Interface::First, 1));
    world.run(Duration::from_millis(25));
    assert_eq!(world.drops(DropReason::ClaimWait), 1);
    world.check_books();
}

#[test]
fn where_the_mesh_redirects_a_forged_mac_of_the_holder_is_of_no_use() {
    let mut world = World::new(&Choices { redirecting: Redirecting::Mesh, ..Choices::default() });
    let before = world.drops(DropReason::NotFromHolder);
    arrives_past_the_redirector(&mut world, node_mac(Interface::First, 0));
    assert_eq!(world.drops(DropReason::NotFromHolder), before + 1);
    assert!(world.at_server.is_empty());
    world.check_books();
}

#[test]
fn a_member_that_was_only_slow_keeps_its_streams() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    world.host_sends(Interface::First, port, 80, ACK);
    world.paused = Some("c");
    world.run(Duration::from_millis(600));
    let died = |event: &&Event| matches!(event, Event::MemberDied { node } if *node == named("c"));
    assert_eq!(world.member("a").events.iter().filter(died).count(), 1, "a counts c as dead");
    world.paused = None;
    world.run(Duration::from_millis(600));
    assert!(world.talks(port));
    world.check_books();
}

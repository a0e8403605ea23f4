//! Redirectors that change hands, chosen nodes that die or drain, and packets that nobody has a session for.

use std::cell::Cell;
use std::time::Duration;

use herald_core::event::{DropReason, EndReason, Event};
use herald_core::id::{Generation, Interface};
use herald_core::limits::{DETECTION_TIME, FENCE_DELAY, FENCE_TIME_MAX, FENCED_FRAMES_MAX, TAKEN_BACK_DELAY};
use herald_core::membership::Service;
use herald_core::mesh::{Assign, Handover, Message, Refuse, Unheard};
use herald_core::node::Redirecting;
use herald_core::packet::Frame;
use herald_core::redirector::choice::Redirectors;
use herald_core::session::{Life, Midstream};
use herald_core::turn::Turn;
use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::{NODES, from_host, named};

use crate::world::*;
use crate::{LAYOUTS, open_until_chosen, opener};

const SOON: Duration = Duration::from_millis(600);

fn elected() -> Choices {
    Choices { holders: None, ..Choices::default() }
}

/// Opens connections; the port and the chosen node of each.
fn open(world: &mut World, first: u16, count: u16) -> Vec<(u16, &'static str)> {
    let mut streams = Vec::new();
    for port in first..first + count {
        world.host_sends(Interface::First, port, 80, SYN);
        world.host_sends(Interface::Second, 80, port, SYN_ACK);
        world.host_sends(Interface::First, port, 80, ACK);
        let seen = world.inspectors(&opener(Interface::First, port));
        assert_eq!(seen.len(), 1, "{port}: {seen:?}");
        streams.push((port, seen[0].0));
    }
    streams
}

#[test]
fn a_dead_holder_costs_no_stream_of_others() {
    for dead in ["a", "b"] {
        let mut world = World::new(&elected());
        let streams = open(&mut world, 41_000, 60);
        world.crash(dead);
        world.run(SOON);
        for &(port, chosen) in &streams {
            assert_eq!(world.talks(port), chosen != dead, "{dead} died; {port} of {chosen}");
            let seen = world.inspectors(&opener(Interface::First, port));
            assert!(seen.iter().all(|(name, _)| *name == chosen), "{port}: {seen:?}");
        }
        assert!(open(&mut world, 43_000, 1)[0].1 != dead);
        world.check_books();
    }
}

#[test]
fn a_warm_standby_is_sent_nothing_it_has() {
    let mut world = World::new(&elected());
    open(&mut world, 41_000, 60);
    world.lost = |to, message| {
        let sent = to == named("b") && matches!(message, Message::Refresh(_));
        assert!(!sent, "every stream was announced to the standby already");
        false
    };
    world.crash("a");
    world.run(SOON);
    let in_sync = |event: &&Event| matches!(event, Event::InSync { interface: Interface::First });
    assert!(world.member("b").events.iter().filter(in_sync).count() > 0);
}

#[test]
fn sessions_are_kept_by_who_holds_or_stands_by_and_by_nobody_else() {
    let mut world = World::new(&elected());
    let streams = open(&mut world, 41_000, 20).len();
    let sessions = NODES.map(|name| {
        let redirector = world.member(name).node.redirector();
        Interface::BOTH.map(|interface| redirector.sessions(interface))
    });
    // a holds the first and b the second redirector; b stands by for the first and c for the second.
    assert_eq!(sessions, [[streams, 0], [streams, streams], [0, streams]]);
}

thread_local! {
    /// Comparisons that c was asked for.
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn who_hears_that_it_was_unheard_compares_again() {
    let mut world = World::new(&elected());
    world.lost = |to, message| {
        COMPARED.set(COMPARED.get() + usize::from(to == named("c") && matches!(message, Message::Compare(_))));
        false
    };
    let unheard = Message::Unheard(Unheard { interface: Interface::Second });
    let in_sync = |world: &World| {
        let told = |event: &&Event| matches!(event, Event::InSync { interface: Interface::Second });
        world.member("b").events.iter().filter(told).count()
    };
    let before = in_sync(&world);
    world.say("c", "b", unheard.clone());
    assert_eq!((COMPARED.get(), in_sync(&world)), (1, before + 1), "it was not in sync until c had answered");
    let stale = world.member("a").out.ledger.messages_stale;
    world.say("c", "a", unheard);
    assert_eq!(world.member("a").out.ledger.messages_stale, stale + 1, "a has nothing to do with it");
}

#[test]
fn a_packet_without_a_session_is_parked_until_its_owner_has_answered() {
    let mut world = World::new(&elected());
    let streams = open(&mut world, 41_000, 60);
    // The new holder knows nothing by itself: no standby heard an announcement, and no bulk arrives.
    world.lost = |_, message| matches!(message, Message::Compare(_));
    for name in NODES {
        world.serve(name, Service::Normal);
    }
    world.crash("a");
    world.run(SOON);
    let b = world.members.iter_mut().find(|m| m.name == "b").unwrap();
    b.node.forget_redirector_sessions();
    for &(port, chosen) in streams.iter().filter(|(_, chosen)| *chosen != "a") {
        assert!(world.talks(port), "{port} of {chosen}");
    }
    world.check_books();
}

#[test]
fn a_stream_that_nobody_owns_is_not_guessed() {
    let mut world = World::new(&elected());
    let before = world.at_server.len();
    for _ in 0..3 {
        world.host_sends(Interface::First, 50_000, 80, ACK);
    }
    assert_eq!((world.drops(DropReason::MidStream), world.at_server.len()), (3, before));
    // Where not everybody answers, nothing is concluded.
    world.lost = |_, message| matches!(message, Message::Answer(_));
    world.host_sends(Interface::First, 50_001, 80, ACK);
    world.run(Duration::from_millis(60));
    assert_eq!(world.drops(DropReason::QueryTimedOut), 1);
    world.check_books();
}

#[test]
fn a_dead_chosen_node_touches_only_its_own_streams() {
    for midstream in [Midstream::Drop, Midstream::PickUp] {
        let mut world = World::new(&Choices { midstream, ..elected() });
        let streams = open(&mut world, 41_000, 60);
        world.host_sends_udp(Interface::First, 42_000, 53);
        world.crash("c");
        world.run(SOON);
        for &(port, chosen) in &streams {
            let lives = chosen != "c" || midstream == Midstream::PickUp;
            assert_eq!(world.talks(port), lives, "{midstream:?}: {port} of {chosen}");
            let key = opener(Interface::First, port);
            let back = key.reversed(Interface::Second);
            let believed =
                [("a", key), ("b", back)].map(|(name, key)| world.member(name).node.redirector().belief(&key));
            if lives {
                assert_eq!(believed[0], believed[1], "both redirectors name the same node for {port}");
                assert_eq!(believed[0].unwrap().counter, if chosen == "c" { 2 } else { 1 });
            }
        }
        let before = world.at_server.len();
        world.host_sends_udp(Interface::First, 42_000, 53);
        assert_eq!(world.at_server.len(), before + 1, "a datagram goes on whoever its node was");
        world.check_books();
    }
}

#[test]
fn a_frame_that_is_handed_over_before_its_assignment_waits_for_it() {
    for assigned in [true, false] {
        let mut world = World::new(&Choices::default());
        // In mid-stream: without its session it is refused.
        let arrival = opener(Interface::First, 41_500);
        let early = Segment { sequence: 7, acknowledgement: 9, payload: b"early", ..ACK };
        let bytes = frames::tcp(from_host(Interface::First), (41_500, 80), early);
        let wire = Frame::from_bytes(&bytes).wire().to_vec();
        world.say("c", "a", Message::Handover(Handover { interface: Interface::First, hops: 1, wire }));
        assert!(world.at_server.is_empty());
        let (return_key, generation) =
            (arrival.reversed(Interface::Second), Generation { counter: 2, node: named("a") });
        let life = Some(Life::picked_up(6));
        if assigned {
            world.say("c", "a", Message::Assign(Assign { arrival, return_key, choice: 7, generation, life }));
        }
        world.run(Duration::from_millis(25));
        assert_eq!(world.at_server.len(), usize::from(assigned));
        assert_eq!(world.drops(DropReason::AssignWait), u64::from(!assigned));
        world.check_books();
    }
}

#[test]
fn a_frame_that_was_handed_over_goes_no_further_when_its_stream_moves_on_meanwhile() {
    for (hops, goes_on) in [(0, false), (1, true)] {
        let mut world = World::new(&elected());
        let (port, _) = open(&mut world, 41_000, 40).into_iter().find(|(_, chosen)| *chosen == "c").unwrap();
        let late = Segment { payload: b"handed over", ..ACK };
        let bytes = frames::tcp(from_host(Interface::First), (port, 80), late);
        let wire = Frame::from_bytes(&bytes).wire().to_vec();
        let handover = Message::Handover(Handover { interface: Interface::First, hops, wire });
        let now = world.now;
        let c = world.members.iter_mut().find(|m| m.name == "c").unwrap();
        let turn = &mut Turn::new(now, &mut c.plugins, &mut c.out);
        // The frame waits for its batch while c gives its streams away.
        c.node.message_arrived(turn, named("a"), handover);
        c.node.service_changed(turn, Service::Draining);
        c.node.deadline_reached(turn);
        c.node.batch_ended(turn);
        let sent = c.out.send.iter().filter(|(_, message)| matches!(message, Message::Handover(_))).count();
        assert_eq!(sent, usize::from(goes_on), "with {hops} hops");
        assert_eq!(world.drops(DropReason::Straggler), u64::from(!goes_on));
        world.check_books();
    }
}

#[test]
fn a_drained_node_gives_away_roles_and_streams_and_nothing_is_lost() {
    for drained in NODES {
        let mut world = World::new(&elected());
        let streams = open(&mut world, 41_000, 60);
        world.serve(drained, Service::Draining);
        let before = (world.at_client.len(), world.at_server.len());
        let mut sent = 0;
        while world.remaining(drained) != (0, 0) && sent < 10_000 {
            for &(port, _) in &streams {
                world.talks(port);
                sent += 1;
            }
        }
        world.run(Duration::from_millis(300));
        assert_eq!(world.remaining(drained), (0, 0));
        let arrived = (world.at_client.len() - before.0, world.at_server.len() - before.1);
        assert_eq!(arrived, (sent, sent), "while {drained} drained");
        for &(port, _) in &streams {
            assert!(world.talks(port), "{drained} is drained, {port}");
        }
        let ended = &world.member(drained).plugins.ended;
        assert!(ended.iter().all(|(_, reason)| *reason == EndReason::HandedOver), "{ended:?}");
        world.run(Duration::from_secs(2));
        world.crash(drained);
        world.run(SOON);
        for &(port, _) in &streams {
            assert!(world.talks(port), "{drained} is gone, {port}");
        }
        world.check_books();
    }
}

#[test]
fn a_stream_that_could_not_be_given_away_at_first_is_given_away_later() {
    let mut world = World::new(&elected());
    // Nobody acknowledges the first stream, which has the first slot.
    world.lost = |to, message| to == named("c") && matches!(message, Message::Acknowledge(_));
    let first = open_until_chosen(&mut world, Interface::First, "c");
    world.run(Duration::from_millis(150));
    world.lost = |_, _| false;
    open(&mut world, 41_000, 20);
    world.serve("c", Service::Draining);
    world.run(SOON);
    assert_eq!(world.remaining("c"), (0, 1), "all but the first are given away");
    world.host_sends(Interface::First, first, 80, SYN);
    world.run(SOON);
    assert_eq!(world.remaining("c"), (0, 0), "{first} is acknowledged now");
    world.check_books();
}

#[test]
fn what_a_drained_node_takes_back_is_counted_once_and_waits_for_nobody() {
    let mut world = World::new(&elected());
    let streams = open(&mut world, 41_000, 60);
    let own = streams.iter().filter(|(_, chosen)| *chosen == "c").count();
    world.lost = |_, message| matches!(message, Message::Assign(_));
    world.serve("c", Service::Draining);
    world.run(Duration::from_millis(20));
    assert_eq!(world.member("c").plugins.ended.len(), own, "all are on their way");
    assert!(own > 5 && world.remaining("c").1 == own, "and none has arrived");
    world.crash("a");
    world.crash("b");
    // c knows that they are dead, and a fence would not have come yet.
    world.run(Duration::from_millis(450));
    let markers = world.member("c").node.markers();
    assert_eq!(markers.iter().filter(|(_, session)| session.alive && !session.fenced).count(), own);
    world.run(SOON);
    assert_eq!(world.remaining("c").1, own);
}

thread_local! {
    /// Refusals that still arrive.
    static REFUSALS: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn a_fence_follows_the_word_of_the_redirectors() {
    let waits = [DETECTION_TIME + FENCE_TIME_MAX, FENCE_TIME_MAX, FENCE_DELAY];
    for (told, wait) in waits.into_iter().enumerate() {
        let mut world = World::new(&elected());
        let port = open_until_chosen(&mut world, Interface::First, "c");
        world.run(Duration::from_micros(12_345));
        REFUSALS.set(told);
        world.lost = |_, message| {
            let is_refusal = matches!(message, Message::Refuse(_));
            let left = if is_refusal { REFUSALS.replace(REFUSALS.get().saturating_sub(1)) } else { 1 };
            left == 0
        };
        world.serve("c", Service::Draining);
        world.run(Duration::ZERO);
        let stale = world.member("c").out.ledger.messages_stale;
        let (arrival, generation) = (opener(Interface::First, port), Generation { counter: 1, node: named("c") });
        for winner in [None, Some(generation)] {
            let return_key = arrival.reversed(Interface::Second);
            let refuse = Message::Refuse(Refuse { return_key, generation, winner });
            REFUSALS.set(1);
            world.say("a", "c", refuse);
        }
        REFUSALS.set(0);
        assert_eq!(world.member("c").out.ledger.messages_stale, stale + 2, "these do not name the new owner");
        world.run(wait - Duration::from_micros(1));
        assert_eq!(world.remaining("c"), (0, 1), "{told} have told");
        world.run(Duration::from_micros(1));
        // A stream of whose new owner nobody has heard is taken back.
        assert_eq!(world.remaining("c"), (0, usize::from(told == 0)), "{told} have told");
    }
}

#[test]
fn a_stream_given_to_a_node_that_dies_is_given_to_another() {
    let mut world = World::new(&elected());
    let streams = open(&mut world, 41_000, 60);
    let own: Vec<u16> = streams.iter().filter(|(_, chosen)| *chosen == "c").map(|(port, _)| *port).collect();
    world.lost = |to, message| {
        to == named("a") && matches!(message, Message::Assign(_)) || matches!(message, Message::Refuse(_))
    };
    world.serve("c", Service::Draining);
    world.run(Duration::ZERO);
    let taken = |world: &World| {
        let events = world.member("b").events.iter();
        events.filter(|event| matches!(event, Event::TakenOver { .. })).count()
    };
    let at_first = taken(&world);
    assert!(at_first > 0 && at_first < own.len(), "{at_first} of {} went to b", own.len());
    world.crash("a");
    while taken(&world) == at_first && world.remaining("c").1 > 0 {
        world.run(Duration::from_millis(1));
    }
    assert_eq!(taken(&world), own.len(), "b takes over what was on its way to a");
    // What went to b at first was confirmed by nobody: c takes it back, and gives it away again later.
    world.lost = |_, _| false;
    world.run(TAKEN_BACK_DELAY * 2);
    assert_eq!(world.remaining("c"), (0, 0));
    for port in own {
        assert!(world.talks(port), "{port}");
    }
}

#[test]
fn a_stream_taken_back_from_a_node_that_turns_out_to_be_dead_is_given_to_another_at_once() {
    let mut world = World::new(&elected());
    let streams = open(&mut world, 41_000, 60);
    let own: Vec<u16> = streams.iter().filter(|(_, chosen)| *chosen == "c").map(|(port, _)| *port).collect();
    world.lost = |to, message| to == named("a") && matches!(message, Message::Assign(_));
    world.serve("c", Service::Draining);
    world.run(DETECTION_TIME + FENCE_TIME_MAX + Duration::from_millis(10));
    assert!(world.remaining("c").1 > 0, "what a has not confirmed is back");
    world.crash("a");
    world.run(DETECTION_TIME + FENCE_TIME_MAX * 2);
    assert_eq!(world.remaining("c"), (0, 0));
    for port in own {
        assert!(world.talks(port), "{port}");
    }
}

#[test]
fn what_a_node_is_assigned_twice_goes_on_in_the_higher_generation() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    let arrival = opener(Interface::First, port);
    let return_key = arrival.reversed(Interface::Second);
    for (assigned, counter) in [(5, 5), (3, 5)] {
        let generation = Generation { counter: assigned, node: named("c") };
        let assign = Assign { arrival, return_key, choice: 7, generation, life: None };
        world.say("a", "c", Message::Assign(assign));
        assert!(world.member("c").plugins.ended.is_empty());
        let beliefs =
            [("a", arrival), ("b", return_key)].map(|(name, key)| world.member(name).node.redirector().belief(&key));
        assert_eq!(beliefs, [Some(Generation { counter, node: named("c") }); 2]);
    }
    world.check_books();
}

#[test]
fn what_waits_for_a_fence_is_bounded_in_number_and_time() {
    let mut world = World::new(&Choices { holders: Some(["a", "a"]), ..Choices::default() });
    // No other deadline falls together with that of the fence.
    world.run(Duration::from_micros(12_345));
    let arrival = opener(Interface::First, 41_500);
    let (return_key, generation) = (arrival.reversed(Interface::Second), Generation { counter: 2, node: named("c") });
    let life = Some(Life::picked_up(6));
    world.say("b", "c", Message::Assign(Assign { arrival, return_key, choice: 7, generation, life }));
    for _ in 0..FENCED_FRAMES_MAX + 2 {
        world.host_sends(Interface::First, 41_500, 80, ACK);
    }
    assert_eq!((world.drops(DropReason::FencedFull), world.member("c").node.frames_kept()), (2, FENCED_FRAMES_MAX));
    world.check_books();
    world.run(FENCE_TIME_MAX * 2 - Duration::from_micros(1));
    assert_eq!(world.inspectors(&arrival), []);
    world.run(Duration::from_micros(1));
    assert_eq!(world.inspectors(&arrival), [("c", FENCED_FRAMES_MAX as u64)]);
    world.check_books();
}

#[test]
fn a_held_frame_is_announced_to_a_new_holder() {
    for chosen in ["a", "c"] {
        let mut world = World::new(&Choices { hold_max: Duration::from_secs(9), ..elected() });
        world.lost = |_, message| matches!(message, Message::Acknowledge(_));
        let port = open_until_chosen(&mut world, Interface::First, chosen);
        let reached = |world: &World| world.at_server.iter().filter_map(|b| tcp_of(b)).any(|(_, _, from)| from == port);
        assert!(!reached(&world), "b holds the second redirector and is not heard");
        world.crash("b");
        world.lost = |_, _| false;
        world.run(SOON);
        assert!(reached(&world), "c holds it, and {chosen} does not wait for the end of the hold");
        world.check_books();
    }
}

#[test]
fn redirecting_over_the_mesh_passes_the_base_cases_too() {
    for (layout, holders, chosen) in LAYOUTS {
        for from in Interface::BOTH {
            let choices = Choices { holders: Some(holders), redirecting: Redirecting::Mesh, ..Choices::default() };
            let mut world = World::new(&choices);
            let port = open_until_chosen(&mut world, from, chosen);
            world.host_sends(from.other(), 80, port, SYN_ACK);
            world.host_sends(from, port, 80, ACK);
            assert_eq!(world.inspectors(&opener(from, port)), [(chosen, 3)], "{layout}, opened from {from}");
            world.check_books();
        }
    }
}

#[test]
fn tables_that_have_silently_diverged_are_mended() {
    let mut world = World::new(&Choices { redirectors: Redirectors::LastResort, ..Choices::default() });
    let streams = open(&mut world, 41_000, 40);
    // The end of some streams never reaches the second redirector.
    world.lost = |_, message| matches!(message, Message::Close(_));
    for &(port, _) in streams.iter().take(20) {
        world.host_sends(
            Interface::Second,
            80,
            port,
            Segment { flags: 4, sequence: 501, acknowledgement: 0, payload: &[] },
        );
    }
    world.run(Duration::from_secs(10));
    world.lost = |_, _| false;
    let sessions = |world: &World| {
        let sessions = world.member("b").node.redirector().iter();
        sessions.filter(|(key, _)| key.interface() == Interface::Second).count()
    };
    assert_eq!(sessions(&world), 40, "nobody told b");
    for second in 0..61 {
        world.run(Duration::from_secs(1));
        if second == 30 {
            assert!(streams.iter().skip(20).all(|&(port, _)| world.talks(port)));
        }
    }
    assert_eq!(sessions(&world), 20, "a comparison ends what its owner does not have");
    let mended = |event: &Event| matches!(event, Event::Mended { sessions, .. } if *sessions > 0);
    assert!(world.member("b").events.iter().any(mended));
}

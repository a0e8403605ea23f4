//! Full tables: which streams make room for others, and where those go that find none.

use std::net::Ipv4Addr;
use std::time::Duration;

use herald_core::chosen::Class;
use herald_core::event::{DropReason, EndReason, Event};
use herald_core::flow::FlowKey;
use herald_core::forward::ReversePath;
use herald_core::id::Interface;
use herald_core::mesh::{Decline, Message};
use herald_core::mutation::{Mutation, switch};
use herald_core::redirector::choice::Redirectors;
use herald_core::session::{Bounds, Kind};
use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::{HOST, host_mac, named, v4, virtual_macs};

use crate::opener;
use crate::world::*;

const FIRST: Interface = Interface::First;

/// A cluster in which c is chosen while it has room, with tables for so many streams.
fn world(markers: usize, per_source: usize) -> World {
    let bounds = Bounds { markers, per_source, ..Bounds::default() };
    let (redirectors, reverse_path) = (Redirectors::LastResort, ReversePath::Off);
    World::new(&Choices { bounds, redirectors, reverse_path, ..Choices::default() })
}

/// A host on the first network by its number; from [`FORGED`] on its address is none of that network, and nothing can come
/// back.
fn host(number: u16) -> Ipv4Addr {
    match (u8::try_from(number), number.to_be_bytes()) {
        (Ok(last), _) if number < FORGED => v4(FIRST, HOST + 1 + last),
        (_, [high, low]) => Ipv4Addr::new(10, 1, 100 + high, low),
    }
}

/// The first number of a host that is none.
const FORGED: u16 = 150;

/// What a frame of a host begins with, from and to the host on the second network.
fn ips(number: u16) -> [frames::Ip; 2] {
    let server = v4(Interface::Second, HOST);
    let macs = |interface| [host_mac(interface).0, virtual_macs(interface)[0].0];
    [frames::ip(macs(FIRST), host(number), server, 64), frames::ip(macs(Interface::Second), server, host(number), 64)]
}

fn sends(world: &mut World, number: u16, port: u16, segment: Segment<'_>) {
    let [there, _] = ips(number);
    world.host_sends_frame(FIRST, &frames::tcp(there, (port, 80), segment));
}

fn answers(world: &mut World, number: u16, port: u16, segment: Segment<'_>) {
    let [_, back] = ips(number);
    world.host_sends_frame(Interface::Second, &frames::tcp(back, (80, port), segment));
}

/// A host opens a connection.
fn connects(world: &mut World, number: u16, port: u16) {
    sends(world, number, port, SYN);
    answers(world, number, port, SYN_ACK);
    sends(world, number, port, ACK);
}

fn sends_datagram(world: &mut World, number: u16, port: u16) {
    let [there, _] = ips(number);
    world.host_sends_frame(FIRST, &frames::udp(there, (port, 53), b"a datagram"));
}

fn flow(number: u16, port: u16) -> FlowKey {
    FlowKey::new(FIRST, 6, (host(number).into(), port), (v4(Interface::Second, HOST).into(), 80))
}

/// The nodes that have a live stream with this flow, and its state there.
fn owners(world: &World, flow: &FlowKey) -> Vec<(&'static str, &'static str)> {
    let row = |m: &Member| {
        let row = m.node.all_rows().find(|row| row.kind == Kind::Marker && row.opener == *flow)?;
        (row.state != "tombstone").then_some((m.name, row.state))
    };
    world.members.iter().filter_map(row).collect()
}

fn evicted(world: &World, class: Class) -> u64 {
    world.members.iter().map(|m| m.node.room().evicted(class)).sum()
}

fn told_full(world: &World, name: &str) -> Vec<bool> {
    let full = |event: &Event| if let Event::Full { full } = event { Some(*full) } else { None };
    world.member(name).events.iter().filter_map(full).collect()
}

/// Ten connections stand, others open while a flood goes on, and all of it goes through c.
fn is_served_beside(flood: impl Fn(&mut World, u16)) -> World {
    let mut world = world(64, 0);
    (0..10).for_each(|number| connects(&mut world, number, 1_000));
    for number in 0..2_000 {
        flood(&mut world, number);
        if number % 100 == 0 {
            let port = 40_000 + number;
            world.host_sends(FIRST, port, 80, SYN);
            world.host_sends(Interface::Second, 80, port, SYN_ACK);
            world.host_sends(FIRST, port, 80, ACK);
            assert_eq!(owners(&world, &opener(FIRST, port)), [("c", "established")], "{number}");
            assert!(world.talks(port), "{number}");
            world.host_sends(FIRST, port, 80, Segment { flags: 4, sequence: 102, acknowledgement: 0, payload: &[] });
        }
        assert!(world.member("c").node.markers().len() <= 64);
    }
    for number in 0..10 {
        assert_eq!(owners(&world, &flow(number, 1_000)), [("c", "established")], "{number}");
    }
    assert_eq!((evicted(&world, Class::Established), evicted(&world, Class::Answered)), (0, 0));
    assert_eq!(world.drops(DropReason::MarkerSessionsFull), 0);
    assert_eq!(told_full(&world, "c"), []);
    let is_told = |event: &&Event| matches!(event, Event::MakingRoom { .. });
    assert_eq!(world.member("c").events.iter().filter(is_told).count(), 1, "it is told once, not for each");
    world.check_books();
    world
}

#[test]
fn a_flood_of_half_open_connections_makes_room_for_others_in_itself() {
    let world = is_served_beside(|world, number| sends(world, 500 + number, 9, SYN));
    assert!(evicted(&world, Class::HalfOpen) >= 1_900);
    let ended = &world.member("c").plugins.ended;
    let evicted: Vec<_> = ended.iter().filter(|(_, reason)| *reason == EndReason::Evicted).collect();
    assert!(evicted.len() >= 1_900, "plugins hear of it");
    // They have a quarter of the table, and the oldest goes first.
    let left: Vec<u16> = (0..2_000).filter(|number| !owners(&world, &flow(500 + number, 9)).is_empty()).collect();
    assert_eq!(left, (1_984..2_000).collect::<Vec<_>>());
    // Nothing of them stays where they were announced, but for tombstones.
    let announced = |name: &str| {
        let rows = world.member(name).node.all_rows();
        rows.filter(|row| row.kind == Kind::Redirector && row.state == "announced").count()
    };
    assert!(announced("a") <= 64 && announced("b") <= 64);
}

#[test]
fn a_flood_of_datagrams_makes_room_for_others_in_itself() {
    let world = is_served_beside(|world, number| sends_datagram(world, 140, number));
    assert!(evicted(&world, Class::OneWay) >= 1_900);
    let world = is_served_beside(|world, number| sends_datagram(world, 500 + number, 9));
    assert!(evicted(&world, Class::OneWay) >= 1_900);
}

/// The mutation that ends established streams is seen by the test above.
#[test]
fn the_flood_would_be_noticed_where_established_streams_made_room() {
    switch(Some(Mutation::EvictEstablished));
    let mut world = world(16, 0);
    (0..4).for_each(|number| connects(&mut world, number, 1_000));
    (0..100).for_each(|number| sends(&mut world, 500 + number, 9, SYN));
    let stand = (0..4).filter(|number| !owners(&world, &flow(*number, 1_000)).is_empty()).count();
    switch(None);
    assert!(stand < 4);
}

#[test]
fn a_source_with_much_of_the_table_makes_room_for_another() {
    let mut world = world(64, 0);
    (0..10).for_each(|number| connects(&mut world, number, 1_000));
    // One host opens connections that are answered, as many as there is room for and more.
    for port in 0..200 {
        connects(&mut world, 140, 2_000 + port);
    }
    assert!(world.drops(DropReason::MarkerSessionsFull) + evicted(&world, Class::Established) > 0);
    for number in 20..40 {
        connects(&mut world, number, 1_000);
        assert_eq!(owners(&world, &flow(number, 1_000)), [("c", "established")], "{number}");
    }
    for number in 0..10 {
        assert_eq!(owners(&world, &flow(number, 1_000)), [("c", "established")], "{number}");
    }
    assert!(evicted(&world, Class::Established) >= 20);
    assert_eq!(told_full(&world, "c"), [], "it has room for all but that source");
    world.check_books();
}

#[test]
fn a_source_may_have_so_many_streams_at_a_node_and_no_more() {
    let mut world = world(64, 3);
    (0..5).for_each(|port| connects(&mut world, 140, 2_000 + port));
    connects(&mut world, 141, 2_000);
    let has = |number, port| !owners(&world, &flow(number, port)).is_empty();
    assert_eq!((0..5).filter(|port| has(140, 2_000 + port)).count(), 3);
    assert!(has(141, 2_000));
    assert_eq!(world.drops(DropReason::SourceSessionsFull), 2);
    assert_eq!(told_full(&world, "c"), []);
    world.check_books();
}

/// c is full: as many connections of many hosts as it has.
fn full_of_connections(markers: u16) -> World {
    let mut world = world(markers.into(), 0);
    (0..markers).for_each(|number| connects(&mut world, number, 1_000));
    world
}

#[test]
fn who_finds_no_room_goes_to_the_next_node_and_so_do_all_others_until_there_is_room() {
    let mut world = full_of_connections(32);
    let before = world.member("c").node.markers().len();
    assert_eq!((before, told_full(&world, "c").len()), (32, 0));
    sends(&mut world, 100, 1_000, SYN);
    assert_eq!((world.drops(DropReason::MarkerSessionsFull), told_full(&world, "c")), (1, vec![true]));
    // Its redirector knows already where it goes instead, before it is sent again.
    assert_eq!(owners(&world, &flow(100, 1_000)), []);
    connects(&mut world, 100, 1_000);
    let [(next, "established")] = owners(&world, &flow(100, 1_000))[..] else { panic!("it is not established") };
    assert!(["a", "b"].contains(&next));
    // Everybody knows that c is full: others lose no packet.
    for number in 101..111 {
        connects(&mut world, number, 1_000);
        let [(next, "established")] = owners(&world, &flow(number, 1_000))[..] else { panic!("{number}") };
        assert_ne!(next, "c");
    }
    assert_eq!(world.drops(DropReason::MarkerSessionsFull), 1);
    assert!(world.member("a").node.membership().member(named("c")).unwrap().full);
    // A little room is not enough, so that it does not come and go.
    let reset = Segment { flags: 4, sequence: 101, acknowledgement: 0, payload: &[] };
    (0..3).for_each(|number| sends(&mut world, number, 1_000, reset));
    assert_eq!(told_full(&world, "c"), [true]);
    (3..6).for_each(|number| sends(&mut world, number, 1_000, reset));
    assert_eq!(told_full(&world, "c"), [true, false]);
    connects(&mut world, 120, 1_000);
    assert_eq!(owners(&world, &flow(120, 1_000)), [("c", "established")]);
    // Whoever went elsewhere stays there.
    assert_eq!(owners(&world, &flow(100, 1_000)).len(), 1);
    assert_ne!(owners(&world, &flow(100, 1_000))[0].0, "c");
    (6..32).for_each(|number| assert_eq!(owners(&world, &flow(number, 1_000)), [("c", "established")], "{number}"));
    world.check_books();
}

#[test]
fn the_last_places_are_left_to_those_that_may_still_be_answered() {
    let mut world = world(32, 0);
    (0..30).for_each(|number| connects(&mut world, number, 1_000));
    for number in [40, 41, 42] {
        sends(&mut world, number, 1_000, SYN);
    }
    assert_eq!(world.drops(DropReason::MarkerSessionsFull), 1, "the third finds no room");
    for number in [40, 41] {
        connects(&mut world, number, 1_000);
        assert_eq!(owners(&world, &flow(number, 1_000)), [("c", "established")], "{number}");
    }
    world.check_books();
}

#[test]
fn where_all_nodes_are_full_a_new_stream_is_refused_and_no_other_is_harmed() {
    let mut world = full_of_connections(16);
    for number in 0..60 {
        connects(&mut world, 20 + number, 1_000);
        connects(&mut world, 20 + number, 1_000);
    }
    let full = |name: &str| world.member(name).node.membership().candidates().iter().all(|c| c.is_full);
    assert!(full("a") && full("b") && full("c"));
    let refused = world.drops(DropReason::NodesFull);
    assert!(refused > 0);
    connects(&mut world, 140, 1_000);
    assert!(world.drops(DropReason::NodesFull) > refused);
    assert_eq!(owners(&world, &flow(140, 1_000)), []);
    assert_eq!(evicted(&world, Class::Established), 0);
    (0..16).for_each(|number| assert_eq!(owners(&world, &flow(number, 1_000)), [("c", "established")], "{number}"));
    world.check_books();
    world.run(Duration::from_secs(70));
    assert_eq!(world.members.iter().map(|m| m.node.all_rows().count()).sum::<usize>(), 0, "all of it ends");
}

#[test]
fn only_who_was_chosen_declines_a_stream_that_nobody_has() {
    let mut world = world(64, 0);
    connects(&mut world, 1, 1_000);
    let arrival = flow(1, 1_000);
    for from in ["b", "c"] {
        let before = world.member("a").out.ledger.messages_stale;
        world.say(from, "a", Message::Decline(Decline { arrival }));
        assert_eq!(world.member("a").out.ledger.messages_stale, before + 1, "{from}");
    }
    sends(&mut world, 1, 1_000, Segment { payload: b"x", ..ACK });
    assert_eq!(owners(&world, &arrival), [("c", "established")]);
    assert_eq!(world.member("c").node.markers().len(), 1);
}

#[test]
fn streams_that_push_each_other_out_within_one_batch_come_to_an_end() {
    let mut world = world(8, 0);
    for number in 0..60 {
        let [there, _] = ips(FORGED + number);
        world.host_begins_to_send_frame(FIRST, &frames::udp(there, (1_000, 53), b"a datagram"));
    }
    world.settle();
    assert!(world.drops(DropReason::Evicted) > 0);
    assert_eq!(world.member("c").node.room().len(Class::OneWay), 4);
    assert_eq!(world.member("c").plugins.seen.values().sum::<u64>(), 60, "nothing is inspected twice");
    world.check_books();
}

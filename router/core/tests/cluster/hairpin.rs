//! Streams that come and leave by one interface: hosts behind a second router on the clients' network. Both of a stream's keys
//! are the same redirector's.

use std::time::Duration;

use herald_core::event::{DropReason, Event, Step};
use herald_core::flow::FlowKey;
use herald_core::forward::ReversePath;
use herald_core::id::Interface;
use herald_core::membership::Service;
use herald_core::mesh::Message;
use herald_core::node::Redirecting;
use herald_core::packet::{Content, Frame, Packet, Transport};
use herald_core::redirector::choice::Keying;
use herald_core::session::{Kind, Midstream};
use herald_testing::frames::{self, ACK, SYN, SYN_ACK, Segment};
use herald_testing::layout::{HOST, host_mac, named, v4, virtual_macs};

use crate::world::*;

const FIRST: Interface = Interface::First;

/// An end of the streams, by MAC and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Behind,
}

fn opener(end: End, port: u16) -> FlowKey {
    let (client, behind) = ((v4(FIRST, HOST).into(), port), (BEHIND.into(), 80));
    match end {
        End::Client => FlowKey::new(FIRST, 6, client, behind),
        End::Behind => FlowKey::new(FIRST, 6, behind, client),
    }
}

/// One end says a segment of the stream with the client's `port`, through the cluster.
fn says(world: &mut World, end: End, port: u16, segment: Segment<'_>) {
    let bytes = frame_of(end, port, segment);
    world.host_sends_frame(FIRST, &bytes);
}

fn frame_of(end: End, port: u16, segment: Segment<'_>) -> Vec<u8> {
    let [cluster, _] = virtual_macs(FIRST);
    let client = v4(FIRST, HOST);
    match end {
        End::Client => frames::tcp(frames::ip([host_mac(FIRST).0, cluster.0], client, BEHIND, 64), (port, 80), segment),
        End::Behind => frames::tcp(frames::ip([GATEWAY.0, cluster.0], BEHIND, client, 64), (80, port), segment),
    }
}

/// Opens connections from an end; the port and the chosen node of each.
fn open(world: &mut World, end: End, ports: std::ops::Range<u16>) -> Vec<(u16, &'static str)> {
    let other = if end == End::Client { End::Behind } else { End::Client };
    ports
        .map(|port| {
            says(world, end, port, SYN);
            says(world, other, port, SYN_ACK);
            says(world, end, port, ACK);
            let seen = world.inspectors(&opener(end, port));
            let [(chosen, 3)] = seen[..] else { panic!("{end:?} {port}: {seen:?}") };
            (port, chosen)
        })
        .collect()
}

/// Sends a segment each way; true if both arrived.
fn talks(world: &mut World, port: u16) -> bool {
    let before = (world.at_client.len(), world.at_gateway.len());
    says(world, End::Client, port, Segment { payload: b"x", ..ACK });
    world.run(Duration::from_millis(60));
    says(world, End::Behind, port, Segment { flags: 16, sequence: 501, acknowledgement: 102, payload: b"y" });
    world.run(Duration::from_millis(60));
    (world.at_client.len(), world.at_gateway.len()) == (before.0 + 1, before.1 + 1)
}

fn states(world: &World) -> Vec<(Kind, &'static str)> {
    world.members.iter().flat_map(|m| m.node.all_rows()).map(|row| (row.kind, row.state)).collect()
}

#[test]
fn both_directions_pass_the_chosen_node_whoever_holds_and_however_it_is_redirected() {
    for redirecting in [Redirecting::Ethernet, Redirecting::Mesh] {
        for keying in [Keying::PerInterface, Keying::Shared] {
            for holders in [["a", "b"], ["a", "a"]] {
                let choices = Choices { holders: Some(holders), keying, redirecting, ..Choices::default() };
                let mut world = World::new(&choices);
                let chosen = [(End::Client, 41_000), (End::Behind, 42_000)]
                    .map(|(end, port)| open(&mut world, end, port..port + 20))
                    .concat();
                for name in ["a", "b", "c"] {
                    let streams = chosen.iter().filter(|(_, by)| *by == name);
                    assert!(streams.count() > 3, "{name}, the holder among them, is chosen, too");
                }
                // Each packet came out once, from the chosen node's MAC, its TTL less one.
                assert_eq!((world.at_gateway.len(), world.at_client.len()), (60, 60));
                let ttl = |bytes: &Vec<u8>| tcp_of(bytes).unwrap().1;
                assert!(world.at_gateway.iter().chain(&world.at_client).all(|bytes| ttl(bytes) == 63));
                assert_eq!(world.drops(DropReason::SameInterface), 0);
                let redirector = world.member("a").node.redirector();
                assert_eq!(redirector.sessions(FIRST), 80, "both keys of each stream");
                world.check_books();
            }
        }
    }
}

#[test]
fn the_steps_are_told_and_the_holder_is_waited_for() {
    let mut world = World::new(&Choices::default());
    let streams = open(&mut world, End::Client, 41_000..41_020);
    let steps = |name: &str, port: u16| -> Vec<Step> {
        let stream = opener(End::Client, port).stream();
        let step = |event: &Event| {
            let Event::Step { step, flow, .. } = event else { return None };
            (flow.stream() == stream).then_some(*step)
        };
        world.member(name).events.iter().filter_map(step).collect()
    };
    let port_of = |name| streams.iter().find(|(_, chosen)| *chosen == name).unwrap().0;
    use Step::{M1, M2, M3, M4, M5, M6, M7, M8, M9, M10, M11, M12};
    assert_eq!(steps("c", port_of("c")), [M4, M5, M6, M8, M12]);
    assert_eq!(steps("a", port_of("c")), [M1, M2, M3, M7, M9, M10, M11]);
    assert_eq!(steps("a", port_of("a")), [M1, M2, M4, M5, M6, M7, M8, M9, M10, M12]);
    assert_eq!(steps("b", port_of("a")), []);
}

#[test]
fn streams_opened_from_both_ends_at_once_are_one() {
    let mut world = World::new(&Choices::default());
    for port in 41_000..41_030 {
        for end in [End::Client, End::Behind] {
            world.host_begins_to_send_frame(FIRST, &frame_of(end, port, SYN));
        }
        world.settle();
        for end in [End::Client, End::Behind] {
            says(&mut world, end, port, Segment { flags: 18, sequence: 100, acknowledgement: 101, payload: &[] });
            says(&mut world, end, port, ACK);
        }
        let seen = world.inspectors(&opener(End::Client, port));
        assert_eq!(seen.len(), 1, "{port}: {seen:?}");
    }
    assert_eq!((world.at_gateway.len(), world.at_client.len()), (90, 90));
    world.check_books();
}

#[test]
fn the_streams_of_a_dead_holder_go_on_at_their_chosen_nodes() {
    let mut world = World::new(&Choices { holders: None, ..Choices::default() });
    let streams = open(&mut world, End::Client, 41_000..41_040);
    world.crash("a");
    world.run(Duration::from_millis(600));
    for (port, chosen) in streams {
        assert_eq!(talks(&mut world, port), chosen != "a", "{port} of {chosen}");
    }
    world.check_books();
}

#[test]
fn a_dead_chosen_node_touches_its_own_streams_which_are_taken_up_in_both_directions() {
    for dead in ["a", "c"] {
        let choices = Choices { holders: None, midstream: Midstream::PickUp, ..Choices::default() };
        let mut world = World::new(&choices);
        let streams = open(&mut world, End::Client, 41_000..41_040);
        world.crash(dead);
        world.run(Duration::from_millis(600));
        for (port, chosen) in streams {
            assert!(talks(&mut world, port), "{port} of {chosen}");
            let seen = world.inspectors(&opener(End::Client, port));
            let now: Vec<_> = seen.iter().filter(|(name, _)| *name != dead).collect();
            assert_eq!(now.len(), 1, "one node has it: {seen:?}");
            assert!(chosen == dead || now[0].0 == chosen, "{seen:?}");
        }
        world.check_books();
    }
}

#[test]
fn a_drained_node_gives_its_streams_away_and_loses_nothing() {
    for drained in ["a", "c"] {
        let mut world = World::new(&Choices { holders: None, ..Choices::default() });
        let streams = open(&mut world, End::Client, 41_000..41_040);
        world.serve(drained, Service::Draining);
        world.run(Duration::from_secs(2));
        assert_eq!(world.remaining(drained), (0, 0), "{drained}");
        for (port, _) in streams {
            assert!(talks(&mut world, port), "{port}");
        }
        world.check_books();
    }
}

#[test]
fn comparing_sessions_finds_nothing_to_mend() {
    let mut world = World::new(&Choices { holders: None, ..Choices::default() });
    open(&mut world, End::Client, 41_000..41_040);
    world.lost = |to, message| {
        let sent = to == named("b") && matches!(message, Message::Refresh(_));
        assert!(!sent, "every stream was announced to the standby already");
        false
    };
    world.run(Duration::from_secs(1));
    world.crash("a");
    world.run(Duration::from_millis(600));
    let in_sync = |event: &&Event| matches!(event, Event::InSync { interface: FIRST });
    assert!(world.member("b").events.iter().filter(in_sync).count() > 0);
    let mended = |event: &&Event| matches!(event, Event::Mended { .. });
    assert_eq!(world.members.iter().flat_map(|m| &m.events).filter(mended).count(), 0);
}

#[test]
fn what_passes_in_one_direction_only_is_not_cut_off() {
    let mut world = World::new(&Choices::default());
    // The client's answers go straight to the second router.
    says(&mut world, End::Behind, 41_000, SYN);
    for _ in 0..3 {
        says(&mut world, End::Behind, 41_000, ACK);
    }
    // The first that the cluster sees of this one is the answer.
    says(&mut world, End::Behind, 41_001, SYN_ACK);
    for _ in 0..3 {
        says(
            &mut world,
            End::Behind,
            41_001,
            Segment { flags: 16, sequence: 501, acknowledgement: 101, payload: b"x" },
        );
    }
    world.run(Duration::from_millis(60));
    assert_eq!(world.at_client.len(), 8, "drops: {:?}", world.member("a").out.drops().collect::<Vec<_>>());
    let markers =
        |world: &World| states(world).into_iter().filter(|(kind, _)| *kind == Kind::Marker).collect::<Vec<_>>();
    assert_eq!(markers(&world), [(Kind::Marker, "one-way"); 2]);
    // They may be silent for as long as an established connection.
    world.run(Duration::from_secs(50));
    assert_eq!(markers(&world).len(), 2);
    // The same without a way back to the network of arrival is nobody's connection.
    world.host_sends(FIRST, 41_002, 80, SYN_ACK);
    world.run(Duration::from_millis(60));
    assert_eq!(world.drops(DropReason::MidStream), 1);
    world.check_books();
}

#[test]
fn a_source_without_a_route_begins_no_stream() {
    let stranger = std::net::Ipv4Addr::new(203, 0, 113, 9);
    let server = v4(Interface::Second, HOST);
    for (reverse_path, behind_passes, stranger_passes) in
        [(ReversePath::Off, true, true), (ReversePath::Loose, true, false), (ReversePath::Strict, false, false)]
    {
        let mut world = World::new(&Choices { reverse_path, ..Choices::default() });
        // The second router's hosts are on the first network; what comes from them on the second one has another way back.
        for (interface, source, destination, passes) in [
            (Interface::Second, BEHIND, v4(FIRST, HOST), behind_passes),
            (FIRST, stranger, server, stranger_passes),
            (FIRST, BEHIND, server, true),
        ] {
            let [cluster, _] = virtual_macs(interface);
            let ip = frames::ip([host_mac(interface).0, cluster.0], source, destination, 64);
            let (client, server, dropped) =
                (world.at_client.len(), world.at_server.len(), world.drops(DropReason::ReversePath));
            world.host_sends_frame(interface, &frames::udp(ip, (4000, 53), b"x"));
            world.run(Duration::from_millis(60));
            let arrived = world.at_client.len() + world.at_server.len() - client - server;
            assert_eq!(arrived, usize::from(passes), "{reverse_path:?}, {source} at {interface}");
            assert_eq!(world.drops(DropReason::ReversePath) - dropped, u64::from(!passes));
        }
        world.check_books();
    }
}

#[test]
fn a_host_is_told_of_the_shorter_way_only_if_that_is_wanted() {
    for icmp_redirects in [true, false] {
        let mut world = World::new(&Choices { icmp_redirects, ..Choices::default() });
        says(&mut world, End::Client, 41_000, SYN);
        says(&mut world, End::Client, 41_000, ACK);
        world.run(Duration::from_millis(60));
        assert_eq!(world.at_gateway.len(), 2, "it goes there all the same");
        let redirects: Vec<_> = (world.at_client.iter())
            .filter_map(|bytes| {
                let frame = Frame::from_bytes(bytes);
                let Content::Ip(headers) = Packet::parse(&frame).ok()?.content else { return None };
                let at = usize::from(headers.transport_at);
                (headers.transport == Transport::Other).then(|| (headers.source, bytes[at..at + 8].to_vec()))
            })
            .collect();
        if !icmp_redirects {
            assert!(redirects.is_empty());
            continue;
        }
        let [(source, message)] = &redirects[..] else { panic!("{redirects:?}") };
        assert_eq!(*source, std::net::IpAddr::from(v4(FIRST, 1)), "hosts take it from their gateway alone");
        assert_eq!((&message[..2], &message[4..]), (&[5, 1][..], &[10, 1, 0, 254][..]));
        // To a network of the other interface there is no shorter way.
        world.host_sends(FIRST, 41_001, 80, SYN);
        assert_eq!(world.at_client.len(), 1);
    }
}

#[test]
fn with_traffic_stopped_everything_ends() {
    let mut world = World::new(&Choices::default());
    open(&mut world, End::Client, 41_000..41_010);
    world.run(Duration::from_secs(70));
    assert_eq!(states(&world), []);
    world.check_books();
}

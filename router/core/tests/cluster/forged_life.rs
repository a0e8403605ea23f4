//! A host that makes the dead seem to live: who is left takes their roles and their streams as if it were not there.

use std::time::Duration;

use herald_core::event::{DropReason, Event};
use herald_core::id::Interface;
use herald_core::membership::MemberState;
use herald_core::packet::Frame;
use herald_core::packet::probe::{Probe, TAG_LEN, Word};
use herald_core::packet::vrrp::Advert;
use herald_core::redirector::choice::Redirectors;
use herald_testing::frames;
use herald_testing::layout::{CLUSTER, named, net, node_addresses, node_mac, place_of, v4, virtual_macs};

use crate::opener;
use crate::world::*;

const ADVERT_INTERVAL: Duration = Duration::from_millis(100);

fn elected() -> Choices {
    Choices { holders: None, redirectors: Redirectors::LastResort, ..Choices::default() }
}

/// For so long a host forges the lives of these nodes on both networks: their adverts, ARP from their MACs, and answers to
/// their last challenges with the tags of others.
fn forge(world: &mut World, dead: &[&str], time: Duration) {
    let end = world.now + time;
    while world.now < end {
        let before = world.wire.len();
        world.run(Duration::from_millis(10));
        let places = || dead.iter().map(|name| place_of(named(name)));
        let mut forged = Vec::new();
        for interface in Interface::BOTH {
            for place in places() {
                let (mac, address) = (node_mac(interface, place), v4(interface, 11 + u8::try_from(place).unwrap()));
                forged.push((interface, frames::arp([0xff; 6], 1, (mac.0, address), ([0; 6], v4(interface, 77)))));
                let advert = Advert {
                    vrid: net(interface),
                    priority: 255,
                    centiseconds: 10,
                    addresses: vec![v4(interface, CLUSTER).into()],
                };
                let frame = advert.frame(virtual_macs(interface)[0], node_addresses(interface, place)[0]).unwrap();
                forged.push((interface, frame.bytes().to_vec()));
            }
        }
        for seen in &world.wire[before..] {
            let Ok((to, from, probe)) = Probe::parse(&Frame::from_bytes(&seen.bytes)) else { continue };
            if probe.word == Word::Challenge && places().any(|place| node_mac(seen.interface, place) == to) {
                for (word, tag) in [(Word::Holds, probe.tag), (Word::HoldsNot, probe.tag), (Word::Holds, [0; TAG_LEN])]
                {
                    let answer = Probe { word, nonce: probe.nonce, tag }.frame(from, to);
                    forged.push((seen.interface, answer.bytes().to_vec()));
                }
            }
        }
        forged.iter().for_each(|(interface, bytes)| world.host_sends_frame(*interface, bytes));
    }
    // A forged virtual MAC leads frames away until the holder's next advert, as of any router.
    world.run(ADVERT_INTERVAL * 2);
}

#[test]
fn a_stopped_nodes_roles_and_streams_move_although_a_host_forges_its_life() {
    for stopped in ["a", "b", "c"] {
        let mut world = World::new(&elected());
        let first = Interface::First;
        world.host_sends_udp(first, 5_353, 53);
        assert_eq!(world.inspectors(&opener_udp(5_353)), [("c", 1)]);
        world.paused = Some(stopped);
        forge(&mut world, &[stopped], Duration::from_millis(700));
        for name in ["a", "b", "c"].into_iter().filter(|name| *name != stopped) {
            let membership = world.member(name).node.membership();
            assert_eq!(
                membership.member(named(stopped)).unwrap().state,
                MemberState::Dead,
                "{stopped} as {name} sees it"
            );
            let holders = Interface::BOTH.map(|interface| membership.holder(interface));
            assert!(holders.iter().all(|holder| holder.is_some_and(|node| node != named(stopped))), "{holders:?}");
        }
        let before = world.at_server.len();
        world.host_sends_udp(first, 5_353, 53);
        world.run(Duration::from_millis(60));
        assert_eq!(world.at_server.len(), before + 1, "without {stopped}");
        let living = ["a", "b", "c"].into_iter().find(|name| *name != stopped).unwrap();
        let drops: Vec<_> = world.member(living).out.drops().collect();
        for reason in [DropReason::VrrpUnproven, DropReason::ProbeUnproven] {
            assert!(drops.iter().any(|(dropped, count)| *dropped == reason && *count > 10), "{reason:?}: {drops:?}");
        }
        world.check_books();
    }
}

#[test]
fn who_is_left_alone_is_on_no_smaller_side_although_a_host_forges_the_others_lives() {
    let mut world = World::new(&elected());
    world.crash("b");
    world.crash("c");
    forge(&mut world, &["b", "c"], Duration::from_secs(3));
    assert!(!world.member("a").events.iter().any(|event| matches!(event, Event::MemberCut { .. })));
    let membership = world.member("a").node.membership();
    assert!(Interface::BOTH.into_iter().all(|interface| membership.holds(interface)));
    let before = world.at_server.len();
    world.host_sends_udp(Interface::First, 5_353, 53);
    world.run(Duration::from_millis(60));
    assert_eq!(world.at_server.len(), before + 1);
    world.check_books();
}

fn opener_udp(port: u16) -> herald_core::flow::FlowKey {
    let tcp = opener(Interface::First, port);
    herald_core::flow::FlowKey::new(Interface::First, 17, (tcp.source().ip(), port), (tcp.destination().ip(), 53))
}

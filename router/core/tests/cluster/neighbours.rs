//! Hosts whose MACs change, and those who say it of others.

use std::time::Duration;

use herald_core::id::{Interface, Mac};
use herald_core::mesh::{Message, NeighbourChanged};
use herald_testing::frames;
use herald_testing::layout::{HOST, host_mac, named, v4};

use crate::open_until_chosen;
use crate::world::*;

const NEW: Mac = Mac([2, 0, 0, 0, 0, 0x65]);

/// Where each node sends what is for the host on the first network.
fn believed(world: &World) -> Vec<Option<Mac>> {
    let client = v4(Interface::First, HOST);
    let of = |member: &Member| {
        let rows = member.node.forward().neighbours();
        rows.iter().find(|row| row.address == client).and_then(|row| row.mac)
    };
    world.members.iter().map(of).collect()
}

/// Three nodes, each of which has sent something to the client.
fn acquainted() -> World {
    let mut world = World::new(&Choices::default());
    for chosen in ["a", "b", "c"] {
        let port = open_until_chosen(&mut world, Interface::First, chosen);
        world.host_sends(Interface::Second, 80, port, frames::SYN_ACK);
    }
    assert_eq!(believed(&world), [Some(host_mac(Interface::First)); 3]);
    world
}

#[test]
fn every_node_knows_within_a_second_where_a_host_is_that_only_one_has_heard() {
    let client = v4(Interface::First, HOST);
    let gateway = v4(Interface::First, 1);
    let to_gateway = |to| frames::arp(to, 1, (NEW.0, client), ([0; 6], gateway));
    let new_stream = || {
        let ip = frames::ip([NEW.0, [0, 0, 0x5e, 0, 1, 1]], client, v4(Interface::Second, HOST), 64);
        frames::udp(ip, (5_000, 53), b"x")
    };
    for (name, said) in [
        ("asks its gateway, which is all that the network passes", to_gateway([0, 0, 0x5e, 0, 1, 1])),
        ("asks, and all hear it", to_gateway(Mac::BROADCAST.0)),
        ("asks somebody else", frames::arp(Mac::BROADCAST.0, 1, (NEW.0, client), ([0; 6], v4(Interface::First, 77)))),
        ("sends what begins a stream", new_stream()),
    ] {
        let mut world = acquainted();
        world.host_macs[Interface::First] = NEW;
        world.host_sends_frame(Interface::First, &said);
        world.run(Duration::from_secs(1));
        assert_eq!(believed(&world), [Some(NEW); 3], "{name}");
        world.check_books();
    }
}

#[test]
fn a_forged_request_leads_nothing_away() {
    let mut world = acquainted();
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(Interface::Second, 80, port, frames::SYN_ACK);
    let client = v4(Interface::First, HOST);
    let forged = frames::arp(Mac::BROADCAST.0, 1, (NEW.0, client), ([0; 6], v4(Interface::First, 13)));
    for _ in 0..50 {
        world.host_sends_frame(Interface::First, &forged);
        assert!(world.talks(port));
        world.run(Duration::from_millis(50));
        assert_eq!(believed(&world), [Some(host_mac(Interface::First)); 3]);
    }
    world.check_books();
}

#[test]
fn a_member_that_lies_of_a_neighbour_changes_nothing_and_a_stranger_is_not_heard() {
    let mut world = acquainted();
    let changed = |last| {
        let address = v4(Interface::First, last).into();
        Message::NeighbourChanged(NeighbourChanged { interface: Interface::First, address, mac: NEW })
    };
    let unauthorised = |world: &World| world.member("c").out.ledger.messages_unauthorised;
    let before = unauthorised(&world);
    world.say("b", "c", changed(HOST));
    world.run(Duration::from_secs(1));
    assert_eq!((believed(&world), unauthorised(&world)), (vec![Some(host_mac(Interface::First)); 3], before));
    world.say("b", "c", changed(1));
    assert_eq!(unauthorised(&world), before + 1, "the gateway's is the cluster's");
    assert!(world.member("c").node.membership().member(named("d")).is_none());
    world.say("d", "c", changed(HOST));
    assert_eq!(unauthorised(&world), before + 2, "d is no member");
    world.check_books();
}

//! Routers of others on the cluster's networks.

use std::net::{IpAddr, Ipv4Addr};

use super::super::*;
use super::world::*;
use crate::event::Event;
use crate::id::Mac;
use crate::limits::{FOREIGN_ROUTER_TIME, FOREIGN_ROUTERS_MAX};
use crate::packet::vrrp;

const VIRTUAL_MAC: Mac = Mac([0, 0, 0x5e, 0, 1, 1]);

fn foreigner(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 1, 0, last).into()
}

/// An advert for addresses of its own comes to node c.
fn advertises(world: &mut World, from: IpAddr, mac: Mac, vrid: u8) {
    let addresses = vec![Ipv4Addr::new(10, 1, 0, 250).into()];
    let advert = vrrp::Advert { vrid, priority: 77, centiseconds: 10, addresses };
    world.forge_frame(2, advert.frame(mac, from).unwrap()).unwrap();
}

fn told(world: &World) -> Vec<(IpAddr, Mac, u8)> {
    let of_foreign = |(_, event): &(usize, Event)| {
        let Event::ForeignRouter { interface: Interface::First, address, mac, vrid: 1, priority } = event else {
            return None;
        };
        Some((*address, *mac, *priority))
    };
    world.events.iter().filter_map(of_foreign).collect()
}

#[test]
fn a_foreign_router_is_named_once_in_each_outbreak() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let own_mac = Mac([2, 7, 7, 7, 7, 7]);
    for _ in 0..50 {
        advertises(&mut world, foreigner(200), VIRTUAL_MAC, 1);
        advertises(&mut world, foreigner(201), own_mac, 1);
        world.advance(ADVERT_INTERVAL);
    }
    let both = [(foreigner(200), VIRTUAL_MAC, 77), (foreigner(201), own_mac, 77)];
    assert_eq!(told(&world), both);
    let now = world.now;
    let known: Vec<_> = world.membership(2).foreign_routers(now).map(|r| (r.address, r.mac, r.priority)).collect();
    assert_eq!(known, both);
    world.advance(FOREIGN_ROUTER_TIME);
    assert_eq!(world.membership(2).foreign_routers(world.now).count(), 0, "it is gone");
    advertises(&mut world, foreigner(200), VIRTUAL_MAC, 1);
    assert_eq!(told(&world).len(), 3);
    world.assert_holders(0, 1);
}

#[test]
fn members_other_virtual_routers_and_peers_not_met_yet_are_no_foreign_routers() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    for index in 0..3 {
        advertises(&mut world, address(index, Interface::First), VIRTUAL_MAC, 1);
    }
    advertises(&mut world, foreigner(200), Mac([2, 7, 7, 7, 7, 7]), 9);
    assert_eq!(told(&world), []);
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(2);
    advertises(&mut world, foreigner(200), VIRTUAL_MAC, 1);
    assert_eq!(told(&world), []);
}

#[test]
fn forged_sources_take_a_bounded_place() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    for last in 100..200 {
        advertises(&mut world, foreigner(last), VIRTUAL_MAC, 1);
    }
    assert_eq!(told(&world).len(), FOREIGN_ROUTERS_MAX);
}

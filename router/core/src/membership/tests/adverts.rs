//! Adverts: what is written and heard, what their absence means, and forged ones.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::event::{DropReason, Event};
use crate::id::Mac;
use crate::limits::START_DEFERRED_MAX;
use crate::packet::vrrp;

#[test]
fn the_holder_advertises_both_families_in_its_interval_and_nobody_else_does() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let from = world.now;
    world.advance(ADVERT_INTERVAL * 10);
    for (interface, holder) in Interface::BOTH.into_iter().zip([0, 1]) {
        let sent = adverts(&world, from, interface);
        assert_eq!(sent.len(), 20, "{interface}: {sent:?}");
        assert!(sent.iter().all(|advert| *advert == (holder, 200)), "{interface}: {sent:?}");
    }
    let counts = world.membership(0).advert_counts(Interface::First);
    assert!(counts.sent > 20 && counts.heard == 0);
    assert!(world.membership(2).advert_counts(Interface::First).heard > 20);
}

#[test]
fn a_holder_that_stops_hands_over_at_once_by_priority_0() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let from = world.now;
    world.call(0, Membership::stop);
    assert_eq!(adverts(&world, from, Interface::First), [(0, 0), (0, 0)]);
    assert_eq!(adverts(&world, from, Interface::Second), []);
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
}

#[test]
fn a_draining_holder_hands_over_once_its_successor_is_in_sync() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.call(1, |membership, now, out| membership.sync_changed(now, Interface::First, Sync::Incomplete, out));
    world.advance(LATENCY * 10);
    world.call(0, |membership, now, out| membership.service_changed(now, Service::Draining, out));
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(0, 1);
    world.call(1, |membership, now, out| membership.sync_changed(now, Interface::First, Sync::Complete, out));
    assert_eq!(world.holder_as_seen(1), Some(1));
    assert_eq!(world.holder_as_seen(0), Some(0), "it goes on until it hears of its successor");
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
}

#[test]
fn a_network_that_loses_multicast_alone_changes_no_role() {
    for centiseconds in [10, 3] {
        let mut world = World::empty(3, RolesMode::Priority);
        world.adverts.centiseconds = centiseconds;
        (0..3).for_each(|index| world.start(index));
        world.advance(CONVERGENCE_TIME);
        let taken = world.used.len();
        (0..3).for_each(|index| world.set_cables(index, Cable::Unicast));
        world.advance(Duration::from_secs(10));
        world.assert_holders(0, 1);
        assert_eq!(world.used.len(), taken, "adverts each {centiseconds} centiseconds: {:?}", world.used);
        let told = Event::AdvertsUnheard { interface: Interface::First, holder: name(0) };
        for index in [1, 2] {
            assert_eq!(world.events.iter().filter(|event| **event == (index, told)).count(), 1, "by {index}");
        }
        // A holder that dies is still missed in time.
        world.kill_silently(0);
        world.advance(Duration::from_millis(10) * u32::from(centiseconds) * 4 + LATENCY * 2);
        assert_eq!(world.holder_as_seen(1), Some(1), "adverts each {centiseconds} centiseconds");
    }
}

#[test]
fn proof_of_death_needs_a_lost_link_and_one_interval_without_an_advert() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let refused = |membership: &mut Membership, now, out: &mut Outbox| membership.peer_refused(now, name(0), out);
    world.call(1, refused);
    assert_eq!(world.state_of(1, 0), MemberState::Alive, "its link lives");
    world.kill(0);
    world.call(1, refused);
    assert_eq!(world.state_of(1, 0), MemberState::Dead);
    assert_eq!(world.holder_as_seen(1), Some(0), "its last advert is not old enough");
    world.advance(ADVERT_INTERVAL + LATENCY * 10);
    world.assert_holders(1, 1);
}

#[test]
fn a_holder_that_is_only_paused_is_succeeded_by_its_missing_adverts_and_does_not_act_afterwards() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let (from, pause) = (world.now, Duration::from_secs(2));
    world.nodes.get_mut(&0).unwrap().paused_until = from + pause + LATENCY;
    assert!(world.membership(0).may_emit(world.now, Interface::First));
    assert!(!world.membership(0).may_emit(world.now + ADVERT_INTERVAL * 3, Interface::First), "its lease");
    world.advance(TAKEOVER_TIME);
    assert_eq!((world.holder_as_seen(1), world.holder_as_seen(2)), (Some(1), Some(1)));
    world.advance(pause - TAKEOVER_TIME);
    let (resumed, now) = (world.now, world.now);
    // A frame is the first thing it sees, and no claim has come.
    world.call(0, |membership, _, out| {
        assert!(membership.is_lease_over(now));
        membership.deadline_reached(now, out);
        assert!(!membership.holds(Interface::First));
    });
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(1, 1);
    assert!(adverts(&world, resumed, Interface::First).iter().all(|(node, _)| *node == 1));
}

#[test]
fn a_short_pause_renews_the_lease_and_changes_no_role() {
    for phase in 0..10 {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME + LATENCY * 10 * phase);
        let until = world.now + ADVERT_INTERVAL * 2;
        world.nodes.get_mut(&0).unwrap().paused_until = until;
        assert!(!world.membership(0).may_emit(until, Interface::First), "its lease is over");
        world.advance(CONVERGENCE_TIME);
        world.assert_holders(0, 1);
        assert_eq!(world.used.len(), 2);
    }
}

/// A machine that stands still with all its nodes, or three that one hypervisor pauses.
#[test]
fn nobody_is_dead_after_a_pause_of_all() {
    for pause in [150, 250, 290, 310, 2000].map(Duration::from_millis) {
        for phase in 0..10 {
            let mut world = World::new(3);
            world.advance(CONVERGENCE_TIME + LATENCY * 10 * phase);
            let until = world.now + pause;
            world.nodes.values_mut().for_each(|node| node.paused_until = until);
            world.advance(CONVERGENCE_TIME);
            let dead = world.events.iter().filter(|(_, event)| matches!(event, Event::MemberDied { .. })).count();
            assert_eq!(dead, 0, "after {pause:?} in phase {phase}");
        }
    }
}

#[test]
fn a_holder_whose_cable_is_cut_is_succeeded_although_the_mesh_says_that_it_lives() {
    for cable in [Cable::Cut, Cable::Deaf, Cable::DeafToGroups, Cable::Unicast] {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME);
        world.cables.insert((0, Interface::First), cable);
        world.advance(CONVERGENCE_TIME);
        // What hosts send comes to no node that is deaf, although its adverts lead it there.
        world.assert_holders(1, 1);
        let candidates: Vec<_> = world.membership(2).candidates().iter().map(|c| c.node).collect();
        assert_eq!(candidates, [name(1), name(2)], "{cable:?}");
        for unheard in [true, false] {
            let told = Event::InterfaceUnheard { node: name(0), interface: Interface::First, unheard };
            let count = world.events.iter().filter(|event| **event == (2, told)).count();
            assert_eq!(count, usize::from(unheard), "{cable:?}");
        }
        world.heal();
        world.advance(CONVERGENCE_TIME);
        world.assert_converged();
        let used = world.used.len();
        world.advance(Duration::from_secs(10));
        assert_eq!(world.used.len(), used);
    }
}

#[test]
fn forged_adverts_change_nothing_and_have_their_reasons() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let stranger: IpAddr = Ipv4Addr::new(10, 1, 0, 66).into();
    assert_eq!(world.forge(2, stranger, 255), Some(DropReason::VrrpStranger));
    assert_eq!(world.forge(2, address(2, Interface::First), 255), Some(DropReason::VrrpStranger), "its own address");
    assert_eq!(world.forge(2, address(1, Interface::First), 255), Some(DropReason::VrrpContradicts));
    assert_eq!(world.forge(2, address(0, Interface::First), 0), Some(DropReason::VrrpContradicts), "it says it holds");
    assert_eq!(world.forge(0, address(1, Interface::First), 255), Some(DropReason::VrrpContradicts), "to the holder");
    let advert = |vrid, to: IpAddr| vrrp::Advert { vrid, priority: 255, centiseconds: 10, addresses: vec![to] };
    let holder = address(0, Interface::First);
    let mac = Mac([0, 0, 0x5e, 0, 1, 1]);
    let wrong = [
        (advert(2, virtual_address(Interface::First)).frame(mac, holder), DropReason::VrrpVrid),
        (advert(1, virtual_address(Interface::Second)).frame(mac, holder), DropReason::VrrpAddresses),
        (advert(1, virtual_address(Interface::First)).frame(Mac([2; 6]), holder), DropReason::VrrpStranger),
    ];
    for (frame, reason) in wrong {
        assert_eq!(world.forge_frame(2, frame.unwrap()), Some(reason));
    }
    assert_eq!(world.forge(2, holder, 200), None, "that is what the holder says itself");
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(0, 1);
    assert_eq!(world.used.len(), 2);
}

#[test]
fn a_holder_answers_an_advert_of_a_member_at_once_but_not_every_one() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let interface = Interface::First;
    let virtual_mac = Mac([0, 0, 0x5e, 0, 2, 1]);
    let (vrid, source) = (1, mac(1, interface).link_local().into());
    let advert =
        vrrp::Advert { vrid, priority: 99, centiseconds: 10, addresses: vec![virtual_mac.link_local().into()] };
    let answers = |world: &mut World| {
        let from = world.now;
        let frame = advert.frame(virtual_mac, source).unwrap();
        assert_eq!(world.forge_frame(0, frame), Some(DropReason::VrrpContradicts));
        adverts(world, from, interface).iter().filter(|(node, _)| *node == 0).count()
    };
    // Off the beat of its own adverts.
    world.advance(ADVERT_INTERVAL / 2);
    assert_eq!(answers(&mut world), 2, "of both families");
    world.advance(ADVERT_INTERVAL / 4);
    assert_eq!(answers(&mut world), 0);
    world.advance(ADVERT_INTERVAL + ADVERT_INTERVAL / 4);
    assert_eq!(answers(&mut world), 2);
}

#[test]
fn a_starting_node_that_hears_a_holder_beyond_the_mesh_takes_no_role() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(1);
    for _ in 0..50 {
        world.advance(ADVERT_INTERVAL);
        assert_eq!(world.forge(1, address(0, Interface::First), 200), Some(DropReason::VrrpStranger));
    }
    assert_eq!(world.holder_as_seen(1), None);
    world.advance(START_TIME_MAX + LATENCY);
    world.assert_holders(1, 1);
}

#[test]
fn a_stranger_that_never_ceases_to_advertise_does_not_hold_a_starting_node_back_for_ever() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(1);
    let from = world.now;
    while world.now.since(from) < START_DEFERRED_MAX {
        assert_eq!(world.holder_as_seen(1), None);
        world.forge(1, address(0, Interface::First), 200);
        world.advance(ADVERT_INTERVAL);
    }
    world.assert_holders(1, 1);
}

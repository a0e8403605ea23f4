//! Who takes a role, keeps it and gives it up.

use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::event::Event;
use crate::limits::STEADY_TIME;
use crate::mesh::{Claim, Message};

#[test]
fn clusters_of_every_size_start_with_one_holder_each_and_keep_it() {
    for count in 1..=5 {
        let mut world = World::new(count);
        world.advance(LATENCY * 10);
        world.assert_holders(0, 1 % count);
        world.assert_converged();
        world.advance(Duration::from_secs(10));
        world.assert_holders(0, 1 % count);
        assert_eq!(world.used.len(), 2, "no role has changed hands: {:?}", world.used);
    }
}

#[test]
fn a_node_alone_waits_three_detection_times_for_its_peers() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(2);
    world.advance(START_TIME_MAX - LATENCY);
    assert_eq!(world.membership(2).holder(Interface::First), None);
    assert!(world.membership(2).candidates().is_empty());
    world.advance(LATENCY * 2);
    world.assert_holders(2, 2);
    let candidate = Candidate { node: name(2), weight: 100, is_holder: true, is_full: false };
    assert_eq!(world.membership(2).candidates(), [candidate]);
}

#[test]
fn a_dead_holder_is_succeeded_within_the_detection_time_in_a_higher_epoch() {
    for how in [World::kill, World::kill_silently] {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME);
        let before = world.counter(2, Interface::First);
        how(&mut world, 0);
        world.advance(TAKEOVER_TIME);
        world.assert_holders(1, 1);
        assert!(world.counter(2, Interface::First) > before);
        let died = Event::MemberDied { node: name(0) };
        assert!([1, 2].iter().all(|index| world.events.contains(&(*index, died))));
        assert_eq!(world.membership(2).member(name(0)).unwrap().state, MemberState::Dead);
        assert_eq!(world.membership(2).mac(name(0), Interface::First), Some(mac(0, Interface::First)));
    }
}

#[test]
fn the_previous_holder_is_named_for_one_detection_time() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.kill(0);
    while world.membership(2).holder(Interface::First) != Some(name(1)) {
        world.advance(LATENCY);
    }
    let previous = |world: &World| world.membership(2).previous_holder(world.now, Interface::First);
    assert_eq!(previous(&world), Some(name(0)));
    assert_eq!(world.membership(2).previous_holder(world.now, Interface::Second), None);
    world.advance(DETECTION_TIME);
    assert_eq!(previous(&world), None);
}

#[test]
fn a_higher_priority_that_returns_takes_its_role_back_only_if_it_may_preempt() {
    let delay = Duration::from_secs(1);
    for (preemption, holder) in [(Preemption::Never, 1), (Preemption::After(delay), 0)] {
        let mut world = World::empty(3, RolesMode::Priority);
        world.adverts.preemption = preemption;
        (0..3).for_each(|index| world.start(index));
        world.advance(CONVERGENCE_TIME);
        world.kill(0);
        world.advance(CONVERGENCE_TIME);
        let before = world.counter(2, Interface::First);
        world.start(0);
        world.advance(delay);
        world.assert_holders(1, 1);
        world.advance(LATENCY * 10);
        world.assert_holders(holder, 1);
        world.advance(Duration::from_secs(10));
        world.assert_holders(holder, 1);
        assert_eq!(world.counter(2, Interface::First), before + u64::from(holder == 0));
        assert_eq!(world.counter(2, Interface::Second), 1, "the other role is not touched");
    }
}

#[test]
fn a_node_that_stops_again_and_again_does_not_take_its_role_back_each_time() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(Duration::ZERO);
    (0..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    for _ in 0..10 {
        let now = world.now;
        world.nodes.get_mut(&0).unwrap().paused_until = now + TAKEOVER_TIME * 2;
        world.advance(TAKEOVER_TIME * 2 + STEADY_TIME / 2);
        world.assert_holders(1, 1);
        assert_eq!(world.counter(1, Interface::First), 2);
    }
    world.advance(STEADY_TIME);
    world.assert_holders(0, 1);
}

#[test]
fn a_member_beyond_the_mesh_that_drained_when_it_was_heard_last_keeps_its_role() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(Duration::ZERO);
    (0..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    let serve = |world: &mut World, index, service| {
        world.call(index, |membership, now, out| membership.service_changed(now, service, out));
        world.advance(CONVERGENCE_TIME);
    };
    serve(&mut world, 1, Service::Draining);
    serve(&mut world, 2, Service::Draining);
    world.set_wire(1, 2, Wire::Cut);
    world.advance(CONVERGENCE_TIME);
    serve(&mut world, 1, Service::Normal);
    serve(&mut world, 2, Service::Normal);
    world.assert_holders(0, 1);
    let used = world.used.len();
    world.advance(Duration::from_secs(10));
    assert_eq!(world.used.len(), used);
}

#[test]
fn who_is_not_heard_by_every_member_does_not_preempt() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(Duration::ZERO);
    (0..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    world.kill(0);
    world.advance(CONVERGENCE_TIME);
    world.cables.insert((1, Interface::First), Cable::Deaf);
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    // A member that just came counts as heard until the first probes must have come; then it does not.
    world.advance(Duration::from_secs(2));
    let used = world.used.len();
    world.advance(Duration::from_secs(10));
    assert_eq!(world.used.len(), used);
}

#[test]
fn who_has_no_link_to_the_holder_does_not_preempt() {
    let delay = CONVERGENCE_TIME * 2;
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(delay);
    (0..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    world.kill(0);
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    world.advance(CONVERGENCE_TIME);
    world.set_wire(0, 1, Wire::Cut);
    world.advance(delay * 2);
    world.assert_holders(1, 1);
    world.heal();
    world.advance(delay * 2);
    world.assert_holders(0, 1);
}

#[test]
fn a_holder_whose_interface_fails_gives_up_that_role_only() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let down = |membership: &mut Membership, now, out: &mut Outbox| {
        membership.interface_changed(now, Interface::First, InterfaceState::Down, out);
    };
    world.call(0, down);
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
    world.assert_converged();
    world.call(1, down);
    world.advance(LATENCY * 10);
    world.assert_holders(2, 1);
    world.call(0, |membership, now, out| {
        membership.interface_changed(now, Interface::First, InterfaceState::Up, out);
    });
    world.advance(LATENCY * 10);
    world.assert_holders(2, 1);
}

#[test]
fn static_roles_follow_the_configuration_and_the_life_of_the_named() {
    let roles = RolesMode::Static(PerInterface { first: Some(name(2)), second: Some(name(0)) });
    let mut world = World::with_roles(3, roles);
    world.advance(LATENCY * 10);
    world.assert_holders(2, 0);
    let epoch = world.membership(0).epoch(Interface::First);
    assert_eq!(epoch.map(|epoch| epoch.counter), Some(1));
    world.assert_candidates(1, [(0, true), (1, false), (2, true)]);
    world.kill(2);
    world.advance(TAKEOVER_TIME);
    assert_eq!(world.membership(0).holder(Interface::First), None);
    world.start(2);
    world.advance(LATENCY * 10);
    world.assert_holders(2, 0);
    assert_ne!(world.membership(0).epoch(Interface::First), epoch, "another boot has another epoch");
}

#[test]
fn a_joining_node_takes_no_role_before_it_is_in_sync() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(Duration::ZERO);
    (1..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    for interface in Interface::BOTH {
        world.call(0, |membership, now, out| membership.sync_changed(now, interface, Sync::Incomplete, out));
    }
    world.advance(CONVERGENCE_TIME);
    let in_sync = world.membership(1).member(name(0)).unwrap().in_sync;
    assert_eq!(world.membership(0).holds(Interface::First), in_sync, "it had said that it is in sync");
    let mut world = World::empty(2, RolesMode::Priority);
    world.start(1);
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(1, 1);
}

#[test]
fn a_member_speaks_only_for_itself_and_a_low_claim_is_answered() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let boot = world.membership(1).member(name(2)).unwrap().boot.unwrap();
    let claim = |node, boot, counter| Claim { interface: Interface::First, epoch: Epoch { counter, node, boot } };
    let (now, mut out) = (world.now, Outbox::default());
    let membership = &mut world.nodes.get_mut(&0).unwrap().membership;
    let counter = |membership: &Membership| membership.epoch(Interface::First).map(|epoch| epoch.counter);
    membership.claim_arrived(now, name(2), &claim(name(2), BootId(999), 9), &mut out);
    assert!(membership.holds(Interface::First) && counter(membership) == Some(1), "another boot's claim");
    membership.claim_arrived(now, name(2), &claim(name(2), boot, 0), &mut out);
    let epoch = membership.epoch(Interface::First).unwrap();
    assert_eq!(out.send, [(name(2), Message::Claim(Claim { interface: Interface::First, epoch }))]);
    assert_eq!(out.ledger.messages_stale, 1);
    membership.claim_arrived(now, name(2), &claim(name(3), BootId(3), 10), &mut out);
    assert!(membership.holder(Interface::First) == Some(name(3)), "a holder in a lower epoch is told of a higher one");
    membership.claim_arrived(now, name(2), &claim(name(2), boot, 20), &mut out);
    assert!(membership.holder(Interface::First) == Some(name(2)) && counter(membership) == Some(20), "a higher claim");
    membership.claim_arrived(now, name(2), &claim(name(3), BootId(3), 30), &mut out);
    assert!(membership.holder(Interface::First) == Some(name(2)), "who claims nothing is told nothing");
    assert_eq!(out.ledger.messages_unauthorised, 2);
}

#[test]
fn changes_are_told_once_and_macs_are_found() {
    let world = World::empty(3, RolesMode::Priority);
    let settings = Settings { peers: Vec::new(), ..world.settings(0, BootId(1)) };
    let (mut membership, mut out) = (Membership::new(world.now, settings), Outbox::default());
    assert!(membership.holds(Interface::First), "alone, it holds from the first moment");
    assert_eq!(membership.next_deadline(), world.now);
    membership.deadline_reached(world.now, &mut out);
    let changes: Vec<_> = std::iter::from_fn(|| membership.next_change()).collect();
    let [first, second] = Interface::BOTH.map(|interface| Change::HolderChanged { interface });
    assert_eq!(
        changes,
        [Change::CandidatesChanged, Change::Admitted, first, second],
        "who is chosen is known before all else"
    );
    assert_eq!(out.events.len(), 2);
    membership.deadline_reached(membership.next_deadline(), &mut out);
    assert_eq!(membership.next_change(), None);
    assert_eq!(membership.member_by_mac(Interface::First, mac(0, Interface::First)), Some(name(0)));
    assert_eq!(membership.member_by_mac(Interface::Second, mac(0, Interface::First)), None);
    assert_eq!(membership.mac(name(1), Interface::First), None);
}

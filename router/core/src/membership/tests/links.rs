//! Links that are lost, members that fall silent, a mesh that is cut.

use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::event::Event;
use crate::mesh::{Message, Padding};

#[test]
fn a_new_boot_ends_the_old_one_at_once() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.nodes.remove(&0);
    world.holding.retain(|(node, _), _| *node != 0);
    world.start(0);
    assert!(world.events.contains(&(1, Event::MemberDied { node: name(0) })));
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
    assert_eq!(world.counter(1, Interface::First), 2, "an epoch belongs to one boot");
}

#[test]
fn a_link_that_resets_makes_a_suspect_and_changes_no_epoch() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    for _ in 0..20 {
        world.set_wire(0, 1, Wire::Cut);
        assert_eq!(world.membership(1).member(name(0)).unwrap().state, MemberState::Suspect);
        world.advance(DETECTION_TIME / 2);
        world.set_wire(0, 1, Wire::Whole);
        assert_eq!(world.membership(1).member(name(0)).unwrap().state, MemberState::Alive);
        world.advance(DETECTION_TIME / 2);
    }
    assert_eq!(world.used.len(), 2);
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::MemberDied { .. })));
}

#[test]
fn a_permanent_cut_or_one_way_link_causes_no_endless_epochs() {
    for wire in [Wire::Cut, Wire::OneWay, Wire::Stalled] {
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let mut world = World::new(3);
            world.advance(CONVERGENCE_TIME);
            world.set_wire(one, other, wire);
            world.advance(CONVERGENCE_TIME);
            let settled = world.used.len();
            world.advance(Duration::from_secs(30));
            assert_eq!(world.used.len(), settled, "{wire:?} between {one} and {other}");
            for interface in Interface::BOTH {
                let holders = world.nodes.values().filter(|node| node.membership.holds(interface)).count();
                assert_eq!(holders, 1, "{wire:?} between {one} and {other}");
            }
            world.heal();
            world.advance(CONVERGENCE_TIME);
            world.assert_converged();
        }
    }
}

#[test]
fn both_halves_of_a_cluster_that_is_cut_everywhere_have_holders_and_agree_again_afterwards() {
    let mut world = World::new(5);
    world.advance(CONVERGENCE_TIME);
    [0, 1].into_iter().for_each(|index| world.set_cables(index, Cable::Cut));
    for (one, other) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
        world.set_wire(one, other, Wire::Cut);
    }
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.membership(1).holder(Interface::First), Some(name(0)));
    assert_eq!(world.membership(4).holder(Interface::First), Some(name(2)));
    for index in [0, 1] {
        assert_eq!(world.membership(index).member(name(3)).unwrap().state, MemberState::Dead);
    }
    world.heal();
    world.advance(CONVERGENCE_TIME);
    world.assert_converged();
}

#[test]
fn a_pause_of_this_node_is_no_death_of_the_others() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let now = world.now;
    world.nodes.get_mut(&2).unwrap().paused_until = now + DETECTION_TIME * 5;
    world.advance(DETECTION_TIME * 10);
    assert!(!world.events.iter().any(|(index, event)| *index == 2 && matches!(event, Event::MemberDied { .. })));
    world.assert_converged();
}

#[test]
fn the_smaller_side_of_a_cut_mesh_gives_up_its_roles_and_keeps_its_streams() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let from = world.now;
    world.set_wire(0, 1, Wire::Cut);
    world.set_wire(0, 2, Wire::Cut);
    world.advance(CONVERGENCE_TIME);
    assert_eq!((world.state_of(1, 0), world.state_of(0, 2)), (MemberState::Cut, MemberState::Cut));
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::MemberDied { .. })));
    assert!(adverts(&world, from, Interface::First).contains(&(0, 0)), "priority 0");
    assert_eq!([0, 1, 2].map(|index| world.holder_as_seen(index)), [None, Some(1), Some(1)]);
    assert_eq!(world.membership(0).cut_holder(world.now, Interface::First), Some(name(1)), "its frames are taken");
    assert!(world.membership(1).candidates().iter().all(|c| c.node != name(0)), "no new streams");
    let used = world.used.len();
    world.advance(Duration::from_secs(10));
    assert_eq!(world.used.len(), used);
    world.heal();
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(1, 1);
    world.assert_converged();
    assert_eq!(world.used.len(), used);
}

#[test]
fn of_equal_sides_the_one_with_the_lowest_id_keeps_the_roles() {
    for (count, cuts) in [(2, vec![(0, 1)]), (4, vec![(0, 2), (0, 3), (1, 2), (1, 3)])] {
        let mut world = World::new(count);
        world.advance(CONVERGENCE_TIME);
        cuts.iter().for_each(|(one, other)| world.set_wire(*one, *other, Wire::Cut));
        world.advance(CONVERGENCE_TIME);
        for interface in Interface::BOTH {
            let holders: Vec<_> = (0..count).filter(|index| world.membership(*index).holds(interface)).collect();
            assert!(holders.len() == 1 && holders[0] < count / 2, "{interface} of {count}: {holders:?}");
        }
        let used = world.used.len();
        world.advance(Duration::from_secs(10));
        assert_eq!(world.used.len(), used);
        world.heal();
        world.advance(CONVERGENCE_TIME);
        world.assert_converged();
    }
}

#[test]
fn a_cut_member_that_falls_silent_on_the_interfaces_too_is_dead() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.set_wire(0, 2, Wire::Cut);
    world.set_wire(1, 2, Wire::Cut);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.state_of(0, 2), MemberState::Cut);
    world.set_cables(2, Cable::Cut);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.state_of(0, 2), MemberState::Dead);
    assert!(world.events.contains(&(0, Event::MemberDied { node: name(2) })));
    world.set_cables(2, Cable::Whole);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.state_of(0, 2), MemberState::Cut, "it is heard again");
    world.heal();
    world.advance(CONVERGENCE_TIME);
    world.assert_converged();
}

#[test]
fn two_nodes_that_do_not_hear_each_other_leave_the_role_where_it_is() {
    let mut world = World::new(2);
    world.advance(CONVERGENCE_TIME);
    world.cables.insert((0, Interface::First), Cable::Cut);
    world.advance(Duration::from_secs(10));
    world.assert_holders(0, 1);
    assert_eq!(world.used.len(), 2);
    world.kill(0);
    world.advance(TAKEOVER_TIME);
    world.assert_holders(1, 1);
}

/// Two nodes joined by the mesh act for the same interface for no longer than the detection time (I5).
#[test]
fn two_holders_that_meet_on_the_mesh_are_one_within_the_detection_time() {
    let mut world = World::new(4);
    world.advance(CONVERGENCE_TIME);
    let cuts = [(0, 2), (0, 3), (1, 2), (1, 3)];
    [2, 3].into_iter().for_each(|index| world.set_cables(index, Cable::Cut));
    cuts.into_iter().for_each(|(one, other)| world.set_wire(one, other, Wire::Cut));
    world.advance(CONVERGENCE_TIME);
    let acting = |world: &World| (0..4).filter(|i| world.membership(*i).may_emit(world.now, Interface::First)).count();
    assert_eq!(acting(&world), 2, "each half has its own");
    cuts.into_iter().for_each(|(one, other)| world.set_wire(one, other, Wire::Whole));
    world.advance(DETECTION_TIME);
    assert_eq!(acting(&world), 1);
}

#[test]
fn a_long_heartbeat_goes_over_each_link_once_in_its_interval() {
    let mut world = World::new(2);
    world.advance(CONVERGENCE_TIME);
    let mut padded = 0;
    for _ in 0..60 {
        let (now, mut out) = (world.now, Outbox::default());
        world.nodes.get_mut(&0).unwrap().membership.deadline_reached(now, &mut out);
        let is_padded = |(_, message): &&(NodeId, Message)| matches!(message, Message::Heartbeat(heartbeat) if heartbeat.padding == Padding::whole());
        padded += out.send.iter().filter(is_padded).count();
        world.now = now + HEARTBEAT_INTERVAL / 2;
    }
    assert!((5..=6).contains(&padded), "{padded} in three seconds");
}

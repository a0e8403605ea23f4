//! Nodes that refuse each other, and nodes whose id is taken.

use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::limits::{APART_TIME, HEARTBEAT_INTERVAL, RECONNECT_DELAY_MAX, START_DEFERRED_MAX};
use crate::mesh::Side;

/// Node `c` or whichever starts is not linked with these: they refuse each other, and try again each second.
struct Refusals<'a>(&'a [(usize, usize)]);

impl Refusals<'_> {
    fn cut(&self, world: &mut World) {
        self.0.iter().for_each(|(one, other)| world.set_wire(*one, *other, Wire::Cut));
    }

    fn advance(&self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            for (one, other) in self.0.iter().copied() {
                if !world.nodes.contains_key(&one) || !world.nodes.contains_key(&other) {
                    continue;
                }
                for (at, from) in [(one, other), (other, one)] {
                    let apart = Apart::Configuration(world.membership(from).side());
                    world.call(at, |membership, now, out| membership.kept_apart(now, name(from), apart, out));
                }
            }
            world.advance(RECONNECT_DELAY_MAX);
        }
    }
}

fn held_by(world: &World, index: usize) -> usize {
    Interface::BOTH.into_iter().filter(|interface| world.membership(index).holds(*interface)).count()
}

#[test]
fn a_newcomer_with_another_configuration_takes_no_role_until_the_others_are_gone() {
    let refusals = Refusals(&[(0, 2), (1, 2)]);
    let mut world = World::empty(3, RolesMode::Priority);
    refusals.cut(&mut world);
    [0, 1].into_iter().for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    let used = world.used.len();
    world.start(2);
    let from = world.now;
    refusals.advance(&mut world, START_DEFERRED_MAX * 2);
    assert_eq!((held_by(&world, 2), world.used.len()), (0, used), "nobody took a role");
    assert!(adverts(&world, from, Interface::First).iter().all(|(node, _)| *node == 0));
    [0, 1].into_iter().for_each(|index| world.kill(index));
    world.advance(APART_TIME + CONVERGENCE_TIME);
    assert_eq!(held_by(&world, 2), 2, "nobody is left to refuse it");
}

#[test]
fn of_two_that_start_together_and_refuse_each_other_one_serves() {
    let refusals = Refusals(&[(0, 1)]);
    let mut world = World::empty(2, RolesMode::Priority);
    refusals.cut(&mut world);
    [0, 1].into_iter().for_each(|index| world.start(index));
    refusals.advance(&mut world, START_DEFERRED_MAX * 2);
    assert_eq!([0, 1].map(|index| held_by(&world, index)), [2, 0]);
}

#[test]
fn the_greater_part_serves_whatever_the_ids() {
    let refusals = Refusals(&[(0, 1), (0, 2)]);
    let mut world = World::empty(3, RolesMode::Priority);
    refusals.cut(&mut world);
    (0..3).for_each(|index| world.start(index));
    refusals.advance(&mut world, START_DEFERRED_MAX * 2);
    assert_eq!(held_by(&world, 0), 0);
    assert_eq!([1, 2].map(|index| held_by(&world, index)).iter().sum::<usize>(), 2);
}

#[test]
fn of_two_parts_that_both_served_before_they_met_the_greater_goes_on() {
    let refusals = Refusals(&[(0, 1), (0, 2)]);
    let mut world = World::empty(3, RolesMode::Priority);
    refusals.cut(&mut world);
    world.set_cables(0, Cable::Cut);
    (0..3).for_each(|index| world.start(index));
    world.advance(START_DEFERRED_MAX * 2);
    assert_eq!(held_by(&world, 0), 2, "it is alone");
    world.cables.clear();
    refusals.advance(&mut world, APART_TIME);
    assert_eq!(held_by(&world, 0), 0);
    assert_eq!([1, 2].map(|index| held_by(&world, index)).iter().sum::<usize>(), 2);
}

#[test]
fn members_that_come_back_with_another_configuration_are_not_taken_for_the_greater_part_of_a_cut_mesh() {
    let refusals = Refusals(&[(0, 1), (0, 2)]);
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    [1, 2].into_iter().for_each(|index| world.kill(index));
    refusals.cut(&mut world);
    world.advance(CONVERGENCE_TIME);
    [1, 2].into_iter().for_each(|index| world.start(index));
    for _ in 0..20 {
        refusals.advance(&mut world, RECONNECT_DELAY_MAX);
        // They live on the interfaces, too, and have the MACs of the members they once were.
        world.advance(HEARTBEAT_INTERVAL * 2);
        assert_eq!([0, 1, 2].map(|index| held_by(&world, index)), [2, 0, 0]);
        assert_eq!([1, 2].map(|index| world.state_of(0, index)), [MemberState::Dead; 2]);
    }
}

#[test]
fn a_refused_clone_with_another_configuration_does_not_touch_the_member_with_its_id() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let greater = Side { serves: true, nodes: 9 };
    for index in [0, 1] {
        let apart = Apart::Configuration(greater);
        world.call(index, |membership, now, out| membership.kept_apart(now, name(2), apart, out));
        assert_eq!(world.state_of(index, 2), MemberState::Alive);
    }
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(0, 1);
    world.assert_converged();
}

#[test]
fn both_ends_of_a_refusal_conclude_the_same() {
    let sides = [(false, 1), (false, 2), (true, 1), (true, 2)].map(|(serves, nodes)| Side { serves, nodes });
    assert!(sides.is_sorted(), "who serves goes on, then the greater part");
}

#[test]
fn a_node_whose_id_is_taken_is_silent_for_as_long_as_it_is() {
    let mut world = World::empty(2, RolesMode::Priority);
    world.set_wire(0, 1, Wire::Cut);
    world.start(1);
    let taken = |world: &mut World| {
        world.call(1, |membership, now, out| membership.kept_apart(now, name(0), Apart::IdTaken, out));
    };
    for _ in 0..30 {
        taken(&mut world);
        world.advance(RECONNECT_DELAY_MAX);
        assert!(!world.membership(1).is_admitted() && held_by(&world, 1) == 0);
        assert!(
            world.membership(1).is_lease_over(world.now),
            "what comes to it takes the way of one that is not admitted"
        );
    }
    assert!(world.wire.is_empty());
    world.advance(APART_TIME);
    assert!(world.membership(1).is_admitted() && held_by(&world, 1) == 2, "the other one is gone");
    taken(&mut world);
    assert_eq!(held_by(&world, 1), 2, "one that serves keeps its roles");
}

#[test]
fn a_node_is_admitted_by_its_first_link() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.set_wire(0, 2, Wire::Cut);
    world.start(0);
    assert!(!world.membership(0).is_admitted());
    world.start(1);
    assert!([0, 1].into_iter().all(|index| world.membership(index).is_admitted()));
}

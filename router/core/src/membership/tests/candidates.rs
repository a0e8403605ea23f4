//! Who may be chosen.

use super::super::*;
use super::world::*;

#[test]
fn who_lacks_a_link_to_a_holder_is_no_candidate_by_either_ends_report() {
    let mut world = World::new(4);
    world.advance(CONVERGENCE_TIME);
    world.assert_candidates(3, [(0, true), (1, true), (2, false), (3, false)]);
    // Neither of the two reports to d is d's own.
    world.set_wire(0, 2, Wire::Cut);
    world.advance(LATENCY * 10);
    world.assert_candidates(3, [(0, true), (1, true), (3, false)]);
    world.assert_candidates(2, [(1, true), (3, false)]);
    world.set_wire(0, 2, Wire::Whole);
    world.advance(LATENCY * 10);
    world.assert_candidates(3, [(0, true), (1, true), (2, false), (3, false)]);
    world.call(3, |membership, now, out| {
        membership.interface_changed(now, Interface::Second, InterfaceState::Down, out);
    });
    world.advance(LATENCY * 10);
    for index in 0..4 {
        world.assert_candidates(index, [(0, true), (1, true), (2, false)]);
    }
}

#[test]
fn whom_frames_do_not_reach_has_no_link_to_those_who_choose() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.call(0, |membership, now, out| membership.frames_lost(now, name(2), out));
    world.advance(LATENCY * 10);
    for index in 0..3 {
        world.assert_candidates(index, [(0, true), (1, true)]);
        assert_eq!(world.membership(index).is_out_of_reach(), index == 2);
    }
    world.call(0, |membership, now, out| membership.frames_up(now, name(2), out));
    world.advance(LATENCY * 10);
    for index in 0..3 {
        world.assert_candidates(index, [(0, true), (1, true), (2, false)]);
    }
}

#[test]
fn whom_frames_of_this_node_do_not_reach_it_does_not_choose_whoever_holds() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    // A former holder still chooses for what comes to it late, and the link of a holder to itself is whole.
    world.call(2, |membership, now, out| membership.frames_lost(now, name(0), out));
    world.advance(LATENCY * 10);
    world.assert_candidates(2, [(1, true)]);
    world.assert_candidates(1, [(0, true), (1, true)]);
}

#[test]
fn a_weight_of_zero_is_never_chosen() {
    let mut world = World::empty(2, RolesMode::Priority);
    let settings = Settings { weight: 0, peers: Vec::new(), ..world.settings(0, BootId(1)) };
    world.nodes.insert(0, Node { membership: Membership::new(world.now, settings), paused_until: Instant::default() });
    world.advance(LATENCY);
    assert!(world.membership(0).holds(Interface::First) && world.membership(0).candidates().is_empty());
}

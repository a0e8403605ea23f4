//! Fragments through the cluster: all of a datagram reach its stream's chosen node, whose plugins see it once, and leave as they
//! came.

use std::time::Duration;

use herald_core::event::DropReason;
use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::inspector::{Action, Verdict};
use herald_core::limits::FRAGMENTS_TIME_MAX;
use herald_core::node::Redirecting;
use herald_testing::fragments::fragments;
use herald_testing::frames;
use herald_testing::layout::{self, HOST, host_mac, named, node_mac, place_of, v4};

use crate::world::*;

const FIRST: Interface = Interface::First;

fn whole(port: u16) -> Vec<u8> {
    let payload: Vec<u8> = (0..4_000_u16).map(|n| n.to_be_bytes()[1]).collect();
    frames::udp(layout::from_host(FIRST), (port, 53), &payload)
}

fn opener(port: u16) -> FlowKey {
    FlowKey::new(FIRST, 17, (v4(FIRST, HOST).into(), port), (v4(Interface::Second, HOST).into(), 53))
}

/// What left for the server's host, each as bytes.
fn left(world: &World) -> Vec<Vec<u8>> {
    let second = Interface::Second;
    let mine = world.wire.iter().filter(|sight| sight.interface == second && sight.to == host_mac(second));
    mine.map(|sight| sight.bytes.clone()).collect()
}

/// A fragment as it leaves the node.
fn forwarded(fragment: &[u8], by: &str) -> Vec<u8> {
    let mut bytes = fragment.to_vec();
    let second = Interface::Second;
    bytes[..6].copy_from_slice(&host_mac(second).0);
    bytes[6..12].copy_from_slice(&node_mac(second, place_of(named(by))).0);
    bytes[22] -= 1;
    herald_testing::fragments::mend(&mut bytes);
    bytes
}

#[test]
fn fragments_in_any_order_are_seen_once_by_one_node_and_leave_as_they_came() {
    for redirecting in [Redirecting::Ethernet, Redirecting::Mesh] {
        for layout in [["a", "b"], ["a", "a"]] {
            let mut world = World::new(&Choices { holders: Some(layout), redirecting, ..Choices::default() });
            let mut nodes = Vec::new();
            for port in 5_000..5_012 {
                let parts = fragments(&whole(port), u32::from(port), 1_480);
                assert_eq!(parts.len(), 3);
                let order = [[0, 1, 2], [2, 1, 0], [1, 2, 0]][usize::from(port) % 3];
                let before = left(&world).len();
                order.iter().for_each(|place| world.host_sends_frame(FIRST, &parts[*place]));
                let seen = world.inspectors(&opener(port));
                assert_eq!(seen.len(), 1, "{redirecting:?}");
                assert_eq!(seen[0].1, 1, "the plugins see one packet");
                let expected: Vec<_> = parts.iter().map(|part| forwarded(part, seen[0].0)).collect();
                assert_eq!(left(&world)[before..], expected);
                nodes.push(seen[0].0);
            }
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), 3, "every node was chosen");
            world.check_books();
        }
    }
}

#[test]
fn a_verdict_ends_all_fragments() {
    for action in [Action::Drop, Action::Reject] {
        let verdict = Verdict { action, ..Verdict::default() };
        let mut world = World::new(&Choices::default());
        world.members.iter_mut().for_each(|member| member.plugins.ends = Some(verdict));
        for part in fragments(&whole(5_000), 1, 1_480) {
            world.host_sends_frame(FIRST, &part);
        }
        assert!(left(&world).is_empty());
        let reason = if action == Action::Drop { DropReason::Verdict } else { DropReason::Rejected };
        assert_eq!(world.drops(reason), 3);
        world.check_books();
    }
}

#[test]
fn what_stays_incomplete_leaves_in_no_part_and_its_source_is_told() {
    let mut world = World::new(&Choices::default());
    let parts = fragments(&whole(5_000), 1, 1_480);
    world.host_sends_frame(FIRST, &parts[0]);
    world.host_sends_frame(FIRST, &parts[2]);
    world.check_books();
    world.run(FRAGMENTS_TIME_MAX + Duration::from_millis(1));
    world.settle();
    assert!(left(&world).is_empty());
    assert_eq!(world.drops(DropReason::FragmentTimedOut), 2);
    let told: Vec<_> = world.wire.iter().filter(|s| s.interface == FIRST && s.to == host_mac(FIRST)).collect();
    let errors: Vec<_> = told.iter().filter(|s| s.bytes[23] == 1 && s.bytes[34..36] == [11, 1]).collect();
    assert_eq!(errors.len(), 1, "time exceeded, code 1");
    assert_eq!(errors[0].bytes[42..42 + 548], parts[0][14..14 + 548], "it quotes the first fragment");
    world.check_books();
}

#[test]
fn overlaps_end_in_all_parts() {
    let mut world = World::new(&Choices::default());
    let parts = fragments(&whole(5_000), 1, 1_480);
    let other = fragments(&whole(5_000), 1, 1_600);
    for part in [&parts[0], &other[1], &parts[1], &parts[2]] {
        world.host_sends_frame(FIRST, part);
    }
    assert!(left(&world).is_empty());
    assert_eq!(world.drops(DropReason::FragmentOverlap), 4);
    world.check_books();
}

//! A plugin of a node is suspended and its fault policy ends what it would be asked about.

use std::time::Duration;

use herald_core::event::Event;
use herald_core::id::Interface;
use herald_core::inspector::{Action, Readiness, Verdict};
use herald_testing::frames::{SYN, SYN_ACK};

use crate::world::*;
use crate::{open_until_chosen, opener};

fn suspend(world: &mut World, name: &str, readiness: Readiness) {
    world.members.iter_mut().find(|m| m.name == name).unwrap().plugins.readiness = readiness;
    world.settle();
    world.run(Duration::from_millis(200));
}

/// Who inspects the first packets of some new streams.
fn chosen_of(world: &mut World, ports: std::ops::Range<u16>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for port in ports {
        world.host_sends(Interface::First, port, 80, SYN);
        names.extend(world.inspectors(&opener(Interface::First, port)).into_iter().map(|(name, _)| name));
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn told(world: &World, name: &str, event: Event) -> usize {
    world.member(name).events.iter().filter(|told| **told == event).count()
}

#[test]
fn a_node_with_a_suspended_plugin_is_passed_over_and_keeps_its_role() {
    let mut world = World::new(&Choices { holders: Some(["c", "b"]), ..Choices::default() });
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    suspend(&mut world, "c", Readiness::Suspended);
    assert_eq!(world.remaining("c"), (1, 0), "it holds its role and has no stream any more");
    assert!(world.talks(port), "its stream goes on at another node");
    assert_eq!(chosen_of(&mut world, 41_000..41_040), ["a", "b"]);
    let event = |suspended| Event::NodeSuspended { node: herald_testing::layout::named("c"), suspended };
    for name in ["a", "b", "c"] {
        assert_eq!(told(&world, name, event(true)), 1, "{name} says it once");
        assert_eq!(world.member(name).node.membership().is_passed_over(), name == "c");
    }
    suspend(&mut world, "c", Readiness::Ready);
    assert_eq!(chosen_of(&mut world, 42_000..42_040), ["a", "b", "c"]);
    assert_eq!(told(&world, "a", event(false)), 1);
    world.check_books();
}

#[test]
fn a_stream_on_which_a_plugin_failed_is_not_given_to_the_next() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    let failed = open_until_chosen(&mut world, Interface::Second, "c");
    let verdict = Verdict { action: Action::Drop, fault: true, ..Verdict::default() };
    world.members[2].plugins.ends = Some(verdict);
    world.host_sends(Interface::First, 80, failed, SYN_ACK);
    world.members[2].plugins.ends = None;
    let others = world.remaining("c").1;
    suspend(&mut world, "c", Readiness::Suspended);
    assert!(others > 1 && world.remaining("c").1 == 1, "{others} before, {:?} after", world.remaining("c"));
    assert!(world.talks(port));
    let seen = world.inspectors(&opener(Interface::Second, failed));
    world.host_sends(Interface::First, 80, failed, SYN_ACK);
    assert_eq!(world.inspectors(&opener(Interface::Second, failed)), seen);
    world.check_books();
}

#[test]
fn when_every_node_has_a_suspended_plugin_the_policy_decides() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    for name in ["a", "b"] {
        suspend(&mut world, name, Readiness::Suspended);
        assert_eq!(told(&world, "a", Event::AllSuspended { suspended: true }), 0);
    }
    let streams = world.remaining("c").1;
    suspend(&mut world, "c", Readiness::Suspended);
    assert_eq!(world.remaining("c").1, streams, "to whom should it give them");
    assert_eq!(chosen_of(&mut world, 41_000..41_040), ["a", "b", "c"]);
    suspend(&mut world, "b", Readiness::Ready);
    assert_eq!(chosen_of(&mut world, 42_000..42_040), ["b"]);
    for name in ["a", "b", "c"] {
        let said = [true, false].map(|suspended| told(&world, name, Event::AllSuspended { suspended }));
        assert_eq!(said, [1, 1], "{name}");
    }
    world.check_books();
}

#[test]
fn what_ended_at_its_first_packet_is_chosen_anew_when_the_plugin_is_suspended() {
    let mut world = World::new(&Choices::default());
    let verdict = Verdict { action: Action::Drop, fault: true, ..Verdict::default() };
    world.members.iter_mut().find(|m| m.name == "c").unwrap().plugins.ends = Some(verdict);
    let port = open_until_chosen(&mut world, Interface::First, "c");
    suspend(&mut world, "c", Readiness::Suspended);
    world.run(Duration::from_millis(800));
    let before = world.at_server.len();
    world.host_sends(Interface::First, port, 80, SYN);
    assert_eq!(world.at_server.len(), before + 1, "one retransmission of the SYN is enough");
    world.check_books();
}

//! The nodes' tables as text, for the report of a failure.

use std::fmt::Write;

use herald_core::id::Interface;

use crate::member::{Member, NODES};
use crate::world::World;

/// Roles, members, sessions and drops of every node.
pub(crate) fn of(world: &World) -> String {
    let mut text = String::new();
    for member in &world.members {
        writeln!(text, "\n== node {}: {:?}, boot {}", NODES[member.place], member.process, member.boot).unwrap();
        text.push_str(&of_member(world, member));
    }
    text
}

fn of_member(world: &World, member: &Member) -> String {
    let Some(node) = &member.node else { return String::new() };
    let membership = node.membership();
    let mut text = String::new();
    for interface in Interface::BOTH {
        let held = membership.holder(interface).zip(membership.epoch(interface));
        let held = held.map_or("nobody".to_owned(), |(holder, epoch)| format!("{holder}, epoch {}", epoch.counter));
        writeln!(text, "{interface} redirector: {held}").unwrap();
    }
    for m in membership.members() {
        let link = if m.link_up { "up" } else { "down" };
        let sync = if m.in_sync { "in sync" } else { "not in sync" };
        writeln!(text, "member {}: {}, link {link}, {sync}", m.node, m.state.name()).unwrap();
    }
    let now = member.clock.shows(world.now);
    let mut sessions: Vec<_> = (node.all_rows())
        .map(|row| {
            let (age, idle) = (now.since(row.started).as_millis(), now.since(row.seen).as_millis());
            let (kind, opener, chosen) = (row.kind, row.opener, row.chosen);
            let (generation, state, packets) = (row.generation, row.state, row.packets);
            format!("{kind:?} {opener:?} at {chosen}, generation {generation}, {state}, {age} ms old, {idle} ms idle, {packets} packets")
        })
        .collect();
    sessions.sort();
    for session in sessions {
        writeln!(text, "{session}").unwrap();
    }
    for (reason, count) in member.out.drops() {
        writeln!(text, "dropped, {}: {count}", reason.name()).unwrap();
    }
    text
}

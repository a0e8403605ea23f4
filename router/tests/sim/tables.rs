//! The nodes' tables as the command line shows them.

use std::fmt::Write;

use herald::app::reports::SessionRow;
use herald::app::tables as shown;
use herald::id::Interface;
use serde_json::{Value, json};

use crate::member::{Member, NODES, id};
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
    let role = |interface| match (membership.holder(interface), membership.epoch(interface)) {
        (Some(holder), Some(epoch)) => json!({"holder": holder.as_str(), "epoch": epoch.counter}),
        (Some(_) | None, _) => Value::Null,
    };
    let roles = json!({"first": role(Interface::First), "second": role(Interface::Second)});
    let members: Vec<_> = membership
        .members()
        .map(|m| {
            json!({
                "node": m.node.as_str(),
                "state": m.state.name(),
                "link": if m.link_up { "up" } else { "down" },
                "in_sync": m.in_sync,
                "weight": m.weight,
            })
        })
        .collect();
    let now = member.clock.shows(world.now);
    let rows = node.tables().rows(id(member.place));
    let mut sessions: Vec<_> = rows.iter().map(|row| json!(SessionRow::at(now, row))).collect();
    sessions.sort_by_key(Value::to_string);
    let drops: serde_json::Map<String, Value> =
        member.out.drops().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
    [
        shown::roles(&roles),
        shown::rows(&json!(members), shown::MEMBERS),
        shown::rows(&json!(sessions), shown::SESSIONS),
        shown::counts(&json!(drops), "REASON"),
    ]
    .join("\n")
}

//! I13: a node that is not in sync takes no role and is chosen for nothing, unless it starts the cluster: who holds a
//! role in its first epoch comes into sync as its holder.

use herald_core::id::Interface;

use super::Checker;
use crate::member::{NODES, id};
use crate::world::{Sight, World};

pub(super) struct Joining;

impl Checker for Joining {
    fn invariant(&self) -> &'static str {
        "I13"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::TurnEnded { place } = sight else { return Ok(()) };
        let Some(node) = &world.members[*place].node else { return Ok(()) };
        let membership = node.membership();
        let in_sync = |node| membership.member(node).is_some_and(|member| member.in_sync);
        for interface in Interface::BOTH {
            let starts = membership.epoch(interface).is_some_and(|epoch| epoch.counter == 1);
            if membership.holds(interface) && !starts && !in_sync(id(*place)) {
                return Err(format!("{} holds {interface} and is not in sync", NODES[*place]));
            }
        }
        match membership.candidates().iter().find(|candidate| !in_sync(candidate.node)) {
            Some(candidate) => Err(format!("{} would choose {}, which is not in sync", NODES[*place], candidate.node)),
            None => Ok(()),
        }
    }
}

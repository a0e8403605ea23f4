//! I7: the highest generation wins: a redirector session never goes back to a lower one of a node that lives.

use herald_core::flow::FlowKey;
use herald_core::id::Generation;
use herald_core::mesh::Message;
use herald_core::session::{RedirectorSession, Standing};

use super::Checker;
use crate::member::{NODES, Place};
use crate::world::{Sight, World};

/// The sessions of the announcement that is being heard, before it was.
#[derive(Default)]
pub(super) struct Generations {
    before: Vec<(FlowKey, Generation)>,
}

fn session(world: &World, place: Place, key: &FlowKey) -> Option<RedirectorSession> {
    world.members[place].node.as_ref()?.redirector().session(key).copied()
}

impl Checker for Generations {
    fn invariant(&self) -> &'static str {
        "I7"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let (place, announce, heard) = match sight {
            Sight::Hearing { place, message: Message::Announce(announce), .. } => (*place, announce, false),
            Sight::Heard { place, message: Message::Announce(announce), .. } => (*place, announce, true),
            _ => return Ok(()),
        };
        if !heard {
            let keys = [announce.arrival, announce.return_key].into_iter();
            let announced = |s: &RedirectorSession| s.standing != Standing::Provisional;
            let before = keys.filter_map(|key| Some((key, session(world, place, &key).filter(announced)?.generation)));
            self.before = before.collect();
            return Ok(());
        }
        let membership = world.members[place].node.as_ref().unwrap().membership();
        for (key, before) in std::mem::take(&mut self.before) {
            let lives = membership.member(before.node).is_some_and(herald_core::membership::Member::lives);
            let now = session(world, place, &key).map(|session| session.generation);
            if lives && now.is_some_and(|now| before.wins_over(now)) {
                return Err(format!("{} went back from {before:?} to {now:?} for {key}", NODES[place]));
            }
        }
        Ok(())
    }
}

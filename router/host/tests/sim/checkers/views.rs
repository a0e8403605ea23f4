//! L1: after the last fault all members agree on view, epochs and holders.

use herald_core::id::Interface;

use super::Checker;
use crate::member::NODES;
use crate::world::{SETTLED_MS, Sight, World, at_ms};

pub(super) struct Views;

impl Checker for Views {
    fn invariant(&self) -> &'static str {
        "L1"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Sampled if world.now >= at_ms(SETTLED_MS) => agree(world),
            _ => Ok(()),
        }
    }
}

fn agree(world: &World) -> Result<(), String> {
    for interface in Interface::BOTH {
        let epoch = |place: usize| world.members[place].node.as_ref().and_then(|n| n.membership().epoch(interface));
        let first = epoch(0).ok_or_else(|| format!("nobody holds {interface} for a"))?;
        if let Some(place) = (1..NODES.len()).find(|place| epoch(*place) != Some(first)) {
            return Err(format!("a obeys {first:?} for {interface}, {} obeys {:?}", NODES[place], epoch(place)));
        }
    }
    for member in &world.members {
        let membership = member.node.as_ref().ok_or("a node does not run")?.membership();
        if membership.candidates().len() != NODES.len() {
            let node = NODES[member.place];
            return Err(format!("{node} would choose among {:?} only", membership.candidates()));
        }
    }
    Ok(())
}

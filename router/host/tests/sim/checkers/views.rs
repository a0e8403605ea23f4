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

/// All that no standing fault has struck.
fn agree(world: &World) -> Result<(), String> {
    let well = world.standing.well();
    for interface in Interface::BOTH {
        let epoch = |place: usize| world.members[place].node.as_ref().and_then(|n| n.membership().epoch(interface));
        let of = |place: &usize| (NODES[*place], epoch(*place));
        let (one, first) = well.first().map(of).ok_or("no node is well")?;
        let first = first.ok_or_else(|| format!("nobody holds {interface} for {one}"))?;
        if let Some((other, epoch)) = well.iter().map(of).find(|(_, epoch)| *epoch != Some(first)) {
            return Err(format!("{one} obeys {first:?} for {interface}, {other} obeys {epoch:?}"));
        }
    }
    for member in well.iter().map(|place| &world.members[*place]) {
        let membership = member.node.as_ref().ok_or("a node does not run")?.membership();
        // Whoever has no link to a struck holder is not chosen either.
        let enough = if world.standing.is_there() { 1 } else { NODES.len() };
        if membership.candidates().len() < enough {
            let node = NODES[member.place];
            return Err(format!("{node} would choose among {:?} only", membership.candidates()));
        }
    }
    Ok(())
}

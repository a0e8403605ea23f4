//! L1: after the last fault all members agree on view, epochs and holders, and choose all nodes whose plugins judge.

use herald_core::id::Interface;
use herald_core::session::{Announced, MarkerSession};
use herald_host::FaultPolicy;

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
    // Whose plugins end everything is passed over while another judges.
    let ends = |place: &usize| {
        world.scenario.choices.fault == FaultPolicy::Closed && world.members[*place].plugins.suspended() > 0
    };
    let able = well.iter().filter(|place| !ends(place)).count();
    let expected = if able == 0 { well.len() } else { able };
    for member in well.iter().map(|place| &world.members[*place]) {
        let node = member.node.as_ref().ok_or("a node does not run")?;
        let membership = node.membership();
        let moves = |session: &MarkerSession<_>| {
            session.alive && session.announced == Announced::Acknowledged && !session.standing.is_ended()
        };
        if able > 0 && ends(&member.place) && node.markers().iter().any(|(_, session)| moves(session)) {
            return Err(format!("{} keeps streams, and its plugins judge no more", NODES[member.place]));
        }
        // Whoever has no link to a struck holder is not chosen either.
        let candidates = membership.candidates().len();
        let enough = if world.standing.is_there() { candidates > 0 } else { candidates == expected };
        if !enough {
            let node = NODES[member.place];
            return Err(format!("{node} would choose among {:?} only", membership.candidates()));
        }
    }
    Ok(())
}

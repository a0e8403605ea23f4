//! L1: after the last fault all members agree on view, epochs and holders, and choose all nodes whose plugins judge.

use std::time::Duration;

use herald_core::event::Event;
use herald_core::id::Interface;
use herald_core::session::{Announced, MarkerSession};
use herald_core::time::Instant;
use herald_host::FaultPolicy;

use super::Checker;
use crate::member::NODES;
use crate::world::{SETTLED_MS, Sight, World, at_ms};

/// Time in which all members hear of a role that was taken back.
const CLAIM_TIME: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Views {
    /// When somebody last heard of another holder.
    changed_at: Option<Instant>,
}

impl Checker for Views {
    fn invariant(&self) -> &'static str {
        "L1"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Told { event: Event::HolderChanged { .. }, .. } => self.changed_at = Some(world.now),
            Sight::Sampled if world.now >= at_ms(SETTLED_MS) && !self.is_being_taken_back(world) => {
                return agree(world);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Views {
    /// A process that came and went for long goes on from now on, and takes back the role that it lost.
    fn is_being_taken_back(&self, world: &World) -> bool {
        let preempts = world.standing.comes_and_goes() && world.scenario.choices.preempt_ms.is_some();
        preempts && self.changed_at.is_some_and(|at| world.now.since(at) < CLAIM_TIME)
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

//! I8: everything is bounded.

use super::Checker;
use crate::member::NODES;
use crate::world::{Sight, World};

pub(super) struct Bounds;

/// What waits for answers, fences, claims and neighbours: small in these worlds, and each bounded by itself.
const OTHERS: usize = 128;

impl Checker for Bounds {
    fn invariant(&self) -> &'static str {
        "I8"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::TurnEnded { place } = sight else { return Ok(()) };
        let Some(node) = &world.members[*place].node else { return Ok(()) };
        let markers = node.tables().markers.len();
        let holds = usize::try_from(world.scenario.choices.hold_frames).unwrap() * markers;
        let most = holds + OTHERS;
        if node.frames_kept() > most {
            return Err(format!("{} keeps {} frames, {most} are allowed", NODES[*place], node.frames_kept()));
        }
        Ok(())
    }
}

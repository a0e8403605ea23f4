//! I8: everything is bounded.

use herald_core::limits::{
    BATCH_PACKETS_MAX, EARLY_FRAMES_MAX, FENCED_FRAMES_MAX, NEIGHBOUR_QUEUES_FRAMES_MAX, PARKED_FRAMES_MAX,
};

use super::Checker;
use crate::member::NODES;
use crate::world::{Sight, World};

pub(super) struct Bounds;

/// What waits for answers, fences, claims, neighbours and plugins.
const OTHERS: usize =
    PARKED_FRAMES_MAX + FENCED_FRAMES_MAX + EARLY_FRAMES_MAX + NEIGHBOUR_QUEUES_FRAMES_MAX + BATCH_PACKETS_MAX;

impl Checker for Bounds {
    fn invariant(&self) -> &'static str {
        "I8"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::TurnEnded { place } = sight else { return Ok(()) };
        let Some(node) = &world.members[*place].node else { return Ok(()) };
        let markers = node.markers().len();
        let holds = usize::try_from(world.scenario.choices.hold_frames).unwrap() * markers;
        let (held, others) = (node.frames_held(), node.frames_kept() - node.frames_held());
        if held > holds || others > OTHERS {
            let node = NODES[*place];
            return Err(format!("{node} holds {held} frames of {holds} and keeps {others} others of {OTHERS}"));
        }
        Ok(())
    }
}

//! I8: everything is bounded, and in a full table those make room that were never answered.

use herald_core::event::EndReason;
use herald_core::limits::{
    BATCH_PACKETS_MAX, EARLY_FRAMES_MAX, FENCED_FRAMES_MAX, FRAGMENTS_MAX, NEIGHBOUR_QUEUES_FRAMES_MAX,
    PARKED_FRAMES_MAX,
};

use super::Checker;
use crate::hostile;
use crate::member::NODES;
use crate::recorder::Note;
use crate::world::{Sight, World};

pub(super) struct Bounds;

/// More bytes than any handshake has, however often its segments are sent again. No table here is ever full of answered
/// streams, but of a host that has much of one even these make room: the hostile one.
const HANDSHAKE_BYTES_MAX: u64 = 1_000;

/// What waits for answers, fences, claims, neighbours, plugins and the rest of a datagram.
const OTHERS: usize = PARKED_FRAMES_MAX
    + FENCED_FRAMES_MAX
    + EARLY_FRAMES_MAX
    + NEIGHBOUR_QUEUES_FRAMES_MAX
    + BATCH_PACKETS_MAX
    + FRAGMENTS_MAX;

impl Checker for Bounds {
    fn invariant(&self) -> &'static str {
        "I8"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        if let Sight::Noted { place, note: Note::Ended { opener, reason: EndReason::Evicted, returned, .. } } = sight
            && *returned > HANDSHAKE_BYTES_MAX
            && !hostile::is_own(opener)
        {
            let node = NODES[*place];
            return Err(format!("{opener} made room for others at {node} after {returned} bytes had come back"));
        }
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

//! I15: a packet is judged under exactly one configuration: all plugins that are asked about a packet, or of the start and
//! the end of its stream, have the configuration that the node has told its peers in this boot.

use super::Checker;
use crate::member::NODES;
use crate::recorder::Note;
use crate::world::{Sight, World};

pub(super) struct OneConfiguration;

impl Checker for OneConfiguration {
    fn invariant(&self) -> &'static str {
        "I15"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Noted { place, note } = sight else { return Ok(()) };
        let calls = match note {
            Note::Started { calls, .. } | Note::Judged { calls, .. } | Note::Ended { calls, .. } => calls,
            Note::Inspected { .. } => return Ok(()),
        };
        let told = world.members[*place].hello().configuration[0].digest;
        match calls.iter().find(|call| call.configuration != told) {
            Some(call) => {
                Err(format!("{} told its peers configuration {told:x}, and there was {call:?}", NODES[*place]))
            }
            None => Ok(()),
        }
    }
}

//! L6: epochs change only for a reason. A node that stops and goes on for ever loses sight of a holder by itself each time:
//! that is its own view and nobody's epoch.

use std::time::Duration;

use herald_core::event::Event;

use super::Checker;
use crate::member::NODES;
use crate::world::{Sight, World};

/// Time without an event after which nothing may change any more.
const STEADY: Duration = Duration::from_secs(3);

pub(super) struct SteadyEpochs;

impl Checker for SteadyEpochs {
    fn invariant(&self) -> &'static str {
        "L6"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Told { place, event: Event::HolderChanged { interface, epoch } } = sight else { return Ok(()) };
        let is_own = epoch.is_none() && !world.standing.well().contains(place);
        if world.now.since(world.disturbed_at) <= STEADY || is_own {
            return Ok(());
        }
        Err(format!("{} changed the holder of {interface} to {epoch:?}, and nothing had happened", NODES[*place]))
    }
}

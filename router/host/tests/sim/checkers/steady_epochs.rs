//! L6: epochs change only for a reason.

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
        if world.now.since(world.disturbed_at) <= STEADY {
            return Ok(());
        }
        Err(format!("{} changed the holder of {interface} to {epoch:?}, and nothing had happened", NODES[*place]))
    }
}

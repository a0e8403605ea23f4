//! L6: epochs change only for a reason. A node that stops and goes on for ever loses sight of a holder by itself each time:
//! that is its own view and nobody's epoch.

use std::time::Duration;

use herald_core::event::Event;
use herald_core::limits::STEADY_TIME;

use super::Checker;
use crate::member::NODES;
use crate::world::{SILENCE_MS, Sight, World, at_ms};

/// Time without an event after which nothing may change any more, but for a role that who lost it takes back: that waits, by a
/// clock that may be 10 % slow.
const STEADY: Duration = Duration::from_secs(3);

pub(super) struct SteadyEpochs;

impl Checker for SteadyEpochs {
    fn invariant(&self) -> &'static str {
        "L6"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Told { place, event: Event::HolderChanged { interface, epoch } } = sight else { return Ok(()) };
        let is_own = epoch.is_none() && !world.standing.well().contains(place);
        let preempts = world.scenario.choices.preempt_ms.is_some();
        let steady = if preempts { STEADY + STEADY_TIME * 11 / 10 } else { STEADY };
        // A process that came and went goes on from then on, and takes back what it lost.
        let goes_on = world.standing.comes_and_goes() && world.now >= at_ms(SILENCE_MS);
        if world.now.since(world.disturbed_at) <= steady || is_own || goes_on {
            return Ok(());
        }
        Err(format!("{} changed the holder of {interface} to {epoch:?}, and nothing had happened", NODES[*place]))
    }
}

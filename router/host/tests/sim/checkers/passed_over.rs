//! L1: a node whose plugin is suspended under a closed policy is chosen by nobody while another node judges, also before the
//! last fault is over.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::time::Instant;
use herald_host::FaultPolicy;

use super::Checker;
use crate::member::{NODES, Place, place_of};
use crate::world::{Sight, World};

/// Time for the word to come round, over links that lose what they are given, too.
const HEARD: Duration = Duration::from_millis(600);

/// Since when plugins of a node are suspended.
#[derive(Default)]
pub(super) struct PassedOver {
    since: BTreeMap<Place, Instant>,
}

impl Checker for PassedOver {
    fn invariant(&self) -> &'static str {
        "L1"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Sampled = sight else { return Ok(()) };
        if world.scenario.choices.fault == FaultPolicy::Open {
            return Ok(());
        }
        let is_suspended = |place: Place| world.members[place].runs() && world.members[place].plugins.suspended() > 0;
        self.since.retain(|place, _| is_suspended(*place));
        for place in (0..NODES.len()).filter(|place| is_suspended(*place)) {
            self.since.entry(place).or_insert(world.now);
        }
        if world.now.since(world.united_since.max(world.disturbed_at)) <= HEARD {
            return Ok(());
        }
        for (member, node) in world.members.iter().filter_map(|member| Some((member, member.node.as_ref()?))) {
            let chosen: Vec<_> =
                node.membership().candidates().iter().map(|candidate| place_of(candidate.node)).collect();
            let long = |place: &&Place| self.since.get(*place).is_some_and(|since| world.now.since(*since) > HEARD);
            if let Some(passed) = chosen.iter().find(long)
                && member.runs()
                && chosen.iter().any(|place| !self.since.contains_key(place))
            {
                let [one, other] = [member.place, *passed].map(|place| NODES[place]);
                return Err(format!("{one} would choose {other}, whose plugins judge no more"));
            }
        }
        Ok(())
    }
}

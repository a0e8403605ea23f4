//! L2: a vacant role is filled within detection and take-over, wherever the members see each other.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::id::Interface;
use herald_core::limits::{DETECTION_TIME, START_TIME_MAX};
use herald_core::time::Instant;

use super::Checker;
use crate::member::NODES;
use crate::switch::Cable;
use crate::world::{Sight, World};

/// A start, a detection, the dialling of lost links, and clocks that are 10 % slow.
const FILLED: Duration = START_TIME_MAX.saturating_add(DETECTION_TIME).saturating_mul(2);

/// Since when nobody holds a role although everybody could.
#[derive(Default)]
pub(super) struct Vacancy {
    since: BTreeMap<Interface, Instant>,
}

impl Checker for Vacancy {
    fn invariant(&self) -> &'static str {
        "L2"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Sampled = sight else { return Ok(()) };
        for interface in Interface::BOTH {
            let plugged = |place: usize| world.switches[interface as usize].cables[place] == Cable::default();
            let able: Vec<_> = (0..NODES.len()).filter(|p| world.members[*p].runs() && plugged(*p)).collect();
            let joined = able.iter().all(|a| able.iter().all(|b| a == b || world.links.joined(*a, *b)));
            let held = |place: &usize| {
                world.members[*place].node.as_ref().is_some_and(|n| n.membership().holder(interface).is_some())
            };
            let quiet = world.now.since(world.disturbed_at) > DETECTION_TIME;
            if !joined || able.len() < 2 || !quiet || able.iter().any(held) {
                self.since.remove(&interface);
                continue;
            }
            let since = *self.since.entry(interface).or_insert(world.now);
            if world.now.since(since) > FILLED {
                return Err(format!("nobody holds {interface} although {able:?} could"));
            }
        }
        Ok(())
    }
}

//! What a scenario itself expects: who held the redirectors, and who owned its conversations.

use std::collections::{BTreeMap, BTreeSet};

use herald_core::event::Event;
use herald_core::flow::FlowKey;
use herald_core::id::{Epoch, Interface};

use super::Checker;
use crate::member::{Place, place_of};
use crate::packets;
use crate::recorder::Note;
use crate::scenario::{Action, Expected};
use crate::world::{Sight, World};

/// Holders and owners as they were.
#[derive(Default)]
pub(super) struct AsExpected {
    epochs: BTreeSet<(Interface, Epoch)>,
    owners: BTreeMap<FlowKey, Vec<Place>>,
}

impl Checker for AsExpected {
    fn invariant(&self) -> &'static str {
        "expected"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Told { event: Event::HolderChanged { interface, epoch: Some(epoch) }, .. } => {
                self.epochs.insert((*interface, *epoch));
            }
            Sight::Noted { place, note: Note::Inspected { interface, bytes, .. } }
                if !world.scenario.expected.is_empty() =>
            {
                if let Some(seen) = packets::seen(*interface, bytes) {
                    let owners = self.owners.entry(packets::stream(&seen.flow)).or_default();
                    owners.push(*place);
                    owners.dedup();
                }
            }
            Sight::Over => {
                let wrong = |expected: &Expected| expected.differs(&self.found(world, expected));
                return world.scenario.expected.iter().find_map(wrong).map_or(Ok(()), Err);
            }
            _ => {}
        }
        Ok(())
    }
}

impl AsExpected {
    fn found(&self, world: &World, expected: &Expected) -> Vec<Place> {
        match expected {
            Expected::Holders { interface, .. } => {
                let of_interface = self.epochs.iter().filter(|(of, _)| of == interface);
                of_interface.map(|(_, epoch)| place_of(epoch.node)).collect()
            }
            Expected::Owners { key, .. } => {
                let opens = world.scenario.steps.iter().filter_map(|step| match step.action {
                    Action::Open(open) if open.key == *key => Some(packets::stream(&open.flow())),
                    _ => None,
                });
                opens.filter_map(|stream| self.owners.get(&stream)).flatten().copied().collect()
            }
        }
    }
}

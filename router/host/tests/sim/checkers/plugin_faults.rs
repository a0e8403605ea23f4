//! I14: a plugin's fault changes only that plugin's verdicts, by its policy: the others are asked as ever, each once and in
//! order, and what becomes of a packet follows from what they say.

use std::collections::BTreeMap;

use super::Checker;
use crate::chain_model::ChainModel;
use crate::member::{NODES, Place};
use crate::recorder::Note;
use crate::world::{Sight, World};

/// What each node's chain should do, by boot.
#[derive(Default)]
pub(super) struct PluginFaults {
    chains: BTreeMap<(Place, u64), ChainModel>,
}

impl Checker for PluginFaults {
    fn invariant(&self) -> &'static str {
        "I14"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Noted { place, note } = sight else { return Ok(()) };
        let run = (*place, world.members[*place].boot);
        let chain = self.chains.entry(run).or_insert_with(|| ChainModel::new(world.scenario.choices.fault));
        let result = match note {
            Note::Started { at, opener, stream, standing, calls } => match chain.started(*at, (*stream, opener), calls)
            {
                Ok(expected) if expected == *standing => Ok(()),
                Ok(expected) => Err(format!("{opener} began with {standing:?} instead of {expected:?}")),
                Err(error) => Err(error),
            },
            Note::Judged { at, packets, calls } => chain.judged(*at, packets, calls),
            Note::Ended { at, stream, calls, .. } => chain.ended(*at, *stream, calls),
            Note::Inspected { .. } => Ok(()),
        };
        result.map_err(|error| format!("{}: {error}", NODES[*place]))
    }
}

//! L5: the death of a node touches only its own streams; a redirector's death and a drain touch none. While one fault
//! stands and nothing else is wrong, the established streams of the other nodes go on, whatever fault it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herald_core::event::Event;
use herald_core::flow::FlowKey;
use herald_core::time::Instant;

use super::Checker;
use crate::host::{Progress, Talk};
use crate::member::{NODES, Place};
use crate::packets;
use crate::scenario::{Action, Hostility};
use crate::world::{Disturbance, HEAL_MS, SILENCE_MS, Sight, World, at_ms};

/// Who owned which stream, and whose process died or was stopped.
#[derive(Default)]
pub(super) struct Untouched {
    owners: BTreeMap<FlowKey, BTreeSet<Place>>,
    /// The same one after the other.
    acknowledged: BTreeMap<FlowKey, Vec<(Instant, Place)>>,
    struck: BTreeSet<Place>,
    /// A stranger may have reset or poisoned something.
    hostile: bool,
}

impl Checker for Untouched {
    fn invariant(&self) -> &'static str {
        "L5"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Told { place, event: Event::Acknowledged { flow, .. } } => {
                self.owners.entry(packets::stream(flow)).or_default().insert(*place);
                self.acknowledged.entry(packets::stream(flow)).or_default().push((world.now, *place));
            }
            Sight::Acted(Action::Hostile { what, .. }) => self.hostile |= *what != Hostility::Midstream,
            Sight::Acted(Action::Kill(node) | Action::PowerOff(node) | Action::Stop(node)) => {
                self.struck.insert(*node);
            }
            Sight::Sampled if !world.silent && world.now + Duration::from_millis(100) >= at_ms(SILENCE_MS) => {
                if let Some(talk) =
                    world.talks.iter().find(|talk| self.was_let_down(world, talk) || self.was_stopped(world, talk))
                {
                    let (flow, progress) = (talk.open.flow(), talk.progress);
                    let owners = self.owners.get(&packets::stream(&flow));
                    let owners: Vec<_> = owners.into_iter().flatten().map(|place| NODES[*place]).collect();
                    return Err(format!("{flow} is {progress:?}; {owners:?} had it, and nothing had happened to them"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Untouched {
    /// It has not ended well, although only nodes died that had nothing to do with it.
    fn was_let_down(&self, world: &World, talk: &Talk) -> bool {
        let ended = world.ended_by_plugins.contains(&packets::stream(&talk.open.flow()));
        let well = talk.progress == Progress::Done || !talk.open.is_tcp() || ended;
        // The healing disturbs the networks only if something was wrong with them before.
        let network = |(at, what): &(_, Disturbance)| *what == Disturbance::Network && *at != at_ms(HEAL_MS);
        let quiet = !world.disturbances.iter().any(network) && !self.hostile;
        let owners = self.owners.get(&packets::stream(&talk.open.flow()));
        let owned = owners.is_some_and(|owners| !owners.is_empty() && owners.is_disjoint(&self.struck));
        !well && quiet && owned && talk.opened_at < at_ms(HEAL_MS)
    }

    /// It was established on a node that the standing fault did not strike, and has not come to its end.
    fn was_stopped(&self, world: &World, talk: &Talk) -> bool {
        let Some(since) = world.standing.alone_since() else { return false };
        let flow = packets::stream(&talk.open.flow());
        let well = talk.progress == Progress::Done || !talk.open.is_tcp() || world.ended_by_plugins.contains(&flow);
        let Some(established) = talk.established_at.filter(|_| !well && talk.opened_at < at_ms(HEAL_MS)) else {
            return false;
        };
        let known = self.acknowledged.get(&flow).into_iter().flatten();
        let owner = known.rev().find(|(at, _)| *at <= established.max(since));
        owner.is_some_and(|(_, owner)| world.standing.well().contains(owner))
    }
}

//! I5: no epoch twice, no way back to a lower one, two acting holders for no longer than a detection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herald_core::event::Event;
use herald_core::id::{Epoch, Interface};
use herald_core::limits::DETECTION_TIME;
use herald_core::time::Instant;

use super::Checker;
use crate::member::{NODES, Place, id};
use crate::world::{Sight, World};

/// Who obeyed what.
#[derive(Default)]
pub(super) struct Epochs {
    taken: BTreeSet<(Interface, Epoch)>,
    obeyed: BTreeMap<(Place, u64, Interface), Epoch>,
    two_since: BTreeMap<(Interface, Place, Place), Instant>,
}

/// A detection by a clock that is 10 % slow, and the message about it.
const TWO_HOLDERS_MAX: Duration = DETECTION_TIME.saturating_mul(2);

impl Checker for Epochs {
    fn invariant(&self) -> &'static str {
        "I5"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Told { place, event: Event::HolderChanged { interface, epoch: Some(epoch) } } => {
                let key = (*place, world.members[*place].boot, *interface);
                if let Some(before) = self.obeyed.insert(key, *epoch).filter(|before| before > epoch) {
                    return Err(format!("{} went back from {before:?} to {epoch:?}", NODES[*place]));
                }
                if epoch.node == id(*place) && !self.taken.insert((*interface, *epoch)) {
                    return Err(format!("{} took {interface} again in {epoch:?}", NODES[*place]));
                }
                Ok(())
            }
            Sight::Sampled => self.two_holders(world),
            _ => Ok(()),
        }
    }
}

impl Epochs {
    fn two_holders(&mut self, world: &World) -> Result<(), String> {
        for interface in Interface::BOTH {
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                let acts = |place: Place| {
                    let member = &world.members[place];
                    let holds = member.node.as_ref().is_some_and(|node| node.membership().holds(interface));
                    member.runs() && holds
                };
                let key = (interface, one, other);
                if !acts(one) || !acts(other) || !world.links.joined(one, other) {
                    self.two_since.remove(&key);
                    continue;
                }
                let since = *self.two_since.entry(key).or_insert(world.now);
                if world.now.since(since) > TWO_HOLDERS_MAX {
                    let (one, other) = (NODES[one], NODES[other]);
                    return Err(format!("{one} and {other} both hold {interface} although they are joined"));
                }
            }
        }
        Ok(())
    }
}

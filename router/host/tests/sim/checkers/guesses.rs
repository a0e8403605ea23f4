//! I3: a redirector never guesses: it chooses for no stream that a member owns which it could ask.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::event::{Event, Step};
use herald_core::flow::FlowKey;
use herald_core::time::Instant;

use super::Checker;
use crate::member::{NODES, Place, id};
use crate::packets;
use crate::scenario::Action;
use crate::world::{Disturbance, Sight, World};

/// Time for announcements, refusals and answers on a slow mesh.
const ON_ITS_WAY: Duration = Duration::from_millis(700);

/// Who knows what.
#[derive(Default)]
pub(super) struct NoGuesses {
    /// Since when each stream is acknowledged to its node.
    owned: BTreeMap<(FlowKey, Place), Instant>,
}

impl Checker for NoGuesses {
    fn invariant(&self) -> &'static str {
        "I3"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let (place, event) = match sight {
            Sight::Acted(Action::Kill(node) | Action::PowerOff(node)) => {
                self.owned.retain(|(_, owner), _| owner != node);
                return Ok(());
            }
            Sight::Told { place, event } => (place, event),
            _ => return Ok(()),
        };
        match event {
            Event::Acknowledged { flow, .. } => {
                self.owned.entry((packets::stream(flow), *place)).or_insert(world.now);
            }
            Event::StreamEnded { flow, .. } | Event::Refused { flow, .. } => {
                self.owned.remove(&(packets::stream(flow), *place));
            }
            Event::Step { step: Step::M2, flow, .. } => {
                let stream = packets::stream(flow);
                for ((_, owner), since) in self.owned.range((stream, 0)..=(stream, NODES.len())) {
                    if world.now.since(*since) > ON_ITS_WAY && could_ask(world, *place, *owner, flow) {
                        let (node, owner) = (NODES[*place], NODES[*owner]);
                        return Err(format!("{node} chose anew for {flow}, which {owner} owns"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The owner lives, has the stream, and nothing has been between the two for a while.
fn could_ask(world: &World, asker: Place, owner: Place, flow: &FlowKey) -> bool {
    let recent = |(at, what): &(Instant, Disturbance)| {
        let concerns = match what {
            Disturbance::Network => true,
            Disturbance::Process(node) => [asker, owner].contains(node),
        };
        concerns && world.now.since(*at) < ON_ITS_WAY * 2
    };
    let linked = |one: Place, other: Place| {
        let member = world.members[one].node.as_ref().and_then(|node| node.membership().member(id(other)));
        one == other || member.is_some_and(|member| member.link_up && member.lives())
    };
    let calm = !world.disturbances.iter().rev().take(20).any(recent);
    let members = &world.members;
    calm && members[asker].runs() && members[owner].serves(flow) && linked(asker, owner) && linked(owner, asker)
}

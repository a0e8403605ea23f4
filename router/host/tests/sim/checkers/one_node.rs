//! I1, I3: while nothing changes, a stream is inspected by one node; a packet of a live stream never reaches a chain on
//! another.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::event::Event;
use herald_core::flow::FlowKey;
use herald_core::node::Redirecting;
use herald_core::time::Instant;

use super::Checker;
use crate::hostile;
use crate::member::{NODES, Place};
use crate::packets;
use crate::recorder::Note;
use crate::scenario::{Action, Hostility};
use crate::world::{Sight, World};

/// Time for digests and a refusal to come after two nodes were both acknowledged.
const RACE: Duration = Duration::from_millis(600);

/// Who owns which stream, and since when it was acknowledged.
#[derive(Default)]
pub(super) struct OneNode {
    owned: BTreeMap<(FlowKey, Place), Instant>,
    /// When a role, a member or a link changed last.
    changed_at: Instant,
    /// The hostile host has used a node's MAC where that is all that a redirected frame shows of its sender: its own
    /// streams may be anywhere.
    is_forged: bool,
}

impl Checker for OneNode {
    fn invariant(&self) -> &'static str {
        "I1"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Told { place, event } => self.told(world, *place, event),
            Sight::Acted(Action::Hostile { what: Hostility::Spoof(_) | Hostility::Redirect(_), .. }) => {
                self.is_forged = world.scenario.choices.redirecting == Redirecting::Ethernet;
            }
            Sight::Acted(Action::Kill(node) | Action::PowerOff(node)) => {
                self.owned.retain(|(_, owner), _| owner != node);
            }
            Sight::Noted { place, note: Note::Inspected { interface, bytes, .. } } => {
                let Some(seen) = packets::seen(*interface, bytes) else { return Ok(()) };
                if self.is_forged && hostile::is_own(&seen.flow) {
                    return Ok(());
                }
                let stream = packets::stream(&seen.flow);
                for ((_, owner), since) in self.owned.range((stream, 0)..=(stream, NODES.len())) {
                    let settled = world.now.since(*since) > RACE && world.now.since(self.changed_at) > RACE;
                    let united =
                        world.now.since(world.united_since) > RACE && world.now.since(world.disturbed_at) > RACE;
                    let lives = world.members[*owner].serves(&seen.flow);
                    if owner != place && settled && united && lives {
                        let (other, owner) = (NODES[*place], NODES[*owner]);
                        return Err(format!("a packet of {} was inspected by {other}, {owner} owns it", seen.flow));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl OneNode {
    fn told(&mut self, world: &World, place: Place, event: &Event) {
        match event {
            Event::Acknowledged { flow, .. } => {
                self.owned.entry((packets::stream(flow), place)).or_insert(world.now);
            }
            Event::StreamEnded { flow, .. } | Event::Refused { flow, .. } => {
                self.owned.remove(&(packets::stream(flow), place));
            }
            Event::HolderChanged { .. } | Event::MemberDied { .. } | Event::LinkLost { .. } | Event::LinkUp { .. } => {
                self.changed_at = world.now;
            }
            _ => {}
        }
    }
}

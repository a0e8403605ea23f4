//! L4: with traffic stopped everything expires to empty, and nothing expires early.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::session::State;
use herald_core::time::Instant;

use super::Checker;
use crate::member::{NODES, Place, TIMEOUTS};
use crate::packets;
use crate::recorder::Note;
use crate::world::{Sight, World};

/// When each stream was last heard, by its node's clock.
#[derive(Default)]
pub(super) struct Expiry {
    heard: BTreeMap<(Place, FlowKey), Instant>,
    established: BTreeMap<(Place, FlowKey), bool>,
}

impl Checker for Expiry {
    fn invariant(&self) -> &'static str {
        "L4"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Noted { place, note: Note::Inspected { interface, bytes, .. } } => {
                if let Some(seen) = packets::seen(*interface, bytes) {
                    let key = (*place, packets::stream(&seen.flow));
                    let member = &world.members[*place];
                    self.heard.insert(key, member.clock.shows(world.now));
                    let markers = member.node.as_ref().unwrap().markers();
                    let state = markers.find(&seen.flow).and_then(|(slot, _)| markers.at(slot).state());
                    self.established.insert(key, state == Some(State::Established));
                }
                Ok(())
            }
            Sight::Noted { place, note: Note::Ended { opener, reason: EndReason::TimedOut, at, .. } } => {
                let key = (*place, packets::stream(opener));
                let least = least_silence(opener, self.established.get(&key) == Some(&true));
                let silent = self.heard.get(&key).map_or(least, |heard| at.since(*heard));
                if silent + Duration::from_millis(1) >= least {
                    return Ok(());
                }
                Err(format!("{} ended {opener} after a silence of {silent:?}", NODES[*place]))
            }
            Sight::Over => empty(world),
            _ => Ok(()),
        }
    }
}

fn least_silence(opener: &FlowKey, established: bool) -> Duration {
    match (opener.protocol(), established) {
        (6, true) => TIMEOUTS.tcp_closing.min(TIMEOUTS.tcp_established),
        (6, false) => TIMEOUTS.tcp_opening,
        (17, _) => TIMEOUTS.udp,
        _ => TIMEOUTS.icmp,
    }
}

fn empty(world: &World) -> Result<(), String> {
    for member in &world.members {
        let Some(node) = &member.node else { continue };
        let (markers, sessions, frames) = (node.markers().len(), node.redirector().len(), node.frames_kept());
        if markers + sessions + frames > 0 {
            let name = NODES[member.place];
            return Err(format!("{name} still has {markers} marker sessions, {sessions} sessions and {frames} frames"));
        }
    }
    Ok(())
}

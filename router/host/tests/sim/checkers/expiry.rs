//! L4: with traffic stopped everything expires to empty, nothing expires early, and what has no connection expires in time. A
//! stream that has ended leaves a tombstone at its node.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::chosen::Class;
use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::limits::DETECTION_TIME;
use herald_core::session::{Announced, State};
use herald_core::time::Instant;

use super::Checker;
use crate::member::{Member, NODES, Place, TIMEOUTS};
use crate::packets;
use crate::recorder::Note;
use crate::world::{Sight, World};

/// How long the tombstone of an acknowledged stream stands at its node.
const TOMBSTONE: Duration = DETECTION_TIME.saturating_mul(4);

/// A node looks at its deadlines when they are due.
const LATE: Duration = Duration::from_millis(250);

/// When each stream was last heard, by its node's clock.
#[derive(Default)]
pub(super) struct Expiry {
    heard: BTreeMap<(Place, FlowKey), Instant>,
    established: BTreeMap<(Place, FlowKey), bool>,
    /// Tombstones that stand.
    tombstones: BTreeMap<(Place, FlowKey), Tombstone>,
}

struct Tombstone {
    /// Of its node.
    boot: u64,
    /// When the stream ended, by the node's clock.
    at: Instant,
    /// How many of the node had made room for others by then.
    forgotten: u64,
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
            Sight::Noted { place, note: Note::Started { opener, at, .. } } => {
                let key = (*place, packets::stream(opener));
                self.tombstones.remove(&key);
                self.heard.insert(key, *at);
                self.established.remove(&key);
                Ok(())
            }
            Sight::Noted { place, note: Note::Ended { opener, reason, at, .. } } => {
                let key = (*place, packets::stream(opener));
                if has_tombstone(&world.members[*place], opener) {
                    let member = &world.members[*place];
                    let forgotten = forgotten_early(member);
                    self.tombstones.insert(key, Tombstone { boot: member.boot, at: *at, forgotten });
                }
                if *reason == EndReason::TimedOut { self.in_time(world, key, *at) } else { Ok(()) }
            }
            Sight::Sampled => self.tombstones_stand(world),
            Sight::Over => empty(world),
            _ => Ok(()),
        }
    }
}

impl Expiry {
    fn in_time(&self, world: &World, key: (Place, FlowKey), at: Instant) -> Result<(), String> {
        let (place, opener) = key;
        let least = least_silence(&opener, self.established.get(&key) == Some(&true));
        let Some(heard) = self.heard.get(&key) else { return Ok(()) };
        let silent = at.since(*heard);
        // What its plugins have ended they are not shown, and a node that was stopped is late.
        let ended = world.ended_by_plugins.contains(&opener);
        let stopped = world.now.since(world.members[place].back_since) <= silent + LATE;
        if silent + Duration::from_millis(1) < least {
            return Err(format!("{} ended {opener} after a silence of {silent:?}", NODES[place]));
        }
        if opener.protocol() != TCP && silent > least + LATE && !ended && !stopped {
            return Err(format!("{} ended {opener} only after a silence of {silent:?}", NODES[place]));
        }
        Ok(())
    }

    fn tombstones_stand(&mut self, world: &World) -> Result<(), String> {
        let mut missed = Ok(());
        self.tombstones.retain(|(place, opener), tombstone| {
            let member = &world.members[*place];
            let Some(node) = member.node.as_ref().filter(|_| member.boot == tombstone.boot) else { return false };
            let past = member.clock.shows(world.now).since(tombstone.at);
            let made_room = forgotten_early(member) > tombstone.forgotten;
            if past < TOMBSTONE && !made_room && node.markers().find(opener).is_none() {
                missed = Err(format!("{} forgot {opener} {past:?} after its end", NODES[*place]));
            }
            past < TOMBSTONE
        });
        missed
    }
}

/// How many tombstones of a node have made room for others.
fn forgotten_early(member: &Member) -> u64 {
    member.node.as_ref().map_or(0, |node| node.room().evicted(Class::Ended))
}

/// True if a stream that has just ended has left one. A stream that was refused is forgotten, and of one that no redirector
/// knows the key may be taken by another.
fn has_tombstone(member: &Member, opener: &FlowKey) -> bool {
    let Some(markers) = member.node.as_ref().map(|node| node.markers()) else { return false };
    markers.find(opener).is_some_and(|(slot, _)| {
        let session = markers.at(slot);
        let known = matches!(session.announced, Announced::Acknowledged | Announced::Moved(_));
        known && !session.alive
    })
}

const TCP: u8 = 6;

fn least_silence(opener: &FlowKey, established: bool) -> Duration {
    match (opener.protocol(), established) {
        (TCP, true) => TIMEOUTS.tcp_closing.min(TIMEOUTS.tcp_established),
        (TCP, false) => TIMEOUTS.tcp_opening,
        (17, _) => TIMEOUTS.udp,
        (1 | 58, _) => TIMEOUTS.icmp,
        _ => TIMEOUTS.other,
    }
}

fn empty(world: &World) -> Result<(), String> {
    for member in world.members.iter().filter(|member| member.runs()) {
        let (markers, sessions, frames) = world.left(member);
        if markers + sessions + frames > 0 {
            let name = NODES[member.place];
            return Err(format!("{name} still has {markers} marker sessions, {sessions} sessions and {frames} frames"));
        }
    }
    Ok(())
}

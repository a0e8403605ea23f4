//! L5: a node knows how many streams it has left to give away, a drain comes to its end, and when all is over nothing is
//! left.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::id::Interface;
use herald_core::session::{Announced, MarkerSession};
use herald_core::time::Instant;
use herald_host::Head;

use super::Checker;
use crate::member::{Member, NODES, Place, id};
use crate::world::{Sight, World};

/// Time for the roles to go, for what was announced to be acknowledged, and for the last fence.
const DRAIN_TIME_MAX: Duration = Duration::from_millis(900);

/// Since when a node drains and nothing else has happened.
#[derive(Default)]
pub(super) struct Remains {
    draining: BTreeMap<Place, Instant>,
    /// When a node had no lane for frames to a candidate: nothing is given to that one (section 11).
    apart: BTreeMap<Place, Instant>,
}

impl Checker for Remains {
    fn invariant(&self) -> &'static str {
        "L5"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Sampled => world.members.iter().try_for_each(|member| {
                counted(member)?;
                self.drained(world, member)
            }),
            // A node that stands still counts no more.
            Sight::Over => world.standing.well().into_iter().try_for_each(|place| match &world.members[place].node {
                Some(node) if node.remaining().streams > 0 => {
                    let (name, left) = (NODES[place], node.remaining().streams);
                    Err(format!("{name} counts {left} streams when none is left"))
                }
                Some(_) | None => Ok(()),
            }),
            _ => Ok(()),
        }
    }
}

/// A stream is left while it lives, or while its stragglers must still follow it.
fn is_left(session: &MarkerSession<Head>) -> bool {
    let follows = match session.announced {
        Announced::Moved(moved) => moved.fence != Instant::NEVER,
        Announced::No | Announced::Waiting | Announced::TimedOut { .. } | Announced::Acknowledged | Announced::Lost => {
            false
        }
    };
    session.alive || follows
}

fn counted(member: &Member) -> Result<(), String> {
    let Some(node) = &member.node else { return Ok(()) };
    let (says, has) = (node.remaining().streams, node.markers().iter().filter(|(_, session)| is_left(session)).count());
    if says == has {
        return Ok(());
    }
    Err(format!("{} says that {says} streams are left, and has {has}", NODES[member.place]))
}

impl Remains {
    fn drained(&mut self, world: &World, member: &Member) -> Result<(), String> {
        let Some(node) = member.node.as_ref().filter(|_| member.runs()) else {
            self.draining.remove(&member.place);
            return Ok(());
        };
        let own = id(member.place);
        let drains = node.membership().member(own).is_some_and(|member| member.draining);
        let is_candidate = |place: &Place| node.membership().candidates().iter().any(|c| c.node == id(*place));
        let successors = || (0..NODES.len()).filter(|place| *place != member.place).filter(is_candidate);
        if successors().any(|to| !world.links.carries_frames(member.place, to)) {
            self.apart.insert(member.place, world.now);
        }
        if !drains || successors().next().is_none() {
            self.draining.remove(&member.place);
            return Ok(());
        }
        let began = *self.draining.entry(member.place).or_insert(world.now);
        let since = began.max(world.united_since).max(world.disturbed_at);
        if world.now.since(since) <= DRAIN_TIME_MAX {
            return Ok(());
        }
        let (name, now) = (NODES[member.place], member.clock.shows(world.now));
        if let Some(interface) = Interface::BOTH.into_iter().find(|interface| node.membership().holds(*interface)) {
            return Err(format!("{name} drains and still holds {interface}"));
        }
        let apart = self.apart.get(&member.place);
        if apart.is_some_and(|apart| world.now.since(*apart) <= DRAIN_TIME_MAX) {
            return Ok(());
        }
        // What came lately, and what may not be given away yet, is not late.
        let is_late = |session: &MarkerSession<Head>| {
            let old = now.since(session.started) > DRAIN_TIME_MAX;
            old && session.alive && session.announced == Announced::Acknowledged && !session.fenced
        };
        match node.markers().iter().find(|(_, session)| is_late(session)) {
            Some((_, session)) => Err(format!("{name} drains and still has {}", session.opener)),
            None => Ok(()),
        }
    }
}

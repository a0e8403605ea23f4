//! What chosen nodes announce and close, and which of two that want the same stream or key gets it.

use std::collections::HashMap;

use super::Redirector;
use super::reach::is_gone;
use crate::flow::{FlowKey, HashKey};
use crate::id::{Epoch, NodeId};
use crate::inspector::Direction;
use crate::limits::TOMBSTONE_TIME;
use crate::mesh::{Acknowledge, Announce, Close, Refuse};
use crate::mutation::{Mutation, is_on};
use crate::session::{RedirectorSession, Standing};
use crate::time::Instant;

/// What becomes of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The session stands.
    Acknowledged,
    /// The session stands; the node that had the stream has lost it.
    Displaced(NodeId, Refuse),
    /// Somebody else has the stream or the key.
    Refused(Refuse),
}

impl Redirector {
    /// A chosen node says that packets with `key` are its own. `key` is one of the announcement's two keys, `stream` the
    /// stream's identity.
    pub fn session_announced(&mut self, now: Instant, key: &FlowKey, stream: u64, announce: &Announce) -> Heard {
        let refuse = |winner| {
            Heard::Refused(Refuse { return_key: announce.return_key, generation: announce.generation, winner })
        };
        let interface = key.interface();
        let round = self.copies.round(announce.generation.node, interface);
        let announced = |old: Option<&RedirectorSession>| session_of(now, key, announce, (stream, round), old);
        let slot = self.table.slot(key);
        let Some((_, session)) = slot.and_then(|slot| self.table.at_mut(slot)) else {
            if !self.put(now, *key, announced(None)) {
                return refuse(None);
            }
            note_translation(&mut self.translated, key, announce);
            return Heard::Acknowledged;
        };
        let old = *session;
        let is_orphan = || old.generation.node != announce.generation.node && is_gone(&self.gone, old.generation.node);
        match old.standing {
            Standing::Provisional => {}
            Standing::Announced | Standing::Moving | Standing::Tombstone if is_orphan() => {}
            Standing::Announced if old.generation == announce.generation => {
                session.round = round;
                return Heard::Acknowledged;
            }
            Standing::Moving if old.generation == announce.generation => {}
            Standing::Announced | Standing::Moving if old.stream != stream => return refuse(None),
            Standing::Announced | Standing::Moving | Standing::Tombstone
                if announce.generation.wins_over(old.generation) || is_on(Mutation::LowerGenerationWins) => {}
            Standing::Announced | Standing::Moving | Standing::Tombstone => return refuse(Some(old.generation)),
        }
        let session = match old.standing {
            Standing::Tombstone => announced(None),
            Standing::Provisional | Standing::Announced | Standing::Moving => announced(Some(&old)),
        };
        self.put(now, *key, session);
        // Two ends may have opened the stream: the loser's return key need not be the winner's.
        let lost_return_key = match old.direction {
            Direction::FromOpener => self.other_key(key, old.other),
            Direction::ToOpener => *key,
        };
        note_translation(&mut self.translated, key, announce);
        if old.standing == Standing::Announced && old.generation.node != announce.generation.node {
            let winner = Some(announce.generation);
            let lost = Refuse { return_key: lost_return_key, generation: old.generation, winner };
            return Heard::Displaced(old.generation.node, lost);
        }
        Heard::Acknowledged
    }

    /// The answer to an announcement that this node's redirector accepted in `epoch`.
    #[must_use]
    pub fn acknowledge(announce: &Announce, epoch: Epoch) -> Acknowledge {
        Acknowledge { return_key: announce.return_key, generation: announce.generation, epoch }
    }

    /// The chosen node says that this ownership has ended; its tombstone stays for a while.
    pub fn session_closed(&mut self, now: Instant, key: &FlowKey, close: &Close) {
        let Some(slot) = self.table.slot(key) else { return };
        let Some((_, session)) = self.table.at_mut(slot) else { return };
        let provisional = session.generation.node == close.generation.node && session.standing == Standing::Provisional;
        if session.generation == close.generation || provisional || is_on(Mutation::CloseForOthers) {
            self.copies.toggle(key.interface(), session);
            session.generation = close.generation;
            session.standing = Standing::Tombstone;
            session.expires = now + TOMBSTONE_TIME;
            self.arrange(slot);
        }
    }
}

/// Remembers the other key of a stream that a plugin translates.
fn note_translation(translated: &mut HashMap<FlowKey, FlowKey, HashKey>, key: &FlowKey, announce: &Announce) {
    let other = if *key == announce.arrival { announce.return_key } else { announce.arrival };
    if other == key.reversed(other.interface()) {
        if !translated.is_empty() {
            translated.remove(key);
        }
    } else {
        translated.insert(*key, other);
    }
}

/// The session that an announcement makes in the place of `old`. `stream` and `round` as in the session.
fn session_of(
    now: Instant,
    key: &FlowKey,
    announce: &Announce,
    (stream, round): (u64, u32),
    old: Option<&RedirectorSession>,
) -> RedirectorSession {
    let (direction, other) = if *key == announce.arrival {
        (Direction::FromOpener, announce.return_key.interface())
    } else {
        (Direction::ToOpener, announce.arrival.interface())
    };
    RedirectorSession {
        generation: announce.generation,
        boot: announce.boot,
        choice: announce.choice,
        stream,
        standing: Standing::Announced,
        direction,
        other,
        started: old.map_or(now, |old| old.started),
        seen: old.map_or(now, |old| old.seen),
        expires: Instant::NEVER,
        round,
        packets: old.map_or(0, |old| old.packets),
        bytes: old.map_or(0, |old| old.bytes),
    }
}

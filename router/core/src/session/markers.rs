//! The table of marker sessions: records by slot, and an index of both of their keys with eight bytes for each.

use std::fmt;

use super::arena::Arena;
use super::marker::{Count, MarkerSession, NewMarker};
use super::shards::Index;
use crate::event::DropReason;
use crate::flow::{FlowKey, HashKey, HashedKey};
use crate::id::Slot;
use crate::inspector::{Direction, HostPart, Parts};
use crate::limits::{HOST_PART_LEN_MAX, SESSIONS_MAX};
use crate::mistake::mistake;
use crate::time::Instant;

/// All marker sessions of a node.
pub struct Markers<H> {
    sessions: Arena<MarkerSession<H>>,
    /// Shown where a slot holds nothing, which only a mistake of this program asks for.
    nothing: MarkerSession<H>,
    index: Index,
    key: HashKey,
    next_id: u64,
}

/// With every session; the index follows from them.
impl<H: fmt::Debug> fmt::Debug for Markers<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Markers")
            .field("sessions", &self.sessions)
            .field("next_id", &self.next_id)
            .finish_non_exhaustive()
    }
}

impl<H: HostPart> Markers<H> {
    /// No sessions yet. `key` hashes the keys of packets, and no outsider knows it.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        const { assert!(size_of::<H>() <= HOST_PART_LEN_MAX) }
        Self { sessions: Arena::new(), nothing: MarkerSession::nothing(), index: Index::new(), key, next_id: 1 }
    }

    /// Finds a packet's session and books the packet there.
    pub fn meet(&mut self, now: Instant, key: &HashedKey, size: Count) -> Option<(Slot, Direction)> {
        let (slot, direction) = self.find_hashed(key)?;
        let session = self.at_mut(slot);
        let count = &mut session.counts[direction];
        count.packets += size.packets;
        count.bytes += size.bytes;
        session.seen = now;
        Some((slot, direction))
    }

    /// The session of a key, and which of its keys that is.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<(Slot, Direction)> {
        self.find_hashed(&self.key.hashed(*key))
    }

    fn find_hashed(&self, HashedKey { key, hash }: &HashedKey) -> Option<(Slot, Direction)> {
        let has_key = |number| {
            let (slot, direction) = place_of(number);
            self.sessions.get(slot).is_some_and(|session| session.key(direction) == Some(key))
        };
        self.index.find(*hash, has_key).map(place_of)
    }

    /// Makes the session of a stream whose first packet has just come.
    ///
    /// # Errors
    /// [`DropReason::MarkerSessionsFull`] when there is no memory for it.
    pub fn make(&mut self, now: Instant, new: &NewMarker) -> Result<Slot, DropReason> {
        let session = self.fresh(now, new);
        let slot = self.sessions.insert(session).ok_or(DropReason::MarkerSessionsFull)?;
        self.note_key(slot, Direction::FromOpener, &new.opener);
        Ok(slot)
    }

    /// Starts a new stream in the place of one that ended: same key, next generation.
    pub fn restart(&mut self, now: Instant, slot: Slot, new: &NewMarker) {
        self.forget_keys(slot);
        let session = self.fresh(now, new);
        *self.at_mut(slot) = session;
        self.note_key(slot, Direction::FromOpener, &new.opener);
    }

    fn fresh(&mut self, now: Instant, new: &NewMarker) -> MarkerSession<H> {
        let id = self.next_id;
        self.next_id += 1;
        MarkerSession::new(now, id, new)
    }

    /// The return packets of a stream will have this key, which makes its identity. A stream that has the key, but no
    /// return key yet, is the same exchange, opened from its other end: it loses the key, and its slot is returned.
    ///
    /// # Errors
    /// Another stream has the key.
    pub fn learn_return_key(&mut self, slot: Slot, key: FlowKey, identity: u64) -> Result<Option<Slot>, KeyTaken> {
        let other = self.slot_of(&key).filter(|other| *other != slot);
        if other.is_some_and(|other| self.at(other).return_key.is_some()) {
            return Err(KeyTaken);
        }
        let known = self.at(slot).return_key;
        if known == Some(key) {
            return Ok(None);
        }
        if let Some(loser) = other {
            self.forget_key(loser, Direction::FromOpener, &key);
        }
        if let Some(known) = known {
            self.forget_key(slot, Direction::ToOpener, &known);
        }
        let session = self.at_mut(slot);
        (session.return_key, session.identity) = (Some(key), identity);
        session.counts.to_opener = Count::default();
        self.note_key(slot, Direction::ToOpener, &key);
        Ok(other)
    }

    /// The slot of a session by either of its keys.
    #[must_use]
    pub fn slot_of(&self, key: &FlowKey) -> Option<Slot> {
        self.find(key).map(|(slot, _)| slot)
    }

    /// The session in a slot if it is the one with this number, and not another's by now.
    #[must_use]
    pub fn still(&self, slot: Slot, id: u64) -> Option<&MarkerSession<H>> {
        self.sessions.get(slot).filter(|session| session.id == id)
    }

    /// The same, to change.
    pub fn still_mut(&mut self, slot: Slot, id: u64) -> Option<&mut MarkerSession<H>> {
        self.sessions.get_mut(slot).filter(|session| session.id == id)
    }

    /// The first slot in use from `slot` on.
    #[must_use]
    pub fn slot_from(&self, slot: Slot) -> Option<Slot> {
        self.sessions.next_from(slot)
    }

    /// The session in a slot that is in use.
    #[must_use]
    pub fn at(&self, slot: Slot) -> &MarkerSession<H> {
        self.sessions.get(slot).unwrap_or_else(|| {
            mistake(format_args!("{slot:?} holds no session"));
            &self.nothing
        })
    }

    /// The session in a slot that is in use, to change.
    pub fn at_mut(&mut self, slot: Slot) -> &mut MarkerSession<H> {
        self.sessions.get_mut(slot).unwrap_or_else(|| {
            mistake(format_args!("{slot:?} holds no session"));
            &mut self.nothing
        })
    }

    /// The sessions with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &MarkerSession<H>)> {
        self.sessions.iter()
    }

    /// The sessions of one part of the table, by its number from 0 on; `None` behind the last.
    pub fn part(&self, number: usize) -> Option<impl Iterator<Item = &MarkerSession<H>>> {
        self.sessions.chunk(number)
    }

    /// Forgets a session and its keys.
    pub fn remove(&mut self, slot: Slot) {
        self.forget_keys(slot);
        self.sessions.remove(slot);
    }

    /// True if one more session has a place without growing.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.sessions.has_place()
    }

    /// Grows by a step. False if there is no memory for it.
    pub fn grow(&mut self) -> bool {
        self.sessions.grow()
    }

    /// Sessions for which there is memory now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sessions.capacity()
    }

    /// The number behind the last slot that was ever used.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.sessions.slots()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// True without sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn note_key(&mut self, slot: Slot, direction: Direction, key: &FlowKey) {
        self.index.insert(self.key.hashed(*key).hash, number_of(slot, direction));
    }

    fn forget_key(&mut self, slot: Slot, direction: Direction, key: &FlowKey) {
        self.index.remove(self.key.hashed(*key).hash, number_of(slot, direction));
    }

    /// Forgets the keys of a session. One that it lost to another is not found.
    fn forget_keys(&mut self, slot: Slot) {
        for direction in Direction::BOTH {
            if let Some(key) = self.at(slot).key(direction).copied() {
                self.forget_key(slot, direction, &key);
            }
        }
    }
}

impl<H: HostPart> Parts<H> for Markers<H> {
    fn part(&mut self, slot: Slot, stream: u64) -> Option<&mut H> {
        let session = self.still_mut(slot, stream)?;
        session.alive.then_some(&mut session.host)
    }
}

/// A slot and a direction in one number; slots stay far below the bound.
fn number_of(slot: Slot, direction: Direction) -> u32 {
    slot.number() << 1 | direction as u32
}

fn place_of(number: u32) -> (Slot, Direction) {
    let direction = if number & 1 == 0 { Direction::FromOpener } else { Direction::ToOpener };
    (Slot::new(number >> 1), direction)
}

const _: () = assert!(SESSIONS_MAX < 1 << 31);

/// Another stream has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTaken;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::mistake::take_mistakes;

    #[test]
    fn a_slot_that_holds_nothing_is_a_mistake() {
        take_mistakes();
        let markers = Markers::<()>::new(HashKey([1; 16]));
        let asked = catch_unwind(AssertUnwindSafe(|| markers.at(Slot::new(3)).alive));
        match asked {
            Ok(alive) => assert!(!cfg!(debug_assertions) && !alive),
            Err(said) => assert_eq!(said.downcast_ref::<String>().unwrap(), "slot 3 holds no session"),
        }
        assert_eq!(take_mistakes(), 1);
    }
}

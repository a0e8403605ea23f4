//! Marker sessions: the chosen node's own notes of its streams, with the plugins' state beside them.

use std::fmt;
use std::sync::Arc;

use slab::Slab;

use super::{Life, MarkerEntry, Tables};
use crate::event::DropReason;
use crate::flow::FlowKey;
use crate::id::Generation;
use crate::inspector::{Direction, Scope, States, Stream, Verdict};
use crate::limits::MARKER_SESSIONS_MAX;
use crate::time::Instant;

/// How far the other redirector knows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// No packet has left yet.
    No,
    /// An announcement is on its way; packets are held.
    Waiting,
    /// A hold ran out; packets go on only as far as the other redirector would choose this node by itself.
    TimedOut {
        /// When to announce again.
        again: Instant,
    },
    /// Acknowledged.
    Acknowledged,
    /// Refused: another node has the stream, and this session is about to end.
    Lost,
    /// Handed over: another node has the stream, and what still comes follows it.
    Moved(Moved),
}

/// A stream that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The new ownership.
    pub to: Generation,
    /// Redirectors that have said that they know.
    pub told_by: u8,
    /// When the fence is due; `None` once it was sent.
    pub fence: Option<Instant>,
}

/// The chosen node's own note of a stream.
#[derive(Debug)]
pub struct MarkerSession {
    /// What plugins know of it.
    pub stream: Stream,
    /// Key of the return packets, once the first packet was about to leave.
    pub return_key: Option<FlowKey>,
    /// The hash that chose this node.
    pub choice: u64,
    /// Counter of its generation.
    pub generation: u32,
    /// How far the other redirector knows.
    pub announced: Announced,
    /// The generation in which both redirectors were told of the stream: what the digests have of it.
    pub told: Option<u32>,
    /// Identity of the stream, once both keys are known: equal on its redirectors.
    pub identity: u64,
    /// Until when frames that come directly stay behind those that its former owner hands over.
    pub fenced: Option<Instant>,
    /// Where it is in its life.
    pub life: Life,
    /// False once the stream has ended and only its tombstone stands.
    pub alive: bool,
    /// What a verdict on the opener's flow or on the stream says of every packet from the opener.
    pub blocked_from_opener: Verdict,
    /// The same for packets to the opener.
    pub blocked_to_opener: Verdict,
    /// A packet of the stream has left.
    pub has_left: bool,
    /// A return packet has left.
    pub has_returned: bool,
    /// When the stream started.
    pub started: Instant,
    /// When its last packet came, in either direction.
    pub seen: Instant,
    /// The one deadline in the queue that counts.
    pub due: Instant,
}

/// All marker sessions of a node.
pub struct Markers {
    tables: Arc<Tables>,
    sessions: Slab<MarkerSession>,
    states: States,
    next_id: u64,
}

/// With every session, which a slab leaves out.
impl fmt::Debug for Markers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Markers ")?;
        f.debug_map()
            .entries(self.sessions.iter())
            .entry(&"states", &self.states)
            .entry(&"next_id", &self.next_id)
            .finish()
    }
}

impl Markers {
    /// No sessions yet; plugins keep `state_len` bytes for each.
    #[must_use]
    pub fn new(tables: Arc<Tables>, state_len: usize) -> Self {
        Self { tables, sessions: Slab::new(), states: States::new(state_len), next_id: 1 }
    }

    /// Finds a packet's session and books the packet there.
    pub fn meet(&self, now: Instant, key: &FlowKey, packets: u64, bytes: u64) -> Option<(u32, Direction)> {
        let mut entry = self.tables.markers.get_mut(key)?;
        entry.packets += packets;
        entry.bytes += bytes;
        entry.seen = now;
        Some((entry.slot, entry.direction))
    }

    /// Makes the session of a stream whose first packet has just come.
    ///
    /// # Errors
    /// [`DropReason::MarkerSessionsFull`] when the table is full.
    pub fn make(&mut self, now: Instant, new: NewMarker) -> Result<u32, DropReason> {
        let slot = u32::try_from(self.sessions.vacant_key()).map_err(|_| DropReason::MarkerSessionsFull)?;
        if self.sessions.len() >= MARKER_SESSIONS_MAX {
            return Err(DropReason::MarkerSessionsFull);
        }
        self.states.reserve(slot);
        let session = self.fresh(now, &new);
        let generation = session.generation;
        self.sessions.insert(session);
        let entry = self.entry(now, slot, generation, Direction::FromOpener, &new);
        self.tables.markers.insert(new.stream.opener, entry);
        Ok(slot)
    }

    /// Starts a new stream in the place of one that ended: same key, next generation.
    pub fn restart(&mut self, now: Instant, slot: u32, new: NewMarker) {
        let session = self.fresh(now, &new);
        let entry = self.entry(now, slot, session.generation, Direction::FromOpener, &new);
        if let Some(old) = self.sessions.get_mut(slot as usize) {
            let old = std::mem::replace(old, session);
            self.forget_keys(slot, &old);
        }
        self.tables.markers.insert(new.stream.opener, entry);
    }

    fn fresh(&mut self, now: Instant, new: &NewMarker) -> MarkerSession {
        let id = self.next_id;
        self.next_id += 1;
        MarkerSession {
            stream: Stream { id, ..new.stream },
            return_key: None,
            choice: new.choice,
            generation: new.generation,
            announced: Announced::No,
            told: None,
            identity: 0,
            fenced: None,
            life: new.life,
            alive: true,
            blocked_from_opener: Verdict::default(),
            blocked_to_opener: Verdict::default(),
            has_left: false,
            has_returned: false,
            started: now,
            seen: now,
            due: Instant::NEVER,
        }
    }

    fn entry(&self, now: Instant, slot: u32, generation: u32, direction: Direction, new: &NewMarker) -> MarkerEntry {
        let state = Some(new.life.state());
        let (packets, bytes) = new.size;
        MarkerEntry { slot, generation, direction, state, started: now, seen: now, packets, bytes }
    }

    /// The return packets of a stream will have this key, which makes its identity. A stream that has the key, but no
    /// return key yet, is the same exchange, opened from its other end: it loses the key, and its slot is returned.
    ///
    /// # Errors
    /// Another stream has the key.
    pub fn learn_return_key(&mut self, slot: u32, key: FlowKey, identity: u64) -> Result<Option<u32>, KeyTaken> {
        let same_exchange = |other: u32| self.sessions.get(other as usize).is_some_and(|o| o.return_key.is_none());
        let other = self.slot_of(&key).filter(|other| *other != slot);
        if other.is_some_and(|other| !same_exchange(other)) {
            return Err(KeyTaken);
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return Err(KeyTaken) };
        if session.return_key == Some(key) {
            return Ok(None);
        }
        session.identity = identity;
        let entry = MarkerEntry {
            slot,
            generation: session.generation,
            direction: Direction::ToOpener,
            state: Some(session.life.state()),
            started: session.started,
            seen: session.started,
            packets: 0,
            bytes: 0,
        };
        self.tables.markers.insert(key, entry);
        if let Some(old) = session.return_key.replace(key) {
            self.tables.markers.remove(&old);
        }
        Ok(other)
    }

    /// The slot of a session by either of its keys.
    #[must_use]
    pub fn slot_of(&self, key: &FlowKey) -> Option<u32> {
        self.tables.markers.get(key).map(|entry| entry.slot)
    }

    /// The first slot in use from `slot` on.
    #[must_use]
    pub fn slot_from(&self, slot: u32) -> Option<u32> {
        let end = u32::try_from(self.sessions.capacity()).unwrap_or(u32::MAX);
        (slot..end).find(|slot| self.sessions.contains(*slot as usize))
    }

    /// The session in a slot.
    #[must_use]
    pub fn at(&self, slot: u32) -> Option<&MarkerSession> {
        self.sessions.get(slot as usize)
    }

    /// The session in a slot, to change.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut MarkerSession> {
        self.sessions.get_mut(slot as usize)
    }

    /// The sessions with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &MarkerSession)> {
        self.sessions.iter().filter_map(|(slot, session)| Some((u32::try_from(slot).ok()?, session)))
    }

    /// The plugins' state.
    pub fn states(&mut self) -> &mut States {
        &mut self.states
    }

    /// Shows a session's state to readers of the table, `None` for a tombstone.
    pub fn show(&self, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let state = session.alive.then(|| session.life.state());
        for key in [Some(session.stream.opener), session.return_key].into_iter().flatten() {
            if let Some(mut entry) = self.tables.markers.get_mut(&key)
                && entry.slot == slot
            {
                entry.state = state;
                entry.generation = session.generation;
            }
        }
    }

    /// What the table counted for one direction of a session: wire packets and bytes. None for a key that it lost.
    #[must_use]
    pub fn counted(&self, slot: u32, key: Option<FlowKey>) -> (u64, u64) {
        let entry = key.and_then(|key| self.tables.markers.get(&key)).filter(|entry| entry.slot == slot);
        entry.map(|entry| (entry.packets, entry.bytes)).unwrap_or_default()
    }

    /// Forgets a session and its keys.
    pub fn remove(&mut self, slot: u32) {
        if let Some(session) = self.sessions.try_remove(slot as usize) {
            self.forget_keys(slot, &session);
        }
    }

    /// Forgets the keys of a session, but for one that it lost to another.
    fn forget_keys(&self, slot: u32, session: &MarkerSession) {
        for key in [Some(session.stream.opener), session.return_key].into_iter().flatten() {
            self.tables.markers.remove_if(&key, |_, entry| entry.slot == slot);
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// True without sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

/// Another stream has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTaken;

impl MarkerSession {
    /// What a verdict on this direction or on the stream said before.
    #[must_use]
    pub fn blocked(&self, direction: Direction) -> Verdict {
        match direction {
            Direction::FromOpener => self.blocked_from_opener,
            Direction::ToOpener => self.blocked_to_opener,
        }
    }

    /// Remembers a verdict that covers more than its packet.
    pub fn block(&mut self, direction: Direction, verdict: Verdict) {
        let (from_opener, to_opener) = match (verdict.scope, direction) {
            (Scope::Packet, _) => (false, false),
            (Scope::Flow, Direction::FromOpener) => (true, false),
            (Scope::Flow, Direction::ToOpener) => (false, true),
            (Scope::Stream, _) => (true, true),
        };
        let of_each_packet = Verdict { scope: Scope::Packet, ..verdict };
        if from_opener {
            self.blocked_from_opener = of_each_packet;
        }
        if to_opener {
            self.blocked_to_opener = of_each_packet;
        }
    }
}

/// What a new marker session is made of.
#[derive(Debug)]
pub struct NewMarker {
    /// The stream; its id is given by the table.
    pub stream: Stream,
    /// The hash that chose this node.
    pub choice: u64,
    /// Counter of its generation.
    pub generation: u32,
    /// Where it is in its life.
    pub life: Life,
    /// Wire packets and Ethernet bytes of its first frame.
    pub size: (u64, u64),
}

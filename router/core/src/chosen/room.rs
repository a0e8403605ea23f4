//! Room in the table of marker sessions: which streams end when others need their places, and when there is no place left.
//!
//! | class | its streams | may have of the table |
//! | --- | --- | --- |
//! | ended | closed, or only their tombstones stand | all |
//! | half-open | TCP before the end of the handshake | a quarter |
//! | one-way | nothing has come back yet | a half |
//! | answered | something has come back; TCP: one end has finished, or the handshake was not seen | all |
//! | established | TCP, both ends have spoken | all |
//!
//! So a quarter is kept for answered streams. A class that is full makes room in itself. In a full table what has ended goes
//! first, then unanswered streams (half-open and one-way), and answered and established ones at last. Of unanswered ones the
//! oldest goes, unless a source has more than a sixteenth of the table: then one of its streams. Answered ones are ended only
//! where a source has that much. So a flood with one address ends its own streams, and in one with forged addresses age alone
//! decides: who is answered soon is safe.
//!
//! A table of which fifteen sixteenths are answered streams of many sources is full: the redirector is to choose the next node.

use super::Chosen;
use super::ending::end_of_silence;
use crate::event::{DropReason, EndReason, Event};
use crate::flow::{FlowKey, HashKey};
use crate::id::Slot;
use crate::inspector::HostPart;
use crate::limits::{
    DECLINES_BURST_MAX, DECLINES_PER_SECOND_MAX, FULL_TIME_MAX, GROWTH_RETRY_DELAY, GROWTH_SLOTS, TELLING_INTERVAL,
};
use crate::mutation::{Mutation, is_on};
use crate::session::{Announced, Bounds, Life, MarkerSession, NewMarker, Queues, Sources, State};
use crate::time::{Bucket, Instant};
use crate::turn::Turn;

/// How much was seen of a stream, and so how soon it makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Closed, or only its tombstone stands.
    Ended,
    /// TCP before the end of the handshake.
    HalfOpen,
    /// Nothing has come back yet.
    OneWay,
    /// Something has come back.
    Answered,
    /// TCP, both ends have spoken.
    Established,
}

impl Class {
    /// All, by how soon they make room.
    pub const ALL: [Self; 5] = [Self::Ended, Self::HalfOpen, Self::OneWay, Self::Answered, Self::Established];

    /// The class of a session; `None` of one that makes no room, as it is about to go, or has a fence to send.
    fn of<H>(session: &MarkerSession<H>) -> Option<Self> {
        let is_leaving = match session.announced {
            Announced::Lost => true,
            Announced::Moved(moved) => moved.fence != Instant::NEVER,
            Announced::No | Announced::Waiting | Announced::TimedOut { .. } | Announced::Acknowledged => false,
        };
        if is_leaving {
            return None;
        }
        if !session.alive {
            return Some(Self::Ended);
        }
        Some(Self::of_life(&session.life))
    }

    fn of_life(life: &Life) -> Self {
        match (life.state(), life.is_answered()) {
            (State::Closed, _) => Self::Ended,
            (State::Opening, _) => Self::HalfOpen,
            (State::OneWay, _) | (State::Established | State::Closing | State::Active, false) => Self::OneWay,
            (State::Established, true) => Self::Established,
            (State::Closing | State::Active, true) => Self::Answered,
        }
    }
}

/// Sessions at which a full table looks for one of an outsized source: one that has a quarter of it is missed once in a
/// hundred times.
const DRAWS: u64 = 16;

/// Who stands in the table, and who makes room.
#[derive(Debug)]
pub struct Room {
    bounds: Bounds,
    /// Slots by class.
    queues: Queues<5>,
    pub(super) sources: Sources,
    /// Draws sessions; no outsider knows it.
    key: HashKey,
    drawn: u64,
    /// Sessions that there is memory for, once the machine had no more, and when to ask for more again.
    grown: Option<(usize, Instant)>,
    declines: Bucket,
    /// Since when there is no room for new streams.
    full_since: Option<Instant>,
    evicted: [u64; Class::ALL.len()],
    /// When it was told last that streams make room.
    told: Option<Instant>,
}

impl Room {
    pub(super) fn new(bounds: Bounds, key: HashKey) -> Self {
        Self {
            bounds,
            queues: Queues::default(),
            sources: Sources::new(key.derive(3), bounds.markers / 16),
            key: key.derive(4),
            drawn: 0,
            grown: None,
            declines: Bucket::new(Instant::default(), DECLINES_PER_SECOND_MAX, DECLINES_BURST_MAX),
            full_since: None,
            evicted: [0; Class::ALL.len()],
            told: None,
        }
    }

    /// Sessions that the table may have now.
    #[must_use]
    pub fn sessions_max(&self) -> usize {
        self.grown.map_or(self.bounds.markers, |(grown, _)| grown.min(self.bounds.markers))
    }

    /// Streams of a class that were ended to make room.
    #[must_use]
    pub fn evicted(&self, class: Class) -> u64 {
        self.evicted.get(class as usize).copied().unwrap_or_default()
    }

    /// Streams of a class.
    #[must_use]
    pub fn len(&self, class: Class) -> usize {
        self.queues.len(class as usize)
    }

    /// The machine gave no more memory.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        self.grown.is_some()
    }

    /// Nothing is left of the session in a slot.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.queues.leave(slot);
    }

    fn set_grown(&mut self, grown: Option<(usize, Instant)>) {
        let before = self.sessions_max();
        self.grown = grown;
        if self.sessions_max() != before {
            self.sources.set_share_max(self.sessions_max() / 16);
        }
    }

    /// Sessions that a class may have.
    fn class_max(&self, class: Class) -> usize {
        let all = self.sessions_max();
        match class {
            Class::HalfOpen => (all / 4).max(1),
            Class::OneWay => (all / 2).max(1),
            Class::Ended | Class::Answered | Class::Established => all,
        }
    }

    fn answered(&self) -> usize {
        self.len(Class::Answered) + self.len(Class::Established)
    }

    /// True if answered streams leave no room for new ones, which could not be answered before they made room again.
    fn is_crowded(&self) -> bool {
        let all = self.sessions_max();
        self.answered() >= (all - all / 16).min(all.saturating_sub(1)).max(1)
    }
}

impl<H: HostPart> Chosen<H> {
    /// The session in a slot has changed: its class. Out of the way of packets, most of which change nothing.
    #[inline(never)]
    pub(super) fn classify(&mut self, slot: Slot) {
        match Class::of(self.markers.at(slot)) {
            Some(class) => self.room.queues.put(slot, class as usize),
            None => self.room.queues.leave(slot),
        }
    }

    /// Makes room for a stream, in the place of an ended one if `slot` names it.
    ///
    /// # Errors
    /// [`DropReason::SourceSessionsFull`] if its source has too many streams, [`DropReason::MarkerSessionsFull`] if the
    /// table is full of streams that stay.
    pub(super) fn make_room(
        &mut self,
        turn: &mut Turn<'_, H>,
        slot: Option<Slot>,
        new: &NewMarker,
    ) -> Result<(), DropReason> {
        let per_source = self.room.bounds.per_source;
        if per_source > 0 && self.room.sources.count(self.room.sources.of(&new.opener)) >= per_source {
            return Err(DropReason::SourceSessionsFull);
        }
        let class = Class::of_life(&new.life);
        // It is not to make room for itself.
        slot.into_iter().for_each(|slot| self.room.queues.leave(slot));
        if self.room.len(class) >= self.room.class_max(class)
            && let Some(victim) = self.victim(&[class])
        {
            self.evict(turn, victim);
            return Ok(());
        }
        if slot.is_some() || self.has_place(turn) {
            return Ok(());
        }
        match self.next_victim() {
            Some(victim) => {
                self.evict(turn, victim);
                Ok(())
            }
            None => Err(DropReason::MarkerSessionsFull),
        }
    }

    /// Who makes room in a full table.
    fn next_victim(&mut self) -> Option<Slot> {
        if let Some(ended) = self.room.queues.oldest(Class::Ended as usize) {
            return Some(ended);
        }
        let unanswered = if self.room.is_crowded() { None } else { self.victim(&[Class::HalfOpen, Class::OneWay]) };
        unanswered.or_else(|| self.outsized(&[Class::Answered])).or_else(|| self.outsized(&[Class::Established]))
    }

    /// One of an outsized source, or the oldest.
    fn victim(&mut self, classes: &[Class]) -> Option<Slot> {
        if is_on(Mutation::EvictEstablished) {
            let last_first = Class::ALL.into_iter().rev();
            return last_first.filter_map(|class| self.room.queues.oldest(class as usize)).next();
        }
        let oldest = classes.iter().filter_map(|class| self.room.queues.oldest(*class as usize));
        let oldest = oldest.min_by_key(|slot| self.markers.at(*slot).started);
        self.outsized(classes).or(oldest)
    }

    /// A session of a source that has more of the table than any should. It is looked for among some that are drawn, so that
    /// this costs the same in any table; of a source that has much of it one is found.
    fn outsized(&mut self, classes: &[Class]) -> Option<Slot> {
        if !self.room.sources.have_outsized() {
            return None;
        }
        let slots = self.markers.slots().max(1);
        let from = self.room.drawn;
        self.room.drawn += DRAWS;
        let drawn = (from..from + DRAWS).map(|draw| self.room.key.hash(&draw) % u64::from(slots));
        let drawn = drawn.filter_map(|number| u32::try_from(number).ok()).map(Slot::new);
        let fit = drawn.filter(|slot| {
            let class = self.room.queues.queue_of(*slot);
            classes.iter().any(|wanted| class == Some(*wanted as usize))
        });
        let mut outsized = fit.filter(|slot| {
            let source = self.room.sources.of(&self.markers.at(*slot).opener);
            self.room.sources.is_outsized(source)
        });
        outsized.next()
    }

    /// Ends a stream for others; nothing of it stays.
    fn evict(&mut self, turn: &mut Turn<'_, H>, slot: Slot) {
        let class = self.room.queues.queue_of(slot);
        if let Some(count) = class.and_then(|class| self.room.evicted.get_mut(class)) {
            *count += 1;
        }
        // One that had closed ends as it would have.
        let had_closed = class == Some(Class::Ended as usize);
        let is_due = self.room.told.is_none_or(|told| turn.now >= told + TELLING_INTERVAL);
        if !had_closed && is_due {
            self.room.told = Some(turn.now);
            let [_, early @ ..] = self.room.evicted;
            let (flow, ended) = (self.markers.at(slot).opener, early.iter().sum());
            turn.out.tell(Event::MakingRoom { flow, ended });
        }
        let reason = if had_closed { end_of_silence(self.markers.at(slot)) } else { EndReason::Evicted };
        self.end(turn, slot, reason);
        self.forget(slot);
    }

    /// True if one more session has a place, for which the table may grow. It grows by a step at once, and not as far as the
    /// machine's last byte, which others need.
    fn has_place(&mut self, turn: &mut Turn<'_, H>) -> bool {
        if self.markers.len() >= self.room.bounds.markers {
            return false;
        }
        if self.markers.has_place() {
            return true;
        }
        if self.room.grown.is_some_and(|(_, again)| turn.now < again) {
            return false;
        }
        let slots = self.markers.capacity() + GROWTH_SLOTS;
        let grows = self.deadlines.reserve(slots)
            && self.room.queues.reserve(slots)
            && turn.plugins.reserve(slots)
            && self.markers.grow();
        if !grows && !self.room.is_short_of_memory() {
            turn.out.tell(Event::ShortOfMemory { sessions: self.markers.capacity() });
        }
        let grown = (!grows).then(|| (self.markers.capacity(), turn.now + GROWTH_RETRY_DELAY));
        self.room.set_grown(grown);
        grows
    }

    /// There was no room for a stream: its redirector is to choose another node for it, and for all others while no source
    /// has more of the table than it should.
    pub(super) fn decline(&mut self, now: Instant, opener: FlowKey) {
        if !self.room.sources.have_outsized() {
            self.room.full_since = self.room.full_since.or(Some(now));
        }
        if self.room.declines.take(now).is_some() {
            self.declined.push(opener);
        }
    }

    /// True while redirectors are to choose other nodes: from the first stream without room on, until an eighth of the table
    /// is free for new ones again. Whether the machine has more memory is only seen when a new one comes.
    pub fn is_full(&mut self, now: Instant) -> bool {
        let Some(since) = self.room.full_since else { return false };
        let all = self.room.sessions_max();
        let asks_again = self.room.is_short_of_memory() && now >= since + FULL_TIME_MAX;
        if self.room.answered() + all / 8 < all || asks_again {
            self.room.full_since = None;
        }
        self.room.full_since.is_some()
    }

    /// When [`is_full`](Self::is_full) changes without a stream that ends.
    pub(super) fn full_until(&self) -> Option<Instant> {
        self.room.full_since.filter(|_| self.room.is_short_of_memory()).map(|since| since + FULL_TIME_MAX)
    }
}

#[cfg(test)]
mod tests;

//! The table of redirector sessions: what else is kept of a session follows each change of it.

use std::fmt;

use super::Redirector;
use super::choice::Candidate;
use crate::flow::FlowKey;
use crate::id::{NodeId, Slot};
use crate::limits::{GROWTH_RETRY_DELAY, GROWTH_SLOTS};
use crate::session::{RedirectorSession, Standing};
use crate::time::Instant;

/// The queue of sessions that were chosen and not announced yet.
const PROVISIONAL: usize = 0;

/// The queue of tombstones.
const TOMBSTONE: usize = 1;

impl Redirector {
    /// Sets the session of a key. False if there is no room for another.
    pub(super) fn put(&mut self, now: Instant, key: FlowKey, session: RedirectorSession) -> bool {
        let interface = key.interface();
        let slot = match self.table.slot(&key) {
            Some(slot) => {
                if let Some((_, old)) = self.table.at_mut(slot) {
                    let old = std::mem::replace(old, session);
                    self.copies.toggle(interface, &old);
                }
                slot
            }
            None => {
                if !self.has_room(now) {
                    return false;
                }
                let Some(slot) = self.table.insert(key, session) else { return false };
                self.sessions[interface] += 1;
                slot
            }
        };
        self.copies.toggle(interface, &session);
        self.arrange(slot);
        true
    }

    /// True if a session that is only chosen has room. These have an eighth of the table, and the oldest makes room: one
    /// that was not announced until then is one of a flood, or its chosen node will not answer.
    pub(super) fn has_room_for_choice(&mut self, now: Instant) -> bool {
        if self.queues.len(PROVISIONAL) >= (self.settings.sessions_max / 8).max(1) {
            self.evict_oldest(PROVISIONAL);
        }
        self.has_room(now)
    }

    /// True if one more session has room, for which a tombstone ends, or one that was not announced.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.table.len() >= self.settings.sessions_max {
            return self.evict_oldest(TOMBSTONE) || self.evict_oldest(PROVISIONAL);
        }
        if self.table.has_place() {
            return true;
        }
        if self.grows_again.is_none_or(|again| again <= now) {
            let slots = self.table.capacity() + GROWTH_SLOTS;
            let grows = self.deadlines.reserve(slots) && self.queues.reserve(slots) && self.table.grow();
            self.grows_again = (!grows).then(|| now + GROWTH_RETRY_DELAY);
        }
        self.table.has_place() || self.evict_oldest(TOMBSTONE) || self.evict_oldest(PROVISIONAL)
    }

    fn evict_oldest(&mut self, queue: usize) -> bool {
        let oldest = self.queues.oldest(queue);
        self.evicted += u64::from(oldest.is_some());
        oldest.into_iter().for_each(|slot| self.end(slot));
        oldest.is_some()
    }

    /// A node has no room for the stream that it was chosen for: the next one is, and its session remembers that. False if
    /// that node was not chosen for it, or has it.
    pub fn declined(&mut self, now: Instant, key: &FlowKey, by: NodeId, candidates: &[Candidate]) -> bool {
        let Some(slot) = self.table.slot(key) else { return false };
        let Some((_, session)) = self.table.at_mut(slot) else { return false };
        if session.standing != Standing::Provisional || session.generation.node != by {
            return false;
        }
        match self.settings.choice.choose_after(session.choice, candidates, by) {
            Some(next) => {
                session.generation.node = next;
                session.expires = now + self.settings.timeouts.provisional;
                self.arrange(slot);
            }
            None => self.end(slot),
        }
        true
    }

    /// The session in a slot has changed: when it ends, and whether it makes room for others.
    pub(super) fn arrange(&mut self, slot: Slot) {
        let Some((_, session)) = self.table.at(slot) else { return };
        match session.standing {
            Standing::Provisional => self.queues.put(slot, PROVISIONAL),
            Standing::Tombstone => self.queues.put(slot, TOMBSTONE),
            Standing::Announced | Standing::Moving => self.queues.leave(slot),
        }
        if session.expires == Instant::NEVER {
            self.deadlines.forget(slot);
        } else {
            self.deadlines.set(slot, session.expires);
        }
    }

    /// Ends the session in a slot.
    pub(super) fn end(&mut self, slot: Slot) {
        let Some((key, session)) = self.table.remove(slot) else { return };
        self.copies.toggle(key.interface(), &session);
        self.sessions[key.interface()] -= 1;
        self.translated.remove(&key);
        self.deadlines.forget(slot);
        self.queues.leave(slot);
    }

    /// Ends all sessions but those that `stays` names.
    pub(super) fn retain(&mut self, stays: impl Fn(&FlowKey, &RedirectorSession) -> bool) {
        let mut next = self.table.next_from(Slot::FIRST);
        while let Some(slot) = next {
            next = self.table.next_from(slot.next());
            if self.table.at(slot).is_some_and(|(key, session)| !stays(key, session)) {
                self.end(slot);
            }
        }
    }
}

/// Where a session lies in the table says nothing: deadlines and queues are those of the sessions.
impl fmt::Debug for Redirector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, parking, unowned, sessions, gone, translated, copies, queues, evicted, .. } = self;
        f.debug_struct("Redirector")
            .field("table", table)
            .field("parking", parking)
            .field("unowned", unowned)
            .field("sessions", sessions)
            .field("gone", gone)
            .field("translated", translated)
            .field("copies", copies)
            .field("queues", queues)
            .field("evicted", evicted)
            .finish_non_exhaustive()
    }
}

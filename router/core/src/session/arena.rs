//! Records with stable places, in chunks: growing moves none of them and stops the loop for one chunk at most.

use std::fmt;

use crate::id::Slot;
use crate::limits::GROWTH_SLOTS;
use crate::memory::has_headroom;

/// The records in use, each with its slot.
pub(super) struct Arena<T> {
    chunks: Vec<Box<[Option<T>]>>,
    free: Vec<Slot>,
    /// The first slot that was never used.
    fresh: u32,
}

impl<T> Arena<T> {
    /// No records.
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), fresh: 0 }
    }

    /// Puts a record into a slot. `None` when there is no memory for more, or every slot is used that has a number.
    pub(super) fn insert(&mut self, record: T) -> Option<Slot> {
        if !self.has_place() && !self.grow() {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = Slot::new(self.fresh);
                self.fresh = self.fresh.checked_add(1)?;
                slot
            }
        };
        if let Some(place) = self.place_mut(slot) {
            *place = Some(record);
        }
        Some(slot)
    }

    /// True if one more record has a place.
    pub(super) fn has_place(&self) -> bool {
        !self.free.is_empty() || (self.fresh as usize) < self.capacity()
    }

    /// Adds places for one chunk of records. False if there is no memory for that and for what others need besides.
    pub(super) fn grow(&mut self) -> bool {
        let slots = self.capacity() + GROWTH_SLOTS;
        let mut chunk = Vec::new();
        let fits = chunk.try_reserve_exact(GROWTH_SLOTS).is_ok()
            && self.chunks.try_reserve(1).is_ok()
            && self.free.try_reserve(slots.saturating_sub(self.free.len())).is_ok()
            && has_headroom();
        if fits {
            chunk.resize_with(GROWTH_SLOTS, || None);
            self.chunks.push(chunk.into_boxed_slice());
        }
        fits
    }

    /// Records for which there is memory now.
    pub(super) fn capacity(&self) -> usize {
        self.chunks.len() * GROWTH_SLOTS
    }

    /// The number behind the last slot that was ever used.
    pub(super) fn slots(&self) -> u32 {
        self.fresh
    }

    /// Takes the record out of a slot.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let record = self.place_mut(slot)?.take()?;
        self.free.push(slot);
        Some(record)
    }

    /// The record in a slot, if there is one.
    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.chunks.get(chunk_of(slot))?.get(offset_of(slot))?.as_ref()
    }

    /// The record in a slot, if there is one, to change.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.place_mut(slot)?.as_mut()
    }

    /// The first slot in use from a slot on.
    pub(super) fn next_from(&self, slot: Slot) -> Option<Slot> {
        (slot.number()..self.fresh).map(Slot::new).find(|slot| self.get(*slot).is_some())
    }

    /// The records with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        (0..self.fresh).map(Slot::new).filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// The records of one chunk, by its number from 0 on; `None` behind the last.
    pub(super) fn chunk(&self, number: usize) -> Option<impl Iterator<Item = &T>> {
        self.chunks.get(number).map(|chunk| chunk.iter().flatten())
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.fresh as usize - self.free.len()
    }

    fn place_mut(&mut self, slot: Slot) -> Option<&mut Option<T>> {
        self.chunks.get_mut(chunk_of(slot))?.get_mut(offset_of(slot))
    }
}

fn chunk_of(slot: Slot) -> usize {
    slot.number() as usize / GROWTH_SLOTS
}

fn offset_of(slot: Slot) -> usize {
    slot.number() as usize % GROWTH_SLOTS
}

/// With every record.
impl<T: fmt::Debug> fmt::Debug for Arena<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).entry(&"free", &self.free).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_and_nothing_moves() {
        let mut arena = Arena::new();
        let slots: Vec<_> = (1..=2 * GROWTH_SLOTS).map(|n| arena.insert(n).unwrap()).collect();
        let first: *const usize = arena.get(slots[0]).unwrap();
        assert_eq!(arena.remove(slots[5]), Some(6));
        assert_eq!((arena.remove(slots[5]), arena.get(slots[5])), (None, None));
        assert_eq!(arena.len(), 2 * GROWTH_SLOTS - 1);
        assert_eq!(arena.next_from(slots[5]), Some(slots[6]));
        assert_eq!(arena.insert(99), Some(slots[5]));
        assert_eq!(arena.iter().count(), 2 * GROWTH_SLOTS);
        assert!(std::ptr::eq(first, arena.get(slots[0]).unwrap()));
        assert_eq!(arena.chunk(1).unwrap().count(), GROWTH_SLOTS);
        assert!(arena.chunk(2).is_none());
    }
}

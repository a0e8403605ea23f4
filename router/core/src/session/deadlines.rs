//! A queue of deadlines, one for each slot at most: what is set anew takes the place of what was set before, and what is
//! forgotten is gone, so that nothing piles up here however often streams start and end.
//!
//! A heap in which each entry has four below it, and the place of each slot's entry.

use std::fmt;

use crate::id::Slot;
use crate::time::Instant;

/// Entries below each entry: their four instants lie in one cache line.
const BRANCHES: usize = 4;

/// The place of a slot without a deadline.
const NONE: u32 = u32::MAX;

/// Slots with a deadline each, earliest first, of equal ones the lower slot.
#[derive(Default)]
pub struct Deadlines {
    heap: Vec<(Instant, Slot)>,
    /// By slot.
    places: Vec<u32>,
}

impl Deadlines {
    /// The slot is due at `at` at the latest: a deadline before that stays.
    pub fn hasten(&mut self, slot: Slot, at: Instant) {
        if self.due(slot).is_none_or(|due| at < due) {
            self.set(slot, at);
        }
    }

    /// The slot is due at `at`, whatever was set before.
    pub fn set(&mut self, slot: Slot, at: Instant) {
        let place = self.place_of(slot).unwrap_or_else(|| {
            let index = slot.number() as usize;
            if self.places.len() <= index {
                self.places.resize(index + 1, NONE);
            }
            self.heap.push((at, slot));
            self.heap.len() - 1
        });
        self.put(place, (at, slot));
        self.settle(place);
    }

    /// The slot has no deadline any more.
    pub fn forget(&mut self, slot: Slot) {
        let Some(place) = self.place_of(slot) else { return };
        self.note(slot, NONE);
        let Some(last) = self.heap.pop() else { return };
        if place < self.heap.len() {
            self.put(place, last);
            self.settle(place);
        }
    }

    /// Makes room for the slots below this number. False if there is no memory for that.
    pub fn reserve(&mut self, slots: usize) -> bool {
        self.heap.try_reserve(slots.saturating_sub(self.heap.len())).is_ok()
            && self.places.try_reserve(slots.saturating_sub(self.places.len())).is_ok()
    }

    /// Takes the next slot whose time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<Slot> {
        let &(at, slot) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.forget(slot);
        Some(slot)
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// When a slot is due.
    #[must_use]
    pub fn due(&self, slot: Slot) -> Option<Instant> {
        self.heap.get(self.place_of(slot)?).map(|(at, _)| *at)
    }

    fn place_of(&self, slot: Slot) -> Option<usize> {
        self.places.get(slot.number() as usize).filter(|place| **place != NONE).map(|place| *place as usize)
    }

    fn note(&mut self, slot: Slot, place: u32) {
        if let Some(known) = self.places.get_mut(slot.number() as usize) {
            *known = place;
        }
    }

    fn put(&mut self, place: usize, entry: (Instant, Slot)) {
        if let Some(old) = self.heap.get_mut(place) {
            *old = entry;
            self.note(entry.1, u32::try_from(place).unwrap_or(NONE));
        }
    }

    /// Moves the entry at a place up or down to where it belongs.
    fn settle(&mut self, mut place: usize) {
        let Some(&entry) = self.heap.get(place) else { return };
        while let Some(above) = place.checked_sub(1).map(|below| below / BRANCHES)
            && let Some(&other) = self.heap.get(above).filter(|other| entry < **other)
        {
            self.put(place, other);
            place = above;
        }
        while let Some((below, other)) = self.first_below(place).filter(|(_, other)| *other < entry) {
            self.put(place, other);
            place = below;
        }
        self.put(place, entry);
    }

    /// The earliest of the entries below a place, with its own place.
    fn first_below(&self, place: usize) -> Option<(usize, (Instant, Slot))> {
        let first = place * BRANCHES + 1;
        let below = self.heap.get(first..(first + BRANCHES).min(self.heap.len()))?;
        below.iter().copied().enumerate().map(|(n, entry)| (first + n, entry)).min_by_key(|(_, entry)| *entry)
    }
}

/// In the order in which they are due, so that equal queues look equal.
impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.heap.clone();
        entries.sort_unstable();
        f.debug_list().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Hasten(u32, u64),
        Set(u32, u64),
        Forget(u32),
        Pop(u64),
    }

    fn any_operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            3 => (0_u32..40, 0_u64..100).prop_map(|(slot, at)| Operation::Hasten(slot, at)),
            2 => (0_u32..40, 0_u64..100).prop_map(|(slot, at)| Operation::Set(slot, at)),
            1 => (0_u32..40).prop_map(Operation::Forget),
            2 => (0_u64..100).prop_map(Operation::Pop),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(operations in proptest::collection::vec(any_operation(), 1..400)) {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeMap::<u32, u64>::new());
            for operation in operations {
                match operation {
                    Operation::Hasten(slot, at) => {
                        deadlines.hasten(Slot::new(slot), Instant::from_nanos(at));
                        let due = model.entry(slot).or_insert(at);
                        *due = at.min(*due);
                    }
                    Operation::Set(slot, at) => {
                        deadlines.set(Slot::new(slot), Instant::from_nanos(at));
                        model.insert(slot, at);
                    }
                    Operation::Forget(slot) => {
                        deadlines.forget(Slot::new(slot));
                        model.remove(&slot);
                    }
                    Operation::Pop(now) => {
                        let first = model.iter().map(|(slot, at)| (*at, *slot)).min().filter(|(at, _)| *at <= now);
                        let popped = deadlines.pop_due(Instant::from_nanos(now)).map(Slot::number);
                        prop_assert_eq!(popped, first.map(|(_, slot)| slot));
                        first.map(|(_, slot)| model.remove(&slot));
                    }
                }
                let next = model.values().min().map(|at| Instant::from_nanos(*at));
                prop_assert_eq!((deadlines.next(), deadlines.heap.len()), (next, model.len()));
                for slot in 0..40 {
                    let due = model.get(&slot).map(|at| Instant::from_nanos(*at));
                    prop_assert_eq!(deadlines.due(Slot::new(slot)), due);
                }
            }
        }
    }
}

//! Slots in some queues, each slot in one at most and the oldest first; anyone can leave from anywhere.

use std::fmt;

use crate::id::Slot;

/// No slot, where a queue ends.
const NONE: u32 = u32::MAX;

/// `N` queues over the slots of a table.
pub struct Queues<const N: usize> {
    links: Vec<Link>,
    ends: [Ends; N],
}

/// A slot's place.
#[derive(Clone, Copy)]
struct Link {
    /// Who came into the queue before it.
    before: u32,
    /// Who came behind it.
    behind: u32,
    queue: Option<u8>,
}

#[derive(Clone, Copy)]
struct Ends {
    oldest: u32,
    newest: u32,
    len: usize,
}

impl<const N: usize> Default for Queues<N> {
    fn default() -> Self {
        const { assert!(N <= u8::MAX as usize) }
        Self { links: Vec::new(), ends: [Ends { oldest: NONE, newest: NONE, len: 0 }; N] }
    }
}

impl<const N: usize> Queues<N> {
    /// The slot stands in this queue, behind all others unless it was there already.
    pub fn put(&mut self, slot: Slot, queue: usize) {
        if self.queue_of(slot) == Some(queue) {
            return;
        }
        self.leave(slot);
        let number = slot.number();
        let index = number as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, Link { before: NONE, behind: NONE, queue: None });
        }
        let Some(ends) = self.ends.get_mut(queue) else { return };
        let before = std::mem::replace(&mut ends.newest, number);
        ends.len += 1;
        if before == NONE {
            ends.oldest = number;
        }
        if let Some(link) = self.link_mut(before) {
            link.behind = number;
        }
        if let Some(link) = self.link_mut(number) {
            *link = Link { before, behind: NONE, queue: u8::try_from(queue).ok() };
        }
    }

    /// The slot stands in no queue any more.
    pub fn leave(&mut self, slot: Slot) {
        let Some(link) = self.link_mut(slot.number()) else { return };
        let Link { before, behind, .. } = *link;
        let Some(queue) = std::mem::take(&mut link.queue) else { return };
        if let Some(link) = self.link_mut(before) {
            link.behind = behind;
        }
        if let Some(link) = self.link_mut(behind) {
            link.before = before;
        }
        if let Some(ends) = self.ends.get_mut(usize::from(queue)) {
            ends.len -= 1;
            if before == NONE {
                ends.oldest = behind;
            }
            if behind == NONE {
                ends.newest = before;
            }
        }
    }

    /// Makes room for the slots below this number. False if there is no memory for that.
    pub fn reserve(&mut self, slots: usize) -> bool {
        self.links.try_reserve(slots.saturating_sub(self.links.len())).is_ok()
    }

    /// Who came into a queue before all others.
    #[must_use]
    pub fn oldest(&self, queue: usize) -> Option<Slot> {
        self.ends.get(queue).filter(|ends| ends.len > 0).map(|ends| Slot::new(ends.oldest))
    }

    /// How many stand in a queue.
    #[must_use]
    pub fn len(&self, queue: usize) -> usize {
        self.ends.get(queue).map_or(0, |ends| ends.len)
    }

    /// The queue of a slot.
    #[must_use]
    pub fn queue_of(&self, slot: Slot) -> Option<usize> {
        self.links.get(slot.number() as usize)?.queue.map(usize::from)
    }

    fn link_mut(&mut self, number: u32) -> Option<&mut Link> {
        self.links.get_mut(number as usize)
    }
}

/// Only how many stand in each: their order says nothing until a table is full.
impl<const N: usize> fmt::Debug for Queues<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ends.iter().map(|ends| ends.len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_agree_with_lists(steps in proptest::collection::vec((0_u32..30, prop::option::weighted(0.8, 0_usize..3)), 1..400)) {
            let (mut queues, mut model) = (Queues::<3>::default(), [(); 3].map(|()| VecDeque::new()));
            for (slot, queue) in steps {
                if queue.is_none_or(|queue| !model[queue].contains(&slot)) {
                    model.iter_mut().for_each(|list| list.retain(|known| *known != slot));
                    queue.into_iter().for_each(|queue| model[queue].push_back(slot));
                }
                match queue {
                    Some(queue) => queues.put(Slot::new(slot), queue),
                    None => queues.leave(Slot::new(slot)),
                }
                for (queue, list) in model.iter().enumerate() {
                    prop_assert_eq!(queues.len(queue), list.len());
                    prop_assert_eq!(queues.oldest(queue).map(Slot::number), list.front().copied());
                }
                let of_slot = model.iter().position(|list| list.contains(&slot));
                prop_assert_eq!(queues.queue_of(Slot::new(slot)), of_slot);
            }
            for (queue, mut list) in model.into_iter().enumerate() {
                while let Some(slot) = list.pop_front() {
                    prop_assert_eq!(queues.oldest(queue), Some(Slot::new(slot)));
                    queues.leave(Slot::new(slot));
                }
                prop_assert_eq!(queues.oldest(queue), None);
            }
        }
    }
}

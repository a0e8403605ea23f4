//! A queue of deadlines. An owner that no longer wants a deadline ignores it when it comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Instant;

/// Things with a deadline each, earliest first.
#[derive(Debug)]
pub struct Deadlines<T> {
    heap: BinaryHeap<Reverse<(Instant, T)>>,
}

impl<T: Ord> Default for Deadlines<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<T: Ord> Deadlines<T> {
    /// `thing` is due at `at`.
    pub fn push(&mut self, at: Instant, thing: T) {
        self.heap.push(Reverse((at, thing)));
    }

    /// The next thing whose time has come, with its deadline.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

//! Keys that no member owned when all were asked: for a moment nobody is asked for them again.

use std::collections::{HashMap, VecDeque};

use crate::flow::{FlowKey, HashKey};
use crate::limits::{UNOWNED_KEYS_MAX, UNOWNED_TIME};
use crate::time::Instant;

/// The keys, each until its time is over; the oldest makes room.
#[derive(Debug)]
pub struct Unowned {
    until: HashMap<FlowKey, Instant, HashKey>,
    order: VecDeque<(Instant, FlowKey)>,
}

impl Unowned {
    /// No keys.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        Self { until: HashMap::with_hasher(key), order: VecDeque::new() }
    }

    /// Every member has said that the key is not its own.
    pub fn note(&mut self, now: Instant, key: FlowKey) {
        if self.order.len() >= UNOWNED_KEYS_MAX {
            self.forget_oldest();
        }
        let until = now + UNOWNED_TIME;
        self.until.insert(key, until);
        self.order.push_back((until, key));
    }

    /// True if nobody owned the key a moment ago.
    #[must_use]
    pub fn has(&self, now: Instant, key: &FlowKey) -> bool {
        self.until.get(key).is_some_and(|until| now < *until)
    }

    /// Somebody owns the key now.
    pub fn forget(&mut self, key: &FlowKey) {
        if !self.until.is_empty() {
            self.until.remove(key);
        }
    }

    /// Forgets keys whose time is over.
    pub fn deadline_reached(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((until, key)) = self.order.pop_front()
            && self.until.get(&key) == Some(&until)
        {
            self.until.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Interface;

    fn key(number: usize) -> FlowKey {
        let last = u128::try_from(number).unwrap();
        let end = (std::net::Ipv6Addr::from_bits(1 << 127 | last).into(), 1);
        FlowKey::new(Interface::First, 6, end, end)
    }

    #[test]
    fn keys_are_bounded_in_number_and_time() {
        let (mut unowned, start) = (Unowned::new(HashKey([1; 16])), Instant::from_nanos(1));
        for number in 0..=UNOWNED_KEYS_MAX {
            unowned.note(start, key(number));
        }
        assert!(!unowned.has(start, &key(0)), "the oldest made room");
        assert!(unowned.has(start, &key(1)) && unowned.has(start, &key(UNOWNED_KEYS_MAX)));
        unowned.forget(&key(1));
        assert!(!unowned.has(start, &key(1)));
        assert!(!unowned.has(start + UNOWNED_TIME, &key(2)));
        unowned.deadline_reached(start + UNOWNED_TIME);
        assert!(unowned.until.is_empty() && unowned.order.is_empty());
    }
}

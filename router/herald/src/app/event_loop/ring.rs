//! The last events of a node, for `herald events` and the demonstration.

use std::collections::VecDeque;

use crate::app::control::EVENTS_ANSWER_MAX;
use crate::app::reports::EventRow;
use herald_core::event::Event;
use herald_core::time::Instant;

/// The last events, each with its time and number; older ones are forgotten.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<(Instant, Event)>,
    events_max: usize,
    /// How many were forgotten.
    forgotten: u64,
}

impl Ring {
    /// An empty ring for so many events.
    pub(super) fn new(events_max: usize) -> Self {
        Self { events: VecDeque::with_capacity(events_max), events_max, forgotten: 0 }
    }

    /// Keeps an event, over the oldest if the ring is full.
    pub(super) fn keep(&mut self, now: Instant, event: Event) {
        if self.events.len() == self.events_max {
            self.events.pop_front();
            self.forgotten += 1;
        }
        self.events.push_back((now, event));
    }

    /// Events whose number is above `after`, oldest first, at most one answer full.
    pub(super) fn rows(&self, after: u64) -> Vec<EventRow> {
        let skipped = usize::try_from(after.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        let numbers = self.forgotten + 1..;
        let rows = numbers.zip(&self.events).skip(skipped).take(EVENTS_ANSWER_MAX);
        rows.map(|(number, (at, event))| EventRow::new(number, *at, event)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_forgets_the_oldest_and_numbers_go_on() {
        let mut ring = Ring::new(3);
        let numbers = |ring: &Ring, after| ring.rows(after).iter().map(|r| (r.number, r.at_ns)).collect::<Vec<_>>();
        assert_eq!(numbers(&ring, 0), []);
        for n in 1..=5 {
            ring.keep(Instant::from_nanos(n * 10), Event::LinkUp { peer: "b".parse().unwrap() });
        }
        assert_eq!(numbers(&ring, 0), [(3, 30), (4, 40), (5, 50)]);
        assert_eq!(numbers(&ring, 3), [(4, 40), (5, 50)]);
        assert_eq!(numbers(&ring, 5), []);
        assert_eq!(numbers(&ring, 99), []);
    }
}

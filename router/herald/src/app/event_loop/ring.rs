//! The last events of a node, for `herald events` and the demonstration: a ring for those of single streams, which come with
//! the packets, and one for the rare ones, which therefore last.

use std::collections::VecDeque;
use std::time::Duration;

use crate::app::control::EVENTS_ANSWER_MAX;
use crate::app::reports::EventRow;
use herald_core::event::Event;
use herald_core::limits::{RARE_EVENTS_MAX, STREAM_EVENTS_MAX};
use herald_core::time::Instant;

/// The last events. Both rings count with one number, which tells their order.
#[derive(Debug)]
pub(super) struct Rings {
    of_streams: Ring<Instant>,
    rare: Ring<(Instant, Duration)>,
    last_number: u64,
}

/// Events of one sort, oldest first, each with its number and its time; older ones are forgotten.
#[derive(Debug)]
struct Ring<Time> {
    events: VecDeque<(u64, Time, Event)>,
    events_max: usize,
}

impl Rings {
    /// Two empty rings.
    pub(super) fn new() -> Self {
        Self { of_streams: Ring::new(STREAM_EVENTS_MAX), rare: Ring::new(RARE_EVENTS_MAX), last_number: 0 }
    }

    /// Keeps an event, over the oldest of its sort if that ring is full. `wall` tells the time since 1970.
    pub(super) fn keep(&mut self, now: Instant, event: Event, wall: impl Fn() -> Duration) {
        self.last_number += 1;
        if event.is_rare() {
            self.rare.keep(self.last_number, (now, wall()), event);
        } else {
            self.of_streams.keep(self.last_number, now, event);
        }
    }

    /// Events whose number is above `after`, in their order, at most one answer full.
    pub(super) fn rows(&self, after: u64) -> Vec<EventRow> {
        let of_streams = self.of_streams.after(after).map(|(number, at, event)| EventRow::new(*number, *at, event));
        let rare = self.rare.after(after).map(|(number, (at, wall), event)| EventRow::rare(*number, *at, *wall, event));
        let (mut of_streams, mut rare) = (of_streams.peekable(), rare.peekable());
        let merged = std::iter::from_fn(|| match (of_streams.peek(), rare.peek()) {
            (Some(one), Some(other)) if other.number < one.number => rare.next(),
            (Some(_), _) => of_streams.next(),
            (None, _) => rare.next(),
        });
        merged.take(EVENTS_ANSWER_MAX).collect()
    }
}

impl<Time> Ring<Time> {
    fn new(events_max: usize) -> Self {
        Self { events: VecDeque::with_capacity(events_max), events_max }
    }

    fn keep(&mut self, number: u64, time: Time, event: Event) {
        if self.events.len() == self.events_max {
            self.events.pop_front();
        }
        self.events.push_back((number, time, event));
    }

    /// The events whose number is above `after`.
    fn after(&self, after: u64) -> impl Iterator<Item = &(u64, Time, Event)> {
        self.events.range(self.events.partition_point(|(number, ..)| *number <= after)..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_core::event::Step;
    use herald_core::flow::FlowKey;
    use herald_core::id::Interface;

    const RARE: Event = Event::HolderChanged { interface: Interface::First, epoch: None };

    fn of_a_stream() -> Event {
        let end = |text: &str| text.parse::<std::net::SocketAddr>().map(|a| (a.ip(), a.port())).unwrap();
        let flow = FlowKey::new(Interface::First, 6, end("10.1.0.100:1"), end("10.2.0.100:80"));
        Event::Step { step: Step::M5, flow, node: "c".parse().unwrap() }
    }

    /// Rings that have kept these events, at 10, 20, 30, ... ns.
    fn kept(events: impl IntoIterator<Item = Event>) -> Rings {
        let mut rings = Rings::new();
        for (event, n) in events.into_iter().zip(1..) {
            rings.keep(Instant::from_nanos(n * 10), event, || Duration::from_secs(n));
        }
        rings
    }

    fn numbers(rings: &Rings, after: u64) -> Vec<(u64, u64)> {
        rings.rows(after).iter().map(|row| (row.number, row.at_ns)).collect()
    }

    #[test]
    fn a_flood_of_streams_does_not_push_a_role_change_out() {
        let flood = std::iter::repeat_with(of_a_stream).take(2 * STREAM_EVENTS_MAX);
        let rings = kept(std::iter::once(RARE).chain(flood));
        let rows = rings.rows(0);
        assert_eq!((rows[0].number, rows[0].event), (1, "holder-changed"));
        assert_eq!(rows[0].at.as_deref(), Some("1970-01-01T00:00:01.000000Z"));
        let all = 1 + 2 * STREAM_EVENTS_MAX as u64;
        assert_eq!((rows[1].number, rows[1].event), (all + 1 - STREAM_EVENTS_MAX as u64, "step"));
        assert_eq!(numbers(&rings, all - 1), [(all, all * 10)]);
        assert_eq!(numbers(&rings, all), []);
    }

    #[test]
    fn both_sorts_come_in_one_order_and_a_page_at_a_time() {
        let rings = kept([RARE, of_a_stream(), of_a_stream(), RARE, RARE, of_a_stream()]);
        for after in 0..=7 {
            let expected: Vec<_> = (after + 1..=6).map(|n| (n, n * 10)).collect();
            assert_eq!(numbers(&rings, after), expected, "after {after}");
        }
        let many = kept(std::iter::repeat_with(|| [of_a_stream(), RARE]).take(EVENTS_ANSWER_MAX).flatten());
        let mut seen = Vec::new();
        while let Some(last) = many.rows(seen.last().copied().unwrap_or_default()).last().map(|row| row.number) {
            seen.extend(many.rows(seen.last().copied().unwrap_or_default()).iter().map(|row| row.number));
            assert_eq!(seen.last(), Some(&last));
        }
        assert_eq!(seen, (1..=2 * EVENTS_ANSWER_MAX as u64).collect::<Vec<_>>());
    }

    #[test]
    fn rare_events_have_a_bound_too() {
        let rings = kept(std::iter::repeat_n(RARE, RARE_EVENTS_MAX + 5));
        assert_eq!(numbers(&rings, 0)[0], (6, 60));
        assert_eq!(rings.rare.events.len(), RARE_EVENTS_MAX);
    }
}

//! What an exploration must have seen to be worth anything.

use std::sync::atomic::{AtomicU16, Ordering};

use herald_core::event::Event;
use herald_core::mesh::Message;

/// Things that can be seen, each with its name.
const NAMES: [&str; 11] = [
    "an Announce",
    "an Acknowledge",
    "a Refuse",
    "a Handover",
    "a Query",
    "an Answer with an owner",
    "a Claim",
    "a Refresh",
    "an Assign",
    "a stream that was taken over",
    "a hold that ran out",
];

/// A set of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sights(u16);

impl Sights {
    fn note(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    pub(crate) fn said(&mut self, message: &Message) {
        match message {
            Message::Announce(_) => self.note(0),
            Message::Acknowledge(_) => self.note(1),
            Message::Refuse(_) => self.note(2),
            Message::Handover(_) => self.note(3),
            Message::Query(_) => self.note(4),
            Message::Answer(answer) if answer.owned.is_some() => self.note(5),
            Message::Claim(_) => self.note(6),
            Message::Refresh(_) => self.note(7),
            Message::Assign(_) => self.note(8),
            _ => {}
        }
    }

    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::TakenOver { .. } => self.note(9),
            Event::HoldTimedOut { .. } => self.note(10),
            _ => {}
        }
    }
}

/// What was seen in any step, by any thread.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU16);

impl Seen {
    pub(crate) fn add(&self, sights: Sights) {
        self.0.fetch_or(sights.0, Ordering::Relaxed);
    }

    /// The names of what was never seen.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let seen = self.0.load(Ordering::Relaxed);
        let unseen = |(number, _): &(usize, &&str)| seen & (1 << *number) == 0;
        NAMES.iter().enumerate().filter(unseen).map(|(_, name)| *name).collect()
    }
}

//! What reports, members and tests ask a redirector.

use super::Redirector;
use crate::flow::FlowKey;
use crate::id::Generation;
use crate::session::{RedirectorSession, Row};

impl Redirector {
    /// What this redirector believes of a key.
    #[must_use]
    pub fn belief(&self, key: &FlowKey) -> Option<Generation> {
        self.table.get(key).map(|session| session.generation)
    }

    /// What it remembers of a key.
    #[must_use]
    pub fn session(&self, key: &FlowKey) -> Option<&RedirectorSession> {
        self.table.get(key)
    }

    /// All sessions with their keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&FlowKey, &RedirectorSession)> {
        self.table.iter()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Sessions for which there is memory now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// True without sessions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many parts the table has.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.table.parts()
    }

    /// The rows of one part of the table, by its number from 0 on; `None` behind the last.
    pub fn rows(&self, part: usize) -> Option<impl Iterator<Item = Row>> {
        let row = |(key, session): (&FlowKey, &RedirectorSession)| {
            Row::of_redirector(key, self.other_key(key, session.other), session)
        };
        self.table.part(part).map(|sessions| sessions.map(row))
    }
}

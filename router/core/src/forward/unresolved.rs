//! Neighbours that were asked for and have not answered yet, by who wanted to reach them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::flow::SourceNetwork;
use crate::limits::{NEIGHBOURS_UNRESOLVED_MAX, NEIGHBOURS_UNRESOLVED_SOURCE_MAX};
use crate::time::Instant;

/// One of them: since when, for whose packet, and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    since: Instant,
    source: SourceNetwork,
    address: IpAddr,
}

impl Question {
    /// From now on `address` is asked for, as a packet from `source` wants to go there.
    pub(super) fn new(since: Instant, source: IpAddr, address: IpAddr) -> Self {
        Self { since, source: SourceNetwork::of(source), address }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Unresolved {
    by_age: BTreeSet<Question>,
    by_source: BTreeSet<(SourceNetwork, Instant, IpAddr)>,
}

impl Unresolved {
    /// Who makes room for another question, if one has to: the oldest of the same source, if that has many, and the oldest of
    /// all otherwise. So a scan pushes out its own questions, and one with forged sources those that nobody has answered for
    /// longer than a host takes.
    pub(super) fn victim(&self, next: &Question) -> Option<IpAddr> {
        let own = self.of(next.source);
        if own.clone().count() >= NEIGHBOURS_UNRESOLVED_SOURCE_MAX {
            return own.map(|(.., address)| *address).next();
        }
        let is_full = self.by_age.len() >= NEIGHBOURS_UNRESOLVED_MAX;
        self.by_age.first().filter(|_| is_full).map(|oldest| oldest.address)
    }

    pub(super) fn insert(&mut self, question: Question) {
        self.by_age.insert(question);
        self.by_source.insert((question.source, question.since, question.address));
    }

    pub(super) fn remove(&mut self, question: &Question) {
        self.by_age.remove(question);
        self.by_source.remove(&(question.source, question.since, question.address));
    }

    fn of(&self, source: SourceNetwork) -> impl Iterator<Item = &(SourceNetwork, Instant, IpAddr)> + Clone {
        let first = (source, Instant::default(), IpAddr::from([0; 4]));
        self.by_source.range(first..).take_while(move |(of, ..)| *of == source)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_age.len(), self.by_source.len());
        self.by_age.len()
    }
}

//! What a redirector has of each chosen node's streams, as digests, and how that is compared with the node's own.

use super::Redirector;
use crate::id::{Interface, NodeId, PerInterface};
use crate::mesh::SyncEnd;
use crate::session::{Digests, RedirectorSession, Standing};

/// What is kept of one chosen node and interface.
#[derive(Debug)]
struct Copy {
    /// Of the announced sessions.
    digests: Digests,
    /// Counts the comparisons: what was heard of in an older one may be stale.
    round: u32,
}

/// All copies, by chosen node and interface.
#[derive(Debug)]
pub(super) struct Copies {
    by_node: Vec<(NodeId, PerInterface<Copy>)>,
    /// Digests of each.
    buckets: usize,
}

impl Copies {
    pub(super) fn new(buckets: usize) -> Self {
        Self { by_node: Vec::new(), buckets }
    }

    /// Adds an announced session, or takes it away if it was added. Of others nothing is kept.
    pub(super) fn toggle(&mut self, interface: Interface, session: &RedirectorSession) {
        if session.standing != Standing::Announced {
            return;
        }
        if let Some(copy) = self.of_mut(session.generation.node, interface) {
            copy.digests.toggle(session.stream, session.generation.counter, session.direction);
        }
    }

    /// The comparison that runs with a node, or the last one.
    pub(super) fn round(&self, node: NodeId, interface: Interface) -> u32 {
        self.by_node.iter().find(|(known, _)| *known == node).map_or(0, |(_, copies)| copies[interface].round)
    }

    /// Nothing is kept of an interface any more.
    pub(super) fn forget(&mut self, interface: Interface) {
        for (_, copies) in &mut self.by_node {
            copies[interface].digests = Digests::new(self.buckets);
        }
    }

    fn digests(&self, node: NodeId, interface: Interface) -> Digests {
        let known = self.by_node.iter().find(|(known, _)| *known == node);
        known.map_or_else(|| Digests::new(self.buckets), |(_, copies)| copies[interface].digests.clone())
    }

    /// Made when it is first asked for; there is one for each member.
    fn of_mut(&mut self, node: NodeId, interface: Interface) -> Option<&mut Copy> {
        let place = self.by_node.iter().position(|(known, _)| *known == node).unwrap_or_else(|| {
            let copy = |_| Copy { digests: Digests::new(self.buckets), round: 0 };
            self.by_node.push((node, PerInterface::from_fn(copy)));
            self.by_node.len() - 1
        });
        self.by_node.get_mut(place).map(|(_, copies)| &mut copies[interface])
    }
}

impl Redirector {
    /// Begins a comparison of an interface's sessions with a chosen node: what it announces from now on belongs to the
    /// round that is returned.
    pub fn begin_round(&mut self, node: NodeId, interface: Interface) -> u32 {
        self.copies.of_mut(node, interface).map_or(0, |copy| {
            copy.round = copy.round.wrapping_add(1);
            copy.round
        })
    }

    /// True if this ends the last comparison that was begun with the node.
    #[must_use]
    pub fn is_last_round(&self, node: NodeId, end: &SyncEnd) -> bool {
        self.copies.round(node, end.interface) == end.round
    }

    /// The digests of what this redirector has of a node's streams.
    #[must_use]
    pub fn digests(&self, node: NodeId, interface: Interface) -> Digests {
        self.copies.digests(node, interface)
    }

    /// True if what this redirector has of a node's streams differs from what the node has in buckets that it has not sent.
    #[must_use]
    pub fn differs_elsewhere(&self, node: NodeId, end: &SyncEnd) -> bool {
        let differs = self.copies.digests(node, end.interface).differing(&end.digests);
        let was_sent = |bucket: usize| end.sent.iter().any(|sent| usize::from(*sent) == bucket);
        (0..).zip(&differs).any(|(bucket, differs)| *differs && !was_sent(bucket))
    }

    /// A node has sent all streams of the buckets that differed: ends the sessions of these buckets that it did not
    /// name. Returns how many there were.
    pub fn end_stale(&mut self, node: NodeId, end: &SyncEnd) -> usize {
        let (interface, before) = (end.interface, self.sessions[end.interface]);
        let digests = self.copies.digests(node, interface);
        let differs = digests.differing(&end.digests);
        let mut stale = vec![false; differs.len()];
        for bucket in end.sent.iter().map(|bucket| usize::from(*bucket)) {
            if let (Some(stale), Some(differs)) = (stale.get_mut(bucket), differs.get(bucket)) {
                *stale = *differs;
            }
        }
        if stale.contains(&true) {
            self.retain(|key, session| {
                session.generation.node != node
                    || key.interface() != interface
                    || session.standing != Standing::Announced
                    || session.round == end.round
                    || stale.get(digests.bucket_of(session.stream)) != Some(&true)
            });
        }
        before - self.sessions[interface]
    }
}

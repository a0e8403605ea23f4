//! What a redirector has of each chosen node's streams, as digests, and how that is compared with the node's own.

use super::Redirector;
use crate::id::{Interface, NodeId, PerInterface};
use crate::mesh::SyncEnd;
use crate::session::{Digests, RedirectorSession, Standing, bucket_of};

/// The digests of announced sessions, by chosen node and interface.
#[derive(Debug, Default)]
pub(super) struct Copies {
    by_node: Vec<(NodeId, PerInterface<Digests>)>,
}

impl Copies {
    /// Adds an announced session, or takes it away if it was added. Of others nothing is kept.
    pub(super) fn toggle(&mut self, interface: Interface, session: &RedirectorSession) {
        if session.standing != Standing::Announced {
            return;
        }
        let node = session.generation.node;
        let place = self.by_node.iter().position(|(known, _)| *known == node).unwrap_or_else(|| {
            self.by_node.push((node, PerInterface::default()));
            self.by_node.len() - 1
        });
        if let Some((_, digests)) = self.by_node.get_mut(place) {
            digests[interface].toggle(session.stream, session.generation.counter);
        }
    }

    /// Nothing is kept of an interface any more.
    pub(super) fn forget(&mut self, interface: Interface) {
        for (_, digests) in &mut self.by_node {
            digests[interface] = Digests::default();
        }
    }

    fn of(&self, node: NodeId, interface: Interface) -> Digests {
        let known = self.by_node.iter().find(|(known, _)| *known == node);
        known.map(|(_, digests)| digests[interface].clone()).unwrap_or_default()
    }
}

impl Redirector {
    /// Begins a comparison of an interface's sessions with their chosen nodes: what is announced from now on belongs to
    /// the round that is returned.
    pub fn begin_round(&mut self, interface: Interface) -> u32 {
        let round = self.rounds[interface].wrapping_add(1);
        self.rounds[interface] = round;
        round
    }

    /// The digests of what this redirector has of a node's streams.
    #[must_use]
    pub fn digests(&self, node: NodeId, interface: Interface) -> Digests {
        self.copies.of(node, interface)
    }

    /// A node has sent all streams of the buckets that differed: ends the sessions of these buckets that it did not
    /// name. Returns how many there were.
    pub fn end_stale(&mut self, node: NodeId, end: &SyncEnd) -> usize {
        let (interface, before) = (end.interface, self.sessions[end.interface]);
        let differs = self.copies.of(node, interface).differing(&end.digests);
        let mut stale = vec![false; differs.len()];
        for bucket in end.sent.iter().map(|bucket| usize::from(*bucket)) {
            if let (Some(stale), Some(differs)) = (stale.get_mut(bucket), differs.get(bucket)) {
                *stale = *differs;
            }
        }
        if end.round == self.rounds[interface] && stale.contains(&true) {
            self.retain(|key, session| {
                session.generation.node != node
                    || key.interface() != interface
                    || session.standing != Standing::Announced
                    || session.round == end.round
                    || stale.get(bucket_of(session.stream)) != Some(&true)
            });
        }
        before - self.sessions[interface]
    }
}

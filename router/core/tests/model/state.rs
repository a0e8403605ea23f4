//! The cluster in one state: its nodes, what is under way between them, and what has happened so far.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use herald_core::id::Interface;

use crate::history::{History, Promise};
use crate::layout::{PLACES, Place};
use crate::member::Letter;
use crate::memo::NodeState;
use crate::scenario::Channel;

/// What arrives in the order in which it left: between these two nodes, by one connection or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Way {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) by: By,
}

/// How something goes from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum By {
    /// A redirected frame.
    Network(Interface),
    /// A message of a link.
    Control,
    /// A frame of a link, which has its own connection.
    Handover,
}

impl Way {
    /// What it is part of.
    pub(crate) fn channel(self) -> Channel {
        match self.by {
            By::Network(interface) => Channel::Network(interface),
            By::Control | By::Handover => Channel::Link(self.from, self.to),
        }
    }

    /// True for the connections of a link.
    pub(crate) fn is_link(self) -> bool {
        matches!(self.by, By::Control | By::Handover)
    }
}

/// The cluster.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) nodes: [Arc<NodeState>; 3],
    pub(crate) alive: [bool; 3],
    /// Who has noticed whose death.
    pub(crate) noticed: [[bool; 3]; 3],
    /// By ways; on each way in its order.
    under_way: Vec<(Way, Arc<Letter>)>,
    pub(crate) history: History,
}

impl State {
    /// The nodes have met, and nothing has happened since.
    pub(crate) fn new(nodes: [Arc<NodeState>; 3]) -> Self {
        Self { nodes, alive: [true; 3], noticed: [[false; 3]; 3], under_way: Vec::new(), history: History::default() }
    }

    /// True unless this was the first promise to be broken.
    pub(crate) fn keeps(&self, promise: Promise) -> bool {
        self.history.broken.as_ref().is_none_or(|(broken, _)| *broken != promise)
    }

    /// The living nodes.
    pub(crate) fn living(&self) -> impl Iterator<Item = &NodeState> {
        self.nodes.iter().map(Arc::as_ref).filter(|node| self.alive[node.place])
    }

    /// The ways on which something is.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way> + '_ {
        let new = |place: &usize| *place == 0 || self.under_way[place - 1].0 != self.under_way[*place].0;
        (0..self.under_way.len()).filter(new).map(|place| self.under_way[place].0)
    }

    /// Something leaves.
    pub(crate) fn leaves(&mut self, way: Way, letter: Arc<Letter>) {
        let place = self.under_way.partition_point(|(other, _)| *other <= way);
        self.under_way.insert(place, (way, letter));
    }

    /// The next of a way arrives.
    pub(crate) fn arrives(&mut self, way: Way) -> Option<Arc<Letter>> {
        let place = self.under_way.iter().position(|(other, _)| *other == way)?;
        Some(self.under_way.remove(place).1)
    }

    /// What is on these ways is lost.
    pub(crate) fn lose(&mut self, ways: impl Fn(Way) -> bool) {
        self.under_way.retain(|(way, _)| !ways(*way));
    }

    /// A death shows when all that was said before it has arrived.
    pub(crate) fn may_notice(&self, dead: Place, by: Place) -> bool {
        let has_said = |way: Way| (way.from, way.to) == (dead, by) && way.is_link();
        !self.alive[dead] && self.alive[by] && !self.noticed[by][dead] && !self.ways().any(has_said)
    }

    /// Nothing is on its way, nothing waits, and everybody knows who is dead.
    pub(crate) fn is_quiet(&self) -> bool {
        let knows = |by: Place| PLACES.into_iter().all(|dead| self.alive[dead] || self.noticed[by][dead]);
        self.under_way.is_empty() && self.living().all(|node| node.kept == 0 && knows(node.place))
    }

    /// Everything that decides what may happen from here on, and whether it is as promised. What a dead node remembered does
    /// not: it takes no turn any more, and promises are about the living.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.alive, self.noticed).hash(&mut hasher);
        self.living().for_each(|node| node.print.hash(&mut hasher));
        for (way, letter) in &self.under_way {
            (way, letter.print).hash(&mut hasher);
        }
        self.history.hash(&mut hasher);
        hasher.finish()
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.fingerprint().hash(hasher);
    }
}

//! Every turn that a node was seen to take, so that it is taken once. The cluster's states, which are many, are put together
//! from the nodes' states and turns, which are few.
//!
//! That leaves nothing out: a node has no clock, chance or thread of its own, so what it does with an input depends on what
//! it remembers alone; and it prints all that it remembers, or two states of the cluster could not be told apart by that
//! either. The books are no part of it, but they balance before a turn, or the search is over, so whether they do after it
//! depends on the turn alone. [`crate::walk`] tries it.
//!
//! A node is moved, not copied: for a new turn it is made anew by taking all turns that led to its state.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use dashmap::DashMap;
use herald_core::id::{Epoch, Interface};
#[cfg(debug_assertions)]
use herald_core::mutation::{Mutation, switch};
use herald_core::session::Standing;

use crate::layout::{PLACES, Place, id, place_of};
use crate::meeting;
use crate::member::{Effect, Letter, Member, Told};
use crate::scenario::Scenario;
use crate::sights::Seen;

/// A state of one node: how it came about, which is all that is needed to make it again, and what promises look at.
#[derive(Debug)]
pub(crate) struct NodeState {
    pub(crate) place: Place,
    /// A hash of all that the node remembers, as it would print it, so that no two states are taken for one.
    pub(crate) print: u64,
    /// The state before, and what came then; none when the nodes have just met.
    came: Option<(Arc<NodeState>, Arc<Letter>)>,
    /// The epochs that it obeys.
    pub(crate) epochs: [Option<Epoch>; 2],
    /// The nodes that it obeys.
    pub(crate) holders: [Option<Place>; 2],
    /// Whether it holds.
    pub(crate) holds: [bool; 2],
    /// Whether it steers what is on its way to it since it held.
    pub(crate) lingers: [bool; 2],
    /// Frames that wait here.
    pub(crate) kept: usize,
    /// What its redirectors believe of each stream.
    pub(crate) beliefs: [[Option<Belief>; 2]; 2],
    /// The counters of the streams that it owns.
    pub(crate) owned: [Option<u32>; 2],
    /// Which nodes live, as far as it knows.
    pub(crate) knows_living: [bool; 3],
}

/// What a redirector believes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    pub(crate) owner: Place,
    pub(crate) counter: u32,
    pub(crate) announced: bool,
}

/// What comes of one input in one state of a node.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) next: Arc<NodeState>,
    pub(crate) effects: Vec<Effect>,
}

type Known<K, V> = DashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// The turns of the nodes of a scenario, with the program as it is or broken on purpose.
#[derive(Debug)]
pub(crate) struct Memo {
    scenario: Scenario,
    /// How the nodes met.
    met: [Vec<Arc<Letter>>; 3],
    states: Known<u64, Arc<NodeState>>,
    turns: Known<(u64, u64), Arc<Turn>>,
    /// What was seen in any turn.
    seen: Arc<Seen>,
    #[cfg(debug_assertions)]
    mutation: Option<Mutation>,
}

impl Memo {
    /// The program as it is.
    pub(crate) fn new(scenario: &Scenario, seen: &Arc<Seen>) -> Self {
        // The nodes meet unbroken.
        #[cfg(debug_assertions)]
        switch(None);
        Self {
            scenario: scenario.clone(),
            met: meeting::meet(scenario),
            states: Known::default(),
            turns: Known::default(),
            seen: Arc::clone(seen),
            #[cfg(debug_assertions)]
            mutation: None,
        }
    }

    /// The program broken in this way.
    #[cfg(debug_assertions)]
    pub(crate) fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    /// Real nodes, which have met.
    pub(crate) fn nodes(&self) -> [Member; 3] {
        PLACES.map(|place| self.make(place, &[]))
    }

    /// The states of the nodes when they have met.
    pub(crate) fn met(&self) -> [Arc<NodeState>; 3] {
        PLACES.map(|place| self.state(&self.make(place, &[]), None))
    }

    /// What comes of an input.
    pub(crate) fn turn(&self, state: &Arc<NodeState>, letter: &Arc<Letter>) -> Arc<Turn> {
        let key = (state.print, letter.print);
        if let Some(turn) = self.turns.get(&key) {
            return Arc::clone(&turn);
        }
        let mut member = self.make(state.place, &state.path());
        let Told { effects, sights } = member.take(&letter.input, &self.scenario);
        self.seen.add(sights);
        let next = self.state(&member, Some((Arc::clone(state), Arc::clone(letter))));
        let turn = Arc::new(Turn { next, effects });
        self.turns.insert(key, Arc::clone(&turn));
        turn
    }

    /// A node in the state to which this path leads.
    fn make(&self, place: Place, path: &[&Letter]) -> Member {
        let mut member = Member::new(place);
        #[cfg(debug_assertions)]
        switch(None);
        self.met[place].iter().for_each(|letter| member.take_again(&letter.input));
        #[cfg(debug_assertions)]
        switch(self.mutation);
        path.iter().for_each(|letter| member.take_again(&letter.input));
        member
    }

    /// The state of a node, which may be known already.
    fn state(&self, member: &Member, came: Option<(Arc<NodeState>, Arc<Letter>)>) -> Arc<NodeState> {
        let state = NodeState::of(member, &self.scenario, came);
        Arc::clone(&self.states.entry(state.print).or_insert_with(|| Arc::new(state)))
    }
}

impl NodeState {
    fn of(member: &Member, scenario: &Scenario, came: Option<(Arc<NodeState>, Arc<Letter>)>) -> Self {
        let (node, membership) = (&member.node, member.node.membership());
        let belief = |stream, interface| {
            let session = node.redirector().session(&scenario.flow(stream, interface))?;
            Some(Belief {
                owner: place_of(session.generation.node),
                counter: session.generation.counter,
                announced: session.standing != Standing::Provisional,
            })
        };
        let owned = |stream| {
            let mut keys = Interface::BOTH.into_iter().map(|interface| scenario.flow(stream, interface));
            let (slot, _) = keys.find_map(|key| node.markers().find(&key))?;
            let session = node.markers().at(slot);
            session.alive.then_some(session.generation)
        };
        let mut state = Self {
            place: member.place,
            print: member.print(),
            came,
            epochs: Interface::BOTH.map(|interface| membership.epoch(interface)),
            holders: Interface::BOTH.map(|interface| membership.holder(interface).map(place_of)),
            holds: Interface::BOTH.map(|interface| membership.holds(interface)),
            lingers: Interface::BOTH.map(|interface| membership.lingers(interface)),
            kept: node.frames_kept(),
            beliefs: Default::default(),
            owned: Default::default(),
            knows_living: PLACES.map(|place| membership.member(id(place)).is_some_and(|member| member.lives())),
        };
        for (stream, _) in scenario.streams() {
            state.beliefs[stream] = Interface::BOTH.map(|interface| belief(stream, interface));
            state.owned[stream] = owned(stream);
        }
        state
    }

    /// What came since the nodes met.
    fn path(&self) -> Vec<&Letter> {
        let mut path: Vec<&Letter> = Vec::new();
        let mut at = self;
        while let Some((before, letter)) = &at.came {
            path.push(letter);
            at = before;
        }
        path.reverse();
        path
    }
}

//! The model: states, what may happen in each, and what must always hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stateright::{Checker, HasDiscoveries, Model, Path, Property};

use crate::action::Action;
use crate::history::Promise;
use crate::memo::Memo;
use crate::possible::possible;
use crate::scenario::Scenario;
use crate::state::State;
use crate::world::World;

/// How far a search is: it ends with the first broken promise.
#[derive(Debug, Default)]
struct Search {
    found: AtomicBool,
    over: AtomicBool,
}

/// A scenario, and what its nodes do.
#[derive(Clone, Debug)]
pub(crate) struct Explored {
    pub(crate) scenario: Scenario,
    memo: Arc<Memo>,
    search: Arc<Search>,
}

impl Explored {
    pub(crate) fn new(scenario: Scenario, memo: &Arc<Memo>) -> Self {
        Self { scenario, memo: Arc::clone(memo), search: Arc::default() }
    }

    /// Explores breadth first: the way to the first broken promise, and what the checker counted.
    pub(crate) fn explore(&self, threads: usize) -> (Option<Vec<Action>>, impl Checker<Self>) {
        let checker = self.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
        // The paths are made again step by step, and then every step must be possible.
        self.search.over.store(true, Ordering::Relaxed);
        let paths = checker.discoveries().into_values().map(Path::into_actions);
        let shortest = paths.min_by_key(Vec::len);
        (shortest, checker)
    }

    fn start(&self) -> State {
        State::new(self.memo.met())
    }

    /// The world at its start, with real nodes beside it.
    pub(crate) fn beside_nodes(&self) -> World<'_> {
        World::new(&self.scenario, &self.memo, self.start()).beside(self.memo.nodes())
    }

    /// What happened on the way to a state, and which promise that broke.
    pub(crate) fn story(&self, path: &[Action]) -> Vec<String> {
        let mut world = self.beside_nodes();
        world.story = Some(Vec::new());
        path.iter().for_each(|action| world.step(*action));
        let mut story = world.story.take().unwrap_or_default();
        if let Some((promise, how)) = &world.state.history.broken {
            story.push(format!("so is broken, {}: {how}", promise.name()));
        }
        story
    }
}

impl Model for Explored {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // What follows from a broken promise is of no interest.
        let goes_on = !self.search.found.load(Ordering::Relaxed) || self.search.over.load(Ordering::Relaxed);
        if goes_on && state.history.broken.is_none() {
            possible(&self.scenario, state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut world = World::new(&self.scenario, &self.memo, state.clone());
        world.step(action);
        if world.state.history.broken.is_some() {
            self.search.found.store(true, Ordering::Relaxed);
        }
        Some(world.state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Promise::OneInspector.name(), |_, s: &State| s.keeps(Promise::OneInspector)),
            Property::always(Promise::OneOwner.name(), |_, s: &State| s.keeps(Promise::OneOwner)),
            Property::always(Promise::Acknowledged.name(), |_, s: &State| s.keeps(Promise::Acknowledged)),
            Property::always(Promise::Epochs.name(), |_, s: &State| s.keeps(Promise::Epochs)),
            Property::always(Promise::Steering.name(), |_, s: &State| s.keeps(Promise::Steering)),
            Property::always(Promise::Asking.name(), |_, s: &State| s.keeps(Promise::Asking)),
            Property::always(Promise::Generations.name(), |_, s: &State| s.keeps(Promise::Generations)),
            Property::always(Promise::Books.name(), |_, s: &State| s.keeps(Promise::Books)),
            Property::always(Promise::NoDuplicates.name(), |_, s: &State| s.keeps(Promise::NoDuplicates)),
            Property::always(Promise::Agreement.name(), |_, s: &State| s.keeps(Promise::Agreement)),
            Property::always(Promise::OneHolder.name(), |_, s: &State| s.keeps(Promise::OneHolder)),
            Property::always(Promise::Rest.name(), |_, s: &State| s.keeps(Promise::Rest)),
            Property::always(Promise::NothingLost.name(), |_, s: &State| s.keeps(Promise::NothingLost)),
        ]
    }
}

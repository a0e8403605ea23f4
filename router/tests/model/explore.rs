//! The model: states, what may happen in each, and what must always hold.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use herald::id::Interface;
#[cfg(debug_assertions)]
use herald::mutation::{Mutation, switch};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

use crate::action::Action;
use crate::history::Promise;
use crate::layout::{PLACES, Place, id, pairs};
use crate::scenario::{Fault, Scenario};
use crate::sights::Seen;
use crate::world::{World, outranking};

/// A state: how it came about, which is all that is needed to make it again, and what it looks like.
#[derive(Clone, Debug)]
pub(crate) struct State {
    path: Vec<Action>,
    possible: Vec<Action>,
    /// Of each node.
    prints: [u64; 3],
    fingerprint: u64,
    pub(crate) broken: Option<Promise>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// How far a search is: it ends with the first broken promise.
#[derive(Debug, Default)]
struct Search {
    found: AtomicBool,
    over: AtomicBool,
}

/// A scenario, with the program as it is or broken on purpose.
#[derive(Clone, Debug)]
pub(crate) struct Explored {
    pub(crate) scenario: Scenario,
    /// What was seen in any step.
    pub(crate) seen: Arc<Seen>,
    search: Arc<Search>,
    #[cfg(debug_assertions)]
    mutation: Option<Mutation>,
}

impl Explored {
    /// The program as it is.
    pub(crate) fn new(scenario: Scenario, seen: &Arc<Seen>) -> Self {
        Self {
            scenario,
            seen: Arc::clone(seen),
            search: Arc::default(),
            #[cfg(debug_assertions)]
            mutation: None,
        }
    }

    /// The program broken in this way.
    #[cfg(debug_assertions)]
    pub(crate) fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
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

    /// The world after these steps.
    fn world(&self, path: &[Action], story: Option<Vec<String>>) -> World<'_> {
        // The nodes meet unbroken.
        #[cfg(debug_assertions)]
        switch(None);
        let mut world = World::new(&self.scenario);
        #[cfg(debug_assertions)]
        switch(self.mutation);
        world.story = story;
        path.iter().for_each(|action| world.step(*action));
        world
    }

    /// The state after these steps, of which all but the last led to `before`.
    fn state(&self, path: Vec<Action>, before: Option<&State>) -> State {
        let world = self.world(&path, None);
        let print = |place: Place| match before {
            Some(before) if !world.touched[place] && world.alive[place] => before.prints[place],
            _ => world.print(place),
        };
        let prints = PLACES.map(print);
        self.seen.add(world.sights);
        let broken = world.history.broken.as_ref().map(|(promise, _)| *promise);
        // What follows from a broken promise is of no interest.
        let possible = if broken.is_none() { possible(&world) } else { Vec::new() };
        State { path, possible, prints, fingerprint: world.fingerprint(prints), broken }
    }

    /// What happened on the way to a state, and which promise that broke.
    pub(crate) fn story(&self, path: &[Action]) -> Vec<String> {
        let mut world = self.world(path, Some(Vec::new()));
        let mut story = world.story.take().unwrap_or_default();
        if let Some((promise, how)) = &world.history.broken {
            story.push(format!("so is broken, {}: {how}", promise.name()));
        }
        story
    }
}

impl Model for Explored {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.state(Vec::new(), None)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !self.search.found.load(Ordering::Relaxed) || self.search.over.load(Ordering::Relaxed) {
            actions.extend_from_slice(&state.possible);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut path = state.path.clone();
        path.push(action);
        let state = self.state(path, Some(state));
        if state.broken.is_some() {
            self.search.found.store(true, Ordering::Relaxed);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Promise::OneInspector.name(), |_, s: &State| s.broken != Some(Promise::OneInspector)),
            Property::always(Promise::OneOwner.name(), |_, s: &State| s.broken != Some(Promise::OneOwner)),
            Property::always(Promise::Acknowledged.name(), |_, s: &State| s.broken != Some(Promise::Acknowledged)),
            Property::always(Promise::Epochs.name(), |_, s: &State| s.broken != Some(Promise::Epochs)),
            Property::always(Promise::Steering.name(), |_, s: &State| s.broken != Some(Promise::Steering)),
            Property::always(Promise::Asking.name(), |_, s: &State| s.broken != Some(Promise::Asking)),
            Property::always(Promise::Generations.name(), |_, s: &State| s.broken != Some(Promise::Generations)),
            Property::always(Promise::Books.name(), |_, s: &State| s.broken != Some(Promise::Books)),
            Property::always(Promise::NoDuplicates.name(), |_, s: &State| s.broken != Some(Promise::NoDuplicates)),
            Property::always(Promise::Agreement.name(), |_, s: &State| s.broken != Some(Promise::Agreement)),
            Property::always(Promise::OneHolder.name(), |_, s: &State| s.broken != Some(Promise::OneHolder)),
            Property::always(Promise::Rest.name(), |_, s: &State| s.broken != Some(Promise::Rest)),
            Property::always(Promise::NothingLost.name(), |_, s: &State| s.broken != Some(Promise::NothingLost)),
        ]
    }
}

/// What may happen next.
fn possible(world: &World<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    hosts_send(world, &mut actions);
    for (from, to) in pairs() {
        if !world.control[from][to].is_empty() {
            actions.push(Action::MessageArrives { from, to });
        }
        if !world.handovers[from][to].is_empty() {
            actions.push(Action::HandoverArrives { from, to });
        }
        for interface in Interface::BOTH {
            if !world.wire[interface][from][to].is_empty() {
                actions.push(Action::FrameArrives { interface, from, to });
            }
        }
        if world.may_notice(from, to) {
            actions.push(Action::DeathNoticed { dead: from, by: to });
        }
    }
    for at in PLACES.into_iter().filter(|place| world.alive[*place]) {
        if world.history.patience < world.scenario.patience && world.members[at].node.frames_kept() > 0 {
            actions.push(Action::PatienceEnds { at });
        }
    }
    if world.history.faults < world.scenario.faults.1 {
        faults(world, &mut actions);
    }
    actions
}

/// A host sends while it has packets left: from the start if it opens the stream, else when something has come to answer.
fn hosts_send(world: &World<'_>, actions: &mut Vec<Action>) {
    for (stream, it) in world.scenario.streams() {
        for from in Interface::BOTH {
            let has_left = world.history.sent[stream][from as usize] < it.packets[from as usize];
            let may = it.is_opened_from(from) || world.history.reached[stream][from.other() as usize] > 0;
            let holds = |at: &Place| world.alive[*at] && world.members[*at].node.membership().holds(from);
            if has_left && may {
                actions.extend(PLACES.into_iter().filter(holds).map(|at| Action::HostSends { stream, from, at }));
            }
        }
    }
}

fn faults(world: &World<'_>, actions: &mut Vec<Action>) {
    if world.scenario.allows(Fault::RoleTaken) {
        for interface in Interface::BOTH {
            let by = outranking(interface);
            let holder = world.members[by].node.membership().holder(interface);
            if world.alive[by] && holder.is_some_and(|holder| holder != id(by)) {
                actions.push(Action::RoleTaken { interface, by });
            }
        }
    }
    if world.scenario.allows(Fault::Death) && world.alive == [true; 3] {
        actions.extend(PLACES.map(|node| Action::Dies { node }));
    }
    if world.scenario.allows(Fault::LinkBreak) {
        let alive = |(one, other): &(Place, Place)| one < other && world.alive[*one] && world.alive[*other];
        actions.extend(pairs().filter(alive).map(|(one, other)| Action::LinkBreaks { one, other }));
    }
}

//! Is what is remembered of turns true? Some ways through a model are gone with real nodes beside it, which take every turn
//! themselves, as the way has it and not as the state was first come to: what they do must be the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::explore::Explored;
use crate::possible::possible;
use crate::state::State;

/// Ways for each choice of slow channels.
const WALKS: u64 = 10;

/// Goes some ways to their end; panics if a node does anything else than the model says.
pub(crate) fn some(model: &Explored) {
    (0..WALKS).for_each(|walk| one(model, walk));
}

fn one(model: &Explored, walk: u64) {
    let mut world = model.beside_nodes();
    for step in 0_u64.. {
        let actions = choices(model, &world.state);
        if actions.is_empty() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (walk, step).hash(&mut hasher);
        let chosen = hasher.finish() % actions.len() as u64;
        world.step(actions[usize::try_from(chosen).unwrap()]);
    }
}

fn choices(model: &Explored, state: &State) -> Vec<crate::action::Action> {
    let mut actions = Vec::new();
    possible(&model.scenario, state, &mut actions);
    actions
}

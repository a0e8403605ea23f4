//! I11: every byte that a host hears is the one that was said.

use super::Checker;
use crate::world::{Sight, World};

pub(super) struct Payload;

impl Checker for Payload {
    fn invariant(&self) -> &'static str {
        "I11"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Sampled = sight else { return Ok(()) };
        match world.talks.iter().find(|talk| talk.corrupted) {
            Some(talk) => Err(format!("the hosts heard wrong bytes in {}", talk.open.flow())),
            None => Ok(()),
        }
    }
}

//! I16: what a newer version says is skipped: no honest node ends a link for what came over it.

use super::Checker;
use crate::member::NODES;
use crate::world::{Sight, World};

pub(super) struct UnknownKinds;

impl Checker for UnknownKinds {
    fn invariant(&self) -> &'static str {
        "I16"
    }

    fn see(&mut self, _: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Garbled { place, why } => Err(format!("{} ended a link: {why}", NODES[*place])),
            _ => Ok(()),
        }
    }
}

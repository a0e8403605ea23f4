//! I9: every frame that came in is accounted for, at each node and after each turn.

use super::Checker;
use crate::member::NODES;
use crate::world::{Sight, World};

pub(super) struct Books;

impl Checker for Books {
    fn invariant(&self) -> &'static str {
        "I9"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::TurnEnded { place } = sight else { return Ok(()) };
        let member = &world.members[*place];
        let Some(node) = &member.node else { return Ok(()) };
        let books = &member.out.ledger;
        let came = books.arrived.first + books.arrived.second + books.arrived_mesh + books.cut + books.injected;
        let dropped = member.out.drops().map(|(_, count)| count).sum::<u64>() - books.generated_dropped;
        let went = books.forwarded + books.redirected + books.handed_over + books.consumed + books.joined + dropped;
        let kept = node.frames_kept() as u64;
        if came == went + kept {
            return Ok(());
        }
        Err(format!("{}: {came} came, {went} went, {kept} are kept: {books:?}", NODES[*place]))
    }
}

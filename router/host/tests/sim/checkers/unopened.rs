//! I3: where streams are not picked up, a redirector chooses for no connection that it has not seen opened.

use std::collections::BTreeSet;

use herald_core::event::{Event, Step};
use herald_core::flow::FlowKey;
use herald_core::session::Midstream;

use super::Checker;
use crate::member::{NODES, Place};
use crate::packets;
use crate::world::{Sight, World};

/// Flows of which a SYN came to a node.
#[derive(Default)]
pub(super) struct Unopened(BTreeSet<(FlowKey, Place)>);

impl Checker for Unopened {
    fn invariant(&self) -> &'static str {
        "I3"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Arrived { place, interface, bytes } => {
                self.0.extend(packets::connecting(*interface, bytes).map(|flow| (flow, *place)));
            }
            Sight::Told { place, event: Event::Step { step: Step::M2, flow, .. } } => {
                let may_pick_up = flow.protocol() != 6 || world.scenario.choices.midstream == Midstream::PickUp;
                if !may_pick_up && !self.0.contains(&(*flow, *place)) {
                    return Err(format!("{} chose for {flow}, which nobody opened", NODES[*place]));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

//! I3: a redirector acknowledges what it has, and a chosen node hears only what was acknowledged.

use std::collections::BTreeSet;

use herald_core::event::Event;
use herald_core::flow::FlowKey;
use herald_core::mesh::Message;
use herald_core::session::Standing;

use super::Checker;
use crate::member::{NODES, Place, id, place_of};
use crate::world::{Sight, World};

/// Who acknowledged which return key of whom.
#[derive(Default)]
pub(super) struct Acknowledgements(BTreeSet<(Place, FlowKey, Place)>);

impl Checker for Acknowledgements {
    fn invariant(&self) -> &'static str {
        "I3"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Sent { place, to, message: Message::Acknowledge(acknowledge) } => {
                let redirector = world.members[*place].node.as_ref().unwrap().redirector();
                let session = redirector.session(&acknowledge.return_key);
                let has_it = session.is_some_and(|s| s.standing != Standing::Provisional);
                self.0.insert((*place, acknowledge.return_key, *to));
                if has_it { Ok(()) } else { Err(format!("{} acknowledged a session it has not", NODES[*place])) }
            }
            Sight::Told { place, event: Event::Acknowledged { flow, node } } => {
                let from = place_of(*node);
                let return_key = flow.reversed(flow.interface().other());
                if *node == id(*place) || self.0.contains(&(from, return_key, *place)) {
                    return Ok(());
                }
                Err(format!("{} heard an acknowledgement of {flow} that {node} never gave", NODES[*place]))
            }
            _ => Ok(()),
        }
    }
}

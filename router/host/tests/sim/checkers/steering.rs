//! I6: nobody steers to a node that has left, once that could be detected, nor gives a stream to one that frames do not
//! reach.

use std::time::Duration;

use herald_core::event::{Event, Step};
use herald_core::id::NodeId;
use herald_core::limits::DETECTION_TIME;
use herald_core::node::Redirecting;
use herald_core::outbox::Leaving;
use herald_core::session::Standing;

use super::Checker;
use crate::member::{NODES, Process, node_mac, place_of};
use crate::switch::mac_at;
use crate::world::{Sight, World};

/// Detection by a clock that is 10 % slow, and messages on their way.
const DETECTED: Duration = DETECTION_TIME.saturating_mul(2);

pub(super) struct Steering;

impl Checker for Steering {
    fn invariant(&self) -> &'static str {
        "I6"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        if let Sight::Told { place, event: Event::LinkUp { peer } } = sight {
            return of_present_boot(world, *place, *peer);
        }
        if let Sight::Told { place, event: Event::Step { step: Step::M2, flow, node } } = sight {
            let (from, to) = (NODES[*place], place_of(*node));
            let reached = world.scenario.choices.redirecting == Redirecting::Ethernet
                || to == *place
                || world.links.carries_frames(*place, to);
            return if reached {
                Ok(())
            } else {
                Err(format!("{from} gives {flow} to {node}, and frames have no way"))
            };
        }
        let Sight::Left { place, interface, bytes, leaving: Leaving::Redirected } = sight else { return Ok(()) };
        let to = mac_at(bytes, 0);
        let Some(chosen) = (0..NODES.len()).find(|node| Some(node_mac(*interface, *node)) == to) else {
            return Err(format!("{} redirected to {to:?}, which is no node's", NODES[*place]));
        };
        let (member, steerer) = (&world.members[chosen], &world.members[*place]);
        let gone = member.process == Process::Off && world.now.since(member.since) > DETECTED;
        if gone && world.now.since(steerer.back_since) > DETECTED {
            return Err(format!("{} redirected to {}, which is gone", NODES[*place], NODES[chosen]));
        }
        Ok(())
    }
}

/// When a member is back with a new boot, nothing of the old one is left.
fn of_present_boot(world: &World, place: usize, peer: NodeId) -> Result<(), String> {
    let Some(node) = &world.members[place].node else { return Ok(()) };
    let boot = node.membership().boot(peer);
    let mut announced = node.redirector().iter().filter(|(_, session)| session.standing == Standing::Announced);
    match announced.find(|(_, session)| session.generation.node == peer && Some(session.boot) != boot) {
        Some((key, _)) => Err(format!("{} steers {key} to an older boot of {peer}", NODES[place])),
        None => Ok(()),
    }
}

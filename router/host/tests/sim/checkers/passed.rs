//! I2 and I10: what a node forwards has passed its chain, differs only as a router makes it differ, leaves once and in
//! order within its flow.

use std::collections::{BTreeMap, VecDeque};

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::inspector::Action;
use herald_core::outbox::Leaving;

use super::Checker;
use crate::member::{NODES, Place, node_mac};
use crate::packets::{self, Seen};
use crate::recorder::Note;
use crate::world::{Sight, World};

/// Packets that passed a chain and have not left, by node and flow.
#[derive(Default)]
pub(super) struct Passed {
    waiting: BTreeMap<(Place, u64, FlowKey), VecDeque<(u64, u8)>>,
}

impl Checker for Passed {
    fn invariant(&self) -> &'static str {
        "I2, I10"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        match sight {
            Sight::Noted { place, note: Note::Inspected { interface, bytes, action: Action::Pass, .. } } => {
                if let Some(seen) = packets::seen(*interface, bytes) {
                    let key = (*place, world.members[*place].boot, seen.flow);
                    self.waiting.entry(key).or_default().push_back((seen.hash, seen.hop_limit));
                }
                Ok(())
            }
            Sight::Left { place, interface, bytes, leaving: Leaving::Forwarded } => {
                if packets::is_later_fragment(bytes) {
                    return Ok(());
                }
                let Some(seen) = packets::seen(interface.other(), bytes) else {
                    return Err(format!("{} forwarded what is no packet", NODES[*place]));
                };
                self.left(*place, world.members[*place].boot, *interface, &seen)
            }
            _ => Ok(()),
        }
    }
}

impl Passed {
    fn left(&mut self, place: Place, boot: u64, interface: Interface, seen: &Seen) -> Result<(), String> {
        let node = NODES[place];
        if seen.from != node_mac(interface, place) {
            return Err(format!("{node} forwarded {} with the source address {}", seen.flow, seen.from));
        }
        let waiting = self.waiting.entry((place, boot, seen.flow)).or_default();
        let same = |(hash, hop_limit): &(u64, u8)| *hash == seen.hash && *hop_limit == seen.hop_limit + 1;
        let Some(position) = waiting.iter().position(same) else {
            return Err(format!(
                "{node} forwarded a packet of {} that its chain has not passed, or twice, or late",
                seen.flow
            ));
        };
        // What is overtaken may be dropped, but not leave any more.
        waiting.drain(..=position);
        Ok(())
    }
}

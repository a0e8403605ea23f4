//! I10: no packet leaves more often than it came, and the packets of a flow leave in the order in which they came. A sender's
//! retransmissions are other packets, as their marks say.

use std::collections::{BTreeMap, VecDeque};

use herald_core::flow::FlowKey;

use super::loops::at_one_node;
use crate::scenario::Action;
use crate::sighting::{Mark, direction};
use crate::stage::record::{Record, Seen, is_virtual};

pub(super) fn broken(record: &Record) -> Vec<String> {
    // A network that doubles frames does so on each part of the way.
    let meant = |seen: &&Seen| is_virtual(seen.packet.frame_destination) || record.is_to_itself(seen);
    let came = at_one_node(record.delivered.iter().filter(meant));
    let mut left: BTreeMap<Mark, u64> = BTreeMap::new();
    record.left().for_each(|seen| *left.entry(seen.packet.mark()).or_default() += 1);
    let twice = left.iter().filter(|(mark, count)| **count > came.get(mark).copied().unwrap_or_default());
    let mut broken: Vec<String> = twice
        .map(|(mark, count)| {
            let came = came.get(mark).copied().unwrap_or_default();
            format!("a packet of {} came {came} times and left {count} times", mark.flow())
        })
        .collect();
    if !record.acts.iter().any(|act| reorders(&act.action)) {
        broken.extend(disordered(record));
    }
    broken
}

/// True if the networks themselves change the order of frames.
fn reorders(action: &Action) -> bool {
    matches!(action, Action::Impair { impairment, .. } if impairment.reorder > 0)
}

/// Flows whose packets left in another order than they came.
fn disordered(record: &Record) -> Vec<String> {
    let mut places: BTreeMap<Mark, VecDeque<usize>> = BTreeMap::new();
    let to_virtual = record.arrived().filter(|seen| is_virtual(seen.packet.frame_destination));
    for (place, seen) in to_virtual.enumerate() {
        places.entry(seen.packet.mark()).or_default().push_back(place);
    }
    let mut last: BTreeMap<FlowKey, usize> = BTreeMap::new();
    let mut broken = Vec::new();
    for seen in record.left() {
        let (mark, flow) = (seen.packet.mark(), direction(&seen.packet.flow));
        let Some(place) = places.get_mut(&mark).and_then(VecDeque::pop_front) else { continue };
        let before = last.entry(flow).or_insert(place);
        if place < *before {
            broken.push(format!("a packet of {flow} left after one that had come later"));
        }
        *before = place.max(*before);
    }
    broken
}

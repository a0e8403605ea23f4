//! I4: no loops: each copy of a packet that came from a host is redirected once at most, and once more over the mesh if it was
//! handed to the holder; it is handed over once at most, and comes to a chain by a door: from a host to a holder, or from a node to the node that it was meant for.

use std::collections::BTreeMap;

use super::has_held;
use crate::scenario::Place;
use crate::sighting::Mark;
use crate::stage::part::name;
use crate::stage::record::{Record, Seen, is_virtual};

/// How often something happened to a packet.
pub(super) type Counts = BTreeMap<Mark, u64>;

pub(super) fn broken(record: &Record) -> Vec<String> {
    let arrived = arrived(record);
    let by_wire = record.redirected().map(|(seen, _)| seen.packet.mark());
    let by_mesh = |redirected| record.carried.iter().filter(move |c| c.redirected == redirected);
    let redirected = count(by_wire.chain(by_mesh(true).map(|carried| carried.packet.mark())));
    let handed_over = count(by_mesh(false).map(|carried| carried.packet.mark()));
    let mut may_be_redirected = arrived.clone();
    for seen in &record.astray {
        *may_be_redirected.entry(seen.packet.mark()).or_default() += 1;
    }
    let mut broken = Vec::new();
    for (what, counts, arrived) in
        [("redirected", redirected, &may_be_redirected), ("handed over", handed_over, &arrived)]
    {
        let too_often = counts.iter().filter(|(mark, count)| **count > arrived.get(mark).copied().unwrap_or_default());
        broken.extend(too_often.map(|(mark, count)| {
            let came = arrived.get(mark).copied().unwrap_or_default();
            format!("a packet of {} came {came} times and was {what} {count} times", mark.flow())
        }));
    }
    broken.extend(without_door(record, &arrived));
    broken
}

fn count(marks: impl Iterator<Item = Mark>) -> Counts {
    let mut counts = Counts::new();
    marks.for_each(|mark| *counts.entry(mark).or_default() += 1);
    counts
}

/// How often each packet came from a host: to one node, as a switch that floods brings it to all of them.
pub(super) fn arrived(record: &Record) -> Counts {
    at_one_node(record.arrived().filter(|seen| is_virtual(seen.packet.frame_destination)))
}

/// How often each of these packets was seen at the node that saw it most often.
pub(super) fn at_one_node<'a>(seen: impl Iterator<Item = &'a Seen>) -> Counts {
    let mut by_node: BTreeMap<(Mark, Place), u64> = BTreeMap::new();
    for seen in seen {
        *by_node.entry((seen.packet.mark(), seen.node)).or_default() += 1;
    }
    let mut counts = Counts::new();
    for ((mark, _), count) in by_node {
        let most = counts.entry(mark).or_default();
        *most = count.max(*most);
    }
    counts
}

/// Packets that a chain saw more often than they came to its node.
fn without_door(record: &Record, arrived: &Counts) -> Vec<String> {
    let mut doors: BTreeMap<(Place, Mark), u64> = BTreeMap::new();
    for seen in record.delivered.iter().filter(|seen| record.is_to_itself(seen)) {
        *doors.entry((seen.node, seen.packet.mark())).or_default() += 1;
    }
    for carried in &record.carried {
        *doors.entry((carried.to, carried.packet.mark())).or_default() += 1;
    }
    let mut broken = Vec::new();
    for seen in &record.inspected {
        let (mark, interface) = (seen.packet.mark(), seen.packet.flow.interface());
        let from_host = if has_held(record, seen.node, interface) { arrived.get(&mark).copied() } else { None };
        let left = doors.entry((seen.node, mark)).or_insert(0);
        match (*left, from_host) {
            (0, None | Some(0)) => {
                let (node, flow) = (name(seen.node), &seen.packet.flow);
                broken.push(format!("{node} took in a packet of {flow} that nobody had sent to it"));
            }
            (0, Some(_)) => {}
            (some, _) => *left = some - 1,
        }
    }
    broken
}

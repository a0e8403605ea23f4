//! I2: what leaves a node was passed by its chain, once for each time that it leaves, and differs only in MACs, in the hop
//! limit, which is less by one, and in checksums.

use std::collections::BTreeMap;

use crate::scenario::Place;
use crate::sighting::Mark;
use crate::stage::part::name;
use crate::stage::record::{Record, is_virtual};

pub(super) fn broken(record: &Record) -> Vec<String> {
    let mut broken = Vec::new();
    let mut passed: BTreeMap<(Place, Mark), Vec<(u64, u8)>> = BTreeMap::new();
    for seen in &record.inspected {
        let packets = passed.entry((seen.node, seen.packet.mark())).or_default();
        packets.push((seen.packet.at_nanos, seen.packet.hop_limit));
    }
    for seen in record.left() {
        let packet = &seen.packet;
        let waiting = passed.entry((seen.node, packet.mark())).or_default();
        let same = |(at, hop_limit): &(u64, u8)| *at <= packet.at_nanos && *hop_limit == packet.hop_limit + 1;
        if let Some(position) = waiting.iter().position(same) {
            waiting.remove(position);
        } else {
            let (node, flow, hops) = (name(seen.node), &packet.flow, packet.hop_limit);
            broken
                .push(format!("{node} sent a packet of {flow} with hop limit {hops} that its chain has not passed so"));
        }
    }
    let strange = record.delivered.iter().filter(|seen| is_virtual(seen.packet.frame_source));
    broken.extend(strange.map(|seen| format!("a packet of {} came from a virtual MAC", seen.packet.flow)));
    broken
}

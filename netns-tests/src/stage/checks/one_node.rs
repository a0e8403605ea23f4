//! I1: one node inspects a stream, until a higher generation of the stream belongs to another.

use std::collections::BTreeSet;

use herald_core::mesh::Message;

use super::is_quiet;
use crate::scenario::Place;
use crate::sighting::direction;
use crate::stage::part::{name, place};
use crate::stage::record::Record;

pub(super) fn broken(record: &Record) -> Vec<String> {
    let mut broken = Vec::new();
    for talk in &record.talks {
        let [there, back] = [direction(&talk.flow), direction(&talk.flow.reversed(talk.flow.interface()))];
        let generations = generations(record, &talk.flow.to_string());
        let mut current: Option<(Place, u32)> = None;
        let of_stream = record.inspected.iter().filter(|s| [there, back].contains(&direction(&s.packet.flow)));
        for seen in of_stream {
            let Some((owner, counter)) = current.filter(|(owner, _)| *owner != seen.node) else {
                current.get_or_insert((seen.node, 1));
                continue;
            };
            let higher = generations.iter().find(|(node, higher)| *node == seen.node && *higher > counter);
            if higher.is_none() && is_quiet(record, seen.packet.at_nanos) {
                let (other, owner) = (name(seen.node), name(owner));
                broken.push(format!("{other} inspected a packet of {}, which {owner} had", talk.flow));
            }
            current = Some((seen.node, higher.map_or(counter, |(_, counter)| *counter)));
        }
    }
    broken
}

/// The ownerships of a stream that nodes said something of, by node.
fn generations(record: &Record, opener: &str) -> BTreeSet<(Place, u32)> {
    let said = record.heard.iter().filter_map(|heard| {
        if let Message::Announce(announce) = &heard.message {
            return Some((announce.arrival, announce.generation));
        }
        let Message::Assign(assign) = &heard.message else { return None };
        Some((assign.arrival, assign.generation))
    });
    let said = said.filter(|(flow, _)| flow.to_string() == opener).map(|(_, generation)| generation);
    let said = said.filter_map(|generation| Some((place(generation.node.as_str())?, generation.counter)));
    let told = record.told.iter().filter(|told| told.event == "taken-over" && told.flow == opener);
    said.chain(told.map(|told| (told.node, u32::try_from(told.counter).unwrap_or(u32::MAX)))).collect()
}

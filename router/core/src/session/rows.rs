//! The tables as reports show them.

use std::sync::atomic::Ordering;

use super::{MarkerEntry, RedirectorSession, Standing, Tables};
use crate::flow::FlowKey;
use crate::id::{Interface, NodeId, PerInterface};
use crate::inspector::Direction;
use crate::time::Instant;

/// Whose note a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The redirector's.
    Redirector,
    /// The chosen node's.
    Marker,
}

/// One session.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whose note it is.
    pub kind: Kind,
    /// The redirector's interface, or the one where a marker session's stream opened.
    pub interface: Interface,
    /// The stream, seen from its opener.
    pub opener: FlowKey,
    /// The chosen node.
    pub chosen: NodeId,
    /// Counter of the generation.
    pub generation: u32,
    /// State or standing, by name.
    pub state: &'static str,
    /// When it started.
    pub started: Instant,
    /// When its last packet came.
    pub seen: Instant,
    /// Wire packets, for a marker session of both directions.
    pub packets: u64,
    /// Ethernet bytes, for a marker session of both directions.
    pub bytes: u64,
}

impl Tables {
    /// All sessions of this node that steer or mark; `node` is its id. Copies one shard at a time, so the loop waits for none of it.
    #[must_use]
    pub fn rows(&self, node: NodeId) -> Vec<Row> {
        let held = PerInterface::from_fn(|interface| self.held[interface].load(Ordering::Relaxed));
        let steering = self.redirector.iter().filter(|entry| held[entry.key().interface()]);
        let redirector = steering.map(|entry| redirector_row(entry.key(), entry.value()));
        let mut rows: Vec<Row> = redirector.collect();
        let markers: Vec<_> = self.markers.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        let opening = markers.into_iter().filter(|(_, entry)| entry.direction == Direction::FromOpener);
        rows.extend(opening.map(|(key, entry)| self.marker_row(node, key, entry)));
        rows
    }

    fn marker_row(&self, node: NodeId, opener: FlowKey, entry: MarkerEntry) -> Row {
        let back = self.markers.get(&opener.reversed(opener.interface().other())).map(|e| *e.value());
        let back = back.filter(|back| back.slot == entry.slot);
        Row {
            kind: Kind::Marker,
            interface: opener.interface(),
            opener,
            chosen: node,
            generation: entry.generation,
            state: entry.state.map_or("tombstone", super::State::name),
            started: entry.started,
            seen: back.map_or(entry.seen, |back| back.seen.max(entry.seen)),
            packets: entry.packets + back.map_or(0, |back| back.packets),
            bytes: entry.bytes + back.map_or(0, |back| back.bytes),
        }
    }
}

fn redirector_row(key: &FlowKey, session: &RedirectorSession) -> Row {
    let interface = key.interface();
    Row {
        kind: Kind::Redirector,
        interface,
        opener: match session.direction {
            Direction::FromOpener => *key,
            Direction::ToOpener => key.reversed(interface.other()),
        },
        chosen: session.generation.node,
        generation: session.generation.counter,
        state: match session.standing {
            Standing::Provisional => "provisional",
            Standing::Announced => "announced",
            Standing::Moving => "moving",
            Standing::Tombstone => "tombstone",
        },
        started: session.started,
        seen: session.seen,
        packets: session.packets,
        bytes: session.bytes,
    }
}

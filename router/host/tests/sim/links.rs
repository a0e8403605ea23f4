//! The mesh's links as byte streams: two lanes for each connection, of which that for frames begins later and may end alone, delivered in order and in arbitrary pieces, cut at
//! any byte. What is numbered is sent again after a reconnect by the program's own `mesh::Resend`.

use std::collections::BTreeMap;

use herald_core::mesh::Lane;
use herald_core::mesh::codec::Decoder;
use herald_core::time::Instant;

use crate::member::Place;

/// A connection, never used again.
pub(crate) type ConnectionId = u64;

/// Which end of a connection: 0 the lower id, which dials; 1 the higher.
pub(crate) type Side = usize;

/// One end of a connection.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// This end is not closed.
    pub(crate) open: bool,
    /// The peer's hello was accepted here.
    pub(crate) up: bool,
    /// When something came last, by the node's own clock.
    pub(crate) heard: Instant,
    /// One for each lane.
    pub(crate) decoders: [Decoder; 2],
    /// When the last bytes of each lane arrive here.
    pub(crate) last_in: [Instant; 2],
    /// Bytes that a cut keeps from coming here.
    pub(crate) kept_back: Vec<(Lane, Vec<u8>)>,
    /// The connection broke: so many bytes still come here.
    pub(crate) left: Option<u64>,
    /// The lane for frames is there.
    pub(crate) has_frames: bool,
    /// The lane for frames broke: so many of its bytes still come here.
    pub(crate) frames_left: Option<u64>,
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) nodes: [Place; 2],
    pub(crate) ends: [End; 2],
}

/// Two nodes.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) nodes: [Place; 2],
    /// Bytes from this side do not come through.
    pub(crate) cut: [bool; 2],
    /// Longer pieces from this side do not come through.
    pub(crate) larger: [Option<usize>; 2],
    /// Bytes from this side wait until then.
    pub(crate) stalled_until: [Instant; 2],
    /// No lane for frames comes about before.
    pub(crate) no_frames_until: Instant,
    /// How much later bytes come than usual, in microseconds, and percent of the packets that are lost at first.
    pub(crate) impaired: (u64, u64),
    /// The connection that this side uses.
    pub(crate) used: [Option<ConnectionId>; 2],
    pub(crate) dial_planned: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) pairs: Vec<Pair>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    last: ConnectionId,
}

impl Links {
    pub(crate) fn new() -> Self {
        let pair = |low, high| Pair {
            nodes: [low, high],
            cut: [false; 2],
            larger: [None; 2],
            stalled_until: Default::default(),
            no_frames_until: Instant::default(),
            impaired: (0, 0),
            used: [None; 2],
            dial_planned: false,
        };
        Self { pairs: vec![pair(0, 1), pair(0, 2), pair(1, 2)], connections: BTreeMap::new(), last: 0 }
    }

    /// The pair of two nodes, and which side the first is.
    pub(crate) fn between(&self, one: Place, other: Place) -> (usize, Side) {
        let nodes = [one.min(other), one.max(other)];
        let index = self.pairs.iter().position(|pair| pair.nodes == nodes).unwrap();
        (index, usize::from(one > other))
    }

    /// A new connection of a pair.
    pub(crate) fn connect(&mut self, pair: usize) -> ConnectionId {
        self.last += 1;
        let ends = [0, 1].map(|_| End { open: true, ..End::default() });
        self.connections.insert(self.last, Connection { nodes: self.pairs[pair].nodes, ends });
        self.last
    }

    /// The pair a connection belongs to.
    pub(crate) fn pair_of(&self, connection: ConnectionId) -> Option<usize> {
        let nodes = self.connections.get(&connection)?.nodes;
        self.pairs.iter().position(|pair| pair.nodes == nodes)
    }

    /// True if the first node has a lane for frames to the other.
    pub(crate) fn carries_frames(&self, from: Place, to: Place) -> bool {
        let (pair, side) = self.between(from, to);
        let connection = self.pairs[pair].used[side].and_then(|id| self.connections.get(&id));
        connection.is_some_and(|connection| connection.ends[side].has_frames)
    }

    /// True while both nodes say that they are linked, by one connection, and bytes come through both ways.
    pub(crate) fn joined(&self, one: Place, other: Place) -> bool {
        let (index, _) = self.between(one, other);
        let pair = &self.pairs[index];
        let up = |side: Side| {
            let connection = pair.used[side].and_then(|id| self.connections.get(&id));
            connection.is_some_and(|connection| connection.ends[side].up && connection.ends[side].open)
        };
        pair.used[0] == pair.used[1] && up(0) && up(1) && pair.cut == [false; 2]
    }
}

/// The place of a lane among two.
pub(crate) fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Control => 0,
        Lane::Frames => 1,
    }
}

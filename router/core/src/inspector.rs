//! The one trait through which the core sees plugins, and what they say.

use std::cell::Cell;

use crate::event::EndReason;
use crate::flow::FlowKey;
use crate::id::{Interface, NodeId};
use crate::packet::{Frame, Headers};
use crate::time::Instant;

/// Who sent a packet, seen from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the opener of the stream.
    FromOpener,
    /// To the opener: a return packet.
    ToOpener,
}

/// What becomes of a packet, weak to strong; the strongest of the chain counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Action {
    /// Let it go on.
    #[default]
    Pass,
    /// Silently ended, with a reason.
    Drop,
    /// Ended, and both ends are told: TCP resets, ICMP prohibited.
    Reject,
}

/// How much a verdict covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Scope {
    /// This packet.
    #[default]
    Packet,
    /// This direction of the stream.
    Flow,
    /// Both directions, for the rest of the stream's life.
    Stream,
}

/// What the chain says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What becomes of it.
    pub action: Action,
    /// How much of the stream that covers.
    pub scope: Scope,
    /// A plugin rewrote the packet's bytes.
    pub rewritten: bool,
    /// The action comes from a plugin's fault, by its fault policy.
    pub fault: bool,
}

impl Verdict {
    /// The other one if its action is stronger: its reason is then the packet's.
    #[must_use]
    pub fn or_stronger(self, other: Self) -> Self {
        if other.action > self.action { other } else { self }
    }
}

/// A stream as plugins are told of it.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Number of the stream on this node, never reused in one boot.
    pub id: u64,
    /// The opener's flow, as it arrived.
    pub opener: FlowKey,
    /// This node.
    pub chosen: NodeId,
    /// The stream was taken up in its middle.
    pub midstream: bool,
}

/// A stream's counters, given to plugins at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Wire packets from the opener.
    pub packets_from_opener: u64,
    /// Ethernet bytes from the opener.
    pub bytes_from_opener: u64,
    /// Wire packets to the opener.
    pub packets_to_opener: u64,
    /// Ethernet bytes to the opener.
    pub bytes_to_opener: u64,
    /// When the stream started.
    pub started: Instant,
    /// When its last packet came.
    pub last_packet: Instant,
}

/// One packet for the chain; the verdict is the answer.
#[derive(Debug)]
pub struct Inspection {
    /// The bytes.
    pub frame: Frame,
    /// Its checked headers.
    pub headers: Headers,
    /// The interface where it arrived.
    pub interface: Interface,
    /// Who sent it.
    pub direction: Direction,
    /// The stream's number.
    pub stream: u64,
    /// Place of the marker session, and of the plugins' state in the [`States`].
    pub slot: u32,
    /// What the chain says of it.
    pub verdict: Verdict,
}

/// One cache line of plugin state.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// The plugins' per-stream state: `lines_per_stream` cache lines for each slot, at addresses that never move. Cells,
/// because a batch holds the states of several packets at once, and some of them are the same.
#[derive(Debug, Default)]
pub struct States {
    chunks: Vec<Box<[Cell<Line>]>>,
    lines_per_stream: usize,
}

impl States {
    const SLOTS_PER_CHUNK: usize = 1024;

    /// Room for `bytes_per_stream` bytes of state for each stream.
    #[must_use]
    pub fn new(bytes_per_stream: usize) -> Self {
        Self { chunks: Vec::new(), lines_per_stream: bytes_per_stream.div_ceil(size_of::<Line>()) }
    }

    /// Makes sure that `slot` has its place. Chunks are kept for life.
    pub fn reserve(&mut self, slot: u32) {
        while self.lines_per_stream > 0 && self.chunks.len() <= slot as usize / Self::SLOTS_PER_CHUNK {
            self.chunks
                .push(vec![Cell::new(Line([0; 64])); Self::SLOTS_PER_CHUNK * self.lines_per_stream].into_boxed_slice());
        }
    }

    /// The state of the stream in `slot`; empty if plugins keep none or the slot was never reserved.
    #[must_use]
    pub fn of(&self, slot: u32) -> &[Cell<Line>] {
        let (chunk, place) = (slot as usize / Self::SLOTS_PER_CHUNK, slot as usize % Self::SLOTS_PER_CHUNK);
        let from = place * self.lines_per_stream;
        let lines = self.lines_per_stream;
        self.chunks.get(chunk).and_then(|c| c.get(from..from + lines)).unwrap_or_default()
    }
}

/// The plugins as the core sees them. The host implements it with loaded libraries; tests with a few lines.
pub trait Inspector {
    /// Bytes of state that the chain keeps for each stream, all plugins together.
    fn state_len(&self) -> usize;

    /// A stream started; its state is made. The verdict is already that of its first packet's stream.
    fn stream_started(&mut self, now: Instant, stream: &Stream, state: &[Cell<Line>]) -> Verdict;

    /// Judges a batch of packets in order. Several may belong to one stream.
    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], states: &States);

    /// A stream ended; its state is unmade.
    fn stream_ended(&mut self, now: Instant, stream: &Stream, totals: &Totals, reason: EndReason, state: &[Cell<Line>]);
}
